//! What templates make, and that none makes too much.

use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use sensei_domain::{ClientId, Faults, LeadCreated, LeadId, NewLead, Timestamp};
use serde_json::{Value, json};

use super::{LONGEST_SOURCE, MOST_FIELDS, Rendered, Slot, TemplateError, Templates};
use crate::transports::text::{cut, html, markdown};

const SLOTS: &[Slot] = &[
    Slot::text("title", "A title.", 40, cut),
    Slot::text("text", "A text.", 100_000, markdown),
    Slot::text("html", "A page.", 100_000, html),
    Slot::body("A body."),
    Slot::fields("Fields.", 20, |name| {
        (name != "id").then_some(()).ok_or("must not be given")
    }),
];

fn event(data: &Value) -> Bytes {
    json!({"event": "lead.created", "timestamp": "2026-11-24T10:30:00.000Z", "data": data})
        .to_string()
        .into()
}

fn lead() -> Bytes {
    event(&json!({
        "name": "Jane *Doe*", "email": "jane@example.com", "phone": null, "clientName": "Acme",
        "custom": {"size": 12, "tags": ["a", "b"], "big": "x".repeat(20_000), "company size": "big"},
    }))
}

async fn render(template: Value, event: &Bytes) -> Result<Rendered, TemplateError> {
    let templates = Templates::read(SLOTS, &template).expect("slots");
    templates.render(event).await
}

