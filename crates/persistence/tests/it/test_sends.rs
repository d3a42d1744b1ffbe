//! Test sends in the log: whole, final from their birth, and never sent again.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use sensei_domain::{
    ClientId, DeliveryId, DeliveryState, DestinationId, EventId, LeadCreated, LeadId, NewLead, Outcome, Trigger,
};
use sensei_persistence::{
    Actor, Answer, Attempt, AttemptRecord, ChangeError, Delivery, KeyReused, KeyedRequest, NewRecovery, NotRedelivered,
    Once, Recovery, RedeliverError, Retention, Store, TestSend,
};

use crate::destinations::make;
use crate::fixtures::{TestDatabase, acme, capture, deliveries, on_both, soon};
use crate::lanes::{Lanes, REFUSED, claim_all, record};

on_both!(
    test_send_is_logged_whole_and_final,
    every_outcome_is_final,
    test_send_is_never_sent_again,
    recovery_of_failures_skips_test_sends,
    replay_does_not_send_test_sends,
    equal_test_sends_are_logged_once_and_answered_alike,
    test_send_of_a_deleted_client_leaves_nothing,
    test_sends_are_forgotten_like_others,
);

const UNAVAILABLE: Outcome = Outcome::Unavailable { retry_after: None };

pub(crate) fn sent(store: &Store, client: ClientId, destination_id: DestinationId, outcome: Outcome) -> TestSend {
    let now = store.now();
    let lead = NewLead::sample();
    let body = LeadCreated::new(LeadId::new(now), now, &lead, client, "Acme Corp", false).to_bytes();
    let event_id = EventId::new(now);
    TestSend {
        event_id,
        delivery_id: DeliveryId::new(now),
        destination_id,
        body: Bytes::from(body),
        attempt: AttemptRecord {
            trigger: Trigger::Test,
            destination_version: 1,
            started_at: now,
            duration: Duration::from_millis(12),
            outcome,
            status_code: Some(200),
            error: Some("a NUL \0 that PostgreSQL would refuse".to_owned()),
            response_snippet: Some("thanks".to_owned()),
            request_url: Some("https://example.com/hook".to_owned()),
            is_unsent: false,
        },
    }
}

fn answer((delivery, attempt): &(Delivery, Attempt)) -> Answer {
    Answer {
        status: 200,
        body: Bytes::from(format!("{} {}", delivery.id, attempt.number)),
        holds_secret: false,
    }
}

pub(crate) async fn log(
    store: &Store,
    client: ClientId,
    sent: &TestSend,
    request: Option<&KeyedRequest>,
) -> Result<Once<(Delivery, Attempt)>, ChangeError> {
    soon(Box::pin(store.log_test(client, sent, request, answer, &Actor::System))).await
}

/// Acme Corp, and its Lead Webhook.
async fn acme_and_its_webhook(store: &Store) -> (ClientId, DestinationId) {
    let client = acme(store).await.id;
    let settings = store.settings(client).await.expect("read").expect("there");
    (client, settings.destination_id.expect("it has a URL"))
}

/// A test send that is in the log.
async fn logged(store: &Store, outcome: Outcome) -> (ClientId, Delivery) {
    let (client, destination) = acme_and_its_webhook(store).await;
    let sent = sent(store, client, destination, outcome);
    let once = log(store, client, &sent, None).await.expect("logged");
    (client, once.done.expect("it is the first").0)
}

