//! The whole journey through the router: a client, its URL, a lead, its delivery.

use std::time::Duration;

use futures_util::FutureExt as _;
use insta::assert_json_snapshot;
use serde_json::json;

use crate::app::{RECEIVER, TestApp, text};

async fn a_lead_is_captured_and_its_delivery_can_be_looked_up(app: TestApp) {
    let ids = {
        let mut redactions = insta::Settings::clone_current();
        for selector in [
            ".id",
            ".items[].id",
            ".eventId",
            ".leadId",
            ".destinationId",
            ".clientId",
            ".client.id",
        ] {
            redactions.add_redaction(selector, "[id]");
            redactions.add_redaction(&format!(".items[]{selector}"), "[id]");
        }
        for selector in [
            ".items[].lead.id",
            ".lead.id",
            ".event.id",
            ".event.body.data.id",
            ".event.body.data.clientId",
        ] {
            redactions.add_redaction(selector, "[id]");
        }
        redactions.add_redaction(".settings.clientId", "[id]");
        redactions.add_redaction(".settings.destinationId", "[id]");
        redactions.add_redaction(".publishableKey", "[key]");
        redactions.add_redaction(".secret", "[secret]");
        redactions
    };
    let _redacted = ids.bind_to_scope();

    let body = json!({"name": " Acme Corp ", "leadWebhookUrl": RECEIVER});
    let client = app.post("/v1/clients", &body).send().await.expect(201);
    assert_json_snapshot!("created_client", client);
    assert!(text(&client, "/publishableKey").starts_with("pk_"));
    let path = format!("/v1/clients/{}", text(&client, "/id"));
    assert_json_snapshot!("client", app.get(&*path).send().await.expect(200));

    let settings = app.get(format!("{path}/settings")).send().await.expect(200);
    assert_json_snapshot!("settings", settings);
    let destination = format!("{path}/destinations/{}", text(&settings, "/destinationId"));
    assert_json_snapshot!("destination", app.get(&*destination).send().await.expect(200));
    let secret = app.get(format!("{destination}/secret")).send().await.expect(200);
    assert!(text(&secret, "/secret").starts_with("whsec_"));

    let lead = json!({
        "name": "John Doe", "email": "john@example.com", "phone": "+1234567890",
        "message": "I need a quote for enterprise plan", "sessionId": "session-1", "custom": {"budget": "10k"}
    });
    let captured = app.post(format!("{path}/leads"), &lead).send().await.expect(201);
    assert_json_snapshot!("lead", captured);
    let leads = app.get(format!("{path}/leads")).send().await.expect(200);
    assert_eq!(leads, json!({"items": [captured], "nextCursor": null}));

    let deliveries = app.get(format!("{path}/deliveries")).send().await.expect(200);
    assert_json_snapshot!("deliveries", deliveries);
    assert_eq!(deliveries["items"][0]["leadId"], captured["id"]);
    assert_eq!(deliveries["items"][0]["destinationId"], settings["destinationId"]);
    let delivery = format!("{path}/deliveries/{}", text(&deliveries, "/items/0/id"));
    assert_json_snapshot!("delivery", app.get(delivery).send().await.expect(200));
}

#[tokio::test]
async fn a_lead_is_captured_and_its_delivery_can_be_looked_up_on_sqlite() {
    a_lead_is_captured_and_its_delivery_can_be_looked_up(TestApp::new().await).await;
}

#[tokio::test]
async fn a_lead_is_captured_and_its_delivery_can_be_looked_up_on_postgres() {
    if let Some(app) = TestApp::on_postgres().await {
        a_lead_is_captured_and_its_delivery_can_be_looked_up(app).await;
    }
}

#[tokio::test]
async fn a_caller_who_hangs_up_has_his_lead_captured() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    // So that the key is known, and the first thing to wait for is the store's answer.
    app.get(&*client.path).send().await.expect(200);
    let hung_up = app.post(client.leads(), &crate::app::lead()).send().now_or_never();
    assert!(hung_up.is_none(), "answered before it was durable");

    let captured = async {
        while app.count("leads").await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), captured)
        .await
        .expect("the lead is captured all the same");
    assert_eq!((app.count("leads").await, app.count("deliveries").await), (1, 1));
}

#[tokio::test]
async fn a_client_can_be_renamed() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    app.clock.advance(Duration::from_secs(1));
    let renamed = app
        .patch(&*client.path, &json!({"name": "Acme Corporation"}))
        .send()
        .await
        .expect(200);
    assert_eq!(
        (&renamed["name"], &renamed["updatedAt"]),
        (&json!("Acme Corporation"), &json!("2024-11-24T10:30:01.000Z"))
    );
    assert_eq!(app.patch(&*client.path, &json!({})).send().await.expect(200), renamed);
}
