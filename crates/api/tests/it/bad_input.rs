//! Whatever is wrong with a request is told, and nothing is written.

use axum::http::Method;
use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::app::{TestApp, lead, new_destination, places};

/// The problem that a body meets where a lead is captured.
async fn captured(body: &Value) -> (TestApp, Value) {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let problem = app.post(client.leads(), body).refused(422, "invalid-body").await;
    (app, problem)
}

#[tokio::test]
async fn an_empty_body_is_told() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    for empty in ["", " \r\n\t"] {
        let problem = app
            .call(Method::POST, client.leads())
            .raw(empty)
            .refused(400, "not-json")
            .await;
        assert_json_snapshot!("empty_body", problem, {".requestId" => "[id]"});
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_is_told_where_it_stops() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let problem = app
        .call(Method::POST, client.leads())
        .raw("{\"name\":\n john}")
        .refused(400, "not-json")
        .await;
    assert_json_snapshot!(problem, {".requestId" => "[id]"});
    for nonsense in [&b"{\"name\": \"\xff\"}"[..], b"name=John", b"{} {}", b"{\"name\": \"a"] {
        app.call(Method::POST, client.leads())
            .raw(nonsense)
            .refused(400, "not-json")
            .await;
    }
}

#[tokio::test]
async fn nesting_without_end_is_refused() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    app.call(Method::POST, client.leads())
        .raw("[".repeat(100_000))
        .refused(400, "not-json")
        .await;
}

#[tokio::test]
async fn wrong_types_are_told_each_by_its_pointer() {
    let (_, problem) =
        captured(&json!({"name": 7, "email": ["a@b.co"], "phone": {}, "message": true, "custom": "x"})).await;
    assert_json_snapshot!(problem, {".requestId" => "[id]"});
}

#[tokio::test]
async fn a_body_that_is_no_object_is_told() {
    let (_, problem) = captured(&json!([lead()])).await;
    assert_eq!(places(&problem), [""]);
}

#[tokio::test]
async fn an_unknown_field_is_told() {
    let (_, problem) = captured(&json!({"name": "John Doe", "email": "john@example.com", "emial": "x"})).await;
    assert_json_snapshot!(problem, {".requestId" => "[id]"});
}

#[tokio::test]
async fn a_null_name_is_told() {
    let (_, problem) = captured(&json!({"name": null, "email": "john@example.com"})).await;
    assert_json_snapshot!(problem, {".requestId" => "[id]"});
}

#[tokio::test]
async fn texts_that_are_too_long_are_told() {
    let body = json!({
        "name": "n".repeat(201), "email": format!("{}@example.com", "e".repeat(250)), "phone": "1".repeat(41),
        "message": "m".repeat(10_001), "sessionId": "s".repeat(201), "custom": {"a": "c".repeat(9_000)}
    });
    let (_, problem) = captured(&body).await;
    assert_eq!(
        places(&problem),
        ["/name", "/email", "/phone", "/message", "/sessionId", "/custom/a"]
    );
}

#[tokio::test]
async fn the_character_nul_is_told_wherever_it_stands() {
    let body = json!({
        "name": "a\0b", "email": "a\0@b.co", "phone": "1\0", "message": "m\0", "sessionId": "s\0", "custom": {"a": "\0"}
    });
    let (_, problem) = captured(&body).await;
    assert_eq!(
        places(&problem),
        ["/name", "/email", "/phone", "/message", "/sessionId", "/custom/a"]
    );
}

#[tokio::test]
async fn a_body_of_5_mib_is_refused_with_the_limit() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let body = json!({"name": "John Doe", "email": "john@example.com", "message": "m".repeat(5 * 1024 * 1024)});
    let problem = app.post(client.leads(), &body).refused(413, "body-too-large").await;
    assert_json_snapshot!(problem, {".requestId" => "[id]"});
    let batch = format!("{}/batch", client.leads());
    let problem = app
        .post(batch, &json!({"leads": [body]}))
        .refused(413, "body-too-large")
        .await;
    assert_eq!(problem["detail"], "the body may have at most 4096 KiB (4194304 bytes)");
}

#[tokio::test]
async fn a_body_that_declares_too_much_is_refused_before_it_is_read() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let call = app.post(client.leads(), &lead()).header("content-length", "5242880");
    call.refused(413, "body-too-large").await;
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_read() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let mut body = lead().to_string();
    body.push_str(&" ".repeat(256 * 1024 - body.len()));
    app.call(Method::POST, client.leads())
        .raw(body.clone())
        .send()
        .await
        .expect(201);
    body.push(' ');
    app.call(Method::POST, client.leads())
        .raw(body)
        .refused(413, "body-too-large")
        .await;
}

