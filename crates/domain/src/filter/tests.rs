use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// What judging may take: 10 ms as it is built for use. Without optimisation the same takes some twenty times as long.
const LONGEST: Duration = Duration::from_millis(if cfg!(debug_assertions) { 200 } else { 10 });

fn filter(json: &Value) -> Filter {
    Filter::from_json(json, "/filter").unwrap_or_else(|faults| panic!("{json}: {faults}"))
}

fn event() -> Value {
    json!({"event": "lead.created", "timestamp": "2024-11-24T10:30:00.000Z", "data": {
        "id": "0193a2b5-0000-7000-8000-000000000001", "name": "Zoë Doe", "email": "Zoe@Acme.example",
        "phone": null, "message": "I need a quote for the ENTERPRISE plan",
        "clientId": "d454991a-eddb-4e81-959d-87c868e050ca", "clientName": "Acme Corp", "sessionId": "s-1",
        "custom": {"budget": 5000, "seats": " 25 ", "newsletter": true, "interests": ["crm", "Mail"], "none": null, "size": "large"}
    }})
}

/// Each filter with the reason why the event doesn't match it, or none.
fn judged(cases: impl IntoIterator<Item = (Value, &'static str)>) {
    for (json, expected) in cases {
        let filter = filter(&json);
        let judged = filter.judge(&event());
        let reason = judged.err().map(|mismatch| mismatch.to_string()).unwrap_or_default();
        let expected = if expected.is_empty() {
            String::new()
        } else {
            format!("not matched: {expected}")
        };
        assert_eq!(reason, expected, "{json}");
    }
}

#[test]
fn a_condition_holds_or_says_why_not() {
    let (name, email, phone, message) = ("data.name", "data.email", "data.phone", "data.message");
    let (budget, seats, interests) = ("data.custom.budget", "data.custom.seats", "data.custom.interests");
    judged([
        (json!({"path": name, "exists": true}), ""),
        (json!({"path": phone, "exists": true}), "data.phone is missing"),
        (json!({"path": phone, "exists": false}), ""),
        (json!({"path": name, "exists": false}), "data.name is there"),
        (json!({"path": "data.custom.none", "exists": false}), ""),
        (json!({"path": "event", "eq": "lead.created"}), ""),
        (json!({"path": name, "eq": "zoë doe"}), "data.name isn't \"zoë doe\""),
        (json!({"path": name, "eq": "ZOË doe", "ignoreCase": true}), ""),
        (
            json!({"path": name, "eq": "Zoe", "ignoreCase": true}),
            "data.name isn't \"Zoe\" (in any case)",
        ),
        (json!({"path": phone, "eq": "1"}), "data.phone is missing"),
        (json!({"path": budget, "eq": 5000.0}), ""),
        (
            json!({"path": budget, "eq": "5000"}),
            "data.custom.budget isn't \"5000\"",
        ),
        (json!({"path": seats, "eq": 25}), ""),
        (json!({"path": "data.custom.newsletter", "eq": true}), ""),
        (
            json!({"path": "data.custom.newsletter", "eq": false}),
            "data.custom.newsletter isn't false",
        ),
        (json!({"path": "data.custom.size", "in": ["small", "large"]}), ""),
        (
            json!({"path": "data.custom.size", "in": ["LARGE"], "ignoreCase": true}),
            "",
        ),
        (
            json!({"path": "data.custom.size", "in": ["small", 7]}),
            "data.custom.size isn't one of \"small\", 7",
        ),
        (json!({"path": message, "contains": "quote"}), ""),
        (
            json!({"path": message, "contains": "enterprise"}),
            "data.message doesn't contain \"enterprise\"",
        ),
        (
            json!({"path": message, "contains": "enterprise", "ignoreCase": true}),
            "",
        ),
        (json!({"path": interests, "contains": "crm"}), ""),
        (json!({"path": interests, "contains": "MAIL", "ignoreCase": true}), ""),
        (
            json!({"path": interests, "contains": "cr"}),
            "data.custom.interests doesn't contain \"cr\"",
        ),
        (
            json!({"path": budget, "contains": "5"}),
            "data.custom.budget doesn't contain \"5\"",
        ),
        (json!({"path": message, "startsWith": "I need"}), ""),
        (
            json!({"path": message, "startsWith": "need"}),
            "data.message doesn't begin with \"need\"",
        ),
        (
            json!({"path": email, "endsWith": "@acme.example", "ignoreCase": true}),
            "",
        ),
        (
            json!({"path": email, "endsWith": "@acme.example"}),
            "data.email doesn't end with \"@acme.example\"",
        ),
    ]);
}

#[test]
fn numbers_are_compared_and_patterns_found_or_it_is_said() {
    let (name, message) = ("data.name", "data.message");
    let (budget, seats) = ("data.custom.budget", "data.custom.seats");
    judged([
        (json!({"path": budget, "gt": 4999.5}), ""),
        (
            json!({"path": budget, "gt": 5000}),
            "data.custom.budget isn't more than 5000",
        ),
        (json!({"path": budget, "gte": 5000}), ""),
        (
            json!({"path": budget, "lt": 5000}),
            "data.custom.budget isn't less than 5000",
        ),
        (json!({"path": budget, "lte": 5000}), ""),
        (
            json!({"path": budget, "lte": -1}),
            "data.custom.budget isn't at most -1",
        ),
        (json!({"path": seats, "gt": 24}), ""),
        (json!({"path": name, "gt": 0}), "data.name isn't more than 0"),
        (json!({"path": message, "regex": r"quote\b.*ENTER"}), ""),
        (json!({"path": message, "regex": "QUOTE|offer", "ignoreCase": true}), ""),
        (
            json!({"path": message, "regex": "^quote"}),
            "data.message doesn't match \"^quote\"",
        ),
        (
            json!({"path": budget, "regex": "."}),
            "data.custom.budget doesn't match \".\"",
        ),
    ]);
}

#[test]
fn groups_are_explained_by_what_decides() {
    let yes = |text: &str| json!({"path": "data.message", "contains": text});
    let no = |path: &str| json!({"path": path, "eq": "x"});
    let cases = [
        (json!({"all": [yes("quote"), yes("plan")]}), ""),
        (
            json!({"all": [yes("quote"), no("data.name"), no("data.email")]}),
            "data.name isn't \"x\"",
        ),
        (json!({"any": [no("data.name"), yes("plan")]}), ""),
        (
            json!({"any": [no("data.name"), no("data.phone")]}),
            "data.name isn't \"x\" and data.phone is missing",
        ),
        (json!({"not": no("data.name")}), ""),
        (json!({"not": yes("quote")}), "data.message contains \"quote\""),
        (json!({"not": {"not": no("data.name")}}), "data.name isn't \"x\""),
        (
            json!({"not": {"all": [yes("quote"), yes("plan")]}}),
            "data.message contains \"quote\" and data.message contains \"plan\"",
        ),
        (
            json!({"not": {"any": [no("data.name"), yes("plan")]}}),
            "data.message contains \"plan\"",
        ),
        (
            json!({"any": [{"all": [yes("quote"), no("data.name")]}, {"not": yes("plan")}]}),
            "data.name isn't \"x\" and data.message contains \"plan\"",
        ),
    ];
    for (json, expected) in cases {
        let reason = filter(&json).judge(&event()).err().map(|Mismatch(reason)| reason);
        assert_eq!(reason.unwrap_or_default(), expected, "{json}");
    }
}

#[test]
fn a_reason_is_bounded() {
    let long = json!({"path": "data.name", "eq": "é".repeat(200)});
    let Err(Mismatch(reason)) = filter(&json!({"any": [long, long, long, long]})).judge(&event()) else {
        panic!("it doesn't match");
    };
    assert!(reason.len() <= LONGEST_REASON + 3 && reason.ends_with('…'), "{reason}");
}

/// Each JSON with its faults: below `/filter`, their places and words.
fn refused<const FAULTS: usize>(json: &Value, expected: [&str; FAULTS]) {
    let faults = Filter::from_json(json, "/filter").expect_err("refused");
    let faults = faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.detail));
    let expected = expected.map(|fault| format!("/filter{fault}"));
    assert_eq!(faults.collect::<Vec<_>>(), expected, "{json}");
}

