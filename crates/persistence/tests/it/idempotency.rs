//! Requests that are repeated take effect once.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use sensei_persistence::{Answer, CaptureError, CaptureRequest, Captured, Idempotency, Store};

use crate::fixtures::{TestDatabase, acme, on_both, request, soon};

on_both!(
    equal_request_gets_the_first_answer_and_has_no_effect,
    same_key_with_another_body_is_refused,
    parallel_equal_requests_take_effect_once,
    key_is_the_callers_own,
    key_of_an_unknown_client_is_not_kept,
    key_is_forgotten_after_a_day,
);

fn keyed_request(key: &str, body: u8) -> KeyedRequest {
    KeyedRequest {
        key: key.to_owned(),
        method: "POST",
        path: "/v1/clients/x/leads".to_owned(),
        fingerprint: [body; 32],
    }
}

fn keyed(store: &Store, client: sensei_domain::ClientId, key: &str, body: u8) -> CaptureRequest {
    let mut request = request(client, store.now(), 1);
    let body_of_answer = format!("{{\"id\":\"{}\"}}", request.leads[0].id);
    request.idempotency = Some(Idempotency {
        request: keyed_request(key, body),
        answer: Answer {
            status: 201,
            body: Bytes::from(body_of_answer),
            holds_secret: false,
        },
    });
    request
}

fn answer_of(request: &CaptureRequest) -> Answer {
    request.idempotency.as_ref().expect("it has a key").answer.clone()
}

async fn equal_request_gets_the_first_answer_and_has_no_effect(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let first = keyed(&store, client.id, "k", 1);
    let answer = answer_of(&first);
    assert_eq!(soon(store.capture(first)).await.expect("captured"), Captured::Now);
    let again = soon(store.capture(keyed(&store, client.id, "k", 1)))
        .await
        .expect("answered");
    assert_eq!(again, Captured::Before(answer));
    assert_eq!(database.captured_rows().await, [1, 1, 1, 1]);
}

async fn same_key_with_another_body_is_refused(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    soon(store.capture(keyed(&store, client.id, "k", 1)))
        .await
        .expect("captured");
    let other = soon(store.capture(keyed(&store, client.id, "k", 2))).await;
    assert!(matches!(other, Err(CaptureError::KeyReused)), "{other:?}");
    assert_eq!(database.captured_rows().await, [1, 1, 1, 1]);
}

async fn parallel_equal_requests_take_effect_once(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let requests = (0..20).map(|_| keyed(&store, client.id, "k", 1)).collect::<Vec<_>>();
    let answers = soon(join_all(requests.into_iter().map(|request| store.capture(request)))).await;
    let answers = answers
        .into_iter()
        .map(|answer| answer.expect("answered"))
        .collect::<Vec<_>>();
    assert_eq!(answers.iter().filter(|answer| **answer == Captured::Now).count(), 1);
    let before = answers
        .iter()
        .filter(|answer| matches!(answer, Captured::Before(_)))
        .collect::<Vec<_>>();
    assert!(
        before.windows(2).all(|pair| pair[0] == pair[1]),
        "all get the one answer"
    );
    assert_eq!(database.captured_rows().await, [1, 1, 1, 1]);
}

async fn key_is_the_callers_own(database: &TestDatabase) {
    let store = database.open().await;
    let (one, other) = (acme(&store).await, acme(&store).await);
    let mut elsewhere = keyed(&store, one.id, "k", 1);
    let key = elsewhere.idempotency.as_mut().expect("it has a key");
    "/v1/clients/x/leads/batch".clone_into(&mut key.request.path);
    for request in [
        keyed(&store, one.id, "k", 1),
        keyed(&store, other.id, "k", 1),
        keyed(&store, one.id, "K", 1),
        elsewhere,
    ] {
        assert_eq!(soon(store.capture(request)).await.expect("captured"), Captured::Now);
    }
}

async fn key_of_an_unknown_client_is_not_kept(database: &TestDatabase) {
    let store = database.open().await;
    let unknown = sensei_domain::ClientId::new(store.now());
    let answer = soon(store.capture(keyed(&store, unknown, "k", 1))).await;
    assert!(matches!(answer, Err(CaptureError::UnknownClient)), "{answer:?}");
    assert_eq!(database.captured_rows().await, [0, 0, 0, 0]);
}

async fn key_is_forgotten_after_a_day(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    soon(store.capture(keyed(&store, client.id, "k", 1)))
        .await
        .expect("captured");
    soon(store.capture(keyed(&store, client.id, "other", 1)))
        .await
        .expect("captured");
    database.clock.advance(Duration::from_hours(24));
    let again = soon(store.capture(keyed(&store, client.id, "k", 1)))
        .await
        .expect("answered");
    assert!(matches!(again, Captured::Before(_)), "kept for the whole day");
    database.clock.advance(Duration::from_millis(1));
    let again = soon(store.capture(keyed(&store, client.id, "k", 2)))
        .await
        .expect("answered");
    assert_eq!(again, Captured::Now);
    assert!(!store.sweep_idempotency_keys().await.expect("swept"));
    assert_eq!(database.texts("SELECT key FROM idempotency_keys").await, ["k"]);
}
