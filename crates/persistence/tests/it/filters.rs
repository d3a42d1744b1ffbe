//! Destinations with a filter: what doesn't match is in the log with the reason, and goes nowhere.

use std::time::Duration;

use bytes::Bytes;
use sensei_domain::{ClientId, DeliveryState, DestinationId, Filter, LeadId, RecoveryState};
use sensei_persistence::{
    Actor, Answer, CaptureLead, CaptureRequest, Captured, Delivery, Destination, DestinationChange, Idempotency,
    KeyedRequest, NewDestination, NewRecovery, NotRedelivered, RedeliverError, Store,
};
use serde_json::{Value, json};

use crate::destinations::{named, new_destination, with_phone};
use crate::fixtures::{TestDatabase, create, deliveries, lead, on_both, soon};
use crate::lanes::{Lanes, claim_all};

on_both!(
    lead_that_does_not_match_is_logged_and_nothing_else,
    each_destination_has_a_filter_of_its_own,
    filter_counts_from_its_change_on,
    replay_leaves_out_what_does_not_match,
);

async fn make(store: &Store, client: ClientId, name: &str, filter: Option<Filter>) -> Destination {
    let new = NewDestination {
        filter,
        ..new_destination(name)
    };
    let once = store
        .create_destination(client, &new, None, named, &Actor::System)
        .await;
    once.expect("made").done.expect("without a key it always takes effect")
}

fn filter(json: &Value) -> Filter {
    Filter::from_json(json, "").expect("a filter")
}

/// Captures leads with these phones, in one request.
async fn capture(store: &Store, client: ClientId, phones: &[Option<&str>], idempotency: Option<Idempotency>) {
    let leads = phones.iter().map(|phone| CaptureLead {
        id: LeadId::new(store.now()),
        lead: lead(&json!({"name": "J", "email": "j@example.com", "phone": phone, "custom": {"budget": 5_000}})),
    });
    let request = CaptureRequest {
        client_id: client,
        leads: leads.collect(),
        captured_at: store.now(),
        idempotency,
    };
    let captured = soon(store.capture(request)).await.expect("captured");
    assert_eq!(captured, Captured::Now);
}

fn idempotency(key: &str) -> Idempotency {
    Idempotency {
        request: KeyedRequest {
            key: key.to_owned(),
            method: "POST",
            path: "/leads".to_owned(),
            fingerprint: [7; 32],
        },
        answer: Answer {
            status: 201,
            body: Bytes::from_static(b"{}"),
            holds_secret: false,
        },
    }
}

async fn to(store: &Store, client: ClientId, destination: DestinationId) -> Vec<Delivery> {
    let mut all = deliveries(store, client).await;
    all.retain(|delivery| delivery.destination_id == destination);
    all
}

async fn lead_that_does_not_match_is_logged_and_nothing_else(database: &TestDatabase) {
    let store = database.open().await;
    let client = create(&store, "Acme Corp", None).await.client.id;
    let made = make(&store, client, "Sales", Some(with_phone())).await;
    let (lanes, mut jobs) = Lanes::with_room(10, &store);
    // With a key they go another way into PostgreSQL.
    for idempotency in [None, Some(idempotency("k"))] {
        capture(&store, client, &[None, Some("+1"), None, None], idempotency).await;
    }
    assert_eq!(lanes.room(), 8, "only what matches has a place");
    assert!(lanes.left_behind.lock().expect("no panic").is_empty());
    for _ in 0..2 {
        assert_eq!(soon(jobs.recv()).await.expect("handed over").destination.id, made.id);
    }
    database.clock.advance(Duration::from_hours(1));
    assert_eq!(claim_all(&store).await.len(), 2, "no more is ever due");

    let tally = store.tally(Some(client)).await.expect("counted");
    assert_eq!((tally.cancelled, tally.pending), (6, 2));
    assert_eq!(database.captured_rows().await, [8, 8, 8, 1]);
    let log = deliveries(&store, client).await;
    let unmatched = log.iter().filter(|delivery| delivery.state == DeliveryState::Cancelled);
    let unmatched = unmatched.collect::<Vec<_>>();
    assert_eq!(unmatched.len(), 6);
    for delivery in unmatched {
        assert_eq!(
            delivery.failure_reason.as_deref(),
            Some("not matched: data.phone is missing")
        );
        assert_eq!((delivery.attempt_count, delivery.due_at), (0, None));
        assert_eq!(delivery.completed_at, Some(delivery.created_at));
        let refused = store.redeliver(client, delivery.id, &Actor::System).await;
        assert!(
            matches!(refused, Err(RedeliverError::Refused(NotRedelivered::Cancelled))),
            "{refused:?}"
        );
    }
}

