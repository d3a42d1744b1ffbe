//! Recording attempts: logged always, moved only by who holds the lease, stored once.

use std::time::Duration;

use sensei_domain::{DeliveryState, FailureReason, Outcome, Verdict};
use sensei_persistence::{Actor, Attempt, Delivery, Job, Store};

use crate::fixtures::{LEASE, TestDatabase, acme, capture, on_both, request, soon};
use crate::lanes::{DELIVERED, REFUSED, claim_all, record, recording, retry};

on_both!(
    success_is_logged_and_final,
    failure_is_logged_with_its_reason,
    attempts_are_numbered_in_order,
    attempt_of_ours_is_not_counted,
    stale_attempt_is_logged_and_moves_nothing,
    stale_success_succeeds,
    final_delivery_is_moved_by_nothing,
    repeated_recording_is_stored_once,
    several_attempts_of_a_delivery_in_one_batch_follow_each_other,
    unstorable_texts_veto_nothing,
    deleted_delivery_is_dropped,
    many_recordings_are_stored_together,
    batches_of_any_size_are_stored,
    what_is_usual_is_stored_as_all_else,
    unstorable_outcome_keeps_no_other_waiting,
);

const DONE: &str = "SELECT count(*) FROM deliveries d JOIN attempts a ON a.delivery_id = d.id AND a.number = 1 \
                    WHERE d.state = 'succeeded' AND d.attempt_count = 1 AND d.lease IS NULL";

async fn job(store: &Store) -> Job {
    let client = acme(store).await;
    capture(store, client.id).await;
    claim_all(store).await.remove(0)
}

async fn read(store: &Store, job: &Job) -> (Delivery, Vec<Attempt>) {
    let found = store.delivery(job.destination.client_id, job.delivery_id).await;
    found.expect("it is read").expect("it is there")
}

async fn success_is_logged_and_final(database: &TestDatabase) {
    let store = database.open().await;
    let job = job(&store).await;
    record(&store, &job, DELIVERED).await;
    let (delivery, attempts) = read(&store, &job).await;
    assert_eq!(
        (delivery.state, delivery.attempt_count, delivery.due_at),
        (DeliveryState::Succeeded, 1, None)
    );
    assert_eq!(
        delivery.completed_at,
        Some(store.now().after(Duration::from_millis(12)))
    );
    let expected = Attempt {
        number: 1,
        trigger: job.trigger,
        started_at: store.now(),
        duration_ms: 12,
        outcome: "delivered".to_owned(),
        status_code: Some(200),
        error: None,
        response_snippet: Some("thanks".to_owned()),
        request_url: Some("https://example.com/hook".to_owned()),
    };
    assert_eq!(attempts, [expected]);
    database.clock.advance(LEASE * 2);
    assert!(claim_all(&store).await.is_empty());
}

async fn failure_is_logged_with_its_reason(database: &TestDatabase) {
    let store = database.open().await;
    let job = job(&store).await;
    record(&store, &job, REFUSED).await;
    let (delivery, attempts) = read(&store, &job).await;
    assert_eq!(
        (delivery.state, delivery.failure_reason.as_deref()),
        (DeliveryState::Failed, Some("exhausted"))
    );
    assert!(delivery.completed_at.is_some());
    assert_eq!(attempts[0].outcome, "unavailable");
    database.clock.advance(LEASE * 2);
    assert!(claim_all(&store).await.is_empty(), "policy none really is one attempt");
}