#[tokio::test]
async fn an_unknown_client_is_not_found() {
    let app = TestApp::new().await;
    let path = "/v1/clients/d454991a-eddb-4e81-959d-87c868e050ca";
    let problem = app
        .post(format!("{path}/leads"), &lead())
        .refused(404, "not-found")
        .await;
    assert_json_snapshot!(problem, {".requestId" => "[id]"});
    let batch = json!({"leads": [lead()]});
    app.post(format!("{path}/leads/batch"), &batch)
        .refused(404, "not-found")
        .await;
    app.post(format!("{path}/leads/batch"), &json!({"leads": [{}]}))
        .refused(404, "not-found")
        .await;
    app.patch(path, &json!({"name": "New"})).refused(404, "not-found").await;
    app.patch(path, &json!({})).refused(404, "not-found").await;
    app.patch(format!("{path}/settings"), &json!({"includeCustomFields": true}))
        .refused(404, "not-found")
        .await;
    app.delete(path).refused(404, "not-found").await;
    app.post(format!("{path}/destinations"), &new_destination("CRM"))
        .refused(404, "not-found")
        .await;
    app.post(format!("{path}/deliveries/redeliver"), &json!({"state": "failed"}))
        .refused(404, "not-found")
        .await;
    for list in ["", "/settings", "/leads", "/destinations", "/deliveries", "/recoveries"] {
        app.get(format!("{path}{list}")).refused(404, "not-found").await;
    }
}

#[tokio::test]
async fn another_clients_lead_is_not_found() {
    let app = TestApp::new().await;
    let (acme, other) = (app.client("Acme Corp").await, app.client("Other Inc").await);
    let captured = app.post(acme.leads(), &lead()).send().await.expect(201);
    let id = captured["id"].as_str().expect("an id");
    app.get(format!("{}/{id}", acme.leads())).send().await.expect(200);
    let problem = app
        .get(format!("{}/{id}", other.leads()))
        .refused(404, "not-found")
        .await;
    assert_eq!(problem["detail"], "there is no such lead");
    app.delete(format!("{}/{id}", other.leads()))
        .refused(404, "not-found")
        .await;
}

#[tokio::test]
async fn another_clients_destination_and_delivery_are_not_found() {
    let app = TestApp::new().await;
    let (acme, other) = (app.client("Acme Corp").await, app.client("Other Inc").await);
    app.post(acme.leads(), &lead()).send().await.expect(201);
    for (list, below) in [("destinations", &["", "/secret"][..]), ("deliveries", &[""])] {
        let items = app.get(format!("{}/{list}", acme.path)).send().await.expect(200);
        let id = items["items"][0]["id"].as_str().expect("one of them").to_owned();
        for below in below {
            app.get(format!("{}/{list}/{id}{below}", acme.path))
                .send()
                .await
                .expect(200);
            app.get(format!("{}/{list}/{id}{below}", other.path))
                .refused(404, "not-found")
                .await;
        }
    }
}

#[tokio::test]
async fn an_id_that_is_no_uuid_is_told() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let problem = app.get("/v1/clients/acme").refused(400, "invalid-request").await;
    assert_json_snapshot!(problem, {".requestId" => "[id]"});
    app.post("/v1/clients/acme/leads", &lead())
        .refused(400, "invalid-request")
        .await;
    for (path, parameter) in [
        ("leads/1", "leadId"),
        ("leads/%00", "leadId"),
        ("destinations/1", "destinationId"),
        ("destinations/1/secret", "destinationId"),
        ("deliveries/1", "deliveryId"),
        ("recoveries/1", "recoveryId"),
    ] {
        let problem = app
            .get(format!("{}/{path}", client.path))
            .refused(400, "invalid-request")
            .await;
        assert_eq!(places(&problem), [parameter], "{path}");
    }
    for (method, path) in [
        (Method::PATCH, "destinations/1"),
        (Method::DELETE, "destinations/1"),
        (Method::POST, "destinations/1/secret/rotate"),
    ] {
        let problem = app
            .call(method, format!("{}/{path}", client.path))
            .json(&json!({}))
            .refused(400, "invalid-request")
            .await;
        assert_eq!(places(&problem), ["destinationId"], "{path}");
    }
    app.get(format!("{}/leads/%ff", client.path))
        .refused(400, "invalid-request")
        .await;
    app.delete("/v1/keys/1").refused(400, "invalid-request").await;
}

