//! A script that has read a page's key and posts as fast as it can: it gets no delivery, and nobody else waits for it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sensei_test_support::{Api, Receiver};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::faults::{ADMIN_KEY, LIMIT, binary, text};

/// Connections of the script, each with so many posts.
const CONNECTIONS: usize = 8;
const POSTS: usize = 1_250;
/// Within this, 95 of a hundred leads of somebody else are acknowledged meanwhile. Who had to wait for the flood would wait for seconds; a debug
/// build on a machine that runs other tests too needs some 300 ms.
const BOUND: Duration = Duration::from_secs(1);

/// Posts without waiting for answers, from ever other addresses; how many were taken and how many refused.
async fn flood(address: SocketAddr, path: &str, key: &str, number: usize) -> Result<(usize, usize)> {
    let caller = TcpStream::connect(address).await?;
    let (mut reader, mut writer) = caller.into_split();
    let mut posts = String::new();
    for post in 0..POSTS {
        let body = format!(r#"{{"name":"Bot","email":"bot{number}-{post}@example.com"}}"#);
        let end = if post + 1 == POSTS { "connection: close\r\n" } else { "" };
        write!(
            posts,
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
             x-forwarded-for: 198.51.{}.{}\r\n{end}content-length: {}\r\n\r\n{body}",
            number * 8 + post / 250,
            post % 250,
            body.len()
        )?;
    }
    let mut answers = Vec::new();
    let (written, read) = tokio::join!(writer.write_all(posts.as_bytes()), reader.read_to_end(&mut answers));
    written?;
    read?;
    let answers = String::from_utf8_lossy(&answers);
    let of = |status: &str| answers.matches(&format!("HTTP/1.1 {status} ")).count();
    Ok((of("201"), of("429")))
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_posts_of_a_script_get_no_delivery_and_slow_nobody_else() -> Result<()> {
    let binary = binary().env("SENSEI_TRUSTED_PROXIES", "127.0.0.0/8");
    let mut process = binary.start()?;
    let address = process.wait_ready(LIMIT).await?;
    let admin = Api::new(address, ADMIN_KEY);
    let (flooded, receiver) = (Receiver::start(), Receiver::start());
    let acme = json!({"name": "Acme Corp", "leadWebhookUrl": flooded.url()});
    let acme = admin.post("/v1/clients", &acme).await?.json;
    let other = json!({"name": "Other Inc", "leadWebhookUrl": receiver.url()});
    let other = text(&admin.post("/v1/clients", &other).await?.json["id"]);
    let key = json!({"name": "server", "kind": "secret", "clientId": other});
    let own = Api::new(address, &text(&admin.post("/v1/keys", &key).await?.json["key"]));

    let (path, key) = (
        format!("/v1/clients/{}/leads", text(&acme["id"])),
        text(&acme["publishableKey"]),
    );
    let mut script = JoinSet::new();
    for number in 0..CONNECTIONS {
        let (path, key) = (path.clone(), key.clone());
        script.spawn(async move { flood(address, &path, &key, number).await });
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let others = tokio::spawn({
        let (is_over, path) = (Arc::clone(&is_over), format!("/v1/clients/{other}/leads"));
        async move {
            let (mut ids, mut took) = (Vec::new(), Vec::new());
            while !is_over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let lead = json!({"name": "Jane Roe", "email": format!("jane{}@example.com", ids.len())});
                let answer = own.post(&path, &lead).await?;
                took.push(begun.elapsed());
                ensure!(answer.status == 201, "{answer:?}");
                ids.push(text(&answer.json["id"]));
            }
            Ok((ids, took))
        }
    });
    let (mut taken, mut refused) = (0, 0);
    while let Some(sent) = script.join_next().await {
        let sent = sent??;
        (taken, refused) = (taken + sent.0, refused + sent.1);
    }
    is_over.store(true, Ordering::Relaxed);
    let (mut ids, mut took) = others.await??;

    assert_eq!(taken + refused, CONNECTIONS * POSTS, "each is answered");
    assert!(taken >= 300 && refused > taken, "{taken} taken, {refused} refused");
    // Somebody else was there all the time, was answered soon, and all of his is delivered.
    ensure!(took.len() >= 20, "only {} meanwhile", took.len());
    took.sort_unstable();
    let p95 = took.get(took.len() * 95 / 100).context("there are some")?;
    assert!(*p95 < BOUND, "{p95:?} of {}", took.len());
    let received = receiver.wait_for(ids.len(), LIMIT).await?;
    let mut delivered = received
        .iter()
        .map(|webhook| text(&webhook.json()["data"]["id"]))
        .collect::<Vec<_>>();
    delivered.sort_unstable();
    ids.sort_unstable();
    assert_eq!(delivered, ids);
    // By now anything of the script's would have been delivered too.
    assert_eq!(flooded.count(), 0);
    let deliveries = admin.get(&path.replace("/leads", "/deliveries")).await?;
    assert_eq!(deliveries.json["items"], json!([]));
    Ok(())
}