#[test]
fn all_that_is_wrong_is_named_by_its_place() {
    refused(&json!([]), [" must be a JSON object, not an array"]);
    let nothing = " must have all, any or not, or a path and one of exists, eq, in, contains, startsWith, endsWith, gt, gte, lt, lte, regex";
    refused(&json!({}), ["/path is required", nothing]);
    refused(
        &json!({"path": "event"}),
        [" must have one of exists, eq, in, contains, startsWith, endsWith, gt, gte, lt, lte, regex"],
    );
    let two = "/in must stand alone, without eq: put one condition beside the other";
    refused(&json!({"path": "event", "eq": "a", "in": ["a"]}), [two]);
    let groups = ["/all must stand alone", "/all must not be empty"];
    refused(&json!({"all": [], "any": []}), groups);
    refused(&json!({"not": [1]}), ["/not must be a JSON object, not an array"]);
    refused(
        &json!({"any": {}}),
        ["/any must be a list of conditions, not an object"],
    );
    refused(
        &json!({"all": [{"path": "event", "exists": "yes"}, 7, {"path": "event", "eq": null}]}),
        [
            "/all/0/exists must be true or false, not a string",
            "/all/1 must be a JSON object, not a number",
            "/all/2/eq must not be null: what is missing is found by exists",
        ],
    );
    refused(
        &json!({"path": "event", "in": ["", "a".repeat(201), [], "b"]}),
        [
            "/in/0 must not be empty",
            "/in/1 must be at most 200 characters long, not 201",
            "/in/2 must be a string, a number or a boolean, not an array",
        ],
    );
    refused(&json!({"path": "event", "in": []}), ["/in must not be empty"]);
    refused(
        &json!({"path": "event", "gt": "5"}),
        ["/gt must be a number, not a string"],
    );
    refused(
        &json!({"path": "event", "regex": "("}),
        ["/regex must be a regular expression (unclosed group)"],
    );
    refused(
        &json!({"path": "event", "exists": true, "ignoreCase": true}),
        ["/ignoreCase is of no use beside exists"],
    );
    let unknown = Filter::from_json(&json!({"path": "event", "equals": 1}), "").expect_err("refused");
    let unknown = unknown.to_string();
    let known = "/equals is not a known field (known: all, any, not, path";
    assert!(unknown.contains(known), "{unknown}");
}

