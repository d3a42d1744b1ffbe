//! Requests that are repeated take effect once.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use sea_orm::ConnectionTrait as _;
use sensei_persistence::{
    Actor, Answer, CaptureError, CaptureRequest, Captured, ChangeError, CreatedClient, Idempotency, KeyedRequest,
    LEAD_WEBHOOK, NewClient, Store, StoreError,
};

use crate::destinations::{named, new_destination};
use crate::fixtures::{ALL, TestDatabase, acme, on_both, request, soon};

on_both!(
    equal_request_gets_the_first_answer_and_has_no_effect,
    same_key_with_another_body_is_refused,
    parallel_equal_requests_take_effect_once,
    key_is_the_callers_own,
    key_of_an_unknown_client_is_not_kept,
    key_is_forgotten_after_a_day,
    hundred_parallel_equal_changes_take_effect_once,
    changes_answer_survives_a_restart_and_its_secret_is_kept_encrypted,
    change_that_failed_leaves_its_key_unused,
    parallel_request_waits_for_the_first_and_takes_effect_if_that_fails,
    parallel_request_that_waits_for_too_long_is_told_of_the_first,
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

fn acme_corp() -> NewClient {
    NewClient {
        name: "Acme Corp".parse().expect("a name"),
        lead_webhook_url: None,
    }
}

/// The answer to a created client, with its key.
fn told(created: &CreatedClient) -> Answer {
    Answer {
        status: 201,
        body: Bytes::from(format!("{} {}", created.client.id, created.publishable_key.text)),
        holds_secret: true,
    }
}

async fn hundred_parallel_equal_changes_take_effect_once(database: &TestDatabase) {
    let store = database.open().await;
    let request = keyed_request("k", 1);
    let create = || store.create_client_once(acme_corp(), Some(&request), told, &Actor::System);
    let answers = soon(join_all((0..100).map(|_| create()))).await;
    let answers = answers.into_iter().map(|once| once.expect("answered"));
    let answers = answers.collect::<Vec<_>>();
    assert!(answers.iter().all(|once| once.answer == answers[0].answer));
    assert_eq!(answers.iter().filter(|once| once.done.is_some()).count(), 1);
    assert_eq!(database.number("SELECT count(*) FROM clients").await, 1);
    assert_eq!(database.number("SELECT count(*) FROM api_keys").await, 1);

    let client = acme(&store).await;
    let new = new_destination("CRM");
    let make = || store.create_destination(client.id, &new, Some(&request), named, &Actor::System);
    let answers = soon(join_all((0..100).map(|_| make()))).await;
    let answers = answers.into_iter().map(|once| once.expect("answered").answer);
    let answers = answers.collect::<Vec<_>>();
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(
        store.destinations(client.id, ALL).await.expect("read").len(),
        2,
        "the Lead Webhook and the CRM"
    );
}

async fn changes_answer_survives_a_restart_and_its_secret_is_kept_encrypted(database: &TestDatabase) {
    let store = database.open().await;
    let request = keyed_request("k", 1);
    let create = async |store: &Store| {
        let once = store.create_client_once(acme_corp(), Some(&request), told, &Actor::System);
        once.await.expect("answered")
    };
    let first = create(&store).await;
    let secret = first.done.expect("the first").publishable_key.text;
    let row = &database.rows("SELECT answer, is_sealed FROM idempotency_keys").await[0];
    let kept: Vec<u8> = row.try_get_by_index(0).expect("bytes");
    let secret = secret.strip_prefix("pk_").expect("a publishable key").as_bytes();
    assert!(!kept.windows(secret.len()).any(|window| window == secret));
    assert!(row.try_get_by_index::<bool>(1).expect("a boolean"));
    soon(store.close()).await;

    let store = database.open().await;
    let again = create(&store).await;
    assert_eq!(again.answer, first.answer);
    assert!(again.done.is_none());

    // A sealed answer that was moved to another key's row opens for nobody.
    database.execute("UPDATE idempotency_keys SET key = 'stolen'").await;
    let request = keyed_request("stolen", 1);
    let stolen = store.create_client_once(acme_corp(), Some(&request), told, &Actor::System);
    assert!(matches!(stolen.await, Err(ChangeError::Store(StoreError::Internal(_)))));
}

async fn change_that_failed_leaves_its_key_unused(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let request = keyed_request("k", 1);
    let make = async |name: &str, request: &KeyedRequest| {
        let new = new_destination(name);
        let once = store.create_destination(client.id, &new, Some(request), named, &Actor::System);
        once.await
    };
    let taken = make(LEAD_WEBHOOK, &request).await;
    assert!(matches!(taken, Err(ChangeError::NameReserved)), "{taken:?}");
    assert_eq!(database.number("SELECT count(*) FROM idempotency_keys").await, 0);
    let made = make("CRM", &request).await.expect("made");
    assert!(made.done.is_some());
    let reused = make("CRM 2", &keyed_request("k", 2)).await;
    assert!(matches!(reused, Err(ChangeError::KeyReused(_))), "{reused:?}");
    assert_eq!(store.destinations(client.id, ALL).await.expect("read").len(), 2);
}

async fn parallel_request_waits_for_the_first_and_takes_effect_if_that_fails(database: &TestDatabase) {
    let store = database.open().await;
    if database.is_sqlite() {
        return; // Its one writer lets nobody in between.
    }
    let connection = database.connection().await;
    let other = "BEGIN; INSERT INTO idempotency_keys \
                 (client_id, method, path, key, fingerprint, status, answer, created_at) VALUES \
                 ('00000000-0000-0000-0000-000000000000', 'POST', '/v1/clients/x/leads', 'k', '', 0, '', 9000000000000)";
    connection.execute_unprepared(other).await.expect("written");
    let request = keyed_request("k", 1);
    let waiting = store.create_client_once(acme_corp(), Some(&request), told, &Actor::System);
    let failing = async {
        database.somebody_waits_for_a_lock().await;
        connection.execute_unprepared("ROLLBACK").await.expect("rolled back");
    };
    let (waited, ()) = soon(Box::pin(futures_util::future::join(waiting, failing))).await;
    assert!(waited.expect("answered").done.is_some());
}

async fn parallel_request_that_waits_for_too_long_is_told_of_the_first(database: &TestDatabase) {
    let store = database.open().await;
    if database.is_sqlite() {
        return; // Its one writer lets nobody in between.
    }
    let client = acme(&store).await;
    let request = keyed_request("k", 1);
    let connection = database.connection().await;
    // Equal requests as another process makes them, the second with its client locked.
    let others = format!(
        "BEGIN; SELECT 1 FROM clients WHERE id = '{id}' FOR UPDATE; INSERT INTO idempotency_keys \
         (client_id, method, path, key, fingerprint, status, answer, created_at) VALUES \
         ('00000000-0000-0000-0000-000000000000', 'POST', '/v1/clients/x/leads', 'k', '', 0, '', 9000000000000), \
         ('{id}', 'POST', '/v1/clients/x/leads', 'k', '', 0, '', 9000000000000)",
        id = client.id
    );
    connection.execute_unprepared(&others).await.expect("written");
    let new = new_destination("CRM");
    let creating = store.create_client_once(acme_corp(), Some(&request), told, &Actor::System);
    let making = store.create_destination(client.id, &new, Some(&request), named, &Actor::System);
    let (created, made) = soon(futures_util::future::join(Box::pin(creating), Box::pin(making))).await;
    for waited in [created.err(), made.err()] {
        assert!(
            matches!(waited, Some(ChangeError::Store(StoreError::KeyUnderWay))),
            "{waited:?}"
        );
    }
    connection.execute_unprepared("ROLLBACK").await.expect("rolled back");
    let made = store.create_destination(client.id, &new, Some(&request), named, &Actor::System);
    assert!(soon(Box::pin(made)).await.expect("made").done.is_some());
}
