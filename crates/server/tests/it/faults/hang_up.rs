//! Callers who hang up before they are answered.

use anyhow::Result;
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
    for _ in 0..50 {
        let mut caller = TcpStream::connect(address).await?;
        caller.write_all(request.as_bytes()).await?;
    }
    // One that waits, so that those before it have come as far as they will.
    let last = api
        .post(&format!("/v1/clients/{client}/leads"), &serde_json::from_str(body)?)
        .await?;
    assert_eq!(last.status, 201);

    let listed = api.get(&format!("/v1/clients/{client}/leads?limit=200")).await?;
    let captured = listed.json["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|lead| text(&lead["id"]))
        .collect::<Vec<_>>();
    assert!(
        captured.len() > 1,
        "a request that was sent whole is captured, whoever waits for its answer"
    );
    until("what was captured to be delivered", || {
        let delivered = by_lead(&receiver.received());
        captured.iter().all(|lead| delivered.contains_key(lead))
    })
    .await
}
