//! The published webhook: what the real program sends is the documented payload, byte for byte.

use anyhow::{Context, Result, ensure};
use sensei_test_support::{Api, Receiver};
use serde_json::{Value, json};

use crate::faults::{ADMIN_KEY, LIMIT, binary, create_client, text};

#[tokio::test(flavor = "multi_thread")]
async fn the_body_received_is_the_documented_payload_byte_for_byte() -> Result<()> {
    let (binary, receiver) = (binary(), Receiver::start());
    let mut process = binary.start()?;
    let api = Api::new(process.wait_ready(LIMIT).await?, ADMIN_KEY);
    let client = create_client(&api, Some(&receiver.url())).await?;
    let path = format!("/v1/clients/{client}/leads");

    let long = "é".repeat(10_000);
    let odd = "Zoë 🦀 \"quoted\" \\ back, line\nand tab\t, \u{2028} and </script>";
    let texts = [
        ("phone", "+1234567890"),
        ("message", odd),
        ("sessionId", "session-uuid-here"),
    ];
    let mut cases = vec![vec![("message", &*long)]];
    cases.extend((0..8).map(|present| {
        texts
            .iter()
            .enumerate()
            .filter(|(bit, _)| present & (1 << bit) != 0)
            .map(|(_, field)| *field)
            .collect()
    }));
    for (number, case) in cases.into_iter().enumerate() {
        let mut lead = json!({"name": "John \"Doe\" 🦀", "email": "john@example.com"});
        for (field, text) in &case {
            lead[*field] = (*text).into();
        }
        let answer = api.post(&path, &lead).await?;
        ensure!(answer.status == 201, "{answer:?}");
        let received = receiver.wait_for(number + 1, LIMIT).await?;
        let body = std::str::from_utf8(&received[number].body)?;
        let field = |name: &str| lead.get(name).cloned().unwrap_or(Value::Null);
        let expected = format!(
            "{{\"event\":\"lead.created\",\"timestamp\":{},\"data\":{{\"id\":{},\"name\":{},\"email\":{},\"phone\":{},\
             \"message\":{},\"clientId\":\"{client}\",\"clientName\":\"Acme Corp\",\"sessionId\":{}}}}}",
            answer.json["createdAt"],
            answer.json["id"],
            lead["name"],
            lead["email"],
            field("phone"),
            field("message"),
            field("sessionId"),
        );
        assert_eq!(body, expected);
        let header = |name| received[number].header(name).context("a header is missing");
        assert_eq!(header("content-type")?, "application/json");
        assert!(header("user-agent")?.starts_with("Sensei-Webhooks/"));
        assert!(received[number].header("sensei-test").is_none());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_webhook_id_is_the_event_and_the_signature_verifies_with_the_shown_secret() -> Result<()> {
    let (binary, receiver) = (binary(), Receiver::start());
    let mut process = binary.start()?;
    let api = Api::new(process.wait_ready(LIMIT).await?, ADMIN_KEY);
    let client = create_client(&api, Some(&receiver.url())).await?;
    let lead = json!({"name": "John Doe", "email": "john@example.com"});
    api.post(&format!("/v1/clients/{client}/leads"), &lead).await?;
    let received = receiver.wait_for(1, LIMIT).await?.remove(0);

    let settings = api.get(&format!("/v1/clients/{client}/settings")).await?;
    let destination = text(&settings.json["destinationId"]);
    let secret = api
        .get(&format!("/v1/clients/{client}/destinations/{destination}/secret"))
        .await?;
    let secret = text(&secret.json["secret"]).parse::<sensei_domain::SigningSecret>()?;
    let header = |name| received.header(name).context("a header is missing");
    let headers = sensei_domain::SignatureHeaders {
        id: header("webhook-id")?,
        timestamp: header("webhook-timestamp")?,
        signature: header("webhook-signature")?,
    };
    let now = sensei_domain::Clock::now(&sensei_domain::SystemClock);
    sensei_domain::verify(&[secret], &headers, &received.body, now)?;
    let deliveries = api.get(&format!("/v1/clients/{client}/deliveries")).await?;
    assert_eq!(deliveries.json["items"][0]["eventId"], headers.id);
    Ok(())
}
