//! Repeating a request with its key repeats its answer, not its effect.

use futures_util::future::join_all;
use insta::assert_json_snapshot;
use sea_orm::{ConnectionTrait as _, TransactionOptions, TransactionTrait as _};
use serde_json::json;

use crate::app::{Answer, RECEIVER, TestApp, lead, new_destination, places};

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

async fn hundred_parallel_equal_posts_have_one_effect_and_equal_answers(app: TestApp) {
    let client = app.client("Acme Corp").await;
    let destination = app.destination(&client, "CRM").await;
    let destinations = format!("{}/destinations", client.path);
    let posts = [
        (
            "/v1/clients".to_owned(),
            json!({"name": "Other Inc", "leadWebhookUrl": RECEIVER}),
        ),
        ("/v1/keys".to_owned(), json!({"name": "CRM import", "kind": "secret"})),
        (client.leads(), lead()),
        (destinations, new_destination("Board")),
        (format!("{destination}/secret/rotate"), json!({})),
    ];
    for (path, body) in posts {
        let before = app.counts().await;
        let send = || app.post(&*path, &body).header(KEY, "k1").send();
        let answers = join_all((0..100).map(|_| send())).await;
        let is_replayed = |answer: &&Answer| answer.header("idempotency-replayed") == Some("true");
        assert_eq!(answers.iter().filter(is_replayed).count(), 99, "{path}");
        for answer in &answers {
            assert!((200..300).contains(&answer.status), "{path} {}", answer.status);
            assert_eq!(
                (answer.status, &answer.body),
                (answers[0].status, &answers[0].body),
                "{path}"
            );
        }
        let after = app.counts().await;
        let grown = before
            .iter()
            .zip(&after)
            .map(|((table, before), (_, after))| (*table, after - before));
        let grown = grown.filter(|(_, rows)| *rows > 0).collect::<Vec<_>>();
        assert!(grown.contains(&("idempotency_keys", 1)), "{path} {grown:?}");
        // A client's own first audit rows are its client, its destination and its key.
        assert!(
            grown
                .iter()
                .all(|(table, rows)| *rows <= if *table == "audit_log" { 3 } else { 2 }),
            "{path} {grown:?}"
        );
    }
    let keys = app.get("/v1/keys?limit=200").send().await.expect(200);
    let names = keys["items"].as_array().expect("a list").iter();
    assert_eq!(names.filter(|key| key["name"] == "CRM import").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn hundred_parallel_equal_posts_have_one_effect_and_equal_answers_on_sqlite() {
    hundred_parallel_equal_posts_have_one_effect_and_equal_answers(TestApp::new().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hundred_parallel_equal_posts_have_one_effect_and_equal_answers_on_postgres() {
    if let Some(app) = TestApp::on_postgres().await {
        hundred_parallel_equal_posts_have_one_effect_and_equal_answers(app).await;
    }
}

#[tokio::test]
async fn a_key_with_another_body_is_refused_by_every_post() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let destination = app.destination(&client, "CRM").await;
    let posts = [
        ("/v1/clients".to_owned(), json!({"name": "a"}), json!({"name": "b"})),
        (
            "/v1/keys".to_owned(),
            json!({"name": "a", "kind": "secret"}),
            json!({"name": "b", "kind": "secret"}),
        ),
        (
            format!("{}/destinations", client.path),
            new_destination("a"),
            new_destination("b"),
        ),
        (
            format!("{destination}/secret/rotate"),
            json!({}),
            json!({"overlap": "1h"}),
        ),
    ];
    for (path, first, other) in posts {
        let answer = app.post(&*path, &first).header(KEY, "k1").send().await;
        assert!(answer.status < 300, "{path} {}", answer.json());
        app.post(&*path, &other)
            .header(KEY, "k1")
            .refused(422, "idempotency-key-reused")
            .await;
        app.post(&*path, &first)
            .header(KEY, "two words")
            .refused(400, "invalid-request")
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_equal_request_that_outlasts_the_wait_is_a_conflict() {
    // Within one process, and with SQLite, the wait ends with the first request.
    let Some(app) = TestApp::on_postgres().await else {
        return;
    };
    let options = TransactionOptions::default();
    let first = app.database.begin_with_options(options).await.expect("begun");
    let sql = "INSERT INTO idempotency_keys (client_id, method, path, key, fingerprint, status, answer, created_at) \
               VALUES ('00000000-0000-0000-0000-000000000000', 'POST', '/v1/clients', 'k1', '', 0, '', 9000000000000)";
    first.execute_unprepared(sql).await.expect("written");
    let body = json!({"name": "Acme Corp"});
    let send = || app.post("/v1/clients", &body).header(KEY, "k1");
    let problem = send().refused(409, "conflict").await;
    assert_json_snapshot!(problem, {".requestId" => "[id]"});
    first.rollback().await.expect("given up");
    send().send().await.expect(201);
}
