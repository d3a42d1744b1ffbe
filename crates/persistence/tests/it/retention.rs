//! Retention: what has been kept for long enough goes, what somebody may still need stays.

use std::time::Duration;

use sensei_domain::DeliveryState;
use sensei_persistence::{Retention, Store};

use crate::fixtures::{TestDatabase, acme, capture, create, deliveries, on_both, request, soon, states};
use crate::lanes::{DELIVERED, claim_all, record, retry};

on_both!(
    attempts_go_before_their_deliveries_and_those_before_their_leads,
    what_is_pending_or_held_is_kept_however_old_it_is,
    recent_attempt_of_an_old_delivery_is_kept,
    leads_go_only_when_told,
    operational_events_go_too,
    more_than_a_step_is_walked_through,
);

const DAY: Duration = Duration::from_hours(24);

async fn forget(store: &Store) -> u64 {
    soon(store.forget_old(&Retention::default()))
        .await
        .expect("it is removed")
}

async fn rows(database: &TestDatabase) -> [i64; 4] {
    let mut rows = [0; 4];
    for (count, table) in rows.iter_mut().zip(["leads", "events", "deliveries", "attempts"]) {
        *count = database.number(&format!("SELECT count(*) FROM {table}")).await;
    }
    rows
}

async fn deliver_all(store: &Store) {
    for job in claim_all(store).await {
        record(store, &job, DELIVERED).await;
    }
}

async fn attempts_go_before_their_deliveries_and_those_before_their_leads(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    capture(&store, client.id).await;
    deliver_all(&store).await;
    database.clock.advance(DAY * 29);
    assert_eq!((forget(&store).await, rows(database).await), (0, [1, 1, 1, 1]));
    database.clock.advance(DAY * 2);
    capture(&store, client.id).await;
    assert_eq!((forget(&store).await, rows(database).await), (1, [2, 2, 2, 0]));
    assert_eq!(
        deliveries(&store, client.id).await[1].attempt_count,
        1,
        "it is known that there was one"
    );
    database.clock.advance(DAY * 60);
    assert_eq!((forget(&store).await, rows(database).await), (2, [2, 1, 1, 0]));
    assert_eq!(forget(&store).await, 0);
}

async fn what_is_pending_or_held_is_kept_however_old_it_is(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    capture(&store, client.id).await;
    database
        .execute("UPDATE destinations SET status = 'paused', version = version + 1")
        .await;
    capture(&store, client.id).await;
    database.clock.advance(DAY * 1_000);
    let all = Retention {
        leads: Some(DAY),
        ..Retention::default()
    };
    assert_eq!(soon(store.forget_old(&all)).await.expect("it is looked at"), 0);
    assert_eq!(
        states(&store, client.id).await,
        [DeliveryState::Held, DeliveryState::Pending]
    );
    assert_eq!(rows(database).await, [2, 2, 2, 0]);
}

async fn recent_attempt_of_an_old_delivery_is_kept(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    capture(&store, client.id).await;
    let job = claim_all(&store).await.remove(0);
    record(&store, &job, retry(store.now())).await;
    database.clock.advance(DAY * 60);
    deliver_all(&store).await;
    database.clock.advance(DAY * 29);
    assert_eq!((forget(&store).await, rows(database).await), (1, [1, 1, 1, 1]));
    database.clock.advance(DAY * 32);
    forget(&store).await;
    assert_eq!(rows(database).await, [1, 1, 1, 0], "it was delivered 61 days ago");
}

async fn leads_go_only_when_told(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let without_url = create(&store, "Initech", None).await.client;
    capture(&store, client.id).await;
    capture(&store, without_url.id).await;
    deliver_all(&store).await;
    database.clock.advance(DAY * 400);
    forget(&store).await;
    assert_eq!(rows(database).await, [2, 0, 0, 0]);
    let told = Retention {
        leads: Some(DAY * 365),
        ..Retention::default()
    };
    capture(&store, client.id).await;
    soon(store.forget_old(&told)).await.expect("it is removed");
    assert_eq!(rows(database).await, [1, 1, 1, 0], "the new one stays");
}

async fn operational_events_go_too(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    capture(&store, client.id).await;
    database.execute("UPDATE events SET lead_id = NULL").await;
    database.execute("UPDATE deliveries SET lead_id = NULL").await;
    database.clock.advance(DAY * 91);
    forget(&store).await;
    assert_eq!(rows(database).await, [1, 1, 1, 0], "it is to be sent yet");
    deliver_all(&store).await;
    database.clock.advance(DAY * 91);
    forget(&store).await;
    assert_eq!(rows(database).await, [1, 0, 0, 0]);
}

async fn more_than_a_step_is_walked_through(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    for _ in 0..3 {
        soon(store.capture(request(client.id, store.now(), 400)))
            .await
            .expect("it is captured");
    }
    database
        .execute("UPDATE deliveries SET state = 'succeeded', due_at = NULL, lease = NULL, completed_at = created_at")
        .await;
    database.clock.advance(DAY * 91);
    assert_eq!(forget(&store).await, 2_400);
    assert_eq!(rows(database).await, [1_200, 0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sqlite_file_shrinks_when_much_of_it_is_free() {
    let database = TestDatabase::sqlite();
    let store = database.open().await;
    database
        .execute(
            "INSERT INTO events (id, client_id, type, body, created_at) \
             WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 5000) \
             SELECT randomblob(16), randomblob(16), 'x', randomblob(4000), 0 FROM n",
        )
        .await;
    let pages = async || database.number("PRAGMA page_count").await;
    let full = pages().await;
    assert!(full > 5_000);
    database.execute("DELETE FROM events").await;
    assert_eq!(pages().await, full);
    forget(&store).await;
    let left = pages().await;
    assert!(left < full / 2, "{left} of {full} pages are left");
    assert_eq!(database.texts("PRAGMA integrity_check").await, ["ok"]);
}
