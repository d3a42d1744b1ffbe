//! The delivery log as it is shown.

use sensei_domain::{ClientId, DeliveryState, LeadId};
use sensei_persistence::{
    Actor, CaptureLead, CaptureRequest, DeliveryFilter, LogFilter, LogPage, LoggedDelivery, Page, Store,
};
use serde_json::json;

use crate::destinations::{named, new_destination};
use crate::fixtures::{ALL, TestDatabase, acme, capture, lead, on_both, request, soon};
use crate::lanes::{DELIVERED, REFUSED, claim, claim_all, record, recording};

on_both!(
    each_delivery_is_shown_with_its_names_and_last_attempt,
    log_is_filtered_by_what_belongs_to_a_delivery,
    what_no_index_finds_is_found_page_by_page,
    erased_lead_is_named_no_more,
);

async fn log(store: &Store, client: ClientId, filter: &LogFilter) -> Vec<LoggedDelivery> {
    store
        .log(client, filter, ALL)
        .await
        .expect("the log is read")
        .deliveries
}

/// Captures a lead of this name and email.
async fn capture_named(store: &Store, client: ClientId, name: &str, email: &str) -> LeadId {
    let id = LeadId::new(store.now());
    let request = CaptureRequest {
        client_id: client,
        leads: vec![CaptureLead {
            id,
            lead: lead(&json!({"name": name, "email": email})),
        }],
        captured_at: store.now(),
        idempotency: None,
    };
    soon(store.capture(request)).await.expect("captured");
    id
}

