//! Signing secrets, replaced.

use std::time::Duration;

use bytes::Bytes;
use sensei_domain::{ClientId, DestinationId, SignatureVersion, Signer};
use sensei_persistence::{Actor, Answer, ChangeError, Destination, KeyedRequest, Once, Rotation, Store};

use crate::destinations::make;
use crate::fixtures::{TestDatabase, acme, on_both, soon};
use crate::lanes::Lanes;

on_both!(
    new_secret_signs_at_once_and_the_one_before_until_the_overlap_ends,
    second_rotation_keeps_only_the_latest_secret_before,
    without_an_overlap_the_new_secret_is_alone,
    key_pair_takes_turns_with_a_secret,
    equal_rotations_are_one,
    no_secret_is_in_the_database_in_plain,
    secret_before_is_removed_once_its_overlap_has_ended,
);

const DAY: Duration = Duration::from_hours(24);

fn rotation(overlap: Duration) -> Rotation {
    Rotation {
        overlap,
        version: SignatureVersion::V1,
    }
}

async fn rotate(
    store: &Store,
    of: &Destination,
    rotation: Rotation,
    request: Option<&KeyedRequest>,
) -> Once<Destination> {
    let answer = |destination: &Destination| Answer {
        status: 200,
        body: Bytes::from(destination.secret.expose().as_bytes().to_vec()),
        holds_secret: true,
    };
    let once = store.rotate_secret(of.client_id, of.id, rotation, request, answer, &Actor::System);
    once.await.expect("rotated")
}

async fn read(store: &Store, of: &Destination) -> std::sync::Arc<Destination> {
    store
        .destination(of.client_id, of.id)
        .await
        .expect("read")
        .expect("there")
}

fn texts(destination: &Destination, store: &Store) -> Vec<String> {
    let previous = destination.previous_secret(store.now()).map(|(previous, _)| previous);
    let all = [Some(&destination.secret), previous];
    all.into_iter()
        .flatten()
        .map(|signer| signer.expose().to_string())
        .collect()
}

async fn new_secret_signs_at_once_and_the_one_before_until_the_overlap_ends(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let made = make(&store, client.id, "CRM").await.expect("made");
    let first = made.secret.expose().to_string();
    let (lanes, _jobs) = Lanes::with_room(0, &store);
    let rotated = rotate(&store, &made, rotation(DAY), None).await.done.expect("done");
    assert_eq!(*lanes.changed.lock().expect("no panic"), [made.id]);
    let now = read(&store, &made).await;
    let second = rotated.secret.expose().to_string();
    assert_eq!((now.version, texts(&now, &store)), (2, vec![second.clone(), first]));
    assert_eq!(
        now.previous_secret(store.now()).expect("one before").1,
        store.now().after(DAY)
    );
    let signature = now.sign("msg_1", store.now(), b"{}");
    assert_eq!(signature.split(' ').count(), 2);
    database.clock.advance(DAY);
    let now = read(&store, &made).await;
    assert_eq!(texts(&now, &store), [second]);
    assert_eq!(now.sign("msg_1", store.now(), b"{}").split(' ').count(), 1);
}

async fn second_rotation_keeps_only_the_latest_secret_before(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let made = make(&store, client.id, "CRM").await.expect("made");
    let second = rotate(&store, &made, rotation(DAY), None).await.done.expect("done");
    let third = rotate(&store, &made, rotation(DAY), None).await.done.expect("done");
    let expected = [third, second].map(|destination| destination.secret.expose().to_string());
    assert_eq!(texts(&*read(&store, &made).await, &store), expected);
}

async fn without_an_overlap_the_new_secret_is_alone(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let made = make(&store, client.id, "CRM").await.expect("made");
    rotate(&store, &made, rotation(DAY), None).await;
    rotate(&store, &made, rotation(Duration::ZERO), None).await;
    let now = read(&store, &made).await;
    assert_eq!(texts(&now, &store).len(), 1);
    let kept = "SELECT count(*) FROM destinations WHERE previous_sealed_secret IS NOT NULL";
    assert_eq!(database.number(kept).await, 0);
    let nobody = store.rotate_secret(
        ClientId::new(store.now()),
        DestinationId::new(store.now()),
        rotation(DAY),
        None,
        |_| unreachable!("nothing is answered"),
        &Actor::System,
    );
    assert!(matches!(nobody.await, Err(ChangeError::UnknownDestination)));
}

