//! The counts of deliveries are what a count would give, whatever wrote them.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, Statement};
use sensei_domain::{ClientId, DeliveryState};
use sensei_persistence::{Actor, Retention, Store, Tally};
use serde_json::json;
use uuid::Uuid;

use crate::fixtures::{TestDatabase, URL, acme, capture, create, lead, on_both, request, soon};
use crate::lanes::{DELIVERED, REFUSED, claim_all, record, recording};

on_both!(
    captures_and_outcomes_are_counted_of_a_client_and_of_all,
    batch_that_is_repeated_item_by_item_is_counted_once,
    what_is_forgotten_counts_no_more,
    deleted_client_leaves_no_count_behind,
    what_was_there_before_is_counted,
    rows_changed_by_hand_are_counted,
);

/// Checks the counts of every client and of all against what is stored.
pub(crate) async fn are_exact(store: &Store, connection: &impl ConnectionTrait) -> Tally {
    let statement = Statement::from_string(
        connection.get_database_backend(),
        "SELECT client_id, state, count(*) FROM deliveries GROUP BY client_id, state",
    );
    let mut counted = BTreeMap::<Uuid, Tally>::new();
    let mut all = Tally::default();
    for row in connection.query_all_raw(statement).await.expect("counted") {
        let client = row.try_get_by_index(0).expect("an id");
        let state: String = row.try_get_by_index(1).expect("a text");
        let count = u64::try_from(row.try_get_by_index::<i64>(2).expect("a number")).expect("not negative");
        for tally in [counted.entry(client).or_default(), &mut all] {
            match state.parse().expect("a state") {
                DeliveryState::Pending => tally.pending += count,
                DeliveryState::Held => tally.held += count,
                DeliveryState::Succeeded => tally.succeeded += count,
                DeliveryState::Failed => tally.failed += count,
                DeliveryState::Cancelled => tally.cancelled += count,
            }
        }
    }
    for (client, expected) in counted {
        let tally = store.tally(Some(ClientId::from_uuid(client))).await.expect("read");
        assert_eq!(tally, expected, "of client {client}");
    }
    assert_eq!(store.tally(None).await.expect("read"), all, "of all");
    all
}

async fn check(database: &TestDatabase, store: &Store) -> Tally {
    let connection = database.connection().await;
    let before = are_exact(store, &connection).await;
    while soon(store.fold_tallies()).await.expect("added up") {}
    assert_eq!(are_exact(store, &connection).await, before, "nothing is lost between");
    connection.close().await.expect("it closes");
    before
}

async fn captures_and_outcomes_are_counted_of_a_client_and_of_all(database: &TestDatabase) {
    let store = database.open().await;
    let (one, other) = (
        acme(&store).await.id,
        create(&store, "Other", Some(URL)).await.client.id,
    );
    assert_eq!(check(database, &store).await, Tally::default());
    soon(store.capture(request(one, store.now(), 40)))
        .await
        .expect("captured");
    capture(&store, other).await;
    assert_eq!(check(database, &store).await.pending, 41);
    for (index, job) in claim_all(&store).await.iter().enumerate() {
        record(&store, job, if index % 4 == 0 { REFUSED } else { DELIVERED }).await;
    }
    let tally = check(database, &store).await;
    assert_eq!((tally.pending, tally.succeeded + tally.failed), (0, 41));
    assert!(tally.failed >= 10, "{tally:?}");
    let of_other = store.tally(Some(other)).await.expect("read");
    assert_eq!(of_other.succeeded + of_other.failed, 1);
}

async fn batch_that_is_repeated_item_by_item_is_counted_once(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    database
        .execute(if database.is_sqlite() {
            "CREATE TRIGGER refusal BEFORE INSERT ON leads WHEN NEW.name = 'Refused' BEGIN SELECT RAISE(ABORT, 'no'); END"
        } else {
            "ALTER TABLE leads ADD CONSTRAINT refusal CHECK (name <> 'Refused')"
        })
        .await;
    let captures = (0..60).map(|number| {
        let mut request = request(client, store.now(), 1);
        if number % 20 == 0 {
            request.leads[0].lead = lead(&json!({"name": "Refused", "email": "r@example.com"}));
        }
        store.capture(request)
    });
    let answers = soon(join_all(captures)).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 57);
    assert_eq!(check(database, &store).await.pending, 57);

    let jobs = claim_all(&store).await;
    let garbage = "UPDATE deliveries SET state = 'garbage' WHERE id = (SELECT id FROM deliveries ORDER BY id LIMIT 1)";
    database.execute(garbage).await;
    let mut waiting = Vec::new();
    for job in &jobs {
        let (recording, stored) = recording(&store, job, DELIVERED);
        store.record(recording);
        waiting.push(stored);
    }
    database
        .until_number("SELECT count(*) FROM deliveries WHERE state = 'succeeded'", 56)
        .await;
    database
        .execute("UPDATE deliveries SET state = 'pending' WHERE state = 'garbage'")
        .await;
    for stored in waiting {
        soon(stored).await.expect_err("the place is given back");
    }
    assert_eq!(check(database, &store).await.succeeded, 57);
}