async fn made(slot: &str, source: &str) -> Result<String, String> {
    let rendered = render(json!({slot: source}), &lead()).await;
    rendered
        .map(|mut rendered| rendered.take(slot).unwrap_or_default())
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_constant_a_mapping_and_a_template_are_one_thing() {
    let cases = [
        ("title", "Sensei", "Sensei"),
        ("title", "{{ data.phone }}", ""),
        ("title", "{{ data.nothing.at.all }}", ""),
        ("title", "Lead: {{ data.name | upper }}", "Lead: JANE *DOE*"),
        (
            "title",
            "{{ data.custom.size }}/{{ data.custom['company size'] }}",
            "12/big",
        ),
        (
            "title",
            "{{ data.custom.tags }} {{ data.custom.tags | join('+') }}",
            "[\"a\",\"b\"] a+b",
        ),
        (
            "title",
            "{% if data.custom.size > 10 %}big{% else %}small{% endif %}",
            "big",
        ),
        (
            "title",
            "{% for tag in data.custom.tags %}{{ loop.index }}{{ tag }} {% endfor %}",
            "1a 2b ",
        ),
        (
            "title",
            "{% for k, v in data.custom | items %}{{ k | first }}{% endfor %}",
            "bcst",
        ),
        ("title", "{{ data.phone | default('none', true) }}", "none"),
        ("title", "{% set who = data.name ~ '!' %}{{ who }}", "Jane *Doe*!"),
        ("text", "**{{ data.name }}**", "**Jane \\*Doe\\***"),
        (
            "html",
            "<b>{{ '<i>' ~ data.email }}</b>",
            "<b>&lt;i&gt;jane@example.com</b>",
        ),
        (
            "body",
            "{\"n\": {{ data.name }}, \"p\": {{ data.phone }}, \"c\": {{ data.custom.tags }}}",
            "{\"n\": \"Jane *Doe*\", \"p\": null, \"c\": [\"a\",\"b\"]}",
        ),
        ("body", "{{ data.custom.tags | tojson }}", "[\"a\", \"b\"]"),
        ("body", "{{ event }}", "\"lead.created\""),
    ];
    for (slot, source, expected) in cases {
        assert_eq!(made(slot, source).await.as_deref(), Ok(expected), "{source}");
    }
}

#[tokio::test]
async fn a_text_is_cut_to_its_slot_and_fields_come_over_the_kinds_own() {
    let title = made("title", &"é".repeat(50)).await.expect("a text");
    assert_eq!(title, "é".repeat(39) + "…");
    let template =
        json!({"fields": {"phone": "{{ data.phone }}", "source": "Sensei", "last": "{{ data.custom.big }}"}});
    let rendered = render(template, &lead()).await.expect("texts");
    let own = [
        ("first", "Jane".to_owned()),
        ("last", "Doe".to_owned()),
        ("phone", "1".to_owned()),
    ];
    let fields = rendered.over(own).collect::<Vec<_>>();
    let expected = [
        ("first", "Jane".to_owned()),
        ("last", "x".repeat(19) + "…"),
        ("source", "Sensei".to_owned()),
    ];
    assert_eq!(fields, expected, "what is empty isn't sent");
}

#[tokio::test]
async fn templates_are_of_leads_alone() {
    let event = Bytes::from(json!({"event": "destination.warned", "data": {}}).to_string());
    let rendered = render(json!({"title": "a"}), &event).await;
    assert_eq!(rendered.expect("nothing").take("title"), None);
}

#[test]
fn what_is_no_slot_is_found_by_reading() {
    let long = "x".repeat(LONGEST_SOURCE);
    let many = (0..=MOST_FIELDS)
        .map(|number| (format!("f{number}"), json!("")))
        .collect::<serde_json::Map<_, _>>();
    let cases = [
        (json!("a"), "/template must be an object of slots, or null"),
        (
            json!({"titel": "a"}),
            "/template/titel is not a slot of this kind (known: title, text, html, body, fields)",
        ),
        (
            json!({"title": 1}),
            "/template/title must be a template, which is a string",
        ),
        (
            json!({"fields": "a"}),
            "/template/fields must be an object of names and templates",
        ),
        (
            json!({"fields": {"id": "a", "b/c": 1}}),
            "/template/fields/id must not be given",
        ),
        (
            json!({"fields": {"b/c": 1}}),
            "/template/fields/b~1c must be a template",
        ),
        (json!({"fields": many}), "/template/fields must have at most 50 fields"),
        (
            json!({"title": "x", "text": long}),
            "/template must have at most 16384 bytes of templates",
        ),
    ];
    for (template, expected) in cases {
        let faults: Faults = Templates::read(SLOTS, &template).expect_err("refused");
        assert!(faults.to_string().contains(expected), "{template}: {faults}");
    }
    for none in [json!(null), json!({}), json!({"title": null})] {
        assert!(Templates::read(SLOTS, &none).expect("none").is_empty());
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_line() {
    let now = Timestamp::from_millis(1_800_000_000_000);
    let lead = NewLead::sample();
    let lead = LeadCreated::new(LeadId::new(now), now, &lead, ClientId::new(now), "Acme", false);
    let sample = Bytes::from(lead.to_bytes());
    let cases = [
        ("title", "a\n{{ data.name", "/template/title line 2: syntax error"),
        (
            "title",
            "a\n\n{{ data.name | leet }}",
            "/template/title line 3: there isn't a filter `leet`",
        ),
        (
            "title",
            "{{ data.name is prime }}",
            "/template/title line 1: there isn't a test `prime`",
        ),
        ("title", "{{ 1 / 0 }}", "/template/title line 1: "),
        (
            "body",
            "{\"a\": \"{{ data.name }}\"}",
            "/template/body what it makes isn't JSON",
        ),
        (
            "body",
            "[\"{{ data.custom.a }}\"]",
            "/template/body what it makes isn't JSON",
        ),
        (
            "body",
            "{\"a\": {{ data.name }},}",
            "/template/body what it makes isn't JSON",
        ),
    ];
    for (slot, source, expected) in cases {
        let templates = Templates::read(SLOTS, &json!({slot: source})).expect("slots");
        let faults = templates.check(sample.clone()).await.expect_err("refused").to_string();
        assert!(faults.contains(expected), "{source}: {faults}");
    }
    let good = json!({"title": "{{ data.name }}", "body": "{\"n\": {{ data.custom.n }}}", "fields": {"a": ""}});
    let templates = Templates::read(SLOTS, &good).expect("slots");
    assert_eq!(templates.check(sample).await, Ok(()));
}

/// What somebody could try who wants our memory or our time, with what is said of it.
fn hostile() -> Vec<(String, &'static str)> {
    let deep = |open: &str, times: usize, middle: &str, close: &str| {
        format!("{{{{ {}{middle}{} }}}}", open.repeat(times), close.repeat(times))
    };
    let chain = |first: &str, link: &str, times: usize| format!("{{{{ {first}{} }}}}", link.repeat(times));
    let steps = "too many steps";
    let mut all = vec![
        // Endless loops, and loops in loops.
        ("{% for i in range(10**9) %}{% endfor %}".to_owned(), "a call"),
        ("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}".to_owned(), "a loop that calls itself"),
        ("{% for c in data.custom.big %}{% for d in data.custom.big %}{% for e in data.custom.big %}{% endfor %}{% endfor %}{% endfor %}".to_owned(), ""),
        (nested_loops(8), steps),
        // Much output, and much on the way.
        ("{{ 'A' * 10**10 }}".to_owned(), "`*`"),
        ("{{ data.custom.big ~ data.custom.big ~ data.custom.big ~ data.custom.big }}".to_owned(), "more than 65536 bytes"),
        ("{{ data.custom.big | replace('x', data.custom.big) }}".to_owned(), steps),
        ("{{ data.custom.big | indent(100000000) }}".to_owned(), ""),
        ("{{ '\n\n' | indent(100000000, true, true) }}".to_owned(), steps),
        ("{{ data.custom.big | split('') | join(data.custom.big) }}".to_owned(), steps),
        ("{{ '%1000000000s' | format('a') }}".to_owned(), "a filter `format`"),
        ("{{ data.custom.big | upper | lower }}".repeat(300), ""),
        (format!("{{% set x = data.custom.big %}}{}", "{% set x = x ~ x %}".repeat(60)), steps),
        // Lists of which each holds the one before twice: nothing of this is counted.
        ("{{ [1] * 10**8 }}".to_owned(), "`*`"),
        ("{{ 2 in ([1] * 10**8) }}".to_owned(), "`*`"),
        (format!("{{% set x = data.custom.tags %}}{}{{{{ x }}}}", "{% set x = [x, x] %}".repeat(60)), "a list"),
        (format!("{{% set x = data.custom.tags %}}{}{{{{ x }}}}", "{% set x = x, x %}".repeat(60)), "a list"),
        (format!("{{% set x = data.custom.tags %}}{}{{{{ x }}}}", "{% set x = x + x %}".repeat(60)), "`+`"),
        (format!("{{% set x = 1 %}}{}{{{{ x == x }}}}", "{% set x = {1: x, 2: x} %}".repeat(60)), "a map"),
        ("{% set n = namespace(x=1) %}".to_owned(), "a call"),
        ("{{ data.custom.big[::-1] }}".to_owned(), "a slice"),
        ("{{ data.name.upper() }}".to_owned(), "a call"),
        ("{{ data | pprint }}".to_owned(), "a filter `pprint`"),
        ("{{ data | tojson(99999999999) }}".to_owned(), "an argument of `tojson`"),
        ("{{ data | tojson(indent=99999999999) }}".to_owned(), "an argument of `tojson`"),
        // Of these each part is looked at, and not counted.
        ("{{ data == data }}".to_owned(), "a comparison of two things"),
        ("{{ 1 < data < data }}".to_owned(), "a comparison of two things"),
        ("{{ data.custom in data.custom }}".to_owned(), "a comparison of two things"),
        ("{{ data.custom.big[9999] }}".to_owned(), "between `[` and `]`"),
        ("{{ data.custom.big[data.custom.n] }}".to_owned(), "between `[` and `]`"),
        ("{{ data.name | safe }}".to_owned(), "a filter `safe`"),
        ("{{ data.custom.tags | map('upper') }}".to_owned(), "a filter `map`"),
        ("{{ data.name | default(*data.custom.tags) }}".to_owned(), ""),
        // Other templates.
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".to_owned(), "unknown statement macro"),
        ("{% include 'a' %}".to_owned(), "unknown statement include"),
        ("{% autoescape false %}{{ data.name }}{% endautoescape %}".to_owned(), "`autoescape`"),
        ("{% filter upper %}a{% endfilter %}".to_owned(), "a block that is filtered"),
        ("{% set x %}a{% endset %}".to_owned(), "a block that is kept"),
        ("{% do data.name %}".to_owned(), ""),
        // Deep nesting, long chains.
        (deep("(", 7_000, "1", ")"), "recursion"),
        (deep("[", 7_000, "1", "]"), "recursion"),
        ("{% if a %}".repeat(1_600), "recursion"),
        ("{{ ".to_owned() + &"not ".repeat(4_000) + "1 }}", ""),
        ("{{ ".to_owned() + &"-".repeat(16_000) + "1 }}", ""),
    ];
    for link in ".a;-1;|abs;[0];~1; and 1; if 1 else 1;/1; == 1; is defined".split(';') {
        all.push((chain("1", link, (LONGEST_SOURCE - 10) / link.len()), ""));
    }
    all
}

fn nested_loops(depth: usize) -> String {
    let open = "{% for i in data.custom.big | split('') %}";
    open.repeat(depth) + "x" + &"{% endfor %}".repeat(depth)
}

/// As long as a hostile template may take in a release build: `cargo test --release --workspace --lib hostile`.
const PROMPT: Duration = Duration::from_millis(10);

#[tokio::test]
async fn a_hostile_template_ends_and_is_told_why() {
    for (source, words) in hostile() {
        for slot in ["text", "body"] {
            let shown = source.chars().take(60).collect::<String>();
            if !cfg!(debug_assertions) {
                let mut quickest = Duration::MAX;
                for _ in 0..3 {
                    let begun = Instant::now();
                    drop(made(slot, &source).await);
                    quickest = quickest.min(begun.elapsed());
                }
                assert!(quickest <= PROMPT, "{shown}: {quickest:?}");
            }
            match made(slot, &source).await {
                Ok(text) => assert!(
                    words.is_empty() && text.len() <= 70_000,
                    "{shown}: {} bytes",
                    text.len()
                ),
                Err(error) => {
                    assert!(error.starts_with(&format!("the template `{slot}`")), "{shown}: {error}");
                    assert!(error.contains(words) && error.len() < 400, "{shown}: {error}");
                }
            }
        }
    }
}

#[tokio::test]
async fn fuel_is_of_all_templates_together() {
    let fields = (0..40).map(|number| {
        (
            format!("f{number}"),
            json!("{{ data.custom.big | upper | lower | upper | lower }}"),
        )
    });
    let template = json!({"fields": fields.collect::<serde_json::Map<_, _>>()});
    let error = render(template, &lead()).await.expect_err("too much");
    assert!(error.to_string().contains("too many steps"), "{error}");
}

fn any_source() -> impl Strategy<Value = String> {
    let words = r#"{{ }} {% %} {# #} for x in endfor if else endif set = data . custom big tags | upper join split ( ) ' " ~ - not [ ] 0 99999999999999999999 is defined , é with endwith replace indent items tojson and == <"#;
    let words = words.split(' ').chain([" ", "\n"]).collect::<Vec<_>>();
    let words = prop::sample::select(words);
    prop::collection::vec(words, 0..60).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn whatever_a_template_says_it_ends(source in prop_oneof![any_source(), any::<String>()], slot in prop::sample::select(vec!["text", "body", "html"])) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let made = runtime.block_on(made(slot, &source));
        prop_assert!(made.as_ref().err().is_none_or(|error| !error.contains("internal error")), "{made:?}");
    }

    #[test]
    fn a_visitor_writes_no_markup_and_no_json(name in any::<String>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let event = event(&json!({"name": name}));
        let template = json!({"html": "<b>{{ data.name }}</b>", "body": "{\"a\": {{ data.name }}, \"b\": 1}"});
        let mut rendered = runtime.block_on(render(template, &event)).expect("it is rendered");
        let html = rendered.take("html").expect("a page");
        let within = html.strip_prefix("<b>").and_then(|html| html.strip_suffix("</b>")).expect("the author's markup");
        prop_assert!(!within.replace("<br>", "").contains(['<', '>', '"']), "{html}");
        let body: Value = serde_json::from_str(&rendered.take("body").expect("a body")).expect("JSON");
        prop_assert_eq!(body, json!({"a": name, "b": 1}));
    }
}
