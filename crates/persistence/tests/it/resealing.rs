//! A master key that takes another's place.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use sea_orm::ConnectionTrait as _;
use sensei_domain::{ClientId, SignatureVersion};
use sensei_persistence::{
    Actor, Answer, Destination, DestinationChange, DestinationConfig, KeyedRequest, MasterKey, NewDestination,
    OpenError, Resealing, Rotation, Store, StoreOptions,
};
use serde_json::json;

use crate::destinations::new_destination;
use crate::fixtures::{ALL, TestDatabase, acme, create, on_both, soon};

on_both!(
    either_key_opens_and_a_start_must_have_both,
    everything_is_sealed_anew_and_only_the_new_key_is_needed,
    what_is_changed_meanwhile_is_not_overwritten,
    what_others_hold_is_sealed_as_they_leave_it,
    cut_off_in_the_middle_it_leaves_all_readable_and_goes_on,
    change_of_keys_can_be_taken_back,
    what_neither_key_opens_stays_and_keeps_nothing_up,
    same_key_twice_is_refused,
);

const DAY: Duration = Duration::from_hours(24);

async fn opened(
    database: &TestDatabase,
    current: &MasterKey,
    previous: Option<&MasterKey>,
) -> Result<Store, OpenError> {
    let options = StoreOptions {
        master_key: current.clone(),
        previous_master_key: previous.cloned(),
        ..database.options()
    };
    soon(Box::pin(Store::open(options))).await
}

async fn open(database: &TestDatabase, current: &MasterKey, previous: &MasterKey) -> Store {
    opened(database, current, Some(previous)).await.expect("it opens")
}

/// Of a start with these keys, the ids of the key that is missing and of those that were given.
async fn refused(database: &TestDatabase, current: &MasterKey, previous: Option<&MasterKey>) -> (String, String) {
    match opened(database, current, previous).await {
        Err(error @ OpenError::OtherMasterKey { .. }) => {
            let text = error.to_string();
            assert!(text.contains("set SENSEI_MASTER_KEY") && text.contains("SENSEI_PREVIOUS_MASTER_KEY"));
            let OpenError::OtherMasterKey { sealed, given } = error else {
                unreachable!("it was matched")
            };
            (sealed, given)
        }
        other => panic!("it must be refused: {other:?}"),
    }
}

fn with_token(name: &str, token: &str) -> NewDestination {
    let values = json!({"url": "https://crm.example.com/", "token": token});
    NewDestination {
        config: DestinationConfig::new(values, ["token"]),
        ..new_destination(name)
    }
}

fn keyed(key: &str) -> KeyedRequest {
    KeyedRequest {
        key: key.to_owned(),
        method: "POST",
        path: "/v1/destinations".to_owned(),
        fingerprint: [1; 32],
    }
}

/// Makes a destination with a token; asked again, answers as before. The answer is its secret.
async fn make(store: &Store, client: ClientId, name: &str) -> Answer {
    let (new, request) = (with_token(name, &format!("t0ken-{name}")), keyed(name));
    let once = store.create_destination(client, &new, Some(&request), told, &Actor::System);
    once.await.expect("made").answer
}

fn told(destination: &Destination) -> Answer {
    Answer {
        status: 201,
        body: Bytes::from(destination.secret.expose().as_bytes().to_vec()),
        holds_secret: true,
    }
}

async fn rotate(store: &Store, of: &Destination) -> Destination {
    let rotation = Rotation {
        overlap: DAY,
        version: SignatureVersion::V1,
    };
    let rotated = store.rotate_secret(of.client_id, of.id, rotation, None, told, &Actor::System);
    rotated.await.expect("rotated").done.expect("done")
}

/// Of each destination all that is secret, and its version.
async fn all(store: &Store, client: ClientId) -> BTreeMap<String, (String, String, Option<String>, i64)> {
    let read = store.destinations(client, ALL).await.expect("all can be read");
    let secrets = read.iter().map(|destination| {
        let previous = destination.previous_secret(store.now());
        let secrets = (
            destination.config.expose().to_string(),
            destination.secret.expose().to_string(),
            previous.map(|(secret, _)| secret.expose().to_string()),
            destination.version,
        );
        (destination.name.clone(), secrets)
    });
    secrets.collect()
}

