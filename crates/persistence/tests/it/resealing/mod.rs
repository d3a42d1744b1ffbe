//! A master key that takes another's place.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use sea_orm::ConnectionTrait as _;
use sensei_domain::{ClientId, SignatureVersion};
use sensei_persistence::{
    Actor, Answer, Destination, DestinationConfig, KeyedRequest, MasterKey, NewDestination, OpenError, Resealing,
    Rotation, Store, StoreOptions,
};
use serde_json::json;

use crate::destinations::new_destination;
use crate::fixtures::{ALL, TestDatabase, acme, on_both, soon};

mod meanwhile;

on_both!(
    either_key_opens_and_a_start_must_have_both,
    everything_is_sealed_anew_and_only_the_new_key_is_needed,
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
