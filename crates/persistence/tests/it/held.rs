//! Held deliveries: nothing is dropped while a destination isn't active, and all of it is released, in order.

use sensei_domain::DeliveryState::{Cancelled, Failed, Held, Pending};
use sensei_domain::{ClientId, Clock as _, DestinationId};
use sensei_persistence::{Actor, DestinationChange, Refreshed, SettingsChange, Store};

use crate::fixtures::{LEASE, TestDatabase, acme, capture, deliveries, on_both, request, soon, states};
use crate::lanes::{DELIVERED, Lanes, claim_all, record, retry};

on_both!(
    paused_destination_drops_nothing_that_comes,
    what_comes_due_for_a_paused_destination_is_held,
    what_comes_after_a_resume_waits_for_what_was_held,
    what_waits_in_a_lane_is_held_once_it_is_read_again,
    redelivery_to_a_paused_destination_goes_back_to_where_it_was,
    held_deliveries_are_released_in_the_order_of_their_capture,
    held_deliveries_of_a_deleted_destination_are_cancelled,
);

async fn set_status(database: &TestDatabase, status: &str) {
    database
        .execute(&format!(
            "UPDATE destinations SET status = '{status}', version = version + 1"
        ))
        .await;
}

async fn free_all(store: &Store) {
    while soon(store.free_held()).await.expect("they are released") {}
}

async fn paused_destination_drops_nothing_that_comes(database: &TestDatabase) {
    let store = database.open().await;
    let (lanes, mut handed_over) = Lanes::with_room(10, &store);
    let client = acme(&store).await;
    set_status(database, "paused").await;
    capture(&store, client.id).await;
    assert_eq!(states(&store, client.id).await, [Held]);
    assert_eq!(deliveries(&store, client.id).await[0].due_at, None);
    assert_eq!(
        (lanes.room(), lanes.left_behind.lock().expect("no panic").len()),
        (10, 0)
    );
    assert!(handed_over.try_recv().is_err());
    free_all(&store).await;
    assert_eq!(states(&store, client.id).await, [Held], "it is paused still");
    database.clock.advance(LEASE * 2);
    assert!(claim_all(&store).await.is_empty());

    set_status(database, "active").await;
    free_all(&store).await;
    assert_eq!(states(&store, client.id).await, [Pending]);
    let job = claim_all(&store).await.remove(0);
    record(&store, &job, DELIVERED).await;
}

async fn what_comes_after_a_resume_waits_for_what_was_held(database: &TestDatabase) {
    let store = database.open().await;
    let (lanes, _handed_over) = Lanes::with_room(10, &store);
    let client = acme(&store).await;
    let id = destination_of(&store, client.id).await;
    let with = |is_paused| DestinationChange {
        is_paused: Some(is_paused),
        ..DestinationChange::default()
    };
    let change = with(true);
    let paused = store.change_destination(client.id, id, &change, &Actor::System).await;
    paused.expect("paused");
    capture(&store, client.id).await;
    assert!(lanes.left_behind.lock().expect("no panic").is_empty());
    let change = with(false);
    let resumed = store.change_destination(client.id, id, &change, &Actor::System).await;
    resumed.expect("resumed");
    assert_eq!(
        *lanes.left_behind.lock().expect("no panic"),
        [id],
        "its lane is told before anything new can come"
    );
}

/// The destination of a client's only URL.
async fn destination_of(store: &Store, client: ClientId) -> DestinationId {
    let settings = store.settings(client).await.expect("read").expect("there");
    settings.destination_id.expect("it has a URL")
}

async fn what_comes_due_for_a_paused_destination_is_held(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    capture(&store, client.id).await;
    let job = claim_all(&store).await.remove(0);
    record(&store, &job, retry(store.now().after(LEASE))).await;
    capture(&store, client.id).await;
    set_status(database, "disabled").await;
    assert!(claim_all(&store).await.is_empty());
    assert_eq!(
        states(&store, client.id).await,
        [Held, Pending],
        "a retry keeps its time"
    );
    database.clock.advance(LEASE);
    assert!(claim_all(&store).await.is_empty());
    assert_eq!(states(&store, client.id).await, [Held, Held]);

    set_status(database, "active").await;
    free_all(&store).await;
    let jobs = claim_all(&store).await;
    let standings = jobs
        .iter()
        .map(|job| job.standing.scheduled_attempt)
        .collect::<Vec<_>>();
    assert_eq!(standings, [2, 1], "the schedule goes on where it was");
}

async fn what_waits_in_a_lane_is_held_once_it_is_read_again(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    for _ in 0..3 {
        capture(&store, client.id).await;
    }
    let jobs = claim_all(&store).await;
    let leases = jobs.iter().map(|job| (job.delivery_id, job.lease)).collect::<Vec<_>>();
    set_status(database, "paused").await;
    let read = store.refresh(&leases[..2]).await.expect("it is read");
    assert!(read.iter().all(|refreshed| matches!(refreshed, Refreshed::Gone)));
    assert_eq!(states(&store, client.id).await, [Pending, Held, Held]);

    // The third is under way: what comes of it counts.
    record(&store, &jobs[2], DELIVERED).await;
    set_status(database, "active").await;
    free_all(&store).await;
    assert_eq!(claim_all(&store).await.len(), 2);
}

async fn redelivery_to_a_paused_destination_goes_back_to_where_it_was(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    capture(&store, client.id).await;
    let due = database.clock.now().as_millis();
    database
        .execute(&format!(
            "UPDATE deliveries SET prior_state = 'failed', due_at = {due}, failure_reason = 'exhausted'"
        ))
        .await;
    set_status(database, "paused").await;
    assert!(claim_all(&store).await.is_empty());
    assert_eq!(states(&store, client.id).await, [Failed]);
    let left = "SELECT count(*) FROM deliveries WHERE prior_state IS NOT NULL OR due_at IS NOT NULL";
    assert_eq!(database.number(left).await, 0);
}

async fn held_deliveries_are_released_in_the_order_of_their_capture(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    set_status(database, "paused").await;
    for _ in 0..3 {
        let captured = soon(store.capture(request(client.id, store.now(), 500))).await;
        captured.expect("it is captured");
        database.clock.advance(LEASE);
    }
    set_status(database, "active").await;
    let more = soon(store.free_held()).await.expect("released");
    assert!(more, "a step is bounded");
    assert_eq!(
        database
            .number("SELECT count(*) FROM deliveries WHERE state = 'pending'")
            .await,
        1_000
    );
    free_all(&store).await;
    // Later ones come behind those that were held.
    capture(&store, client.id).await;
    let mut jobs = claim_all(&store).await;
    jobs.extend(claim_all(&store).await);
    let ids = jobs.iter().map(|job| job.delivery_id.as_uuid()).collect::<Vec<_>>();
    assert_eq!(ids.len(), 1_501);
    assert!(ids.is_sorted());
}

async fn held_deliveries_of_a_deleted_destination_are_cancelled(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    set_status(database, "paused").await;
    capture(&store, client.id).await;
    let emptied = SettingsChange {
        lead_webhook_url: Some(None),
        ..SettingsChange::default()
    };
    let changed = store.change_settings(client.id, emptied, &sensei_persistence::Actor::System);
    changed.await.expect("it is changed");
    free_all(&store).await;
    assert_eq!(states(&store, client.id).await, [Cancelled]);
}
