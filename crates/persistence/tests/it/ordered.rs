//! Ordered destinations: one at a time, in the order of capture.

use std::sync::Mutex;
use std::time::Duration;

use sensei_domain::{ClientId, DeliveryId, DestinationId};
use sensei_persistence::{Claim, Job, Store};

use crate::fixtures::{ALL, LEASE, TestDatabase, acme, on_both, request, soon};
use crate::lanes::{DELIVERED, Lanes, claim, record, retry};

on_both!(
    ordered_destination_gives_its_head_alone,
    head_whose_lease_ended_goes_before_those_that_came_after_it,
    held_delivery_blocks_an_ordered_destination,
    clock_that_is_put_back_neither_stops_nor_turns_the_order,
    claim_takes_what_finds_a_place_and_leaves_the_rest,
    what_was_in_memory_goes_first_once_the_order_matters,
);

/// An ordered destination with some deliveries, in the order of their capture.
async fn ordered(store: &Store, database: &TestDatabase, deliveries: usize) -> (DestinationId, Vec<DeliveryId>) {
    let client = acme(store).await.id;
    database.execute("UPDATE destinations SET ordered = TRUE").await;
    let settings = store.settings(client).await.expect("read").expect("there");
    for _ in 0..deliveries {
        capture(store, client).await;
        database.clock.advance(Duration::from_millis(1));
    }
    let mut ids = crate::fixtures::deliveries(store, client)
        .await
        .into_iter()
        .map(|delivery| delivery.id)
        .collect::<Vec<_>>();
    ids.reverse();
    (settings.destination_id.expect("it has a URL"), ids)
}

async fn capture(store: &Store, client: ClientId) {
    soon(store.capture(request(client, store.now(), 1)))
        .await
        .expect("captured");
}

/// What a claim with much room gives, and whether more is left.
async fn head(store: &Store, destination_id: DestinationId) -> (Option<Job>, bool) {
    let claims = [Claim {
        destination_id,
        room: 50,
    }];
    let mut claimed = store.claim(&claims, |_| false, |_, _| Some(())).await.expect("claimed");
    let claimed = claimed.remove(0);
    assert!(claimed.jobs.len() <= 1, "one at a time");
    (claimed.jobs.into_iter().next().map(|(job, ())| job), claimed.left)
}

async fn ordered_destination_gives_its_head_alone(database: &TestDatabase) {
    let store = database.open().await;
    let (destination, ids) = ordered(&store, database, 3).await;
    let (first, left) = head(&store, destination).await;
    let first = first.expect("a head");
    assert_eq!((first.delivery_id, left), (ids[0], true));
    assert!(head(&store, destination).await.0.is_none(), "while one is leased");
    record(&store, &first, retry(store.now().after(Duration::from_secs(5)))).await;
    assert!(
        head(&store, destination).await.0.is_none(),
        "while one waits for its retry"
    );
    database.clock.advance(Duration::from_secs(5));
    for (id, is_left) in [(ids[0], true), (ids[1], true), (ids[2], false)] {
        let (job, left) = head(&store, destination).await;
        let job = job.expect("a head");
        assert_eq!((job.delivery_id, left), (id, is_left));
        record(&store, &job, DELIVERED).await;
    }
    let (none, left) = head(&store, destination).await;
    assert!(none.is_none() && !left);
}

async fn head_whose_lease_ended_goes_before_those_that_came_after_it(database: &TestDatabase) {
    let store = database.open().await;
    let (destination, ids) = ordered(&store, database, 3).await;
    let (lost, _) = head(&store, destination).await;
    let lost = lost.expect("a head");
    database.clock.advance(LEASE);
    let (again, _) = head(&store, destination).await;
    let again = again.expect("a head");
    assert_eq!(
        (lost.delivery_id, again.delivery_id),
        (ids[0], ids[0]),
        "its process died"
    );
    store
        .release(&[(again.delivery_id, again.lease)])
        .await
        .expect("released");
    database.clock.advance(Duration::from_secs(1));
    let (again, _) = head(&store, destination).await;
    assert_eq!(again.expect("a head").delivery_id, ids[0], "it was given back");
    // What this process holds isn't given again, nor passed, however long its lease is over by the clock.
    database.clock.advance(LEASE);
    let claims = [Claim {
        destination_id: destination,
        room: 9,
    }];
    let claimed = store
        .claim(&claims, |id| id == ids[0], |_, _| Some(()))
        .await
        .expect("claimed");
    assert!(claimed[0].jobs.is_empty() && claimed[0].left);
}

