//! Keys: made, listed, revoked, by admins.

use serde_json::{Value, json};

use crate::app::{TestApp, lead, places, text};

#[tokio::test]
async fn a_key_is_shown_once_and_works_until_it_is_revoked() {
    let app = TestApp::new().await;
    let body = json!({"name": "CRM import", "kind": "secret"});
    let created = app.post("/v1/keys", &body).send().await.expect(201);
    let key = text(&created, "/key");
    assert!(key.starts_with("sk_") && key.starts_with(&text(&created, "/prefix")));
    app.get("/v1/clients").key(&key).send().await.expect(200);

    let listed = app.get("/v1/keys").send().await.expect(200);
    assert_eq!(listed["items"][0]["id"], created["id"]);
    assert!(!listed.to_string().contains(&key));

    let path = format!("/v1/keys/{}", text(&created, "/id"));
    assert_eq!(app.delete(&*path).send().await.status, 204);
    app.get("/v1/clients").key(&key).refused(401, "unauthorized").await;
    app.delete(path).refused(404, "not-found").await;
}

#[tokio::test]
async fn a_publishable_key_can_be_made_for_a_client() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let body = json!({"name": "landing page", "kind": "publishable", "clientId": client.id});
    let created = app.post("/v1/keys", &body).send().await.expect(201);
    assert_eq!(created["clientId"], client.id);
    app.post(client.leads(), &lead())
        .key(&text(&created, "/key"))
        .send()
        .await
        .expect(201);
}

#[tokio::test]
async fn a_key_cannot_revoke_itself() {
    let app = TestApp::new().await;
    let own = app.get("/v1/keys").send().await.expect(200);
    app.delete(format!("/v1/keys/{}", text(&own, "/items/0/id")))
        .refused(409, "conflict")
        .await;
}

#[tokio::test]
async fn faulty_keys_are_refused() {
    let app = TestApp::new().await;
    let nobody = "d454991a-eddb-4e81-959d-87c868e050ca";
    for (body, wrong) in [
        (json!({}), &["/name", "/kind"][..]),
        (json!({"name": "n".repeat(201), "kind": "public"}), &["/name", "/kind"]),
        (json!({"name": "n", "kind": "publishable"}), &["/clientId"]),
        // A variable that wasn't set makes no key for all clients.
        (json!({"name": "n", "kind": "secret", "clientId": ""}), &["/clientId"]),
        (
            json!({"name": "n", "kind": "secret", "clientId": "acme"}),
            &["/clientId"],
        ),
        (
            json!({"name": "n", "kind": "secret", "clientId": nobody}),
            &["/clientId"],
        ),
        (json!({"name": "n", "kind": "secret", "scope": "admin"}), &["/scope"]),
    ] {
        let problem = app.post("/v1/keys", &body).refused(422, "invalid-body").await;
        assert_eq!(places(&problem), wrong, "{body}");
    }
}

#[tokio::test]
async fn an_unused_key_shows_no_use() {
    let app = TestApp::new().await;
    let body = json!({"name": "spare", "kind": "secret"});
    assert_eq!(
        app.post("/v1/keys", &body).send().await.expect(201)["lastUsedAt"],
        Value::Null
    );
}

#[tokio::test]
async fn the_keys_of_one_client_are_listed() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    app.client("Other").await;
    let path = format!("/v1/keys?clientId={}", client.id);
    let listed = app.get(&*path).send().await.expect(200);
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(listed["items"][0]["clientId"], client.id);
    let problem = app.get("/v1/keys?clientId=acme").refused(400, "invalid-request").await;
    assert_eq!(places(&problem), ["clientId"]);
}
