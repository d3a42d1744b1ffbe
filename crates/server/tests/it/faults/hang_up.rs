//! Callers who hang up before they are answered.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sensei_test_support::{Api, Receiver};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::load::{ADMIN_KEY, LIMIT, binary, by_lead, create_client, text, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_hangs_up_has_his_lead_delivered_at_once() -> Result<()> {
    // With so long a lease, only the hand-over after the commit can be in time.
    let (binary, receiver) = (binary().env("SENSEI_LEASE", "10m"), Receiver::start());
    let mut process = binary.start()?;
    let address = process.wait_ready(LIMIT).await?;
    let api = Api::new(address, ADMIN_KEY);
    let client = create_client(&api, Some(&receiver.url())).await?;
    let body = r#"{"name":"John Doe","email":"john@example.com"}"#;
    let request = format!(
        "POST /v1/clients/{client}/leads HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {ADMIN_KEY}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    // Each hangs up a little later than the one before, so that some do it between the reading and the commit.
    let deadline = Instant::now() + LIMIT;
    let mut captured = Vec::new();
    while captured.len() < 10 {
        ensure!(
            Instant::now() < deadline,
            "only {} of those who hung up were captured",
            captured.len()
        );
        for step in 0..50 {
            let mut caller = TcpStream::connect(address).await?;
            caller.write_all(request.as_bytes()).await?;
            tokio::time::sleep(Duration::from_micros(step * 100)).await;
        }
        let listed = api.get(&format!("/v1/clients/{client}/leads?limit=200")).await?;
        captured = listed.json["items"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|lead| text(&lead["id"]))
            .collect();
    }
    until("what was captured to be delivered", || {
        let delivered = by_lead(&receiver.received());
        captured.iter().all(|lead| delivered.contains_key(lead))
    })
    .await
}
