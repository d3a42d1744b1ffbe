//! Looking for what is due: in bounded parts, in turn, and all of it in a round.

use std::collections::BTreeSet;

use sensei_domain::{DestinationId, Timestamp};
use sensei_persistence::{Actor, DestinationChange, Store};

use crate::fixtures::{TestDatabase, acme, capture, on_both, soon};
use crate::lanes::{Lanes, claim_all};

on_both!(
    round_comes_by_every_destination_once_in_bounded_looks,
    oldest_due_is_that_of_the_last_whole_round,
    resumed_destination_is_released_though_many_others_are_held,
);

/// More than two looks hop over, fewer than three.
const MANY: i64 = 600;

/// Adds so many deliveries like the one that is there, each for a destination of its own.
async fn add(database: &TestDatabase, many: i64, state: &str, due_at: Option<i64>) {
    let (id, series) = if database.is_sqlite() {
        (
            "randomblob(16)",
            "(WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many}) SELECT i FROM n)",
        )
    } else {
        ("gen_random_uuid()", "generate_series(1, {many})")
    };
    let series = series.replace("{many}", &many.to_string());
    let due_at = due_at.map_or("NULL".to_owned(), |due_at| due_at.to_string());
    database
        .execute(&format!(
            "INSERT INTO deliveries (id, client_id, event_id, lead_id, destination_id, state, due_at, attempt_count, \
             scheduled_attempts, created_at) SELECT {id}, d.client_id, d.event_id, d.lead_id, {id}, '{state}', {due_at}, 0, 0, \
             d.created_at FROM {series} AS n CROSS JOIN (SELECT * FROM deliveries LIMIT 1) AS d"
        ))
        .await;
}

/// What a round finds, and of how many looks it is.
async fn round(store: &Store) -> (BTreeSet<DestinationId>, usize) {
    let (mut found, mut looks) = (BTreeSet::new(), 0);
    loop {
        let look = soon(store.due_destinations()).await.expect("looked");
        assert!(look.destinations.len() <= 256, "a look is bounded");
        assert_eq!(look.begins_round, looks == 0);
        for destination in look.destinations {
            assert!(found.insert(destination), "once a round");
        }
        looks += 1;
        if look.ends_round {
            return (found, looks);
        }
    }
}

async fn destinations(database: &TestDatabase, which: &str) -> BTreeSet<DestinationId> {
    let sql = format!("SELECT destination_id FROM deliveries WHERE {which}");
    let rows = database.rows(&sql).await;
    let ids = rows.iter().map(|row| row.try_get_by_index(0).expect("an id"));
    ids.map(DestinationId::from_uuid).collect()
}

async fn round_comes_by_every_destination_once_in_bounded_looks(database: &TestDatabase) {
    let store = database.open().await;
    assert_eq!(round(&store).await, (BTreeSet::new(), 1));
    capture(&store, acme(&store).await.id).await;
    let now = database.clock_millis();
    // Destinations that only wait for tomorrow must keep nobody from being found, nor make a look dear.
    add(database, MANY, "pending", Some(now + 86_400_000)).await;
    add(database, 50, "pending", Some(now - 1)).await;
    let due = destinations(database, &format!("due_at <= {now}")).await;
    assert_eq!(due.len(), 51);
    assert_eq!(round(&store).await, (due.clone(), 3));
    assert_eq!(round(&store).await, (due, 3), "and again");
}

async fn oldest_due_is_that_of_the_last_whole_round(database: &TestDatabase) {
    let store = database.open().await;
    capture(&store, acme(&store).await.id).await;
    let now = database.clock_millis();
    add(database, MANY, "pending", Some(now + 86_400_000)).await;
    for age in [5_000, 70_000, 1] {
        add(database, 3, "pending", Some(now - age)).await;
    }
    soon(store.due_destinations()).await.expect("looked");
    assert_eq!(store.oldest_due(), None, "nobody knows yet");
    while !soon(store.due_destinations()).await.expect("looked").ends_round {}
    let oldest = Timestamp::from_millis(now - 70_000);
    assert_eq!(store.oldest_due(), Some(oldest));

    database
        .execute(&format!("DELETE FROM deliveries WHERE due_at <= {now}"))
        .await;
    soon(store.due_destinations()).await.expect("looked");
    assert_eq!(store.oldest_due(), Some(oldest), "until the round is over");
    while !soon(store.due_destinations()).await.expect("looked").ends_round {}
    assert_eq!(store.oldest_due(), None);
    assert!(claim_all(&store).await.is_empty());
}

async fn resumed_destination_is_released_though_many_others_are_held(database: &TestDatabase) {
    let store = database.open().await;
    let (_lanes, _jobs) = Lanes::with_room(0, &store);
    let client = acme(&store).await.id;
    capture(&store, client).await;
    add(database, MANY, "held", None).await;
    let pause = |is_paused| DestinationChange {
        is_paused: Some(is_paused),
        ..DestinationChange::default()
    };
    let settings = store.settings(client).await.expect("read").expect("a client");
    let id = settings.destination_id.expect("it has a URL");
    let actor = Actor::System;
    store
        .change_destination(client, id, &pause(true), &actor)
        .await
        .expect("paused");
    assert!(claim_all(&store).await.is_empty());
    let held = "SELECT count(*) FROM deliveries WHERE state = 'held'";
    assert_eq!(database.number(held).await, MANY + 1);
    store
        .change_destination(client, id, &pause(false), &actor)
        .await
        .expect("resumed");
    assert!(
        !soon(store.free_held()).await.expect("released"),
        "nothing else is known"
    );
    assert_eq!(
        database.number(held).await,
        MANY,
        "in the first look, wherever its round is"
    );

    // Without a word from anybody it is found in a round.
    database
        .execute("UPDATE deliveries SET state = 'held', due_at = NULL WHERE state = 'pending'")
        .await;
    for _ in 0..3 {
        soon(store.free_held()).await.expect("released");
    }
    assert_eq!(database.number(held).await, MANY);
}
