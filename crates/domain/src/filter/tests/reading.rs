//! What is wrong with a filter, and where.

use serde_json::{Value, json};

use super::{Filter, filter};

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
    let too_many = "/not/all/18 is one too many: there may be 20 conditions, groups included";
    refused(&json!({"not": many(Filter::MOST_CONDITIONS)}), [too_many]);
    refused(&many(1_000), ["/all must have at most 20 conditions, not 999"]);
    refused(&patterns(5), ["/any/4/regex is one too many: there may be 4 of them"]);
    refused(&values(101), ["/in must have at most 100 values, not 101"]);
}

#[test]
fn the_guides_examples_are_filters() {
    let guide = include_str!("../../../../../docs/destinations.md");
    let examples = guide.split("```json\n").skip(1);
    let examples = examples.map(|block| block.split("```").next().expect("a split has a first part"));
    let examples = examples.map(|example| filter(&serde_json::from_str(example).expect("JSON")));
    assert_eq!(examples.count(), 2);
}
