//! The health of destinations: what is told, what is disabled, and that it is never done in silence.

use std::time::Duration;

use sensei_domain::{DeliveryState, FailureReason, Outcome, RetryPolicy, Verdict};
use sensei_persistence::{Actor, Destination, DestinationChange, DestinationConfig, Job, SettingsChange, Store};
use serde_json::{Value, json};

use crate::fixtures::{TestDatabase, URL, acme, capture, create, on_both, soon, states};
use crate::lanes::{DELIVERED, Lanes, REFUSED, claim_all, record, recording};

on_both!(
    failures_are_counted_until_the_next_success,
    batch_with_a_success_counts_the_failures_after_it,
    our_own_failures_tell_nothing,
    what_there_was_nothing_to_send_of_tells_nothing,
    another_config_begins_anew,
    destination_that_is_gone_is_disabled_at_once_and_its_owner_told,
    what_the_url_before_says_is_not_said_of_the_one_after,
    lead_webhook_under_policy_none_is_never_disabled,
    long_failure_warns_with_the_date_and_then_disables,
    recovery_is_told_to_who_was_warned,
    resumed_destination_begins_anew_and_its_recovery_is_told,
    what_nobody_asked_to_be_told_is_told_to_nobody,
    operational_event_to_a_paused_destination_is_held,
    operational_event_is_not_filtered,
);

const GONE: (Outcome, Verdict) = (Outcome::Gone, Verdict::Failed(FailureReason::DestinationGone));
const DAY: Duration = Duration::from_hours(24);

/// Acme Corp, whose Lead Webhook retries: it can be disabled.
async fn acme_that_retries(database: &TestDatabase, store: &Store) -> Job {
    let client = acme(store).await;
    let retry = serde_json::to_string(&RetryPolicy::Standard).expect("JSON");
    database
        .execute(&format!(
            "UPDATE destinations SET retry = '{retry}', version = version + 1"
        ))
        .await;
    capture(store, client.id).await;
    claim_all(store).await.remove(0)
}

/// A client who is told of every change.
async fn operator(database: &TestDatabase, store: &Store) -> sensei_persistence::Client {
    let client = create(store, "Operations", Some(URL)).await.client;
    database
        .execute("UPDATE clients SET operational_events = TRUE WHERE name = 'Operations'")
        .await;
    client
}

async fn attempt(store: &Store, first: &Job, outcome: (Outcome, Verdict)) {
    capture(store, first.destination.client_id).await;
    let jobs = claim_all(store).await;
    let job = jobs
        .iter()
        .find(|job| job.destination.id == first.destination.id)
        .expect("it is due");
    record(store, job, outcome).await;
}

async fn look(store: &Store) {
    while soon(store.keep_health()).await.expect("it is looked at") {}
}

async fn destination(store: &Store, job: &Job) -> std::sync::Arc<Destination> {
    let found = store.destination(job.destination.client_id, job.destination.id).await;
    found.expect("it is read").expect("it is there")
}

/// The operational events there are, the first one first.
async fn told(database: &TestDatabase) -> Vec<Value> {
    let sql = "SELECT body FROM events WHERE type LIKE 'destination.%' ORDER BY id";
    let rows = database.rows(sql).await;
    rows.iter()
        .map(|row| serde_json::from_slice(&row.try_get_by_index::<Vec<u8>>(0).expect("bytes")).expect("JSON"))
        .collect()
}

fn names(told: &[Value]) -> Vec<&str> {
    told.iter()
        .map(|event| event["event"].as_str().expect("a name"))
        .collect()
}

async fn failed_attempts(store: &Store, job: &Job) -> u32 {
    let health = store.health(&[job.destination.id]).await.expect("it is read");
    health
        .get(&job.destination.id)
        .map_or(0, |health| health.failing.attempts)
}

async fn failures_are_counted_until_the_next_success(database: &TestDatabase) {
    let store = database.open().await;
    let first = acme_that_retries(database, &store).await;
    record(&store, &first, REFUSED).await;
    attempt(&store, &first, REFUSED).await;
    let health = store.health(&[first.destination.id]).await.expect("it is read");
    let health = &health[&first.destination.id];
    assert_eq!((health.failing.attempts, health.failing.is_gone), (2, false));
    assert_eq!(health.failing.since, store.now().after(Duration::from_millis(12)));
    attempt(&store, &first, DELIVERED).await;
    assert_eq!(failed_attempts(&store, &first).await, 0);
    assert_eq!(database.number("SELECT count(*) FROM destination_health").await, 0);
}

