//! How a client's deliveries stand.

use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{TestApp, lead};
use crate::attempts::{attempted, claim};

async fn stats(app: &TestApp, path: &str) -> Value {
    app.get(format!("{path}/stats")).send().await.expect(200)
}

async fn a_clients_deliveries_are_counted(app: TestApp) {
    let (acme, other) = (app.client("Acme Corp").await, app.client("Other Inc").await);
    let none = json!({"pending": 0, "held": 0, "succeeded": 0, "failed": 0, "cancelled": 0});
    let begun = "2024-11-24T10:30:00.000Z";
    assert_eq!(
        stats(&app, &acme.path).await,
        json!({"deliveries": none, "oldestDueAt": null, "inFlight": 0, "asOf": begun})
    );
    for client in [&acme, &acme, &acme, &other] {
        app.post(client.leads(), &lead()).send().await.expect(201);
    }
    app.clock.advance(Duration::from_secs(5));
    let now = "2024-11-24T10:30:05.000Z";
    let mut expected = json!({"deliveries": none, "oldestDueAt": begun, "inFlight": 0, "asOf": now});
    expected["deliveries"]["pending"] = 3.into();
    assert_eq!(stats(&app, &acme.path).await, expected);

    let settings = app.get(acme.settings()).send().await.expect(200);
    let destination_id = settings["destinationId"]
        .as_str()
        .expect("an id")
        .parse()
        .expect("an id");
    let mut claimed = claim(&app, destination_id, 2).await;
    expected["inFlight"] = 2.into();
    assert_eq!(stats(&app, &acme.path).await, expected);
    attempted(&app, claimed.remove(0), 400).await;
    expected["inFlight"] = 1.into();
    (expected["deliveries"]["pending"], expected["deliveries"]["failed"]) = (2.into(), 1.into());
    assert_eq!(stats(&app, &acme.path).await, expected);

    app.patch(acme.settings(), &json!({"leadWebhookUrl": null}))
        .send()
        .await
        .expect(200);
    let ended = stats(&app, &acme.path).await;
    assert_eq!(
        (&ended["deliveries"]["cancelled"], &ended["oldestDueAt"]),
        (&json!(2), &json!(null))
    );
    assert_eq!(stats(&app, &other.path).await["deliveries"]["pending"], 1);
}

#[tokio::test]
async fn a_clients_deliveries_are_counted_on_sqlite() {
    a_clients_deliveries_are_counted(TestApp::new().await).await;
}

#[tokio::test]
async fn a_clients_deliveries_are_counted_on_postgres() {
    if let Some(app) = TestApp::on_postgres().await {
        a_clients_deliveries_are_counted(app).await;
    }
}

#[tokio::test]
async fn a_mistyped_client_is_no_client_without_deliveries() {
    let app = TestApp::new().await;
    app.get("/v1/clients/0197f6de-0000-7000-8000-000000000000/stats")
        .refused(404, "not-found")
        .await;
    let client = app.client("Acme Corp").await;
    app.get(format!("{}/stats?window=1h", client.path))
        .refused(400, "invalid-request")
        .await;
}
