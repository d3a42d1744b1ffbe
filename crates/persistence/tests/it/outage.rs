//! A database that goes away and comes back: told clearly, nothing acknowledged lost, service by itself.

use sea_orm::ConnectionTrait as _;
use sensei_domain::DeliveryState;
use sensei_persistence::{CaptureError, Captured};
use sensei_test_support::{PostgresOptions, PostgresServer};

use crate::fixtures::{TestDatabase, acme, request, soon, states};
use crate::lanes::{DELIVERED, claim_all, recording};

#[tokio::test(flavor = "multi_thread")]
async fn outage_is_told_and_what_was_attempted_is_recorded_after_it() {
    let Some(server) = PostgresServer::own(&PostgresOptions::default()) else {
        return;
    };
    let kept = server.database();
    let database = TestDatabase::of_server(&kept);
    let store = database.open().await;
    let client = acme(&store).await;
    soon(store.capture(request(client.id, store.now(), 3)))
        .await
        .expect("captured");
    let jobs = claim_all(&store).await;

    server.stop();
    let mut stored = Vec::new();
    for job in &jobs {
        let (recording, done) = recording(&store, job, DELIVERED);
        store.record(recording);
        stored.push(done);
    }
    let answer = soon(store.capture(request(client.id, store.now(), 1))).await;
    let Err(CaptureError::Store(error)) = answer else {
        panic!("{answer:?}")
    };
    assert!(error.is_transient(), "{error:?}");
    store.check().await.expect_err("not ready");
    assert!(
        stored
            .iter_mut()
            .all(|done| done.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Empty))
    );

    server.restart();
    for done in stored {
        soon(done).await.expect_err("the place is given back");
    }
    assert_eq!(states(&store, client.id).await, [DeliveryState::Succeeded; 3]);
    assert_eq!(database.number("SELECT count(*) FROM attempts").await, 3);
    let answer = soon(store.capture(request(client.id, store.now(), 1)))
        .await
        .expect("service resumes");
    assert_eq!(answer, Captured::Now);
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_lose_nothing_that_was_acknowledged() {
    let Some(server) = PostgresServer::shared() else { return };
    let kept = server.database();
    let database = TestDatabase::of_server(&kept);
    let store = database.open().await;
    let client = acme(&store).await;
    let captures = |store: sensei_persistence::Store| async move {
        let (mut acknowledged, mut refused) = (0, 0);
        while acknowledged < 100 {
            match store.capture(request(client.id, store.now(), 1)).await {
                Ok(_) => acknowledged += 1,
                Err(CaptureError::Store(error)) if error.is_transient() => refused += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
        (acknowledged, refused)
    };
    let callers = (0..4)
        .map(|_| tokio::spawn(captures(store.clone())))
        .collect::<Vec<_>>();
    while callers.iter().any(|caller| !caller.is_finished()) {
        kept.cut_connections().expect("cut");
    }
    let (mut acknowledged, mut refused) = (0, 0);
    for caller in callers {
        let (ok, not) = soon(caller).await.expect("no panic");
        acknowledged += ok;
        refused += not;
    }
    let [leads, events, deliveries, _] = database.captured_rows().await;
    assert_eq!((leads, leads), (events, deliveries), "whole or not at all");
    // A commit whose answer was lost may have taken place.
    assert!(
        (acknowledged..=acknowledged + refused).contains(&leads),
        "{leads} leads, {acknowledged} acknowledged"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn close_gives_up_on_a_database_that_is_gone() {
    let Some(server) = PostgresServer::own(&PostgresOptions::default()) else {
        return;
    };
    let kept = server.database();
    let database = TestDatabase::of_server(&kept);
    let store = database.open().await;
    let client = acme(&store).await;
    soon(store.capture(request(client.id, store.now(), 1)))
        .await
        .expect("captured");
    let job = claim_all(&store).await.remove(0);
    server.stop();
    let (recording, stored) = recording(&store, &job, DELIVERED);
    store.record(recording);
    soon(store.close()).await;
    soon(stored).await.expect_err("the place is given back");
    server.restart();
    let store = database.open().await;
    assert_eq!(
        states(&store, client.id).await,
        [DeliveryState::Pending],
        "to be attempted again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_that_waits_too_long_is_told_and_leaves_nothing() {
    let Some(database) = TestDatabase::postgres() else {
        return;
    };
    let store = database.open().await;
    let client = acme(&store).await;
    let other = database.connection().await;
    let run = async |sql: &str| other.execute_unprepared(sql).await.expect("it runs");
    run("BEGIN").await;
    run("SELECT id FROM clients FOR UPDATE").await;
    let answer = soon(store.capture(request(client.id, store.now(), 1))).await;
    let Err(CaptureError::Store(error)) = answer else {
        panic!("{answer:?}")
    };
    assert!(error.is_transient(), "{error:?}");
    run("ROLLBACK").await;
    let answer = soon(store.capture(request(client.id, store.now(), 1)))
        .await
        .expect("service resumes");
    assert_eq!(answer, Captured::Now);
    assert_eq!(database.captured_rows().await, [1, 1, 1, 0]);
}