async fn what_is_forgotten_counts_no_more(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    soon(store.capture(request(client, store.now(), 5)))
        .await
        .expect("captured");
    let jobs = claim_all(&store).await;
    for job in &jobs[..3] {
        record(&store, job, DELIVERED).await;
    }
    database.clock.advance(Duration::from_hours(24 * 100));
    let forgotten = soon(store.forget_old(&Retention::default())).await.expect("forgotten");
    assert!(forgotten >= 3, "{forgotten}");
    let tally = check(database, &store).await;
    assert_eq!((tally.pending, tally.succeeded), (2, 0));
}

async fn deleted_client_leaves_no_count_behind(database: &TestDatabase) {
    let store = database.open().await;
    let (gone, other) = (acme(&store).await.id, acme(&store).await.id);
    for client in [gone, other] {
        soon(store.capture(request(client, store.now(), 3)))
            .await
            .expect("captured");
    }
    while soon(store.fold_tallies()).await.expect("added up") {}
    assert!(store.delete_client(gone, &Actor::System).await.expect("deleted"));
    assert_eq!(check(database, &store).await.pending, 3);
    assert_eq!(store.tally(Some(gone)).await.expect("read"), Tally::default());
    soon(store.forget_old(&Retention::default())).await.expect("forgotten");
    assert_eq!(
        database.number("SELECT count(*) FROM tallies").await,
        2,
        "of the other one and of all"
    );
    check(database, &store).await;
}

async fn what_was_there_before_is_counted(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    soon(store.capture(request(client, store.now(), 5)))
        .await
        .expect("captured");
    record(&store, &claim_all(&store).await[0], DELIVERED).await;
    soon(store.close()).await;
    // As the release before left it.
    let undo: &[&str] = if database.is_sqlite() {
        &[
            "DROP TRIGGER deliveries_tally_insert",
            "DROP TRIGGER deliveries_tally_update",
            "DROP TRIGGER deliveries_tally_delete",
        ]
    } else {
        &["DROP FUNCTION tally_deliveries CASCADE", "DROP TABLE tally_changes"]
    };
    let forget = "DELETE FROM seaql_migrations WHERE version = 'm20261125_000001_tallies'";
    for sql in undo.iter().chain(&["DROP TABLE tallies", forget]) {
        database.execute(sql).await;
    }
    let store = database.open().await;
    let tally = check(database, &store).await;
    assert_eq!((tally.pending, tally.succeeded), (4, 1));
    capture(&store, client).await;
    assert_eq!(check(database, &store).await.pending, 5);
}

async fn rows_changed_by_hand_are_counted(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    soon(store.capture(request(client, store.now(), 5)))
        .await
        .expect("captured");
    database
        .execute("UPDATE deliveries SET state = 'held', due_at = NULL")
        .await;
    assert_eq!(check(database, &store).await.held, 5);
    database.execute("DELETE FROM deliveries").await;
    assert_eq!(check(database, &store).await, Tally::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_count_together_while_both_add_up() {
    let Some(database) = TestDatabase::postgres() else {
        return;
    };
    let stores = [database.open().await, database.open().await];
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(acme(&stores[0]).await.id);
    }
    let busy = |store: Store, clients: Vec<ClientId>| async move {
        for round in 0..20 {
            let captures = clients
                .iter()
                .map(|&client| store.capture(request(client, store.now(), 3)));
            for captured in join_all(captures).await {
                captured.expect("captured");
            }
            if round % 4 == 0 {
                for job in claim_all(&store).await {
                    record(&store, &job, DELIVERED).await;
                }
            }
            store.fold_tallies().await.expect("added up");
        }
    };
    let tasks = stores
        .each_ref()
        .map(|store| tokio::spawn(busy(store.clone(), clients.clone())));
    for task in tasks {
        soon(task).await.expect("no panic");
    }
    let tally = check(&database, &stores[0]).await;
    assert_eq!(tally.pending + tally.succeeded, 2 * 20 * 5 * 3);
    assert!(tally.succeeded > 0);
    assert_eq!(database.number("SELECT count(*) FROM tally_changes").await, 0);
}
