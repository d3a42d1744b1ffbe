//! Checkpoints: the next attempt knows how far the last one came, whatever ended it.

use std::time::Duration;

use sensei_persistence::{Actor, Retention, StoreError};

use crate::fixtures::{LEASE, TestDatabase, acme, capture, on_both, soon};
use crate::lanes::{DELIVERED, claim_all, record, retry};

on_both!(
    next_attempt_goes_on_where_the_last_one_came_to,
    only_who_holds_the_delivery_writes_its_checkpoint,
    checkpoint_goes_with_its_delivery,
    checkpoint_goes_with_its_client,
);

const DAY: Duration = Duration::from_hours(24);

async fn next_attempt_goes_on_where_the_last_one_came_to(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    capture(&store, client.id).await;
    capture(&store, client.id).await;
    let mut jobs = claim_all(&store).await;
    let (other, job) = (jobs.remove(1), jobs.remove(0));
    assert_eq!(job.reached().await.expect("read"), None);
    job.reach("person 1").await.expect("kept");
    job.reach("person 1, lead 2").await.expect("kept");
    assert_eq!(other.reached().await.expect("read"), None, "each delivery has its own");
    record(&store, &other, DELIVERED).await;
    // One attempt ends with its process, the next with an answer.
    store.close().await;
    let store = database.open().await;
    database.clock.advance(LEASE * 2);
    let job = claim_all(&store).await.remove(0);
    assert_eq!(job.reached().await.expect("read").as_deref(), Some("person 1, lead 2"));
    record(&store, &job, retry(store.now())).await;
    let job = claim_all(&store).await.remove(0);
    assert_eq!(job.reached().await.expect("read").as_deref(), Some("person 1, lead 2"));
}

async fn only_who_holds_the_delivery_writes_its_checkpoint(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    capture(&store, client.id).await;
    let late = claim_all(&store).await.remove(0);
    database.clock.advance(LEASE * 2);
    let now = claim_all(&store).await.remove(0);
    now.reach("1").await.expect("kept");
    assert!(matches!(late.reach("0").await, Err(StoreError::Superseded)));
    assert_eq!(late.reached().await.expect("read").as_deref(), Some("1"));
    record(&store, &now, DELIVERED).await;
    assert!(
        matches!(now.reach("2").await, Err(StoreError::Superseded)),
        "it is done"
    );
}

async fn checkpoint_goes_with_its_delivery(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    capture(&store, client.id).await;
    capture(&store, client.id).await;
    let jobs = claim_all(&store).await;
    for job in &jobs {
        job.reach("1").await.expect("kept");
    }
    record(&store, &jobs[0], DELIVERED).await;
    database.clock.advance(DAY * 91);
    soon(store.forget_old(&Retention::default())).await.expect("removed");
    assert_eq!(database.number("SELECT count(*) FROM deliveries").await, 1);
    assert_eq!(
        database.number("SELECT count(*) FROM checkpoints").await,
        1,
        "what is pending is kept"
    );
    record(&store, &claim_all(&store).await[0], DELIVERED).await;
    let all = Retention {
        leads: Some(DAY),
        ..Retention::default()
    };
    soon(store.forget_old(&all)).await.expect("removed");
    assert_eq!(database.number("SELECT count(*) FROM checkpoints").await, 0);
}

async fn checkpoint_goes_with_its_client(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    capture(&store, client.id).await;
    claim_all(&store).await[0].reach("1").await.expect("kept");
    store.delete_client(client.id, &Actor::System).await.expect("deleted");
    assert_eq!(database.number("SELECT count(*) FROM checkpoints").await, 0);
}
