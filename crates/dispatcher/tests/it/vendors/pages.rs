//! The pages in `docs/integrations`: made of what the kinds and the tables here say, by this test.
//!
//! `SENSEI_WRITE_INTEGRATIONS=1` writes them; otherwise they must be what it would write.

use std::fmt::Write as _;
use std::path::Path;

use sensei_dispatcher::{Descriptor, Slot};
use sensei_domain::Outcome;
use serde_json::Value;
use wiremock::Request;

use super::{Answer, all, event, sample, text};

#[tokio::test]
async fn pages_say_what_the_kinds_do() {
    let vendors = all();
    for ways in vendors.chunk_by(|one, next| one.kind_name() == next.kind_name()) {
        let mut page = about(ways[0].kind.descriptor(), ways[0].kind.slots());
        for vendor in ways {
            let requests = vendor.requests(&vendor.example(), event(&sample(), "Acme Corp")).await;
            let sent = requests.iter().map(shown).collect::<Vec<_>>();
            let by = vendor.way.map_or_else(String::new, |(way, _)| format!(" by {way}"));
            page += &way(
                &by,
                ("http", &sent),
                &vendor.answers.iter().map(row).collect::<Vec<_>>(),
            );
            if !vendor.unseen.is_empty() {
                writeln!(page, "\nNever seen live: {}.", vendor.unseen).expect("a String takes all");
            }
        }
        check(ways[0].kind_name(), &page);
    }
}

/// The page of a kind says this.
pub(super) fn check(kind: &str, page: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/integrations");
    let path = folder.join(format!("{kind}.md"));
    if std::env::var_os("SENSEI_WRITE_INTEGRATIONS").is_some() {
        std::fs::write(&path, page).expect("it is written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, page, "write it anew: SENSEI_WRITE_INTEGRATIONS=1");
}

/// What a kind is, and how it is set up.
pub(super) fn about(descriptor: &Descriptor, slots: &[Slot]) -> String {
    let mut page = format!(
        "# {}\n\n<!-- Written by a test of the dispatcher from what the kind says of itself. -->\n\n{} Its `kind` is `{}`.\n\n\
         ## Set it up\n\n{}\n\nMore: <{}>.\n\n## Config\n\n| field | | meaning |\n| --- | --- | --- |\n",
        descriptor.name, descriptor.description, descriptor.kind, descriptor.setup_guide, descriptor.docs_url
    );
    let schema = &descriptor.config_schema;
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let is_required = schema["required"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one == name));
        let need = if is_required { "required" } else { "optional" };
        let secret = if property["writeOnly"] == true {
            ", a secret"
        } else {
            ""
        };
        let meaning = property["description"].as_str().unwrap_or_default().replace('\n', " ");
        writeln!(page, "| `{name}` | {need}{secret} | {meaning} |").expect("a String takes all");
    }
    let limit = serde_json::to_value(descriptor.rate_limit).expect("JSON");
    let (count, per, burst) = (&limit["requests"], text(&limit["per"]), &limit["burst"]);
    writeln!(
        page,
        "\nUnless `rateLimit` says otherwise, at most {count} a {per} are sent, and {burst} at once after a rest."
    )
    .expect("a String takes all");
    page + "\n" + &templates(slots)
}

/// What of it templates may fill.
fn templates(slots: &[Slot]) -> String {
    let mut part = "## Templates\n\nWhat a destination's `template` may fill ([how](../templates.md)):\n\n\
        | slot | | at most | without a template |\n| --- | --- | --- | --- |\n"
        .to_owned();
    for slot in slots {
        let default = slot.default.map_or_else(String::new, |default| format!("`{default}`"));
        let (name, meaning, limit) = (slot.name, slot.description, slot.limit);
        writeln!(part, "| `{name}` | {meaning} | {limit} characters | {default} |").expect("a String takes all");
    }
    part
}

/// What is sent, in this notation, and the rows of the table of answers.
pub(super) fn way(by: &str, (notation, sent): (&str, &[String]), rows: &[String]) -> String {
    let mut page = format!("\n## What is sent{by}\n\nFor a sample lead:\n");
    for one in sent {
        writeln!(page, "\n```{notation}\n{one}\n```").expect("a String takes all");
    }
    page.push_str("\n## What answers mean\n\n| answer | | outcome | in the log |\n| --- | --- | --- | --- |\n");
    page + &rows.join("\n") + "\n"
}

/// The request without what is of the moment, its JSON laid out.
fn shown(request: &Request) -> String {
    let whole = request.url.path().trim_start_matches('/');
    let (host, path) = whole.split_once('/').expect("the host that the stub stands in for");
    let query = request
        .url
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    let mut text = format!("{} /{path}{query} HTTP/1.1\nhost: {host}\n", request.method);
    for (name, value) in &request.headers {
        let value = match name.as_str() {
            "host" | "content-length" | "accept" | "user-agent" => continue,
            "content-type" if request.body.is_empty() => continue,
            "webhook-id" | "webhook-timestamp" | "webhook-signature" | "authorization" | "x-kit-api-key"
            | "x-api-token" => "…",
            _ => value.to_str().expect("text"),
        };
        writeln!(text, "{name}: {value}").expect("a String takes all");
    }
    if request.body.is_empty() {
        return text.trim_end().to_owned();
    }
    text.push('\n');
    match request.body_json::<Value>() {
        Ok(body) => text += &serde_json::to_string_pretty(&body).expect("JSON"),
        Err(_) => text += &String::from_utf8_lossy(&request.body).replace('&', "\n&"),
    }
    text
}

fn row(answer: &Answer) -> String {
    let body = if answer.body.is_empty() {
        String::new()
    } else {
        format!("`{}`", answer.body)
    };
    let outcome = outcome(&answer.outcome);
    format!("| {} | {body} | {outcome} | {} |", answer.status, answer.words)
}

/// What follows, in words.
pub(super) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Delivered => "delivered".to_owned(),
        Outcome::Unavailable {
            retry_after: Some(wait),
        } => format!("tried again, after {} s at least", wait.as_secs_f64()),
        Outcome::Unavailable { retry_after: None } => "tried again".to_owned(),
        Outcome::Rejected => "failed".to_owned(),
        Outcome::Gone => "failed, and the destination is disabled".to_owned(),
        Outcome::Blocked | Outcome::Ours => unreachable!("no answer means that"),
    }
}
