//! Links that sign in to the console: who may make them, what they reach and for how long.

use serde_json::json;

use crate::app::{TestApp, places, text};

#[tokio::test]
async fn a_link_reaches_what_it_was_made_for() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let path = format!("{}/sign-in-links", client.path);
    let link = app.post(&*path, &json!({})).send().await.expect(201);
    assert!(text(&link, "/path").starts_with("/admin/sign-in/"));
    assert_eq!(link["expiresAt"], "2024-11-24T10:35:00.000Z");
    let link = app
        .post("/v1/sign-in-links", &json!({"expiresIn": "1h"}))
        .send()
        .await
        .expect(201);
    assert_eq!(link["expiresAt"], "2024-11-24T11:30:00.000Z");

    // A client's key makes links to its own view and to no other.
    let key = json!({"name": "own", "kind": "secret", "clientId": client.id});
    let key = text(&app.post("/v1/keys", &key).send().await.expect(201), "/key");
    app.post(&*path, &json!({})).key(&key).send().await.expect(201);
    app.post("/v1/sign-in-links", &json!({}))
        .key(&key)
        .refused(403, "forbidden")
        .await;
    let other = app.client("Other").await;
    let others = format!("{}/sign-in-links", other.path);
    app.post(others, &json!({})).key(&key).refused(404, "not-found").await;
}

#[tokio::test]
async fn a_repeated_request_gets_the_same_link() {
    let app = TestApp::new().await;
    let make = || app.post("/v1/sign-in-links", &json!({})).header("idempotency-key", "a");
    let first = make().send().await.expect(201);
    assert_eq!(make().send().await.expect(201), first);
    let other = app.post("/v1/sign-in-links", &json!({})).send().await.expect(201);
    assert_ne!(other["path"], first["path"]);
}

#[tokio::test]
async fn a_link_lasts_an_hour_at_most() {
    let app = TestApp::new().await;
    for wrong in [json!("61m"), json!("0s"), json!("soon"), json!(300)] {
        let problem = app
            .post("/v1/sign-in-links", &json!({"expiresIn": wrong}))
            .refused(422, "invalid-body")
            .await;
        assert_eq!(places(&problem), ["/expiresIn"]);
    }
    let problem = app
        .post("/v1/sign-in-links", &json!({"expiresin": "5m"}))
        .refused(422, "invalid-body")
        .await;
    assert_eq!(places(&problem), ["/expiresin"]);
}
