//! Signing secrets: read, replaced, never shown where they must not be.

use std::time::Duration;

use sensei_domain::{SigningSecret, VerifyingKey};
use serde_json::{Value, json};

use crate::app::{TestApp, places, text};

#[tokio::test]
async fn a_secret_is_replaced_with_an_overlap() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let path = format!("{}/secret", app.destination(&client, "CRM").await);
    let first = app.get(&*path).send().await.expect(200);
    assert_eq!(
        (&first["signature"], &first["previousSecretUntil"]),
        (&json!("v1"), &Value::Null)
    );

    let rotated = app.post(format!("{path}/rotate"), &json!({})).send().await.expect(200);
    assert_ne!(rotated["secret"], first["secret"]);
    text(&rotated, "/secret").parse::<SigningSecret>().expect("a secret");
    assert_eq!(rotated["previousSecretUntil"], "2024-11-25T10:30:00.000Z");
    assert_eq!(app.get(&*path).send().await.expect(200), rotated);
    app.clock.advance(Duration::from_hours(24));
    let later = app.get(&*path).send().await.expect(200);
    assert_eq!(
        (&later["secret"], &later["previousSecretUntil"]),
        (&rotated["secret"], &Value::Null)
    );

    let body = json!({"overlap": "0s"});
    let alone = app.post(format!("{path}/rotate"), &body).send().await.expect(200);
    assert_eq!(alone["previousSecretUntil"], Value::Null);
}

#[tokio::test]
async fn of_a_key_pair_only_the_public_key_is_shown() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let path = format!("{}/secret", app.destination(&client, "CRM").await);
    let body = json!({"signature": "v1a", "overlap": "7d"});
    let rotated = app.post(format!("{path}/rotate"), &body).send().await.expect(200);
    text(&rotated, "/publicKey")
        .parse::<VerifyingKey>()
        .expect("a public key");
    assert_eq!((&rotated["signature"], rotated.get("secret")), (&json!("v1a"), None));
    assert_eq!(rotated["previousSecretUntil"], "2024-12-01T10:30:00.000Z");
    let read = app.get(&*path).send().await.expect(200);
    assert_eq!(read, rotated);
    assert!(!read.to_string().contains("whsk_"));
}

#[tokio::test]
async fn faulty_rotations_are_refused() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let path = format!("{}/secret/rotate", app.destination(&client, "CRM").await);
    for (body, wrong) in [
        (json!([]), &[""][..]),
        (
            json!({"overlap": 24, "signature": 1, "secret": "whsec_"}),
            &["/overlap", "/signature", "/secret"],
        ),
        (json!({"overlap": "8d"}), &["/overlap"]),
        (json!({"overlap": "-1s"}), &["/overlap"]),
        (json!({"signature": "v2"}), &["/signature"]),
    ] {
        let problem = app.post(&*path, &body).refused(422, "invalid-body").await;
        assert_eq!(places(&problem), wrong, "{body}");
    }
}
