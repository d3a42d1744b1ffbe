//! Repeating a request with its key repeats its answer, not its effect.

use insta::assert_json_snapshot;
use serde_json::json;

use crate::app::{TestApp, lead, places};

const KEY: &str = "idempotency-key";

async fn an_equal_request_gets_the_same_answer(app: TestApp) {
    let client = app.client("Acme Corp").await;
    let first = app.post(client.leads(), &lead()).header(KEY, "k1").send().await;
    first.expect(201);
    assert_eq!(first.header("idempotency-replayed"), None);
    let before = app.counts().await;
    let again = app.post(client.leads(), &lead()).header(KEY, "k1").send().await;
    again.expect(201);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.header("content-type"), Some("application/json"));
    assert_eq!(again.body, first.body);
    assert_eq!(app.counts().await, before);

    let other = app.post(client.leads(), &lead()).header(KEY, "k2").send().await;
    assert_ne!(other.expect(201)["id"], first.json()["id"]);
    assert_eq!(app.count("leads").await, 2);
}

#[tokio::test]
async fn an_equal_request_gets_the_same_answer_on_sqlite() {
    an_equal_request_gets_the_same_answer(TestApp::new().await).await;
}

#[tokio::test]
async fn an_equal_request_gets_the_same_answer_on_postgres() {
    if let Some(app) = TestApp::on_postgres().await {
        an_equal_request_gets_the_same_answer(app).await;
    }
}

#[tokio::test]
async fn parallel_equal_requests_have_one_effect() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let send = || app.post(client.leads(), &lead()).header(KEY, "k1").send();
    let (a, b, c, d) = tokio::join!(send(), send(), send(), send());
    for answer in [&b, &c, &d] {
        assert_eq!(answer.expect(201), a.expect(201));
    }
    assert_eq!(app.count("leads").await, 1);
}

#[tokio::test]
async fn a_key_with_another_body_is_refused() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    app.post(client.leads(), &lead())
        .header(KEY, "k1")
        .send()
        .await
        .expect(201);
    let body = json!({"name": "Jane Doe", "email": "jane@example.com"});
    let problem = app
        .post(client.leads(), &body)
        .header(KEY, "k1")
        .refused(422, "idempotency-key-reused")
        .await;
    assert_json_snapshot!(problem, {".requestId" => "[id]"});
}

#[tokio::test]
async fn a_key_counts_within_its_client_and_path() {
    let app = TestApp::new().await;
    let (acme, other) = (app.client("Acme Corp").await, app.client("Other Inc").await);
    app.post(acme.leads(), &lead())
        .header(KEY, "k1")
        .send()
        .await
        .expect(201);
    app.post(other.leads(), &lead())
        .header(KEY, "k1")
        .send()
        .await
        .expect(201);
    let batch = format!("{}/batch", acme.leads());
    app.post(batch, &json!({"leads": [lead()]}))
        .header(KEY, "k1")
        .send()
        .await
        .expect(200);
    assert_eq!(app.count("leads").await, 3);
}

#[tokio::test]
async fn an_invalid_request_leaves_its_key_unused() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    app.post(client.leads(), &json!({}))
        .header(KEY, "k1")
        .refused(422, "invalid-body")
        .await;
    app.post(client.leads(), &lead())
        .header(KEY, "k1")
        .send()
        .await
        .expect(201);
}

#[tokio::test]
async fn a_malformed_key_is_told() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    for key in ["", " ", "two words", &"k".repeat(256)] {
        let problem = app
            .post(client.leads(), &lead())
            .header(KEY, key)
            .refused(400, "invalid-request")
            .await;
        assert_eq!(places(&problem), [KEY], "{key}");
    }
    app.post(client.leads(), &lead())
        .header(KEY, &"k".repeat(255))
        .send()
        .await
        .expect(201);
}

#[tokio::test]
async fn posts_that_cannot_be_repeated_safely_refuse_the_key() {
    let app = TestApp::new().await;
    let problem = app
        .post("/v1/clients", &json!({"name": "Acme"}))
        .header(KEY, "k")
        .refused(400, "invalid-request")
        .await;
    assert_json_snapshot!(problem, {".requestId" => "[id]"});
    let key = json!({"name": "k", "kind": "secret"});
    app.post("/v1/keys", &key)
        .header(KEY, "k")
        .refused(400, "invalid-request")
        .await;
}
