//! How soon what happens is told to who watches the real program.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sensei_test_support::{Api, Receiver};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::faults::{ADMIN_KEY, LIMIT, binary, create_client, text};

/// What is promised.
const SOON: Duration = Duration::from_secs(1);
/// Odd, so that one is in the middle: a busy machine may be late with some of them.
const LEADS: usize = 9;

/// A stream, as far as it was read.
struct Events {
    socket: TcpStream,
    said: Vec<u8>,
}

impl Events {
    /// When it was told: an event of this name, for which this holds.
    async fn when(&mut self, name: &str, holds: impl Fn(&Value) -> bool) -> Result<Instant> {
        // All of it: what keeps the connection alive is no event.
        let told = tokio::time::timeout(LIMIT, self.until_told(name, holds));
        told.await.context("nothing is told")?
    }

    async fn until_told(&mut self, name: &str, holds: impl Fn(&Value) -> bool) -> Result<Instant> {
        loop {
            let said = String::from_utf8_lossy(&self.said);
            let is_told = said.split("\n\n").any(|event| {
                let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                let data = data.and_then(|data| serde_json::from_str(data).ok());
                event.contains(&format!("event: {name}\n")) && data.is_some_and(|data| holds(&data))
            });
            if is_told {
                return Ok(Instant::now());
            }
            let read = self.socket.read_buf(&mut self.said).await?;
            ensure!(read > 0, "the stream ended");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_and_its_delivery_are_told_within_a_second() -> Result<()> {
    let (binary, receiver) = (binary(), Receiver::start());
    let mut process = binary.start()?;
    let address = process.wait_ready(LIMIT).await?;
    let api = Api::new(address, ADMIN_KEY);
    let client = create_client(&api, Some(&receiver.url())).await?;
    let mut socket = TcpStream::connect(address).await?;
    // By HTTP 1.0, whose answers aren't sent in chunks.
    let request = format!("GET /v1/clients/{client}/stream HTTP/1.0\r\nauthorization: Bearer {ADMIN_KEY}\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut events = Events {
        socket,
        said: Vec::new(),
    };
    let (mut of_leads, mut of_deliveries) = (Vec::new(), Vec::new());
    for number in 0..LEADS {
        // At different moments of the looks.
        tokio::time::sleep(Duration::from_millis(37) * u32::try_from(number)?).await;
        let lead = json!({"name": "Jane Roe", "email": "jane@example.com"});
        let answer = api.post(&format!("/v1/clients/{client}/leads"), &lead).await?;
        ensure!(answer.status == 201, "{answer:?}");
        let (captured, id) = (Instant::now(), text(&answer.json["id"]));
        of_leads.push(events.when("lead", |lead| lead["id"] == id).await? - captured);
        let is_done = |delivery: &Value| delivery["leadId"] == id && delivery["state"] == "succeeded";
        let told = events.when("delivery", is_done).await?;
        let received = receiver.received();
        let received = received.iter().find(|request| request.json()["data"]["id"] == id);
        of_deliveries.push(told - received.context("it was sent")?.at);
    }
    println!("after the capture: {of_leads:?}; after the receiver's answer: {of_deliveries:?}");
    for mut took in [of_leads, of_deliveries] {
        took.sort_unstable();
        ensure!(took[LEADS / 2] < SOON, "{took:?}");
    }
    Ok(())
}