#[test]
fn bounds_are_exact() {
    let one = || json!({"path": "event", "exists": true});
    let deep = |levels: usize| (1..levels).fold(one(), |below, _| json!({ "not": below }));
    let many = |count: usize| json!({"all": vec![one(); count - 1]});
    let patterns = |count: usize| json!({"any": vec![json!({"path": "event", "regex": "a"}); count]});
    let values = |count: usize| json!({"path": "event", "in": vec![1; count]});
    for json in [
        deep(Filter::DEEPEST),
        many(Filter::MOST_CONDITIONS),
        patterns(Filter::MOST_PATTERNS),
        values(Filter::MOST_VALUES),
    ] {
        filter(&json);
    }
    let too_deep = "/not/not/not/not/not is nested too deeply: there may be 5 levels";
    refused(&deep(Filter::DEEPEST + 1), [too_deep]);
    let too_many = "/not/all/30 is one too many: there may be 32 conditions, groups included";
    refused(&json!({"not": many(Filter::MOST_CONDITIONS)}), [too_many]);
    refused(&many(1_000), ["/all must have at most 32 conditions, not 999"]);
    refused(&patterns(5), ["/any/4/regex is one too many: there may be 4 of them"]);
    refused(&values(101), ["/in must have at most 100 values, not 101"]);
}

/// The largest lead, and filters of which each takes what it may: judging them is bounded by their making.
#[test]
fn the_worst_filter_is_judged_within_its_time() {
    // Four bytes a character, each of which has a lower case; half of a pattern everywhere.
    let mut event = event();
    event["data"]["message"] = "𐐀".repeat(10_000).into();
    let conditions = |condition: &Value| json!({"any": vec![condition; Filter::MOST_CONDITIONS - 1]});
    let missed = format!("{}x", "𐐀".repeat(199));
    let pattern =
        |source: &str| json!({"any": vec![json!({"path": "data.message", "regex": source, "ignoreCase": true}); 4]});
    for json in [
        conditions(&json!({"path": "data.message", "contains": missed, "ignoreCase": true})),
        conditions(&json!({"path": "data.message", "in": vec![&missed; 100], "ignoreCase": true})),
        pattern("(.*a.*b.*c){10}"),
        pattern("𐐀[^b]{5}b"),
        pattern("(?:x?){90}x{90}"),
    ] {
        let filter = filter(&json);
        // The shortest of several: others have work on this machine as well.
        let took = (0..20).map(|_| {
            let begun = Instant::now();
            filter.judge(&event).expect_err("nothing of it holds");
            begun.elapsed()
        });
        let took = took.min().expect("there are some");
        assert!(took < LONGEST, "{took:?}: {json}");
    }
}

