//! The lead form on the real program: it knows who sends, and delivers what a person has sent.

use anyhow::{Context as _, Result, ensure};
use sensei_test_support::{Api, Binary, Receiver, http_client};
use serde_json::json;

use crate::faults::LIMIT;

/// What the operator is told who hasn't named his proxy.
const WARNING: &str = "name it in trusted_proxies (SENSEI_TRUSTED_PROXIES)";

const KEY: &str = "sk_0123456789abcdef";

fn sensei() -> Binary {
    Binary::new(env!("CARGO_BIN_EXE_sensei"))
        .env("SENSEI_ADMIN_KEY", KEY)
        .env("SENSEI_EGRESS_ALLOW", "127.0.0.0/8")
}

/// Sends the hosted form without having opened it; what was answered.
async fn send(form: &str, number: usize, visitor: &str) -> Result<u16> {
    let email = format!("jane{number}@example.com");
    let body = format!("f-name=Jane&f-email={}", email.replace('@', "%40"));
    let request = http_client().post(form).header("x-forwarded-for", visitor);
    let request = request
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    Ok(request.send().await?.status().as_u16())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitors_address_is_that_of_the_connection_or_what_a_trusted_proxy_says() -> Result<()> {
    let receiver = Receiver::start();
    for (trusted, is_believed) in [("", false), ("127.0.0.0/8", true)] {
        let binary = sensei().env("SENSEI_TRUSTED_PROXIES", trusted);
        let mut process = binary.start()?;
        let address = process.wait_ready(LIMIT).await?;
        let api = Api::new(address, KEY);
        let new = json!({"name": "Acme Corp", "leadWebhookUrl": receiver.url()});
        let client = api.post("/v1/clients", &new).await?;
        let id = client.json["id"].as_str().context("an id")?.to_owned();
        let form = format!("http://{address}/forms/{id}");
        // One more each two seconds may be sent meanwhile.
        let mut sent = 0;
        while send(&form, sent, "203.0.113.7").await? == 200 {
            sent += 1;
            ensure!(sent < 100, "nobody is limited");
        }
        assert!(sent >= 30, "only {sent} were let through");
        let mut of_another = 0;
        for number in 1_000..1_010 {
            // The page that says that it was sent.
            of_another += usize::from(send(&form, number, "203.0.113.8").await? == 200);
        }
        assert_eq!(of_another == 10, is_believed, "{of_another}");
        let kept = api
            .get(&format!("/v1/clients/{id}/leads?suspected=true&limit=200"))
            .await?;
        let kept = kept.json["items"].as_array().map(Vec::len);
        assert_eq!(kept, Some(sent + of_another));
        assert_eq!(receiver.count(), 0, "nothing is delivered");
        if !is_believed {
            process.wait_output(WARNING, LIMIT).await?;
        }
        let told = process.output().matches(WARNING).count();
        assert_eq!(told, usize::from(!is_believed), "{}", process.output());
    }
    Ok(())
}
