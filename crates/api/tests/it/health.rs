//! The health of a destination, as its owner reads it.

use serde_json::Value;

use crate::app::TestApp;
use crate::recovery::{destination, failed};

#[tokio::test]
async fn what_is_wrong_and_what_to_do_is_told() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let own = destination(&app, &client).await;
    let health = app.get(own.clone()).send().await.expect(200)["health"].take();
    assert_eq!(
        (&health["state"], &health["nextStep"]),
        (&"healthy".into(), &Value::Null)
    );

    failed(&app, &client).await;
    while app.store.keep_health().await.expect("looked at") {}
    let health = app.get(own).send().await.expect(200)["health"].take();
    assert_eq!(
        (&health["state"], &health["failedAttempts"]),
        (&"warned".into(), &1.into())
    );
    assert_eq!(
        health["disablesAt"],
        Value::Null,
        "a Lead Webhook under policy none only warns"
    );
    assert_eq!(
        health["nextStep"],
        "the receiver says that it is gone: give the destination the URL of another"
    );
    let listed = app
        .get(format!("{}/destinations", client.path))
        .send()
        .await
        .expect(200);
    assert_eq!(listed["items"][0]["health"], health);
}