/// What one node learnt of a destination isn't known to another, whose success ends it all the same.
#[tokio::test(flavor = "multi_thread")]
async fn success_at_another_node_ends_what_failed_at_this_one() {
    let Some(database) = TestDatabase::postgres() else {
        return;
    };
    let (here, there) = (database.open().await, database.open().await);
    let job = acme_that_retries(&database, &here).await;
    record(&here, &job, REFUSED).await;
    assert_eq!(failed_attempts(&there, &job).await, 1);
    attempt(&there, &job, DELIVERED).await;
    assert_eq!(failed_attempts(&here, &job).await, 0);
}

async fn batch_with_a_success_counts_the_failures_after_it(database: &TestDatabase) {
    let store = database.open().await;
    let first = acme_that_retries(database, &store).await;
    for _ in 0..4 {
        capture(&store, first.destination.client_id).await;
    }
    let mut stored = Vec::new();
    let outcomes = [REFUSED, REFUSED, DELIVERED, REFUSED];
    for (job, outcome) in claim_all(&store).await.iter().zip(outcomes) {
        let (recording, done) = recording(&store, job, outcome);
        store.record(recording);
        stored.push(done);
    }
    for done in stored {
        soon(done).await.expect_err("the place is dropped");
    }
    assert_eq!(failed_attempts(&store, &first).await, 1);
}

async fn our_own_failures_tell_nothing(database: &TestDatabase) {
    let store = database.open().await;
    let first = acme_that_retries(database, &store).await;
    let ours = (Outcome::Ours, Verdict::NotCounted { at: store.now() });
    record(&store, &first, ours).await;
    assert_eq!(failed_attempts(&store, &first).await, 0);
}

async fn what_there_was_nothing_to_send_of_tells_nothing(database: &TestDatabase) {
    let store = database.open().await;
    let first = acme_that_retries(database, &store).await;
    record(&store, &first, REFUSED).await;
    capture(&store, first.destination.client_id).await;
    let job = claim_all(&store).await.remove(0);
    let (mut recording, stored) = recording(&store, &job, DELIVERED);
    recording.attempt.is_unsent = true;
    store.record(recording);
    soon(stored).await.expect_err("the place is dropped");
    assert_eq!(failed_attempts(&store, &first).await, 1);
}

async fn another_config_begins_anew(database: &TestDatabase) {
    let store = database.open().await;
    let first = acme_that_retries(database, &store).await;
    let (lanes, _jobs) = Lanes::with_room(0, &store);
    let lanes_were_told = || lanes.receiver_changed.lock().expect("no panic").len();
    let (client, id) = (first.destination.client_id, first.destination.id);
    record(&store, &first, REFUSED).await;
    let ordered = DestinationChange {
        ordered: Some(true),
        ..DestinationChange::default()
    };
    let changed = store.change_destination(client, id, &ordered, &Actor::System).await;
    changed.expect("changed");
    assert_eq!(failed_attempts(&store, &first).await, 1, "the receiver is the same");
    assert_eq!(lanes_were_told(), 0);

    let elsewhere = json!({"url": "https://example.com/mended"});
    let mended = DestinationChange {
        config: Some(DestinationConfig::new(elsewhere, [])),
        ..DestinationChange::default()
    };
    let changed = store.change_destination(client, id, &mended, &Actor::System).await;
    changed.expect("changed");
    assert_eq!(failed_attempts(&store, &first).await, 0);
    assert_eq!(lanes_were_told(), 1);

    attempt(&store, &first, REFUSED).await;
    assert_eq!(failed_attempts(&store, &first).await, 1);
    let url = SettingsChange {
        lead_webhook_url: Some(Some("https://example.com/again".parse().expect("a URL"))),
        ..SettingsChange::default()
    };
    store
        .change_settings(client, url, &Actor::System)
        .await
        .expect("changed");
    assert_eq!(failed_attempts(&store, &first).await, 0);
    assert_eq!(lanes_were_told(), 2);
}