async fn key_pair_takes_turns_with_a_secret(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let made = make(&store, client.id, "CRM").await.expect("made");
    let pair = Rotation {
        overlap: DAY,
        version: SignatureVersion::V1a,
    };
    rotate(&store, &made, pair, None).await;
    let now = read(&store, &made).await;
    assert!(matches!(now.secret, Signer::KeyPair(_)));
    let versions = |signatures: String| {
        let versions = signatures
            .split(' ')
            .map(|one| one.split_once(',').expect("a version").0.to_owned());
        versions.collect::<Vec<_>>()
    };
    assert_eq!(versions(now.sign("msg_1", store.now(), b"{}")), ["v1a", "v1"]);
    rotate(&store, &made, rotation(DAY), None).await;
    let now = read(&store, &made).await;
    assert_eq!(versions(now.sign("msg_1", store.now(), b"{}")), ["v1", "v1a"]);
}

async fn equal_rotations_are_one(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let made = make(&store, client.id, "CRM").await.expect("made");
    let request = KeyedRequest {
        key: "k".to_owned(),
        method: "POST",
        path: "/rotate".to_owned(),
        fingerprint: [1; 32],
    };
    let first = rotate(&store, &made, rotation(DAY), Some(&request)).await;
    let (lanes, _jobs) = Lanes::with_room(0, &store);
    let again = rotate(&store, &made, rotation(DAY), Some(&request)).await;
    assert_eq!(again.answer, first.answer);
    assert!(again.done.is_none() && lanes.changed.lock().expect("no panic").is_empty());
    assert_eq!(read(&store, &made).await.version, 2);
}

async fn no_secret_is_in_the_database_in_plain(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let made = make(&store, client.id, "CRM").await.expect("made");
    rotate(&store, &made, rotation(DAY), None).await;
    let now = read(&store, &made).await;
    let sql = "SELECT sealed_secret || ' ' || previous_sealed_secret FROM destinations WHERE name = 'CRM'";
    let kept = database.texts(sql).await.remove(0);
    for text in texts(&now, &store) {
        assert!(!kept.contains(text.strip_prefix("whsec_").expect("a prefix")));
    }
}

async fn secret_before_is_removed_once_its_overlap_has_ended(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let kept = "SELECT count(*) FROM destinations WHERE previous_sealed_secret IS NOT NULL";
    let without = "SELECT count(*) FROM destinations WHERE previous_sealed_secret IS NULL \
                   AND previous_secret_until IS NULL";
    let (short, long) = (
        make(&store, client.id, "CRM").await.expect("made"),
        make(&store, client.id, "Board").await.expect("made"),
    );
    let rotated = rotate(&store, &short, rotation(DAY), None).await.done.expect("done");
    rotate(&store, &long, rotation(DAY * 2), None).await;
    database.clock.advance(DAY.saturating_sub(Duration::from_millis(1)));
    assert!(!store.forget_expired_secrets().await.expect("removed"));
    assert_eq!(database.number(kept).await, 2, "both still sign");
    database.clock.advance(Duration::from_millis(1));
    assert!(!store.forget_expired_secrets().await.expect("removed"));
    assert_eq!((database.number(kept).await, database.number(without).await), (1, 2));
    assert_eq!(texts(&*read(&store, &long).await, &store).len(), 2);
    soon(store.close()).await;

    // Read anew, from what is stored.
    let store = database.open().await;
    let now = read(&store, &short).await;
    assert_eq!(texts(&now, &store), [rotated.secret.expose().to_string()]);
    assert_eq!(now.version, rotated.version);
    database.clock.advance(DAY);
    store.forget_expired_secrets().await.expect("removed");
    assert_eq!(database.number(kept).await, 0);
}