/// Everything that is sealed, as it is in the database, under its key's id.
async fn sealed(database: &TestDatabase) -> BTreeMap<String, usize> {
    let answer = if database.is_sqlite() {
        "CAST(answer AS TEXT)"
    } else {
        "convert_from(answer, 'UTF8')"
    };
    let mut texts = Vec::new();
    for sql in [
        "SELECT sealed_secret FROM destinations WHERE deleted_at IS NULL",
        "SELECT previous_sealed_secret FROM destinations WHERE previous_sealed_secret IS NOT NULL",
        "SELECT value FROM store_facts WHERE name LIKE '%master_key'",
        &format!("SELECT {answer} FROM idempotency_keys WHERE is_sealed"),
    ] {
        texts.extend(database.texts(sql).await);
    }
    for config in database.texts("SELECT config FROM destinations").await {
        let config = serde_json::from_str::<serde_json::Value>(&config).expect("JSON");
        texts.extend(config["$sealed"].as_str().map(str::to_owned));
    }
    let mut ids = BTreeMap::new();
    for text in texts {
        let (id, _) = text.split_once(':').expect("a sealed text");
        *ids.entry(id.to_owned()).or_default() += 1;
    }
    ids
}

fn complete(resealed: u64) -> Resealing {
    Resealing {
        resealed,
        unreadable: 0,
        is_complete: true,
    }
}

async fn either_key_opens_and_a_start_must_have_both(database: &TestDatabase) {
    let (old, new) = (&database.master_key, &MasterKey::generate());
    let store = database.open().await;
    let client = acme(&store).await.id;
    let answer = make(&store, client, "CRM").await;
    let before = all(&store, client).await;
    soon(store.close()).await;

    let store = open(database, new, old).await;
    assert_eq!(all(&store, client).await, before);
    assert_eq!(make(&store, client, "CRM").await, answer, "as it was answered before");
    make(&store, client, "Board").await;
    let after = all(&store, client).await;
    soon(store.close()).await;
    assert_eq!(
        refused(database, old, None).await,
        (new.id().to_owned(), old.id().to_owned())
    );
    assert_eq!(
        refused(database, new, None).await,
        (old.id().to_owned(), new.id().to_owned())
    );
    let third = &MasterKey::generate();
    assert_eq!(refused(database, third, Some(old)).await.0, new.id());
    let (missing, given) = refused(database, third, Some(new)).await;
    assert_eq!(
        (missing, given),
        (old.id().to_owned(), format!("{} or {}", third.id(), new.id()))
    );
    let store = open(database, new, old).await;
    assert_eq!(all(&store, client).await, after);
    let options = StoreOptions {
        previous_master_key: Some(new.clone()),
        ..database.options()
    };
    let shown = format!("{options:?} {store:?}");
    assert!(!shown.contains(&*old.expose()) && !shown.contains(&*new.expose()));
}

async fn everything_is_sealed_anew_and_only_the_new_key_is_needed(database: &TestDatabase) {
    let (old, new) = (&database.master_key, &MasterKey::generate());
    let store = database.open().await;
    let client = acme(&store).await.id;
    let mut answers = Vec::new();
    for name in ["CRM", "Board", "Chat"] {
        answers.push(make(&store, client, name).await);
    }
    for destination in store.destinations(client, ALL).await.expect("listed") {
        match destination.name.as_str() {
            "Board" => drop(rotate(&store, &destination).await),
            "Chat" => assert!(
                store
                    .delete_destination(client, destination.id, &Actor::System)
                    .await
                    .expect("deleted")
            ),
            _ => {}
        }
    }
    let before = all(&store, client).await;
    soon(store.close()).await;

    let store = open(database, new, old).await;
    // Three signing secrets and the one before, two tokens, three answers.
    assert_eq!(soon(store.reseal()).await.expect("done"), complete(9));
    assert_eq!(sealed(database).await, BTreeMap::from([(new.id().to_owned(), 10)]));
    assert_eq!(all(&store, client).await, before, "versions too");
    assert_eq!(soon(store.reseal()).await.expect("done"), complete(0));
    soon(store.close()).await;
    assert_eq!(refused(database, old, None).await.0, new.id());

    let store = opened(database, new, None).await.expect("the new key is enough");
    assert_eq!(all(&store, client).await, before);
    for (name, answer) in ["CRM", "Board", "Chat"].into_iter().zip(answers) {
        assert_eq!(make(&store, client, name).await, answer);
    }
}

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