async fn destination_that_is_gone_is_disabled_at_once_and_its_owner_told(database: &TestDatabase) {
    let store = database.open().await;
    let operator = operator(database, &store).await;
    let first = acme_that_retries(database, &store).await;
    record(&store, &first, GONE).await;
    // Nobody asks for it: who records it sees to it.
    soon(async {
        while destination(&store, &first).await.status.name() != "disabled" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let disabled = destination(&store, &first).await;
    assert_eq!(
        disabled.status_reason.as_deref(),
        Some("the receiver says that it is gone (410)")
    );
    assert_eq!(
        (disabled.status_since, disabled.version),
        (store.now(), first.destination.version + 1)
    );
    let told = told(database).await;
    assert_eq!(names(&told), ["destination.disabled"]);
    assert_eq!(told[0]["data"]["clientName"], "Acme Corp");
    assert_eq!(told[0]["data"]["destinationId"], first.destination.id.to_string());
    let due = claim_all(&store).await;
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].destination.client_id, operator.id);
    assert_eq!(serde_json::from_slice::<Value>(&due[0].body).expect("JSON"), told[0]);
    look(&store).await;
    assert_eq!(self::told(database).await.len(), 1, "once");
    let log = "SELECT count(*) FROM audit_log WHERE action = 'destination.disabled' AND actor = 'system'";
    assert_eq!(database.number(log).await, 1);
    capture(&store, first.destination.client_id).await;
    assert_eq!(
        states(&store, first.destination.client_id).await[0],
        DeliveryState::Held
    );
}

async fn what_the_url_before_says_is_not_said_of_the_one_after(database: &TestDatabase) {
    let store = database.open().await;
    let under_way = acme_that_retries(database, &store).await;
    let (client, id) = (under_way.destination.client_id, under_way.destination.id);
    let elsewhere = json!({"url": "https://example.com/mended"});
    let mended = DestinationChange {
        config: Some(DestinationConfig::new(elsewhere, [])),
        ..DestinationChange::default()
    };
    let changed = store.change_destination(client, id, &mended, &Actor::System).await;
    changed.expect("changed");
    record(&store, &under_way, GONE).await;
    look(&store).await;
    let health = store.health(&[id]).await.expect("read")[&id].clone();
    assert_eq!((health.failing.attempts, health.failing.is_gone), (1, false));
    assert_eq!(destination(&store, &under_way).await.status.name(), "active");

    attempt(&store, &under_way, GONE).await;
    look(&store).await;
    assert_eq!(destination(&store, &under_way).await.status.name(), "disabled");
}

async fn lead_webhook_under_policy_none_is_never_disabled(database: &TestDatabase) {
    let store = database.open().await;
    operator(database, &store).await;
    let client = acme(&store).await;
    capture(&store, client.id).await;
    let first = claim_all(&store).await.remove(0);
    record(&store, &first, GONE).await;
    for _ in 0..12 {
        look(&store).await;
        attempt(&store, &first, GONE).await;
        database.clock.advance(DAY);
    }
    look(&store).await;
    assert_eq!(destination(&store, &first).await.status.name(), "active");
    let told = told(database).await;
    assert_eq!(names(&told), ["destination.warned"]);
    assert_eq!(told[0]["data"]["disablesAt"], Value::Null);

    // Under another policy it is, once it says so again.
    let retries = DestinationChange {
        retry: Some(RetryPolicy::Standard),
        ..DestinationChange::default()
    };
    let (client, id) = (first.destination.client_id, first.destination.id);
    let changed = store.change_destination(client, id, &retries, &Actor::System).await;
    changed.expect("changed");
    attempt(&store, &first, GONE).await;
    look(&store).await;
    assert_eq!(destination(&store, &first).await.status.name(), "disabled");
}

async fn long_failure_warns_with_the_date_and_then_disables(database: &TestDatabase) {
    let store = database.open().await;
    operator(database, &store).await;
    let first = acme_that_retries(database, &store).await;
    let began = store.now().after(Duration::from_millis(12));
    record(&store, &first, REFUSED).await;
    for day in 1..=5 {
        database.clock.advance(DAY);
        for _ in 0..4 {
            attempt(&store, &first, REFUSED).await;
        }
        look(&store).await;
        assert_eq!(destination(&store, &first).await.status.name(), "active", "day {day}");
    }
    let warned = told(database).await;
    assert_eq!(names(&warned), ["destination.warned"]);
    assert_eq!(warned[0]["data"]["disablesAt"], began.after(DAY * 5).to_string());
    assert_eq!(warned[0]["data"]["failedAttempts"], 9);
    database.clock.advance(Duration::from_millis(12));
    look(&store).await;
    let disabled = destination(&store, &first).await;
    assert_eq!(disabled.status.name(), "disabled");
    assert_eq!(
        disabled.status_reason.as_deref(),
        Some("every attempt has failed for days")
    );
    assert_eq!(
        names(&told(database).await),
        ["destination.warned", "destination.disabled"]
    );
}