async fn held_delivery_blocks_an_ordered_destination(database: &TestDatabase) {
    let store = database.open().await;
    let (destination, ids) = ordered(&store, database, 2).await;
    database
        .execute("UPDATE deliveries SET state = 'held', due_at = NULL WHERE id = (SELECT id FROM deliveries ORDER BY id LIMIT 1)")
        .await;
    assert!(head(&store, destination).await.0.is_none());
    database
        .execute("UPDATE deliveries SET state = 'pending', due_at = created_at WHERE state = 'held'")
        .await;
    assert_eq!(claim(&store, destination, 1).await[0].delivery_id, ids[0]);
}

async fn clock_that_is_put_back_neither_stops_nor_turns_the_order(database: &TestDatabase) {
    let store = database.open().await;
    let (destination, ids) = ordered(&store, database, 2).await;
    database.clock.put_back(Duration::from_mins(20));
    let clients = store.clients(ALL).await.expect("listed");
    for _ in 0..2 {
        capture(&store, clients[0].id).await;
    }
    for number in 0..4 {
        let (job, _) = head(&store, destination).await;
        let job = job.expect("nobody had it");
        assert!(ids.get(number).is_none_or(|id| job.delivery_id == *id), "{number}");
        assert!(head(&store, destination).await.0.is_none(), "while one is leased");
        record(&store, &job, DELIVERED).await;
    }
    assert!(head(&store, destination).await.0.is_none());
}

async fn claim_takes_what_finds_a_place_and_leaves_the_rest(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    let settings = store.settings(client).await.expect("read").expect("there");
    let destination_id = settings.destination_id.expect("it has a URL");
    let (lanes, _jobs) = Lanes::with_room(0, &store);
    soon(store.capture(request(client, store.now(), 10)))
        .await
        .expect("captured");
    assert_eq!(lanes.room(), 0);
    let claims = [Claim {
        destination_id,
        room: 8,
    }];
    let budget = Mutex::new(0);
    let reserve = |of: &std::sync::Arc<sensei_persistence::Destination>, bytes: usize| {
        assert_eq!(of.id, destination_id);
        let mut taken = budget.lock().expect("no panic");
        if *taken > 2 * bytes {
            return None;
        }
        *taken += bytes;
        Some(bytes)
    };
    let claimed = store
        .claim(&claims, |_| false, reserve)
        .await
        .expect("claimed")
        .remove(0);
    assert!(claimed.left);
    assert!(claimed.jobs.iter().all(|(job, bytes)| job.body.len() == *bytes));
    assert_eq!(claimed.jobs.len(), 3);
    assert_eq!(
        claim(&store, destination_id, 50).await.len(),
        7,
        "only what found a place was leased"
    );
}

/// Of a backlog some was leased when its destination was made ordered; it is given back, or its process dies.
async fn what_was_in_memory_goes_first_once_the_order_matters(database: &TestDatabase) {
    let mut store = database.open().await;
    let (destination, ids) = ordered(&store, database, 4).await;
    for dies in [false, true] {
        if dies && store.is_shared() {
            // There a lease runs out by itself.
            break;
        }
        database
            .execute("UPDATE destinations SET ordered = FALSE, version = version + 1")
            .await;
        let claimed = claim(&store, destination, 2).await;
        let held = claimed
            .iter()
            .map(|job| (job.delivery_id, job.lease))
            .collect::<Vec<_>>();
        assert_eq!(held.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids[..2]);
        database
            .execute("UPDATE destinations SET ordered = TRUE, version = version + 1")
            .await;
        database.clock.advance(Duration::from_secs(1));
        if dies {
            store.close().await;
            store = database.open().await;
        } else {
            store.release(&held).await.expect("released");
        }
    }
    for id in ids {
        let job = head(&store, destination).await.0.expect("a head");
        assert_eq!(job.delivery_id, id);
        record(&store, &job, DELIVERED).await;
    }
}
