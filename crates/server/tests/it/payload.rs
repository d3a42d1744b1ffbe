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

#[tokio::test(flavor = "multi_thread")]
async fn a_test_send_is_the_documented_payload_signed_and_marked_and_counts_for_nothing() -> Result<()> {
    let (binary, receiver) = (binary(), Receiver::start());
    let mut process = binary.start()?;
    let api = Api::new(process.wait_ready(LIMIT).await?, ADMIN_KEY);
    let client = create_client(&api, Some(&receiver.url())).await?;
    let settings = api.get(&format!("/v1/clients/{client}/settings")).await?;
    let path = format!(
        "/v1/clients/{client}/destinations/{}",
        text(&settings.json["destinationId"])
    );
    let secret = api.get(&format!("{path}/secret")).await?;
    let secret = text(&secret.json["secret"]).parse::<sensei_domain::SigningSecret>()?;

    let tested = api.post_once(&format!("{path}/test"), &Value::Null, "k").await?;
    ensure!(tested.status == 200, "{tested:?}");
    assert_eq!(
        (
            &tested.json["outcome"],
            &tested.json["trigger"],
            &tested.json["statusCode"]
        ),
        (&json!("delivered"), &json!("test"), &json!(200))
    );
    let again = api.post_once(&format!("{path}/test"), &Value::Null, "k").await?;
    assert_eq!(again.json, tested.json);
    let received = receiver.take();
    ensure!(received.len() == 1, "{} requests", received.len());
    let header = |name| received[0].header(name).context("a header is missing");
    assert_eq!(header("sensei-test")?, "true");
    let headers = sensei_domain::SignatureHeaders {
        id: header("webhook-id")?,
        timestamp: header("webhook-timestamp")?,
        signature: header("webhook-signature")?,
    };
    assert_eq!(tested.json["eventId"], headers.id);
    let now = sensei_domain::Clock::now(&sensei_domain::SystemClock);
    sensei_domain::verify(&[secret], &headers, &received[0].body, now)?;
    let body = received[0].json();
    let sample = serde_json::from_value::<sensei_domain::LeadCreated<'_>>(body.clone())?;
    assert_eq!(
        std::str::from_utf8(&received[0].body)?,
        std::str::from_utf8(&sample.to_bytes())?,
        "the published keys in their order, and no other"
    );
    assert_eq!(
        (&body["event"], &body["data"]["clientId"], &body["data"]["clientName"]),
        (&json!("lead.created"), &json!(client), &json!("Acme Corp"))
    );
    let log = format!("/v1/clients/{client}/deliveries/{}", text(&tested.json["deliveryId"]));
    let logged = api.get(&log).await?.json;
    assert_eq!(
        (&logged["state"], &logged["leadId"]),
        (&json!("succeeded"), &Value::Null)
    );
    let leads = api.get(&format!("/v1/clients/{client}/leads")).await?;
    assert_eq!(leads.json["items"], json!([]));

    // Ten failures in a row would open its breaker.
    receiver.set_status(500);
    for _ in 0..10 {
        let tested = api.post(&format!("{path}/test"), &Value::Null).await?;
        assert_eq!((tested.status, &tested.json["outcome"]), (200, &json!("unavailable")));
    }
    let destination = api.get(&path).await?.json;
    assert_eq!(destination["health"]["state"], "healthy");
    assert_eq!(
        destination["health"]["breaker"],
        json!({"state": "closed", "until": null})
    );
    receiver.set_status(200);
    receiver.take();
    let lead = json!({"name": "John Doe", "email": "john@example.com"});
    api.post(&format!("/v1/clients/{client}/leads"), &lead).await?;
    let received = receiver.wait_for(12, LIMIT).await?;
    assert!(received[0].header("sensei-test").is_none());
    process.terminate()?;
    ensure!(process.wait_exit(LIMIT).await?.success(), "it ends well");
    Ok(())
}