async fn each_destination_has_a_filter_of_its_own(database: &TestDatabase) {
    let store = database.open().await;
    let client = create(&store, "Acme Corp", None).await.client.id;
    let all = make(&store, client, "All", None).await;
    let with = make(&store, client, "With", Some(with_phone())).await;
    let without = filter(&json!({"not": {"path": "data.phone", "startsWith": "+1"}}));
    let without = make(&store, client, "Without", Some(without)).await;
    // Webhooks of this client don't carry custom fields, so no filter sees them.
    let custom = filter(&json!({"path": "data.custom.budget", "gt": 1}));
    let custom = make(&store, client, "Custom", Some(custom)).await;
    capture(&store, client, &[Some("+1 555 0100")], None).await;
    let reasons = [
        (all, None),
        (with, None),
        (without, Some("not matched: data.phone begins with \"+1\"")),
        (custom, Some("not matched: data.custom.budget is missing")),
    ];
    for (destination, reason) in reasons {
        let log = to(&store, client, destination.id).await;
        assert_eq!(log.len(), 1, "{}", destination.name);
        assert_eq!(log[0].failure_reason.as_deref(), reason, "{}", destination.name);
    }
}

async fn filter_counts_from_its_change_on(database: &TestDatabase) {
    let store = database.open().await;
    let client = create(&store, "Acme Corp", None).await.client.id;
    let made = make(&store, client, "Sales", None).await;
    for (version, filter, state) in [
        (2, Some(with_phone()), DeliveryState::Cancelled),
        (3, None, DeliveryState::Pending),
    ] {
        capture(&store, client, &[None], None).await;
        let change = DestinationChange {
            filter: Some(filter),
            ..DestinationChange::default()
        };
        for _ in 0..2 {
            let changed = store.change_destination(client, made.id, &change, &Actor::System).await;
            assert_eq!(changed.expect("changed").version, version, "again changes nothing");
        }
        capture(&store, client, &[None], None).await;
        assert_eq!(to(&store, client, made.id).await[0].state, state);
    }
    let tally = store.tally(Some(client)).await.expect("counted");
    assert_eq!((tally.cancelled, tally.pending), (2, 2));
    // A row that somebody else has spoilt harms no lead.
    database
        .execute("UPDATE destinations SET filter = '{\"all\":[]}', version = 4")
        .await;
    capture(&store, client, &[None], None).await;
    assert_eq!(to(&store, client, made.id).await[0].state, DeliveryState::Pending);
}

async fn replay_leaves_out_what_does_not_match(database: &TestDatabase) {
    let store = database.open().await;
    let client = create(&store, "Acme Corp", None).await.client.id;
    let phones = [None, None, Some("+1")];
    capture(&store, client, &phones.repeat(100), None).await;
    database.clock.advance(Duration::from_secs(1));
    let made = make(&store, client, "Sales", Some(with_phone())).await;
    let replay = NewRecovery::Replay {
        destination_id: made.id,
        since: None,
        until: None,
    };
    for expected in [(100, 200), (0, 0)] {
        let started = store.start_recovery(client, replay, &Actor::System).await;
        let id = started.expect("started").id;
        let mut steps = 0;
        let ended = loop {
            soon(store.advance_recoveries()).await.expect("a step");
            database
                .execute("UPDATE deliveries SET state = 'succeeded', due_at = NULL WHERE state = 'pending'")
                .await;
            let recovery = store.recovery(client, id).await.expect("read").expect("there");
            if recovery.state != RecoveryState::Running {
                break recovery;
            }
            steps += 1;
            assert!(steps < 100, "it comes to no end");
        };
        assert_eq!(
            (ended.state, ended.done, ended.skipped),
            (RecoveryState::Done, expected.0, expected.1)
        );
    }
    let tally = store.tally(Some(client)).await.expect("counted");
    assert_eq!((tally.cancelled, tally.succeeded), (200, 100));
    let reason = to(&store, client, made.id).await;
    let reason = reason.iter().find_map(|delivery| delivery.failure_reason.as_deref());
    assert_eq!(reason, Some("not matched: data.phone is missing"));
}