async fn test_send_is_logged_whole_and_final(database: &TestDatabase) {
    let store = database.open().await;
    let (lanes, _jobs) = Lanes::with_room(8, &store);
    let (client, destination) = acme_and_its_webhook(&store).await;
    let sent = sent(&store, client, destination, Outcome::Delivered);
    let done = log(&store, client, &sent, None).await.expect("logged").done;
    let (delivery, attempt) = done.expect("it is the first");
    assert_eq!(
        (
            delivery.id,
            delivery.event_id,
            delivery.destination_id,
            delivery.lead_id
        ),
        (sent.delivery_id, sent.event_id, destination, None)
    );
    assert_eq!(
        (
            delivery.state,
            delivery.attempt_count,
            delivery.due_at,
            delivery.completed_at
        ),
        (
            DeliveryState::Succeeded,
            1,
            None,
            Some(store.now().after(Duration::from_millis(12)))
        )
    );
    assert_eq!(
        (attempt.number, attempt.trigger, &*attempt.outcome, attempt.duration_ms),
        (1, Trigger::Test, "delivered", 12)
    );
    let found = store.delivery(client, delivery.id).await.expect("read").expect("there");
    assert_eq!(found, (delivery, vec![attempt]), "the log shows what was answered");
    assert_eq!(database.captured_rows().await, [0, 1, 1, 0], "there is no lead");
    let kept = database.rows("SELECT body FROM events").await;
    assert_eq!(kept[0].try_get_by_index::<Vec<u8>>(0).expect("bytes"), sent.body);
    assert!(claim_all(&store).await.is_empty(), "nothing is due");
    assert!(lanes.left_behind.lock().expect("no panic").is_empty());
    assert_eq!(*lanes.may_be_back.lock().expect("no panic"), [destination]);
    assert_eq!(lanes.room(), 8);
    assert!(store.health(&[destination]).await.expect("read").is_empty());
    let audited = database
        .texts("SELECT action FROM audit_log WHERE action = 'destination.tested'")
        .await;
    assert_eq!(audited.len(), 1);
}

async fn every_outcome_is_final(database: &TestDatabase) {
    let store = database.open().await;
    let (client, destination) = acme_and_its_webhook(&store).await;
    for (outcome, reason) in [
        (UNAVAILABLE, "exhausted"),
        (Outcome::Rejected, "rejected"),
        (Outcome::Gone, "destination_gone"),
        (Outcome::Blocked, "blocked"),
        (Outcome::Ours, "ours"),
    ] {
        let sent = sent(&store, client, destination, outcome);
        let once = log(&store, client, &sent, None).await.expect("logged");
        let (delivery, _) = once.done.expect("it is the first");
        assert_eq!(
            (delivery.state, delivery.failure_reason.as_deref()),
            (DeliveryState::Failed, Some(reason))
        );
    }
    assert!(!store.keep_health().await.expect("looked at"));
    assert!(
        store.health(&[destination]).await.expect("read").is_empty(),
        "its health is as it was"
    );
    let found = store
        .destination(client, destination)
        .await
        .expect("read")
        .expect("there");
    assert_eq!(found.version, 1);
    assert!(claim_all(&store).await.is_empty());
}

async fn test_send_is_never_sent_again(database: &TestDatabase) {
    let store = database.open().await;
    for outcome in [Outcome::Delivered, UNAVAILABLE] {
        let (client, delivery) = logged(&store, outcome).await;
        let refused = soon(store.redeliver(client, delivery.id, &Actor::System)).await;
        assert!(
            matches!(refused, Err(RedeliverError::Refused(NotRedelivered::Test))),
            "{refused:?}"
        );
        assert_eq!(deliveries(&store, client).await, [delivery]);
    }
    assert!(claim_all(&store).await.is_empty());
}

async fn recovery_of_failures_skips_test_sends(database: &TestDatabase) {
    let store = database.open().await;
    let (client, tested) = logged(&store, UNAVAILABLE).await;
    capture(&store, client).await;
    let job = claim_all(&store).await.remove(0);
    record(&store, &job, REFUSED).await;
    let new = NewRecovery::Redeliver {
        state: DeliveryState::Failed,
        destination_id: None,
        since: None,
        until: None,
        completed_since: None,
    };
    let recovery = recovered(&store, client, new).await;
    assert_eq!((recovery.done, recovery.skipped), (1, 1));
    let due = claim_all(&store).await;
    let due = due.iter().map(|job| job.delivery_id).collect::<Vec<_>>();
    assert_eq!(due, [job.delivery_id]);
    let found = store.delivery(client, tested.id).await.expect("read").expect("there");
    assert_eq!(found.0, tested);
}

