//! Whatever a visitor writes is one value of a form, a header or an envelope.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sensei_domain::{Clock as _, LeadCreated, NewLead, Outcome, SystemClock, Trigger};
use sensei_test_support::Receiver;
use serde_json::{Value, json};

use super::{ALWAYS, config, deliver, is_signed};
use crate::fixture::job;

#[tokio::test]
async fn what_a_leads_own_field_nests_is_one_field_of_a_form() {
    let receiver = Receiver::start();
    let items = vec![0; 4_000];
    let given = json!({
        "name": "Jane Doe", "email": "jane@example.com",
        "custom": {"budget": 5_000, "items": items, "tags": ["a", {"b": null}]}
    });
    let lead = NewLead::from_json(&given).expect("a valid lead");
    let id = "0193a2b5-0000-7000-8000-000000000001".parse().expect("an id");
    let client_id = "d454991a-eddb-4e81-959d-87c868e050ca".parse().expect("an id");
    let event = LeadCreated::new(id, SystemClock.now(), &lead, client_id, "Acme Corp", true).to_bytes();
    let mut job = job(
        "webhook",
        config(&receiver.url(), &json!({"body": "form"})),
        Trigger::First,
    );
    job.body = event.clone().into();
    assert_eq!(deliver(&job).await.outcome, Outcome::Delivered);
    let request = receiver.take().remove(0);
    is_signed(&job, &request);
    // Each byte is three at most when it is encoded.
    assert!(request.body.len() <= 3 * event.len(), "{}", request.body.len());
    let fields: BTreeMap<_, _> = url::form_urlencoded::parse(&request.body).into_owned().collect();
    assert_eq!(fields.len(), 13, "{fields:?}");
    assert_eq!(fields["data[custom][budget]"], "5000");
    assert_eq!(fields["data[custom][items]"], json!(items).to_string());
    assert_eq!(fields["data[custom][tags]"], r#"["a",{"b":null}]"#);
}

/// Pieces of what is something to a header, a form or JSON.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = [
        "\r\nhost: evil",
        "&data[email]=evil",
        "%0d%0a",
        "=",
        "+",
        "\"",
        "\\",
        "\",\"id\":\"",
        "]",
        "[",
        "é",
        "\u{2028}",
    ];
    let piece = prop_oneof![
        proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned),
        any::<String>()
    ];
    proptest::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat().replace('\0', ""))
}

/// A lead of hostile texts, in one field of its own as well.
fn lead() -> impl Strategy<Value = Value> {
    (hostile(), hostile(), hostile()).prop_map(|(name, message, key)| {
        let name: String = name
            .chars()
            .filter(|character| !character.is_control())
            .take(150)
            .collect();
        let key: String = key
            .chars()
            .filter(|character| !character.is_control())
            .take(20)
            .collect();
        let message: String = message.chars().take(5_000).collect();
        json!({
            "name": format!("J{name}"), "email": "jane@example.com", "message": format!("m{message}"),
            "custom": {format!("k{key}"): message}
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn hostile_text_adds_no_header_and_no_field(given in lead()) {
        let Ok(lead) = NewLead::from_json(&given) else { return Ok(()) };
        let now = SystemClock.now();
        let id = "0193a2b5-0000-7000-8000-000000000001".parse().expect("an id");
        let client_id = "d454991a-eddb-4e81-959d-87c868e050ca".parse().expect("an id");
        let event = LeadCreated::new(id, now, &lead, client_id, "Acme \r\nCorp", true).to_bytes();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let receiver = Receiver::start();
        let sent = |body: &str| {
            let mut job = job("webhook", json!({"url": receiver.url(), "body": body}), Trigger::First);
            job.body = event.clone().into();
            let attempted = runtime.block_on(deliver(&job));
            assert_eq!(attempted.outcome, Outcome::Delivered, "{attempted:?}");
            let request = receiver.take().remove(0);
            is_signed(&job, &request);
            request
        };
        let event: Value = serde_json::from_slice(&event).expect("JSON");

        let binary = sent("cloudEventsBinary");
        prop_assert_eq!(binary.headers.len(), ALWAYS.len() + 6);
        prop_assert_eq!(binary.json(), event.clone());

        let structured = sent("cloudEventsStructured");
        let envelope = structured.json();
        prop_assert_eq!(envelope.as_object().map(serde_json::Map::len), Some(8));
        prop_assert_eq!(&envelope["data"], &event);

        let form = sent("form");
        let fields: Vec<(String, String)> = url::form_urlencoded::parse(&form.body).into_owned().collect();
        let named: BTreeMap<_, _> = fields.iter().cloned().collect();
        prop_assert_eq!(fields.len(), named.len(), "no name comes twice");
        let own = fields.iter().filter(|(name, _)| name.starts_with("data[custom][") && name.matches('[').count() == 2);
        prop_assert_eq!((own.count(), fields.len()), (1, 11));
        prop_assert_eq!(named["data[name]"].as_str(), event["data"]["name"].as_str().expect("a text"));
        prop_assert_eq!(named["data[message]"].as_str(), event["data"]["message"].as_str().expect("a text"));
        prop_assert_eq!(named["data[email]"].as_str(), "jane@example.com");
    }
}