/// As above, for what is refused: hostile input is named as soon as it passes a bound.
#[test]
fn hostile_filters_are_refused_within_their_time() {
    let nested = (0..100).fold(json!(1), |below, _| json!({"all": [below]}));
    let fanned = (0..3).fold(
        json!({"path": "event", "exists": true}),
        |below, _| json!({"any": vec![below; 32]}),
    );
    let pattern = |source: &str| json!({"path": "event", "regex": source, "ignoreCase": true});
    for json in [
        nested,
        fanned,
        json!({"all": vec![json!({}); 20_000]}),
        json!({"path": "x.".repeat(100_000), "exists": true}),
        json!({"path": "event", "in": vec!["a"; 20_000]}),
        pattern(&"(".repeat(200)),
        pattern("((((a{99}){99}){99}){99}){99}"),
        pattern("[ab]*a[ab]{99}"),
        pattern(&"[a-🦀]{9}".repeat(20)),
        pattern("(.*a){100}"),
    ] {
        let took = (0..5).map(|_| {
            let begun = Instant::now();
            Filter::from_json(&json, "").expect_err("refused");
            begun.elapsed()
        });
        let took = took.min().expect("there are some");
        assert!(
            took < LONGEST,
            "{took:?}: {}",
            json.to_string().chars().take(100).collect::<String>()
        );
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        prop::sample::select(["7", " 1e3 ", "NaN", "inf", "plan"].as_slice()).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let keys = prop_oneof![
            "[a-z]{1,4}",
            prop::sample::select(["data", "custom", "message", "all", "any", "not", "path"].as_slice())
                .prop_map(str::to_owned),
            prop::sample::select(Filter::OPERATORS.as_slice()).prop_map(str::to_owned),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(keys, inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn condition() -> impl Strategy<Value = Value> {
    let path = prop::sample::select(["event", "data.message", "data.custom.a", "data.custom.a.b"].as_slice());
    let text = || "[a-zA-Zé .]{1,8}";
    let test = prop_oneof![
        any::<bool>().prop_map(|wanted| ("exists", wanted.into())),
        text().prop_map(|text| ("eq", text.into())),
        any::<i32>().prop_map(|number| ("eq", number.into())),
        prop::collection::vec(text(), 1..4).prop_map(|texts| ("in", texts.into())),
        text().prop_map(|text| ("contains", text.into())),
        text().prop_map(|text| ("startsWith", text.into())),
        text().prop_map(|text| ("endsWith", text.into())),
        any::<i16>().prop_map(|number| ("gt", (f64::from(number) / 4.0).into())),
        any::<i64>().prop_map(|number| ("lte", number.into())),
    ];
    (path, test, any::<bool>()).prop_map(|(path, (operator, value), ignores): (_, (&str, Value), _)| {
        let mut json = json!({"path": path, operator: value});
        if ignores && !["exists", "gt", "lte"].contains(&operator) {
            json["ignoreCase"] = true.into();
        }
        json
    })
}

fn any_filter() -> impl Strategy<Value = Value> {
    condition().prop_recursive(3, 20, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|not| json!({ "not": not })),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({ "all": all })),
            prop::collection::vec(inner, 1..3).prop_map(|any| json!({ "any": any })),
        ]
    })
}

proptest! {
    #[test]
    fn a_filter_is_written_as_it_was_read(json in any_filter()) {
        let read = Filter::from_json(&json, "")?;
        let written = serde_json::to_string(&read)?;
        prop_assert_eq!(&written, &json.to_string());
        prop_assert_eq!(serde_json::from_str::<Filter>(&written)?, read);
    }

    #[test]
    fn judging_ends_for_any_event_and_a_filter_and_its_opposite_never_agree(json in any_filter(), event in value(), message in value()) {
        for event in [event, json!({"event": message, "data": {"message": message, "custom": {"a": message}}})] {
            let judged = Filter::from_json(&json, "")?.judge(&event);
            let opposite = Filter::from_json(&json!({ "not": json }), "")?.judge(&event);
            prop_assert_ne!(judged.is_ok(), opposite.is_ok());
        }
    }

    #[test]
    fn any_json_is_a_filter_or_has_faults_below_its_place(json in value()) {
        match Filter::from_json(&json, "/filter") {
            Ok(filter) => prop_assert_eq!(serde_json::to_value(filter)?, json),
            Err(faults) => prop_assert!(faults.iter().all(|fault| fault.pointer.starts_with("/filter"))),
        }
    }

    #[test]
    fn any_pattern_compiles_or_is_refused(source in "\\PC{0,40}|[ab.*+?(){}|^$\\\\\\[\\]0-9,dwsb-]{0,40}", text in "\\PC{0,40}") {
        if let Ok(pattern) = pattern::Pattern::new(&source, true) {
            pattern.is_in(&text);
        }
    }
}
