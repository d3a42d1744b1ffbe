//! Signing secrets that are replaced while leads are delivered: nothing is lost, nothing is unsigned.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use sensei_test_support::{Api, Received, Receiver};
use serde_json::json;

use super::load::{ADMIN_KEY, LIMIT, Load, all_delivered, binary, create_client, text};

const CALLERS: usize = 8;
const LEADS_AFTER: usize = 5;

/// Whether the reference implementation accepts a webhook with this secret.
fn accepts(secret: &str, request: &Received) -> bool {
    let reference = standardwebhooks::Webhook::new(secret).expect("a secret");
    reference.verify(&request.body, &request.headers).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_under_load_loses_nothing_and_every_delivery_verifies() -> Result<()> {
    let (binary, receiver) = (binary(), Receiver::start());
    let mut process = binary.start()?;
    let address = process.wait_ready(LIMIT).await?;
    let api = Api::new(address, ADMIN_KEY);
    let client = create_client(&api, Some(&receiver.url())).await?;
    let settings = api.get(&format!("/v1/clients/{client}/settings")).await?.json;
    let destination = text(&settings["destinationId"]);
    let path = format!("/v1/clients/{client}/destinations/{destination}/secret");
    let mut secrets = vec![text(&api.get(&path).await?.json["secret"])];
    // Leads that were captured after a rotation was answered: by which secrets they must verify, and by which not.
    let mut expected = BTreeMap::<String, (Vec<String>, Option<String>)>::new();

    let load = Load::start(address, &client, CALLERS, false);
    for overlap in ["24h", "1h", "0s", "24h", "0s", "24h"] {
        load.wait_acknowledged(load.acknowledged() + 100).await?;
        let rotated = api
            .post(&format!("{path}/rotate"), &json!({ "overlap": overlap }))
            .await?;
        ensure!(rotated.status == 200, "{rotated:?}");
        secrets.push(text(&rotated.json["secret"]));
        let [.., before, new] = &secrets[..] else {
            unreachable!("there were two at least")
        };
        let (by, not_by) = match overlap {
            "0s" => (vec![new.clone()], Some(before.clone())),
            _ => (vec![new.clone(), before.clone()], None),
        };
        for _ in 0..LEADS_AFTER {
            let lead = json!({"name": "Jane Doe", "email": "jane@example.com"});
            let captured = api.post(&format!("/v1/clients/{client}/leads"), &lead).await?;
            expected.insert(text(&captured.json["id"]), (by.clone(), not_by.clone()));
        }
        // Before the next secret comes.
        all_delivered(&receiver, &expected.keys().cloned().collect()).await?;
    }
    let told = load.stop().await;
    ensure!(told.refused.is_empty() && told.cut == 0, "{told:?}");
    all_delivered(&receiver, &told.acknowledged).await?;

    let received = receiver.received();
    for request in &received {
        assert!(
            secrets.iter().any(|secret| accepts(secret, request)),
            "signed by none of the secrets"
        );
        if let Some((by, not_by)) = expected.get(&text(&request.json()["data"]["id"])) {
            assert!(by.iter().all(|secret| accepts(secret, request)));
            assert!(!not_by.iter().any(|secret| accepts(secret, request)));
        }
    }
    println!("{} deliveries verified over 6 rotations, 0 lost", received.len());
    Ok(())
}