#[tokio::test]
async fn a_bad_cursor_is_told() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let problem = app
        .get(format!("{}?cursor=yesterday", client.leads()))
        .refused(400, "invalid-request")
        .await;
    assert_json_snapshot!(problem, {".requestId" => "[id]"});
    for cursor in ["", "%00", "AA", "0193a2b5-3c1f-7a2e-8f00-5d9c1b2a3e4f"] {
        app.get(format!("/v1/clients?cursor={cursor}"))
            .refused(400, "invalid-request")
            .await;
    }
}

#[tokio::test]
async fn a_limit_out_of_range_is_told() {
    let app = TestApp::new().await;
    for limit in ["0", "201", "-1", "ten", "", "99999999999999999999"] {
        let problem = app
            .get(format!("/v1/clients?limit={limit}"))
            .refused(400, "invalid-request")
            .await;
        assert_eq!(problem["detail"], "limit must be a number from 1 to 200", "{limit}");
    }
}

#[tokio::test]
async fn unknown_and_repeated_parameters_are_told() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let path = format!(
        "{}/deliveries?stat=failed&limit=0&since=yesterday&state=done&leadId=1",
        client.path
    );
    let problem = app.get(path).refused(400, "invalid-request").await;
    assert_json_snapshot!(problem, {".requestId" => "[id]"});
    let problem = app
        .get("/v1/clients?limit=1&limit=2")
        .refused(400, "invalid-request")
        .await;
    assert_eq!(places(&problem), ["limit"]);
    for path in [client.settings(), "/healthz".to_owned(), "/openapi.json".to_owned()] {
        let problem = app
            .get(format!("{path}?verbose=1"))
            .refused(400, "invalid-request")
            .await;
        assert_eq!(places(&problem), ["verbose"]);
    }
    app.post(format!("{}?dry=1", client.leads()), &lead())
        .refused(400, "invalid-request")
        .await;
}

#[tokio::test]
async fn a_body_that_is_not_declared_as_json_is_refused() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    for declared in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "json",
    ] {
        let call = app.post(client.leads(), &lead()).header("content-type", declared);
        let problem = call.refused(415, "unsupported-media-type").await;
        assert_json_snapshot!("not_declared_as_json", problem, {".requestId" => "[id]"});
    }
    let undeclared = app.post(client.leads(), &lead()).without("content-type");
    undeclared.refused(415, "unsupported-media-type").await;
    for declared in [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/vnd.acme+json",
    ] {
        app.post(client.leads(), &lead())
            .header("content-type", declared)
            .send()
            .await
            .expect(201);
    }
}

#[tokio::test]
async fn a_path_that_is_not_served_is_not_found() {
    let app = TestApp::new().await;
    let problem = app.get("/v2/clients").refused(404, "no-such-route").await;
    assert_json_snapshot!(problem, {".requestId" => "[id]"});
    for path in ["/", "/v1", "/v1/clients/", "/docs/../x", "/docs/nothing.js"] {
        app.get(path).refused(404, "no-such-route").await;
    }
}

#[tokio::test]
async fn a_method_that_is_not_served_is_told_with_those_that_are() {
    let app = TestApp::new().await;
    let answer = app.call(Method::PUT, "/v1/clients").send().await;
    let problem = answer.problem(405, "method-not-allowed");
    assert_json_snapshot!(problem, {".requestId" => "[id]"});
    let mut allowed = answer
        .header("allow")
        .expect("the methods that are")
        .split(',')
        .collect::<Vec<_>>();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
}

#[tokio::test]
async fn a_client_without_a_proper_name_is_refused() {
    let app = TestApp::new().await;
    for (body, wrong) in [
        (json!({}), &["/name"][..]),
        (json!({"name": null}), &["/name"]),
        (json!({"name": " "}), &["/name"]),
        (json!({"name": "a\nb"}), &["/name"]),
        (json!({"name": "n".repeat(201)}), &["/name"]),
        (
            json!({"name": 1, "leadWebhookUrl": 2, "url": 3}),
            &["/name", "/leadWebhookUrl", "/url"],
        ),
    ] {
        let problem = app.post("/v1/clients", &body).refused(422, "invalid-body").await;
        assert_eq!(places(&problem), wrong, "{body}");
    }
    let client = app.client("Acme Corp").await;
    let problem = app
        .patch(&*client.path, &json!({"name": null}))
        .refused(422, "invalid-body")
        .await;
    assert_eq!(places(&problem), ["/name"]);
}
