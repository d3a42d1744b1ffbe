//! What others change while everything is sealed anew.

use sensei_persistence::DestinationChange;

use super::*;
use crate::fixtures::create;

on_both!(
    what_is_changed_meanwhile_is_not_overwritten,
    what_others_hold_is_sealed_as_they_leave_it,
);

async fn what_is_changed_meanwhile_is_not_overwritten(database: &TestDatabase) {
    const COUNT: usize = 50;
    let (old, new) = (&database.master_key, &MasterKey::generate());
    let store = database.open().await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let client = acme(&store).await.id;
        for number in 0..COUNT / 5 {
            make(&store, client, &format!("d{number}")).await;
        }
        clients.push(client);
    }
    soon(store.close()).await;

    let store = open(database, new, old).await;
    // Another process, where there can be one.
    let beside = if database.is_sqlite() {
        store.clone()
    } else {
        open(database, new, old).await
    };
    let changing = clients.iter().map(|client| async {
        let mut last = BTreeMap::new();
        for round in 0..3 {
            for destination in store.destinations(*client, ALL).await.expect("listed") {
                let rotated = rotate(&store, &destination).await;
                let change = DestinationChange {
                    config: Some(with_token("x", &format!("t0ken-{round}-{}", destination.id)).config),
                    ..DestinationChange::default()
                };
                let changed = store.change_destination(*client, destination.id, &change, &Actor::System);
                let changed = changed.await.expect("changed");
                last.insert(
                    changed.id,
                    (changed.config.clone(), rotated.secret.expose().to_string()),
                );
            }
        }
        last
    });
    let changing = futures_util::future::join_all(changing);
    let (changed, resealed) = soon(async { tokio::join!(changing, beside.reseal()) }).await;
    let resealed = match resealed {
        Ok(resealed) => resealed,
        // PostgreSQL may have ended one of two that waited for each other.
        Err(error) if error.is_transient() => soon(beside.reseal()).await.expect("done"),
        Err(error) => panic!("{error:?}"),
    };
    assert!(resealed.is_complete && resealed.resealed > 0, "{resealed:?}");
    assert_eq!(sealed(database).await.into_keys().collect::<Vec<_>>(), [new.id()]);
    soon(beside.close()).await;
    soon(store.close()).await;

    let store = opened(database, new, None).await.expect("the new key is enough");
    for (client, changed) in clients.into_iter().zip(changed) {
        for destination in store.destinations(client, ALL).await.expect("all can be read") {
            let is = (destination.config.clone(), destination.secret.expose().to_string());
            assert_eq!(changed[&destination.id], is);
        }
    }
}

async fn what_others_hold_is_sealed_as_they_leave_it(database: &TestDatabase) {
    if database.is_sqlite() {
        return;
    }
    let (old, new) = (&database.master_key, &MasterKey::generate());
    let text = async |column: &str| {
        let sql = format!("SELECT {column} FROM destinations WHERE name = 'CRM'");
        database.texts(&sql).await.remove(0)
    };
    let store = database.open().await;
    let client = create(&store, "Acme Corp", None).await.client.id;
    make(&store, client, "CRM").await;
    let made = store.destinations(client, ALL).await.expect("listed").remove(0);
    let first = rotate(&store, &made).await;
    let by_old = [text("sealed_secret").await, text("previous_sealed_secret").await];
    soon(store.close()).await;
    let store = open(database, new, old).await;
    let second = rotate(&store, &first).await;
    let by_new = text("sealed_secret").await;
    let put_back = format!(
        "UPDATE destinations SET sealed_secret = '{}', previous_sealed_secret = '{}' WHERE name = 'CRM'",
        by_old[0], by_old[1]
    );
    database.execute(&put_back).await;

    // Who changes a destination has its client's row.
    let other = database.connection().await;
    let say = async |sql: &str| other.execute_unprepared(sql).await.expect("it is done");
    say("BEGIN; SELECT id FROM clients FOR UPDATE").await;
    let change = async {
        database.somebody_waits_for_a_lock().await;
        say(&format!(
            "UPDATE destinations SET sealed_secret = '{by_new}' WHERE name = 'CRM'; COMMIT"
        ))
        .await;
    };
    let (done, ()) = soon(Box::pin(async { tokio::join!(store.reseal(), change) })).await;
    assert!(done.expect("done").is_complete);
    assert_eq!(text("sealed_secret").await, by_new);

    // But for who removes a secret that signs nothing any more.
    database.execute(&put_back).await;
    say("BEGIN; UPDATE destinations SET previous_sealed_secret = NULL, previous_secret_until = NULL").await;
    let forget = async {
        database.somebody_waits_for_a_lock().await;
        say("COMMIT").await;
    };
    let (done, ()) = soon(Box::pin(async { tokio::join!(store.reseal(), forget) })).await;
    assert!(done.expect("done").is_complete);
    assert_eq!(text("coalesce(previous_sealed_secret, 'none')").await, "none");
    soon(store.close()).await;
    let store = opened(database, new, None).await.expect("the new key is enough");
    let read = store
        .destination(client, made.id)
        .await
        .expect("it can be read")
        .expect("there");
    assert_eq!(read.secret.expose(), first.secret.expose());
    assert_ne!(read.secret.expose(), second.secret.expose());
}
