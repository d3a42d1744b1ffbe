//! How the program ends when it is asked to.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sensei_test_support::{Api, Receiver};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::faults::{ADMIN_KEY, LIMIT, binary, create_client};

/// Long enough that SIGTERM comes while the attempt waits for its answer.
const ANSWER_TAKES: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_an_attempt_in_flight_end_and_exits_with_0() -> Result<()> {
    let (binary, receiver) = (binary(), Receiver::start());
    receiver.set_delay(ANSWER_TAKES);
    let mut process = binary.start()?;
    let api = Api::new(process.wait_ready(LIMIT).await?, ADMIN_KEY);
    let client = create_client(&api, Some(&receiver.url())).await?;
    let lead = api
        .post(
            &format!("/v1/clients/{client}/leads"),
            &json!({"name": "John Doe", "email": "john@example.com"}),
        )
        .await?;
    assert_eq!(lead.status, 201);
    receiver.wait_for(1, LIMIT).await?;
    process.terminate()?;
    let status = process.wait_exit(LIMIT).await?;
    assert_eq!(status.code(), Some(0), "{}", process.output());

    let mut process = binary.start()?;
    let api = Api::new(process.wait_ready(LIMIT).await?, ADMIN_KEY);
    let deliveries = api.get(&format!("/v1/clients/{client}/deliveries")).await?.json;
    let delivery = &deliveries["items"][0];
    assert_eq!(
        (&delivery["state"], &delivery["attemptCount"]),
        (&json!("succeeded"), &json!(1)),
        "{deliveries}"
    );
    assert_eq!(receiver.count(), 1, "nothing is sent twice");
    Ok(())
}

#[tokio::test]
async fn idle_kept_alive_connections_do_not_hold_the_end_up() -> Result<()> {
    let binary = binary();
    let mut process = binary.start()?;
    let address = process.wait_ready(LIMIT).await?;
    let mut idle = TcpStream::connect(address).await?;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await?;
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"HTTP/1.1 200");
    // And one that has begun a request and never ends it.
    let mut stuck = TcpStream::connect(address).await?;
    stuck
        .write_all(b"POST /v1/clients HTTP/1.1\r\nhost: localhost\r\n")
        .await?;

    let asked = Instant::now();
    process.terminate()?;
    let status = process.wait_exit(LIMIT).await?;
    assert_eq!(status.code(), Some(0), "{}", process.output());
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    drop((idle, stuck));
    Ok(())
}

#[tokio::test]
async fn ctrl_c_ends_as_sigterm_does() -> Result<()> {
    let binary = binary();
    let mut process = binary.start()?;
    process.wait_ready(LIMIT).await?;
    let id = i32::try_from(process.id()).context("a process id")?;
    let sent = std::process::Command::new("sh")
        .args(["-c", "kill -INT \"$0\"", &id.to_string()])
        .status()?;
    assert!(sent.success());
    assert_eq!(process.wait_exit(LIMIT).await?.code(), Some(0), "{}", process.output());
    assert!(process.output().contains("Ctrl-C"), "{}", process.output());
    Ok(())
}