async fn recovery_is_told_to_who_was_warned(database: &TestDatabase) {
    let store = database.open().await;
    operator(database, &store).await;
    let client = acme(&store).await;
    capture(&store, client.id).await;
    let first = claim_all(&store).await.remove(0);
    record(&store, &first, GONE).await;
    look(&store).await;
    attempt(&store, &first, DELIVERED).await;
    attempt(&store, &first, DELIVERED).await;
    soon(async { while database.number("SELECT count(*) FROM destination_health").await > 0 {} }).await;
    assert_eq!(
        names(&told(database).await),
        ["destination.warned", "destination.recovered"]
    );
    assert_eq!(failed_attempts(&store, &first).await, 0);
    attempt(&store, &first, REFUSED).await;
    attempt(&store, &first, DELIVERED).await;
    look(&store).await;
    assert_eq!(told(database).await.len(), 2, "a short failure is no news");
}

async fn resumed_destination_begins_anew_and_its_recovery_is_told(database: &TestDatabase) {
    let store = database.open().await;
    operator(database, &store).await;
    let first = acme_that_retries(database, &store).await;
    record(&store, &first, GONE).await;
    look(&store).await;
    assert_eq!(destination(&store, &first).await.status.name(), "disabled");
    let resume = DestinationChange {
        is_paused: Some(false),
        ..DestinationChange::default()
    };
    let client = first.destination.client_id;
    let resumed = store.change_destination(client, first.destination.id, &resume, &Actor::System);
    assert_eq!(resumed.await.expect("resumed").status.name(), "active");
    attempt(&store, &first, REFUSED).await;
    assert_eq!(failed_attempts(&store, &first).await, 1);
    look(&store).await;
    assert_eq!(destination(&store, &first).await.status.name(), "active");
    attempt(&store, &first, DELIVERED).await;
    look(&store).await;
    assert_eq!(
        names(&told(database).await),
        ["destination.disabled", "destination.recovered"]
    );
}

async fn what_nobody_asked_to_be_told_is_told_to_nobody(database: &TestDatabase) {
    let store = database.open().await;
    let first = acme_that_retries(database, &store).await;
    record(&store, &first, GONE).await;
    look(&store).await;
    assert_eq!(destination(&store, &first).await.status.name(), "disabled");
    assert!(told(database).await.is_empty());
    assert!(
        store
            .delete_client(first.destination.client_id, &Actor::System)
            .await
            .expect("deleted")
    );
    assert_eq!(database.number("SELECT count(*) FROM destination_health").await, 0);
}

async fn operational_event_to_a_paused_destination_is_held(database: &TestDatabase) {
    let store = database.open().await;
    let operator = operator(database, &store).await;
    database
        .execute("UPDATE destinations SET status = 'paused', version = version + 1")
        .await;
    let first = acme_that_retries(database, &store).await;
    record(&store, &first, GONE).await;
    look(&store).await;
    assert_eq!(states(&store, operator.id).await, [DeliveryState::Held]);
    assert!(store.delete_client(operator.id, &Actor::System).await.expect("deleted"));
    assert!(told(database).await.is_empty(), "its events go with it");
}

/// A filter is about leads: it would keep back all that has none.
async fn operational_event_is_not_filtered(database: &TestDatabase) {
    let store = database.open().await;
    let operator = operator(database, &store).await;
    database
        .execute(r#"UPDATE destinations SET filter = '{"path":"data.phone","exists":true}', version = version + 1"#)
        .await;
    let first = acme_that_retries(database, &store).await;
    record(&store, &first, GONE).await;
    look(&store).await;
    assert_eq!(states(&store, operator.id).await, [DeliveryState::Pending]);
}
