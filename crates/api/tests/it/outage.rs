//! When the store can't serve, callers learn whether to come back.

use insta::assert_json_snapshot;
use serde_json::json;

use crate::app::{TestApp, lead};

#[tokio::test]
async fn a_closed_store_is_a_503_with_retry_after() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    app.get(&*client.path).send().await.expect(200);
    app.store.close().await;

    let answer = app.post(client.leads(), &lead()).send().await;
    assert_json_snapshot!(answer.problem(503, "unavailable"), {".requestId" => "[id]"});
    assert_eq!(answer.header("retry-after"), Some("5"));
    app.get(client.leads()).send().await.problem(503, "unavailable");
    app.patch(client.settings(), &json!({"includeCustomFields": true}))
        .send()
        .await
        .problem(503, "unavailable");
}

#[tokio::test]
async fn health_and_readiness_are_told_apart() {
    let app = TestApp::new().await;
    assert_eq!(
        app.get("/healthz").without("authorization").send().await.expect(200),
        json!({"status": "ok"})
    );
    assert_eq!(
        app.get("/readyz").without("authorization").send().await.expect(200),
        json!({"status": "ready"})
    );
    app.store.close().await;
    app.get("/healthz").send().await.expect(200);
    let answer = app.get("/readyz").send().await;
    assert_json_snapshot!(answer.problem(503, "unavailable"), {".requestId" => "[id]"});
}
