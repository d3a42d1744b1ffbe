//! Whether an event matches, and the words if it doesn't.

use serde_json::{Value, json};

use super::super::{LONGEST_REASON, Mismatch};
use super::{event, filter};

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
