//! What is so of any filter, any event and any JSON.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::Filter;
use crate::filter::pattern;

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
