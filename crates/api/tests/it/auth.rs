//! Who may do what: without a key nothing, with a key its own client's things.

use axum::http::Method;
use insta::assert_json_snapshot;
use serde_json::json;

use crate::app::{ADMIN, TestApp, lead, new_destination, text};

#[tokio::test]
async fn every_documented_route_needs_a_key_but_the_public_ones() {
    let app = TestApp::new().await;
    let document = serde_json::to_value(sensei_api::openapi()).expect("JSON");
    let mut public = Vec::new();
    let mut secured = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("methods").keys() {
            let method = method.to_uppercase();
            let url = path.replace(['{', '}'], "");
            let call = app
                .call(method.parse::<Method>().expect("a method"), url)
                .without("authorization");
            let answer = call.send().await;
            if answer.status == 401 {
                answer.problem(401, "unauthorized");
                assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{method} {path}");
                secured += 1;
            } else {
                // Of no client: there is none in the path.
                answer.expect(if path.contains('{') { 400 } else { 200 });
                public.push(path.as_str());
            }
        }
    }
    assert_eq!(public, ["/healthz", "/openapi.json", "/readyz", "/v1/forms/{clientId}"]);
    assert!(secured >= 38, "only {secured} routes need a key");
}

#[tokio::test]
async fn without_a_key_nothing_is_done() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let problem = app
        .post(client.leads(), &lead())
        .without("authorization")
        .refused(401, "unauthorized")
        .await;
    assert_json_snapshot!(problem, {".requestId" => "[id]"});
    for header in ["Basic c2tfMTo=", "Bearer", "Bearer ", ADMIN] {
        app.post(client.leads(), &lead())
            .header("authorization", header)
            .refused(401, "unauthorized")
            .await;
    }
}

#[tokio::test]
async fn a_wrong_key_is_told_to_be_wrong() {
    let app = TestApp::new().await;
    for key in [
        "sk_wrong",
        &ADMIN[..ADMIN.len() - 1],
        &format!("{ADMIN}x"),
        "pk_",
        &"sk_x".repeat(1_000),
    ] {
        let answer = app.get("/v1/clients").key(key).send().await;
        answer.problem(401, "unauthorized");
        assert_eq!(
            answer.header("www-authenticate"),
            Some(r#"Bearer error="invalid_token""#)
        );
    }
    let problem = app
        .get("/v1/clients")
        .key("sk_wrong")
        .refused(401, "unauthorized")
        .await;
    assert_json_snapshot!(problem, {".requestId" => "[id]"});
}

#[tokio::test]
async fn a_publishable_key_captures_its_own_clients_leads_and_nothing_else() {
    let app = TestApp::new().await;
    let (acme, other) = (app.client("Acme Corp").await, app.client("Other Inc").await);
    let key = &*acme.publishable_key;
    app.post(acme.leads(), &lead()).key(key).send().await.expect(201);
    // A page sends one at a time: its form is for one, and a batch would pass the limits by.
    app.post(format!("{}/batch", acme.leads()), &json!({"leads": [lead()]}))
        .key(key)
        .refused(403, "forbidden")
        .await;

    app.post(other.leads(), &lead())
        .key(key)
        .refused(404, "not-found")
        .await;
    let problem = app.get(acme.leads()).key(key).refused(403, "forbidden").await;
    assert_json_snapshot!(problem, {".requestId" => "[id]"});
    for path in [
        "",
        "/settings",
        "/destinations",
        "/hooks/sample",
        "/deliveries",
        "/recoveries",
        "/stats",
        "/stream",
        "/leads.csv",
    ] {
        app.get(format!("{}{path}", acme.path))
            .key(key)
            .refused(403, "forbidden")
            .await;
    }
    app.patch(acme.settings(), &json!({"leadWebhookUrl": null}))
        .key(key)
        .refused(403, "forbidden")
        .await;
    for path in [
        "/v1/clients",
        "/v1/keys",
        "/v1/destination-kinds",
        "/v1/operator",
        "/v1/audit-log",
    ] {
        app.get(path).key(key).refused(403, "forbidden").await;
    }
    let destination = app.destination(&acme, "CRM").await;
    app.post(format!("{}/destinations", acme.path), &new_destination("Board"))
        .key(key)
        .refused(403, "forbidden")
        .await;
    app.patch(&*destination, &json!({"status": "paused"}))
        .key(key)
        .refused(403, "forbidden")
        .await;
    app.delete(&*destination).key(key).refused(403, "forbidden").await;
    for secret in [
        app.get(format!("{destination}/secret")),
        app.post(format!("{destination}/secret/rotate"), &json!({})),
        app.call(Method::POST, format!("{destination}/test")),
        app.get(format!("{destination}/preview")),
    ] {
        secret.key(key).refused(403, "forbidden").await;
    }
}

#[tokio::test]
async fn with_a_publishable_key_every_route_but_capture_is_as_without() {
    let app = TestApp::new().await;
    let acme = app.client("Acme Corp").await;
    let document = serde_json::to_value(sensei_api::openapi()).expect("JSON");
    let (mut captures, mut refused) = (Vec::new(), 0);
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("methods").keys() {
            let method = method.to_uppercase().parse::<Method>().expect("a method");
            // Ids that are well formed, so that nothing else is wrong with the request.
            let url = path.replace("{clientId}", &acme.id);
            let url = url.replace("{kind}", "webhook");
            let url = url
                .split('/')
                .map(|part| if part.starts_with('{') { &*acme.id } else { part });
            let url = url.collect::<Vec<_>>().join("/");
            let counts = app.counts().await;
            let call = app
                .call(method.clone(), url)
                .key(&acme.publishable_key)
                .json(&json!({}));
            let answer = call.send().await;
            assert_eq!(app.counts().await, counts, "{method} {path}");
            match answer.status {
                403 => refused += 1,
                // What is wrong with the body: the key would do.
                422 => captures.push(format!("{method} {path}")),
                _ => {
                    answer.expect(200);
                    let without = ["/healthz", "/openapi.json", "/readyz", "/v1/forms/{clientId}"];
                    assert!(without.contains(&path.as_str()), "{method} {path}");
                }
            }
        }
    }
    assert_eq!(captures, ["POST /v1/clients/{clientId}/leads"]);
    assert!(refused >= 38, "only {refused} routes refuse it");
}

