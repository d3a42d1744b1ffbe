//! Receivers that answer at once, and then send their body a byte at a time.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sensei_test_support::{Api, Fault, FaultServer, Receiver};
use serde_json::json;

use crate::faults::{ADMIN_KEY, LIMIT, binary, create_client};

const DRIPPING: usize = 6;
/// One of them would take all of these, with what waits for it.
const AT_ONCE: &str = "8";
/// An attempt that drips takes 15 s.
const SOON: Duration = Duration::from_secs(3);

async fn capture(api: &Api, client: &str, leads: usize) -> Result<()> {
    let batch = json!({"leads": vec![json!({"name": "John Doe", "email": "john@example.com"}); leads]});
    let answer = api.post(&format!("/v1/clients/{client}/leads/batch"), &batch).await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(())
}

/// How many of its deliveries have succeeded.
async fn delivered(api: &Api, client: &str) -> Result<u64> {
    let stats = api.get(&format!("/v1/clients/{client}/stats")).await?;
    Ok(stats.json["deliveries"]["succeeded"].as_u64().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_drip_take_few_of_the_attempts_that_there_are() -> Result<()> {
    let (dripping, receiver) = (FaultServer::start(Fault::SlowBody), Receiver::start());
    let binary = binary().env("SENSEI_TOTAL_CONCURRENCY", AT_ONCE);
    let mut process = binary.start()?;
    let api = Api::new(process.wait_ready(LIMIT).await?, ADMIN_KEY);
    let mut clients = Vec::new();
    for _ in 0..DRIPPING {
        clients.push(create_client(&api, Some(&dripping.url())).await?);
    }
    let other = create_client(&api, Some(&receiver.url())).await?;
    // So that it is known how they are.
    for client in &clients {
        capture(&api, client, 1).await?;
    }
    let deadline = Instant::now() + 3 * LIMIT;
    for client in &clients {
        while delivered(&api, client).await? == 0 {
            ensure!(Instant::now() < deadline, "what drips is delivered");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let before = dripping.connections();
    for client in &clients {
        capture(&api, client, 40).await?;
    }
    while dripping.connections() == before {
        ensure!(Instant::now() < deadline, "they are sent to again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for lead in 1..=10 {
        capture(&api, &other, 1).await?;
        receiver.wait_for(lead, SOON).await?;
    }
    Ok(())
}