async fn each_delivery_is_shown_with_its_names_and_last_attempt(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let lead_id = capture(&store, client.id).await;
    let shown = log(&store, client.id, &LogFilter::default()).await;
    assert_eq!((shown.len(), &shown[0].last_attempt), (1, &None));
    let destination = shown[0].destination.as_ref().expect("it has a name");
    assert_eq!((&*destination.name, &*destination.kind), ("lead-webhook", "webhook"));
    let named = shown[0].lead.as_ref().expect("it has a lead");
    assert_eq!(
        (named.id, &*named.name, &*named.email),
        (lead_id, "John Doe", "john@example.com")
    );

    let jobs = claim_all(&store).await;
    record(&store, &jobs[0], REFUSED).await;
    let id = shown[0].delivery.id;
    let job = {
        store
            .redeliver(client.id, id, &Actor::System)
            .await
            .expect("it is redelivered");
        claim_all(&store).await.remove(0)
    };
    record(&store, &job, DELIVERED).await;
    let in_full = store
        .delivery_in_full(client.id, id)
        .await
        .expect("read")
        .expect("there");
    let shown = log(&store, client.id, &LogFilter::default()).await;
    assert_eq!(
        shown[0], in_full.logged,
        "the list tells what the delivery's page tells"
    );
    let last = shown[0].last_attempt.as_ref().expect("it was attempted");
    assert_eq!((last.number, &*last.outcome), (2, "delivered"));
    assert_eq!(in_full.attempts.len(), 2);
    let event = in_full.event.expect("it carries something");
    assert_eq!(
        (event.id, &*event.event_type),
        (shown[0].delivery.event_id, "lead.created")
    );
    assert!(String::from_utf8_lossy(&event.body).starts_with(r#"{"event":"lead.created","timestamp""#));
    let other = acme(&store).await;
    assert_eq!(store.delivery_in_full(other.id, id).await.expect("read"), None);
}

async fn log_is_filtered_by_what_belongs_to_a_delivery(database: &TestDatabase) {
    let store = database.open().await;
    let (client, other) = (acme(&store).await, acme(&store).await);
    let anna = capture_named(&store, client.id, "Anna Müller", "anna@example.com").await;
    let new = new_destination("crm");
    let made = store
        .create_destination(client.id, &new, None, named, &Actor::System)
        .await;
    let crm = made.expect("made").done.expect("without a key it takes effect");
    let bert = capture_named(&store, client.id, "Bert 100%", "bert@example.org").await;
    capture_named(&store, other.id, "Anna Other", "anna@example.com").await;
    let all = log(&store, client.id, &LogFilter::default()).await;
    assert_eq!(all.len(), 3);
    let of = |lead: LeadId, name: &str| {
        all.iter()
            .find(|shown| {
                shown.delivery.lead_id == Some(lead) && shown.destination.as_ref().expect("named").name == name
            })
            .expect("it is there")
            .delivery
            .clone()
    };
    let (annas, berts, to_crm) = (of(anna, "lead-webhook"), of(bert, "lead-webhook"), of(bert, "crm"));
    let job = claim(&store, annas.destination_id, 9).await.remove(0);
    assert_eq!(job.delivery_id, annas.id);
    let (mut refused, stored) = recording(&store, &job, REFUSED);
    refused.attempt.status_code = Some(503);
    store.record(refused);
    soon(stored).await.expect_err("a place is dropped, never answered");
    for job in claim(&store, crm.id, 9).await {
        record(&store, &job, DELIVERED).await;
    }
    store
        .delete_destination(client.id, crm.id, &Actor::System)
        .await
        .expect("deleted");

    let text = |text: &str| LogFilter {
        text: Some(text.to_owned()),
        ..LogFilter::default()
    };
    let code = |codes| LogFilter {
        status_code: Some(codes),
        ..LogFilter::default()
    };
    let kind = |kind: &str| LogFilter {
        kind: Some(kind.to_owned()),
        ..LogFilter::default()
    };
    let crms_kind = all
        .iter()
        .find(|shown| shown.delivery.id == to_crm.id)
        .and_then(|shown| shown.destination.clone())
        .expect("a kind")
        .kind;
    let both = [to_crm.id, berts.id];
    let mut cases = vec![
        (code(503..=503), vec![annas.id]),
        (code(500..=599), vec![annas.id]),
        (code(200..=299), vec![to_crm.id]),
        (code(400..=499), vec![]),
        (text("anna"), vec![annas.id]),
        (text("MÜLLER"), vec![annas.id]),
        (text("bert@example.org"), both.to_vec()),
        (text("nobody"), vec![]),
        (text(&annas.id.to_string()), vec![annas.id]),
        (text(&bert.to_string()), both.to_vec()),
        (text(&berts.event_id.to_string()), both.to_vec()),
        (text(&client.id.to_string()), vec![]),
        (kind("no-such-kind"), vec![]),
    ];
    if crms_kind != "webhook" {
        cases.push((kind(&crms_kind), vec![to_crm.id]));
        cases.push((kind("webhook"), vec![berts.id, annas.id]));
    }
    cases.push((
        LogFilter {
            delivery: DeliveryFilter {
                state: Some(DeliveryState::Failed),
                destination_id: Some(annas.destination_id),
                ..DeliveryFilter::default()
            },
            ..text("example")
        },
        vec![annas.id],
    ));
    for (filter, mut expected) in cases {
        let found = log(&store, client.id, &filter).await;
        let mut found = found.iter().map(|shown| shown.delivery.id).collect::<Vec<_>>();
        assert!(found.is_sorted_by(|newer, older| newer > older), "{filter:?}");
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{filter:?}");
    }
    // A deleted destination keeps its name in the log.
    let deleted = log(&store, client.id, &text(&to_crm.id.to_string())).await;
    assert_eq!(deleted[0].destination.as_ref().expect("named").name, "crm");
}

async fn what_no_index_finds_is_found_page_by_page(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    capture_named(&store, client.id, "Anna", "anna@example.com").await;
    let job = claim_all(&store).await.remove(0);
    record(&store, &job, DELIVERED).await;
    for _ in 0..5 {
        let request = request(client.id, store.now(), 900);
        soon(store.capture(request)).await.expect("captured");
    }
    let by_code = LogFilter {
        status_code: Some(200..=299),
        ..LogFilter::default()
    };
    let by_state = LogFilter {
        delivery: DeliveryFilter {
            state: Some(DeliveryState::Succeeded),
            ..DeliveryFilter::default()
        },
        ..LogFilter::default()
    };
    let by_text = LogFilter {
        text: Some("anna".to_owned()),
        ..LogFilter::default()
    };
    for filter in [by_code, by_state, by_text] {
        let (mut found, mut before, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = Page { limit: 10, before };
            let LogPage { deliveries, next } = store.log(client.id, &filter, page).await.expect("read");
            found.extend(deliveries);
            pages += 1;
            assert!(pages < 9, "each page goes on by a window at least: {filter:?}");
            assert!(next.is_none() || before.is_none() || next < before);
            before = next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(found.len(), 1, "{filter:?}");
        assert_eq!(found[0].delivery.id, job.delivery_id);
    }
    // All of them, each once, in pages.
    let (mut seen, mut before) = (0, None);
    loop {
        let page = Page { limit: 700, before };
        let page = store.log(client.id, &LogFilter::default(), page).await.expect("read");
        seen += page.deliveries.len();
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, 4_501);
}

async fn erased_lead_is_named_no_more(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let lead_id = capture(&store, client.id).await;
    let erased = store.erase_lead(client.id, lead_id, &Actor::System).await;
    assert!(erased.expect("erased"));
    let shown = log(&store, client.id, &LogFilter::default()).await;
    assert_eq!((shown.len(), &shown[0].lead), (1, &None));
    let in_full = store.delivery_in_full(client.id, shown[0].delivery.id).await;
    let event = in_full.expect("read").expect("there").event.expect("its id stays");
    assert!(event.body.is_empty());
    let by_name = LogFilter {
        text: Some("john".to_owned()),
        ..LogFilter::default()
    };
    assert_eq!(log(&store, client.id, &by_name).await, []);
}