/// Lets a recovery come as far as it can.
async fn recovered(store: &Store, client: ClientId, new: NewRecovery) -> Recovery {
    let started = store
        .start_recovery(client, new, &Actor::System)
        .await
        .expect("started");
    while soon(store.advance_recoveries()).await.expect("a step") {}
    store.recovery(client, started.id).await.expect("read").expect("there")
}

async fn replay_does_not_send_test_sends(database: &TestDatabase) {
    let store = database.open().await;
    let (client, _) = logged(&store, Outcome::Delivered).await;
    database.clock.advance(Duration::from_secs(1));
    let later = make(&store, client, "CRM").await.expect("made").id;
    let new = NewRecovery::Replay {
        destination_id: later,
        since: None,
        until: None,
    };
    let recovery = recovered(&store, client, new).await;
    assert_eq!((recovery.done, recovery.skipped), (0, 0));
    assert!(claim_all(&store).await.is_empty());
}

async fn equal_test_sends_are_logged_once_and_answered_alike(database: &TestDatabase) {
    let store = database.open().await;
    let (client, destination) = acme_and_its_webhook(&store).await;
    let request = KeyedRequest {
        key: "k".to_owned(),
        method: "POST",
        path: "/test".to_owned(),
        fingerprint: [1; 32],
    };
    let earlier = || store.answered::<ChangeError>(client, &request);
    assert_eq!(earlier().await.expect("read"), None);
    let sends = (0..10).map(|_| sent(&store, client, destination, Outcome::Delivered));
    let sends = sends.collect::<Vec<_>>();
    let logs = join_all(sends.iter().map(|sent| log(&store, client, sent, Some(&request)))).await;
    let logs = logs.into_iter().map(|once| once.expect("answered")).collect::<Vec<_>>();
    assert_eq!(logs.iter().filter(|once| once.done.is_some()).count(), 1);
    assert!(logs.iter().all(|once| once.answer == logs[0].answer));
    assert_eq!(database.captured_rows().await, [0, 1, 1, 1]);
    assert_eq!(earlier().await.expect("read").as_ref(), Some(&logs[0].answer));
    let other = KeyedRequest {
        fingerprint: [2; 32],
        ..request.clone()
    };
    let reused = store.answered::<ChangeError>(client, &other).await;
    assert!(matches!(reused, Err(ChangeError::KeyReused(KeyReused))), "{reused:?}");
    database.clock.advance(Duration::from_hours(24));
    assert!(earlier().await.expect("read").is_some(), "kept for the whole day");
    database.clock.advance(Duration::from_millis(1));
    assert_eq!(earlier().await.expect("read"), None);
}

async fn test_send_of_a_deleted_client_leaves_nothing(database: &TestDatabase) {
    let store = database.open().await;
    let (client, destination) = acme_and_its_webhook(&store).await;
    let one = sent(&store, client, destination, Outcome::Delivered);
    log(&store, client, &one, None).await.expect("logged");
    let other = sent(&store, client, destination, Outcome::Delivered);
    assert!(
        soon(store.delete_client(client, &Actor::System))
            .await
            .expect("deleted")
    );
    let late = log(&store, client, &other, None).await;
    assert!(matches!(late, Err(ChangeError::UnknownClient)), "{late:?}");
    assert_eq!(database.captured_rows().await, [0, 0, 0, 0]);
    assert_eq!(database.number("SELECT count(*) FROM attempts").await, 0);
}

async fn test_sends_are_forgotten_like_others(database: &TestDatabase) {
    let store = database.open().await;
    logged(&store, UNAVAILABLE).await;
    database.clock.advance(Duration::from_hours(24 * 89));
    soon(store.forget_old(&Retention::default())).await.expect("removed");
    assert_eq!(database.captured_rows().await, [0, 1, 1, 0]);
    database.clock.advance(Duration::from_hours(24 * 2));
    soon(store.forget_old(&Retention::default())).await.expect("removed");
    assert_eq!(database.captured_rows().await, [0, 0, 0, 0]);
}
