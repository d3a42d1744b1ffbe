//! The process is killed at any moment, and the counts still add up.

use std::collections::BTreeSet;

use anyhow::Result;
use sensei_test_support::{Api, Receiver};

use super::load::{ADMIN_KEY, LIMIT, Load, all_delivered, binary, create_client, until};

const KILLS: usize = 20;
const CALLERS: usize = 16;
/// How many leads each life of the process acknowledges before it is killed.
const LEADS_A_LIFE: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_lead_is_lost_in_twenty_kills_under_load() -> Result<()> {
    let (binary, receiver) = (binary(), Receiver::start());
    let mut acknowledged = BTreeSet::new();
    let mut client = String::new();
    for life in 0..KILLS {
        let mut process = binary.start()?;
        let address = process.wait_ready(LIMIT).await?;
        if life == 0 {
            client = create_client(&Api::new(address, ADMIN_KEY), Some(&receiver.url())).await?;
        }
        let load = Load::start(address, &client, CALLERS, true);
        load.wait_acknowledged(LEADS_A_LIFE).await?;
        process.kill();
        acknowledged.extend(load.stop().await.acknowledged);
    }
    assert!(acknowledged.len() >= KILLS * LEADS_A_LIFE);

    let mut process = binary.start()?;
    let address = process.wait_ready(LIMIT).await?;
    let repeats = all_delivered(&receiver, &acknowledged).await?;
    println!(
        "{} acknowledged, {} requests, {repeats} repeats, 0 lost",
        acknowledged.len(),
        receiver.count()
    );

    // The log agrees with the receiver: in the end nothing is pending and nothing failed.
    let api = Api::new(address, ADMIN_KEY);
    let mut pending = 1;
    while pending > 0 {
        let path = format!("/v1/clients/{client}/deliveries?state=pending&limit=200");
        pending = api.get(&path).await?.json["items"].as_array().map_or(0, Vec::len);
    }
    let failed = api
        .get(&format!("/v1/clients/{client}/deliveries?state=failed"))
        .await?;
    assert_eq!(failed.json["items"], serde_json::json!([]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_whose_attempt_died_with_its_process_is_attempted_at_the_next_start_at_once() -> Result<()> {
    // The lease is far longer than the test: only the start itself can free it.
    let (binary, receiver) = (binary().env("SENSEI_LEASE", "10m"), Receiver::start());
    receiver.set_delay(std::time::Duration::from_secs(14));
    let mut process = binary.start()?;
    let address = process.wait_ready(LIMIT).await?;
    let client = create_client(&Api::new(address, ADMIN_KEY), Some(&receiver.url())).await?;
    let load = Load::start(address, &client, 1, true);
    load.wait_acknowledged(1).await?;
    until("the first attempt", || receiver.count() >= 1).await?;
    process.kill();
    let told = load.stop().await;
    let before = receiver.count();

    receiver.set_delay(std::time::Duration::ZERO);
    let mut process = binary.start()?;
    process.wait_ready(LIMIT).await?;
    let repeats = all_delivered(&receiver, &told.acknowledged).await?;
    until("the interrupted attempts to be made again", || {
        receiver.count() > before
    })
    .await?;
    assert!(repeats <= before);
    Ok(())
}