async fn cut_off_in_the_middle_it_leaves_all_readable_and_goes_on(database: &TestDatabase) {
    let (old, new) = (&database.master_key, &MasterKey::generate());
    let store = database.open().await;
    let client = acme(&store).await.id;
    for number in 0..60 {
        make(&store, client, &format!("d{number}")).await;
    }
    let before = all(&store, client).await;
    soon(store.close()).await;

    let store = open(database, new, old).await;
    let some = format!(
        "SELECT count(*) FROM destinations WHERE sealed_secret LIKE '{}:%'",
        new.id()
    );
    tokio::select! {
        biased;
        () = async { while database.number(&some).await == 0 {} } => {}
        done = store.reseal() => panic!("it takes several steps: {done:?}"),
    }
    soon(store.close()).await;
    let found = sealed(database).await;
    assert!(found[old.id()] > 0 && found[new.id()] > 1, "some under each: {found:?}");
    assert_eq!(refused(database, old, None).await.0, new.id());
    assert_eq!(refused(database, new, None).await.0, old.id());

    let store = open(database, new, old).await;
    assert_eq!(all(&store, client).await, before);
    let left = u64::try_from(found[old.id()] - 1).expect("a count");
    assert_eq!(
        soon(store.reseal()).await.expect("done"),
        complete(left),
        "but for the mark"
    );
    assert_eq!(sealed(database).await.into_keys().collect::<Vec<_>>(), [new.id()]);
    soon(store.close()).await;
    let store = opened(database, new, None).await.expect("the new key is enough");
    assert_eq!(all(&store, client).await, before);
}

async fn change_of_keys_can_be_taken_back(database: &TestDatabase) {
    let (old, new) = (&database.master_key, &MasterKey::generate());
    let store = database.open().await;
    let client = acme(&store).await.id;
    make(&store, client, "CRM").await;
    soon(store.close()).await;
    let store = open(database, new, old).await;
    make(&store, client, "Board").await;
    let before = all(&store, client).await;
    soon(store.close()).await;

    let store = open(database, old, new).await;
    assert!(soon(store.reseal()).await.expect("done").is_complete);
    assert_eq!(sealed(database).await.into_keys().collect::<Vec<_>>(), [old.id()]);
    soon(store.close()).await;
    let store = database.open().await;
    assert_eq!(all(&store, client).await, before);
}

async fn what_neither_key_opens_stays_and_keeps_nothing_up(database: &TestDatabase) {
    let (old, new) = (&database.master_key, &MasterKey::generate());
    let store = database.open().await;
    let client = acme(&store).await.id;
    make(&store, client, "CRM").await;
    soon(store.close()).await;
    let damage = format!(
        "UPDATE destinations SET sealed_secret = '{}:AAAA' WHERE name = 'CRM'",
        old.id()
    );
    database.execute(&damage).await;

    let store = open(database, new, old).await;
    let done = soon(store.reseal()).await.expect("done");
    let expected = Resealing {
        unreadable: 1,
        ..complete(3)
    };
    assert_eq!(
        done, expected,
        "the webhook's secret, a token and an answer were sealed"
    );
    let kept = database
        .texts("SELECT sealed_secret FROM destinations WHERE name = 'CRM'")
        .await;
    assert_eq!(kept, [format!("{}:AAAA", old.id())]);
    soon(store.close()).await;
    opened(database, new, None).await.expect("the new key is enough");
}

async fn same_key_twice_is_refused(database: &TestDatabase) {
    let key = &database.master_key;
    let error = opened(database, key, Some(key)).await.expect_err("it is refused");
    assert!(
        matches!(&error, OpenError::SameMasterKey { id } if id == key.id()),
        "{error:?}"
    );
    assert!(error.to_string().contains("SENSEI_PREVIOUS_MASTER_KEY"), "{error}");
    database.open().await;
}