#[tokio::test]
async fn a_clients_secret_key_reaches_its_own_client_only() {
    let app = TestApp::new().await;
    let (acme, other) = (app.client("Acme Corp").await, app.client("Other Inc").await);
    let body = json!({"name": "server", "kind": "secret", "clientId": acme.id});
    let key = text(&app.post("/v1/keys", &body).send().await.expect(201), "/key");

    app.post(acme.leads(), &lead()).key(&key).send().await.expect(201);
    app.patch(&*acme.path, &json!({"name": "Acme Corporation"}))
        .key(&key)
        .send()
        .await
        .expect(200);
    let own = ["/leads", "/destinations", "/deliveries", "/recoveries", "/stats"];
    for path in ["", "/settings"].into_iter().chain(own) {
        app.get(format!("{}{path}", acme.path))
            .key(&key)
            .send()
            .await
            .expect(200);
        let problem = app
            .get(format!("{}{path}", other.path))
            .key(&key)
            .refused(404, "not-found")
            .await;
        assert_eq!(problem["detail"], "there is no such client");
    }
    app.post(other.leads(), &lead())
        .key(&key)
        .refused(404, "not-found")
        .await;
    let theirs = app.destination(&other, "CRM").await;
    app.post(format!("{}/destinations", other.path), &new_destination("Board"))
        .key(&key)
        .refused(404, "not-found")
        .await;
    app.patch(&*theirs, &json!({"status": "paused"}))
        .key(&key)
        .refused(404, "not-found")
        .await;
    app.delete(&*theirs).key(&key).refused(404, "not-found").await;
    app.post(format!("{theirs}/secret/rotate"), &json!({}))
        .key(&key)
        .refused(404, "not-found")
        .await;
    app.call(Method::POST, format!("{theirs}/test"))
        .key(&key)
        .refused(404, "not-found")
        .await;
    let own = format!("{}/destinations", acme.path);
    app.post(own, &new_destination("CRM"))
        .key(&key)
        .send()
        .await
        .expect(201);
    app.get("/v1/destination-kinds").key(&key).send().await.expect(200);
    app.get("/v1/clients").key(&key).refused(403, "forbidden").await;
    app.post("/v1/clients", &json!({"name": "Third"}))
        .key(&key)
        .refused(403, "forbidden")
        .await;
    app.delete(&*acme.path).key(&key).refused(403, "forbidden").await;
    app.get("/v1/keys").key(&key).refused(403, "forbidden").await;
}

#[tokio::test]
async fn a_callers_request_id_is_kept() {
    let app = TestApp::new().await;
    let answer = app.get("/v1/nothing").header("x-request-id", "req-7").send().await;
    assert_eq!(answer.problem(404, "no-such-route")["requestId"], "req-7");
    let answer = app.get("/healthz").header("x-request-id", "two words").send().await;
    assert_eq!(answer.header("x-request-id").map(str::len), Some(36));
}