async fn attempts_are_numbered_in_order(database: &TestDatabase) {
    let store = database.open().await;
    let mut job = job(&store).await;
    for _ in 0..3 {
        record(&store, &job, retry(store.now())).await;
        job = claim_all(&store).await.remove(0);
    }
    record(&store, &job, DELIVERED).await;
    let (delivery, attempts) = read(&store, &job).await;
    assert_eq!((delivery.attempt_count, job.standing.scheduled_attempt), (4, 4));
    assert_eq!(
        attempts.iter().map(|attempt| attempt.number).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
}

async fn attempt_of_ours_is_not_counted(database: &TestDatabase) {
    let store = database.open().await;
    let first = job(&store).await;
    let ours = || (Outcome::Ours, Verdict::NotCounted { at: store.now() });
    let began = store.now();
    record(&store, &first, ours()).await;
    database.clock.advance(Duration::from_secs(9));
    let second = claim_all(&store).await.remove(0);
    record(&store, &second, ours()).await;
    let third = claim_all(&store).await.remove(0);
    assert_eq!(
        (third.standing.scheduled_attempt, third.standing.ours_since),
        (1, Some(began))
    );
    record(&store, &third, retry(store.now())).await;
    let fourth = claim_all(&store).await.remove(0);
    assert_eq!(
        (fourth.standing.scheduled_attempt, fourth.standing.ours_since),
        (2, None)
    );
    assert_eq!(read(&store, &first).await.0.attempt_count, 3);
}

/// A job whose lease ran out, and the job that has the delivery now.
async fn stale(database: &TestDatabase, store: &Store) -> (Job, Job) {
    let stale = job(store).await;
    database.clock.advance(LEASE);
    let current = claim_all(store).await.remove(0);
    (stale, current)
}

async fn stale_attempt_is_logged_and_moves_nothing(database: &TestDatabase) {
    let store = database.open().await;
    let (stale, current) = stale(database, &store).await;
    record(&store, &stale, REFUSED).await;
    let (delivery, attempts) = read(&store, &stale).await;
    assert_eq!(
        (delivery.state, delivery.attempt_count, attempts.len()),
        (DeliveryState::Pending, 1, 1)
    );
    record(&store, &current, DELIVERED).await;
    let (delivery, attempts) = read(&store, &stale).await;
    assert_eq!((delivery.state, attempts.len()), (DeliveryState::Succeeded, 2));
}

async fn stale_success_succeeds(database: &TestDatabase) {
    let store = database.open().await;
    let (stale, current) = stale(database, &store).await;
    record(&store, &stale, DELIVERED).await;
    assert_eq!(read(&store, &stale).await.0.state, DeliveryState::Succeeded);
    record(&store, &current, REFUSED).await;
    let (delivery, attempts) = read(&store, &stale).await;
    assert_eq!(
        (delivery.state, delivery.failure_reason, attempts.len()),
        (DeliveryState::Succeeded, None, 2)
    );
}

async fn final_delivery_is_moved_by_nothing(database: &TestDatabase) {
    let store = database.open().await;
    let (stale, current) = stale(database, &store).await;
    record(
        &store,
        &current,
        (Outcome::Gone, Verdict::Failed(FailureReason::DestinationGone)),
    )
    .await;
    record(&store, &stale, DELIVERED).await;
    let (delivery, attempts) = read(&store, &stale).await;
    assert_eq!((delivery.state, attempts.len()), (DeliveryState::Failed, 2));
}

async fn repeated_recording_is_stored_once(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    soon(store.capture(request(client.id, store.now(), 3)))
        .await
        .expect("captured");
    let jobs = claim_all(&store).await;
    let verdicts = || [DELIVERED, REFUSED, retry(store.now().after(LEASE))];
    for _ in 0..3 {
        // As after a commit whose answer got lost: the same once more, alone and together.
        for (job, verdict) in jobs.iter().zip(verdicts()) {
            record(&store, job, verdict).await;
        }
        for (job, verdict) in jobs.iter().chain(&jobs).zip(verdicts().into_iter().chain(verdicts())) {
            store.record(recording(&store, job, verdict).0);
        }
    }
    record(&store, &jobs[0], DELIVERED).await;
    let expected = [DeliveryState::Succeeded, DeliveryState::Failed, DeliveryState::Pending];
    for (job, expected) in jobs.iter().zip(expected) {
        let (delivery, attempts) = read(&store, job).await;
        assert_eq!(
            (delivery.state, delivery.attempt_count, attempts.len()),
            (expected, 1, 1)
        );
    }
    assert_eq!(
        database
            .number("SELECT CAST(sum(scheduled_attempts) AS BIGINT) FROM deliveries")
            .await,
        1
    );
}

async fn several_attempts_of_a_delivery_in_one_batch_follow_each_other(database: &TestDatabase) {
    let store = database.open().await;
    let (stale, current) = stale(database, &store).await;
    let (first, _) = recording(&store, &stale, REFUSED);
    let (second, stored) = recording(&store, &current, DELIVERED);
    store.record(first);
    store.record(second);
    soon(stored).await.expect_err("dropped");
    let (delivery, attempts) = read(&store, &stale).await;
    assert_eq!((delivery.state, delivery.attempt_count), (DeliveryState::Succeeded, 2));
    let outcomes = attempts
        .iter()
        .map(|attempt| (attempt.number, attempt.outcome.as_str()))
        .collect::<Vec<_>>();
    assert_eq!(outcomes, [(1, "unavailable"), (2, "delivered")]);
}

async fn unstorable_texts_veto_nothing(database: &TestDatabase) {
    let store = database.open().await;
    let job = job(&store).await;
    let (mut recording, stored) = recording(&store, &job, DELIVERED);
    recording.attempt.error = Some("\0nul".to_owned());
    recording.attempt.response_snippet = Some("é\0".repeat(100_000));
    recording.attempt.request_url = Some("x".repeat(100_000));
    store.record(recording);
    soon(stored).await.expect_err("dropped");
    let (delivery, attempts) = read(&store, &job).await;
    assert_eq!(delivery.state, DeliveryState::Succeeded);
    assert_eq!(attempts[0].error.as_deref(), Some("\u{fffd}nul"));
    let snippet = attempts[0].response_snippet.as_deref().expect("a snippet");
    assert!(
        snippet.starts_with("é\u{fffd}é") && snippet.len() <= 1_024,
        "{}",
        snippet.len()
    );
}

async fn deleted_delivery_is_dropped(database: &TestDatabase) {
    let store = database.open().await;
    let deleted = job(&store).await;
    store
        .delete_client(deleted.destination.client_id, &Actor::System)
        .await
        .expect("deleted");
    record(&store, &deleted, DELIVERED).await;
    assert_eq!(database.number("SELECT count(*) FROM attempts").await, 0);
    let living = job(&store).await;
    record(&store, &living, DELIVERED).await;
    assert_eq!(read(&store, &living).await.0.state, DeliveryState::Succeeded);
}

async fn many_recordings_are_stored_together(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    soon(store.capture(request(client.id, store.now(), 1_000)))
        .await
        .expect("captured");
    let jobs = claim_all(&store).await;
    assert_eq!(jobs.len(), 1_000);
    for job in &jobs {
        store.record(recording(&store, job, DELIVERED).0);
    }
    soon(store.close()).await;
    assert_eq!(database.number(DONE).await, 1_000);
}

async fn what_is_usual_is_stored_as_all_else(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let captured = store.capture(request(client.id, store.now(), 7));
    soon(captured).await.expect("captured");
    let jobs = claim_all(&store).await;
    let (alone, others) = jobs.split_at(2);
    let (unknown, together) = others.split_at(2);
    // By what is known of it, at once.
    for job in alone {
        record(&store, job, DELIVERED).await;
    }
    // By its row, which is read.
    for job in unknown {
        let (mut recording, stored) = recording(&store, job, DELIVERED);
        recording.known = None;
        store.record(recording);
        soon(stored).await.expect_err("the place is given back");
    }
    // With one that isn't usual.
    for (job, verdict) in together.iter().zip([DELIVERED, REFUSED, DELIVERED]) {
        store.record(recording(&store, job, verdict).0);
    }
    soon(store.close()).await;
    database.execute("DELETE FROM deliveries WHERE state = 'failed'").await;
    let kinds = "SELECT count(*) FROM (SELECT DISTINCT d.state, due_at, d.lease, attempt_count, scheduled_attempts, ours_since, prior_state, \
                 failure_reason, completed_at, number, a.client_id, trigger_name, started_at, duration_ms, outcome, status_code, error, \
                 response_snippet, request_url FROM deliveries d JOIN attempts a ON a.delivery_id = d.id) AS kinds";
    assert_eq!(database.number("SELECT count(*) FROM deliveries").await, 6);
    assert_eq!(database.number("SELECT count(*) FROM attempts").await, 7);
    assert_eq!(database.number(kinds).await, 1);
}

async fn batches_of_any_size_are_stored(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let mut recorded = 0;
    for size in (1..=9).chain([63, 64, 65, 127, 128, 129, 255, 256, 257]) {
        let number = usize::try_from(size).expect("small");
        soon(store.capture(request(client.id, store.now(), number)))
            .await
            .expect("captured");
        let waiting = claim_all(&store).await.into_iter().map(|job| {
            let (recording, stored) = recording(&store, &job, DELIVERED);
            store.record(recording);
            stored
        });
        for stored in waiting.collect::<Vec<_>>() {
            soon(stored).await.expect_err("the place is given back");
        }
        recorded += size;
        assert_eq!(database.number(DONE).await, recorded, "{size}");
    }
}

/// And undone together where one isn't as it was.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_usual_is_one_statement_on_sqlite() {
    let database = TestDatabase::sqlite();
    let store = database.open().await;
    let seen = "INSERT INTO store_facts (name, value) VALUES ('seen', 'seen') ON CONFLICT DO NOTHING";
    let trigger = format!("CREATE TRIGGER seen INSTEAD OF INSERT ON usual_outcomes BEGIN {seen}; END");
    database.execute(&trigger).await;
    let seen = "SELECT count(*) FROM store_facts WHERE name = 'seen'";
    record(&store, &job(&store).await, DELIVERED).await;
    assert_eq!((database.number(seen).await, database.number(DONE).await), (1, 1));

    database.execute("DELETE FROM store_facts WHERE name = 'seen'").await;
    let (sound, changed) = (job(&store).await, job(&store).await);
    database
        .execute("UPDATE deliveries SET lease = 7 WHERE id = (SELECT max(id) FROM deliveries)")
        .await;
    for job in [&sound, &changed] {
        store.record(recording(&store, job, DELIVERED).0);
    }
    soon(store.close()).await;
    assert_eq!(database.number(seen).await, 0, "it was undone with the rest");
    assert_eq!(database.number("SELECT count(*) FROM attempts").await, 3);
    assert_eq!(database.texts("SELECT state FROM deliveries").await, ["succeeded"; 3]);
}

async fn unstorable_outcome_keeps_no_other_waiting(database: &TestDatabase) {
    let store = database.open().await;
    let damaged = job(&store).await;
    let garbage = "UPDATE deliveries SET state = 'garbage'";
    database.execute(garbage).await;
    let (waiting, mut stored) = recording(&store, &damaged, DELIVERED);
    store.record(waiting);
    for _ in 0..3 {
        let sound = job(&store).await;
        record(&store, &sound, DELIVERED).await;
        assert_eq!(read(&store, &sound).await.0.state, DeliveryState::Succeeded);
    }
    assert!(
        stored
            .try_recv()
            .is_err_and(|error| error == tokio::sync::oneshot::error::TryRecvError::Empty)
    );
    database
        .execute("UPDATE deliveries SET state = 'pending' WHERE state = 'garbage'")
        .await;
    soon(stored).await.expect_err("the place is given back");
    assert_eq!(read(&store, &damaged).await.0.state, DeliveryState::Succeeded);
}
