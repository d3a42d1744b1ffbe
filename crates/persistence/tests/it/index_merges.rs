//! The parts of SQLite's index of words are merged by the follower, not by the commits that add them.

use std::time::Duration;

use sensei_domain::ClientId;
use sensei_persistence::{Actor, Store};
use serde_json::{Value, json};

use crate::fixtures::{TestDatabase, acme, soon};
use crate::search::{capture, find, index, keeps};

/// More than SQLite would let gather.
const PARTS: i64 = 40;

/// Parts of the index: a row's id begins with its part's.
async fn parts(database: &TestDatabase) -> i64 {
    let rows = database
        .rows("SELECT count(DISTINCT id >> 37) FROM lead_words_data WHERE id >> 37 > 0")
        .await;
    rows[0].try_get_by_index(0).expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_merged_by_steps_of_their_own() {
    let database = TestDatabase::sqlite();
    let store = database.open().await;
    let client = acme(&store).await.id;
    let mut captured = Vec::new();
    for number in 0..PARTS {
        let message = if number == PARTS / 2 { "zebra" } else { "hello" };
        let lead = json!({"name": "Anna", "email": "anna@example.com", "message": message});
        captured.push(capture(&store, client, &lead).await);
        index(&database, &store).await;
    }
    assert_eq!(parts(&database).await, PARTS, "none is merged by a commit");
    captured.reverse();
    assert_eq!(find(&store, client, "anna").await, captured);

    assert!(store.merge_index().await.expect("merged"));
    assert_eq!(
        find(&store, client, "anna").await,
        captured,
        "while they are being merged"
    );
    soon(async { while store.merge_index().await.expect("merged") {} }).await;
    assert!(parts(&database).await < 4, "{} parts", parts(&database).await);
    assert!(!store.merge_index().await.expect("nothing to merge"));
    assert_eq!(find(&store, client, "anna").await, captured);

    assert!(keeps(&database, "zebra").await);
    let [erased] = find(&store, client, "zebra").await[..] else {
        panic!("one lead has it");
    };
    store.erase_lead(client, erased, &Actor::System).await.expect("erased");
    captured.retain(|lead| *lead != erased);
    assert_eq!(find(&store, client, "anna").await, captured);
    assert!(!keeps(&database, "zebra").await);
}

/// A store whose index has so many parts, each of a lead of this client.
async fn with_parts(database: &TestDatabase) -> (Store, ClientId) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    for _ in 0..PARTS {
        capture(&store, client, &anna()).await;
        index(database, &store).await;
    }
    (store, client)
}

fn anna() -> Value {
    json!({"name": "Anna", "email": "anna@example.com"})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_follower_merges_them() {
    let database = TestDatabase::sqlite();
    let (store, _) = with_parts(&database).await;
    store.index_in_background();
    soon(async { while parts(&database).await >= 4 {} }).await;
    soon(store.close()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn none_is_added_while_many_lie_there() {
    let database = TestDatabase::sqlite();
    let (store, client) = with_parts(&database).await;
    capture(&store, client, &anna()).await;
    database.clock.advance(Duration::from_mins(1));
    let indexed = "SELECT count(*) FROM searchable_leads";
    assert!(store.index_or_merge().await.expect("a step"));
    assert_eq!(database.number(indexed).await, PARTS, "it merges");
    assert!(parts(&database).await < PARTS);
    soon(async { while store.index_or_merge().await.expect("a step") {} }).await;
    assert_eq!(database.number(indexed).await, PARTS + 1);
}
