//! What an operator looks at: how clients are doing, how everything stands, who changed what.

use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{TestApp, lead, text};
use crate::attempts::{attempted, claim};

async fn clients_are_found_by_name_and_show_how_they_are_doing(app: TestApp) {
    let acme = app.client("Acme Corp").await;
    let idle = app.client("ACME Inc").await;
    let paused = app.client("Other").await;
    for client in [&acme, &acme, &paused] {
        app.post(client.leads(), &lead()).send().await.expect(201);
    }
    let destination = async |path: &str| {
        text(
            &app.get(format!("{path}/settings")).send().await.expect(200),
            "/destinationId",
        )
    };
    let of_paused = destination(&paused.path).await;
    app.patch(
        format!("{}/destinations/{of_paused}", paused.path),
        &json!({"status": "paused"}),
    )
    .send()
    .await
    .expect(200);
    let list = async |query: &str| {
        let page = app.get(format!("/v1/clients?{query}")).send().await.expect(200);
        page["items"].as_array().cloned().expect("items")
    };
    let names = async |query: &str| {
        let items = list(query).await;
        items.iter().map(|item| text(item, "/name")).collect::<Vec<_>>()
    };
    assert_eq!(names("").await, ["Other", "ACME Inc", "Acme Corp"]);
    assert_eq!(names("q=acme").await, ["ACME Inc", "Acme Corp"]);
    assert_eq!(names("q=CORP&limit=1").await, ["Acme Corp"]);
    assert_eq!(names("q=nobody").await, Vec::<String>::new());
    assert!(list("q=acme").await[0].get("health").is_none());
    let health = async |id: &str| {
        let all = list("health=true").await;
        let item = all.iter().find(|item| item["id"] == id).cloned();
        item.expect("it is listed")["health"].clone()
    };
    let expected = |state: &str, leads: u64, failed: u64, rate: Value| json!({"state": state, "leads24h": leads, "failed24h": failed, "successRate24h": rate, "troubledDestinations": 0});
    assert_eq!(health(&acme.id).await, expected("ok", 2, 0, Value::Null));
    assert_eq!(health(&idle.id).await, expected("idle", 0, 0, Value::Null));
    assert_eq!(health(&paused.id).await, expected("paused", 1, 0, Value::Null));

    let id = destination(&acme.path).await.parse().expect("an id");
    for job in claim(&app, id, 2).await {
        attempted(&app, job, 400).await;
    }
    assert_eq!(health(&acme.id).await, expected("failing", 2, 2, json!(0.0)));
    let stats = app
        .get(format!("{}/stats?window=24h", acme.path))
        .send()
        .await
        .expect(200);
    let window = &stats["window"];
    assert_eq!(
        (&window["leads"], &window["failed"], &window["successRate"]),
        (&json!(2), &json!(2), &json!(0.0))
    );
    assert_eq!(
        (&window["name"], &window["since"]),
        (&json!("24h"), &json!("2024-11-23T11:00:00.000Z"))
    );
    let buckets = window["buckets"].as_array().expect("buckets");
    assert_eq!(buckets.len(), 24);
    assert_eq!(
        (&buckets[23]["at"], &buckets[23]["failed"]),
        (&json!("2024-11-24T10:00:00.000Z"), &json!(2))
    );
    assert_eq!((&buckets[0]["failed"], &buckets[0]["p50Ms"]), (&json!(0), &Value::Null));
    // A day later nothing of that counts.
    app.clock.advance(Duration::from_hours(25));
    while app.store.roll_up().await.expect("added up") {}
    assert_eq!(health(&acme.id).await, expected("idle", 0, 0, Value::Null));
    app.get("/v1/clients?health=yes").refused(400, "invalid-request").await;
}

#[tokio::test]
async fn clients_are_found_by_name_and_show_how_they_are_doing_on_sqlite() {
    clients_are_found_by_name_and_show_how_they_are_doing(TestApp::new().await).await;
}

#[tokio::test]
async fn clients_are_found_by_name_and_show_how_they_are_doing_on_postgres() {
    if let Some(app) = TestApp::on_postgres().await {
        clients_are_found_by_name_and_show_how_they_are_doing(app).await;
    }
}

async fn an_operator_sees_how_everything_stands(app: TestApp, database: &str) {
    let client = app.client("Acme Corp").await;
    app.post(client.leads(), &lead()).send().await.expect(201);
    let redeliver = format!("{}/deliveries/redeliver", client.path);
    app.post(redeliver, &json!({"state": "failed"}))
        .send()
        .await
        .expect(202);
    app.store.roll_up().await.expect("added up");
    let seen = app.get("/v1/operator").send().await.expect(200);
    assert_eq!(
        (&seen["database"], &seen["pending"], &seen["held"]),
        (&json!(database), &json!(1), &json!(0))
    );
    assert_eq!(seen["startedAt"], "2024-11-24T10:30:00.000Z");
    // Nothing delivers here.
    assert_eq!((&seen["inFlight"], &seen["openBreakers"]), (&Value::Null, &json!([])));
    assert_eq!((&seen["troubled"], &seen["leadsWaiting"]), (&json!([]), &json!(0)));
    let recovery = &seen["recoveries"][0];
    assert_eq!(
        (&recovery["clientId"], &recovery["clientName"], &recovery["state"]),
        (&json!(client.id), &json!("Acme Corp"), &json!("running"))
    );

    let log = app.get("/v1/audit-log?limit=2").send().await.expect(200);
    assert_eq!(log["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(log["items"][0]["action"], "recovery.started");
    assert_eq!(log["items"][0]["clientId"], *client.id);
    let next = text(&log, "/nextCursor");
    let rest = app.get(format!("/v1/audit-log?cursor={next}")).send().await.expect(200);
    let actions = rest["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| text(item, "/action"));
    assert!(actions.collect::<Vec<_>>().contains(&"client.created".to_owned()));
    let other = app.client("Other Inc").await;
    let of_other = app
        .get(format!("/v1/audit-log?clientId={}", other.id))
        .send()
        .await
        .expect(200);
    let items = of_other["items"].as_array().expect("items");
    assert!(!items.is_empty() && items.iter().all(|item| item["clientId"] == *other.id));
    for path in ["/v1/operator", "/v1/audit-log", "/v1/clients"] {
        let new = json!({"name": "theirs", "clientId": client.id, "kind": "secret"});
        let key = text(&app.post("/v1/keys", &new).send().await.expect(201), "/key");
        app.get(path).key(&key).refused(403, "forbidden").await;
    }
}

#[tokio::test]
async fn an_operator_sees_how_everything_stands_on_sqlite() {
    an_operator_sees_how_everything_stands(TestApp::new().await, "sqlite").await;
}

#[tokio::test]
async fn an_operator_sees_how_everything_stands_on_postgres() {
    if let Some(app) = TestApp::on_postgres().await {
        an_operator_sees_how_everything_stands(app, "postgres").await;
    }
}
