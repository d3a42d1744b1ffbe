//! More than the program can take: it says so at once, and keeps what it said yes to.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sensei_test_support::{Api, Database, PostgresServer, http_client};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::faults::{ADMIN_KEY, LIMIT, binary, create_client, text};

/// The most leads of a request.
const BATCH: usize = 1_000;
/// Requests of so many leads: more than may wait (16,384) beside the one that is being written.
const REQUESTS: usize = 24;
/// Far less than the deadline of a request.
const SOON: Duration = Duration::from_secs(15);
const HOLDER: &str = "LOCK TABLE leads IN EXCLUSIVE MODE";

fn batch(leads: usize) -> Value {
    json!({"leads": vec![json!({"name": "John Doe", "email": "john@example.com"}); leads]})
}

/// Keeps everybody from writing leads until [`let_go`].
async fn hold(database: &Arc<Database<'static>>) -> Result<()> {
    let holder = Arc::clone(database);
    // It ends by being cut off, which is an error of it.
    tokio::task::spawn_blocking(move || holder.psql(&format!("BEGIN; {HOLDER}; SELECT pg_sleep(60)")).ok());
    let held = "SELECT count(*) FROM pg_locks \
                WHERE relation = 'leads'::regclass AND mode = 'ExclusiveLock' AND granted";
    let deadline = Instant::now() + LIMIT;
    while database.psql(held)? != "1" {
        ensure!(Instant::now() < deadline, "the lock isn't held");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

fn let_go(database: &Database<'_>) -> Result<()> {
    let sql = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%{HOLDER}%'"
    );
    ensure!(database.psql(&sql)? == "1", "one session held the lock");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn more_leads_than_may_wait_are_refused_at_once_and_none_that_was_acknowledged_is_lost() -> Result<()> {
    let Some(server) = PostgresServer::shared() else {
        return Ok(());
    };
    let database = Arc::new(server.database());
    let binary = binary().env("DATABASE_URL", database.url());
    let mut process = binary.start()?;
    let address = process.wait_ready(LIMIT).await?;
    let client = create_client(&Api::new(address, ADMIN_KEY), None).await?;
    hold(&database).await?;
    let (sender, url) = (
        http_client(),
        format!("http://{address}/v1/clients/{client}/leads/batch"),
    );
    let mut answers = JoinSet::new();
    for _ in 0..REQUESTS {
        let request = sender.post(&url).bearer_auth(ADMIN_KEY).json(&batch(BATCH));
        answers.spawn(async move {
            let answer = request.send().await?;
            let head = (answer.status().as_u16(), answer.headers().clone());
            anyhow::Ok((head.0, head.1, answer.json::<Value>().await?))
        });
    }
    let (mut acknowledged, mut refused, mut other) = (BTreeSet::new(), 0, Vec::new());
    while let Some(answer) = answers.join_next().await {
        let (status, headers, body) = answer??;
        if status == 200 {
            let items = body["items"].as_array().context("a list")?;
            acknowledged.extend(items.iter().map(|item| text(&item["lead"]["id"])));
        } else if body["type"] == "/problems/overloaded" {
            assert_eq!(
                (status, &headers["content-type"]),
                (503, &"application/problem+json".parse()?)
            );
            let seconds = headers["retry-after"].to_str()?.parse::<u32>()?;
            assert!((1..=60).contains(&seconds), "{seconds}");
            refused += 1;
            if refused == 1 {
                // While nothing could be written: nobody was told yes.
                assert!(acknowledged.is_empty());
                let_go(&database)?;
            }
        } else {
            other.push((status, body));
        }
    }
    assert_eq!(other, []);
    assert!(refused > 0 && !acknowledged.is_empty(), "{refused} refused");
    assert_eq!(acknowledged.len() + refused * BATCH, REQUESTS * BATCH);
    let kept = database.psql("SELECT id FROM leads")?;
    let kept = kept.lines().map(ToOwned::to_owned).collect::<BTreeSet<_>>();
    assert!(
        kept == acknowledged,
        "{} kept, {} acknowledged",
        kept.len(),
        acknowledged.len()
    );
    Ok(())
}

/// Begins to post a body of so many bytes.
async fn begin(address: SocketAddr, path: &str, framing: &str) -> Result<TcpStream> {
    let mut caller = TcpStream::connect(address).await?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {ADMIN_KEY}\r\n\
         content-type: application/json\r\nconnection: close\r\n{framing}\r\n\r\n"
    );
    caller.write_all(head.as_bytes()).await?;
    Ok(caller)
}

async fn answer(mut caller: TcpStream) -> Result<String> {
    let mut answer = Vec::new();
    // A caller who is cut off while he still sends may lose the end of the answer.
    let reading = async { while caller.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {} };
    tokio::time::timeout(LIMIT, reading).await.context("no answer")?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_end_is_refused_at_its_limit_and_changes_nothing() -> Result<()> {
    let binary = binary();
    let mut process = binary.start()?;
    let address = process.wait_ready(LIMIT).await?;
    let api = Api::new(address, ADMIN_KEY);
    let client = create_client(&api, None).await?;
    let path = format!("/v1/clients/{client}/leads");
    let caller = begin(address, &path, "transfer-encoding: chunked").await?;
    let (mut reader, mut writer) = caller.into_split();
    let piece = format!("10000\r\n{}\r\n", " ".repeat(0x1_0000));
    let (mut sent, mut said) = (0, vec![0; 4_096]);
    let begin = Instant::now();
    let said = loop {
        ensure!(begin.elapsed() < LIMIT, "nothing said after {sent} bytes");
        tokio::select! {
            biased;
            read = reader.read(&mut said) => break String::from_utf8_lossy(&said[..read?]).into_owned(),
            // Cut off: the answer was sent before.
            written = writer.write_all(piece.as_bytes()) => if written.is_ok() { sent += piece.len() },
        }
    };
    assert!(
        said.starts_with("HTTP/1.1 413") && said.contains("/problems/body-too-large"),
        "{said}"
    );
    // What is beyond the limit may lie in buffers, on both sides; it isn't read without end.
    assert!(sent < 64 << 20, "{sent}");
    let leads = api.get(&path).await?;
    assert_eq!(leads.json["items"], json!([]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_trickle_keep_nobodys_place_and_end_with_the_deadline() -> Result<()> {
    let binary = binary();
    let mut process = binary.start()?;
    let address = process.wait_ready(LIMIT).await?;
    let api = Api::new(address, ADMIN_KEY);
    let client = create_client(&api, None).await?;
    let path = format!("/v1/clients/{client}/leads/batch");
    // All but the last byte of more leads than may wait.
    let body = batch(BATCH).to_string();
    let (almost, last) = body.split_at(body.len() - 1);
    let framing = format!("content-length: {}", body.len());
    let mut slow = Vec::new();
    for _ in 0..REQUESTS {
        let mut caller = begin(address, &path, &framing).await?;
        caller.write_all(almost.as_bytes()).await?;
        slow.push(caller);
    }
    // And many who have hardly begun.
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(begin(address, &path, &framing).await?);
    }
    let begun = Instant::now();
    for leads in [1, BATCH] {
        let body = batch(leads);
        let posted = api.post(&path, &body);
        let posted = tokio::time::timeout(SOON, posted)
            .await
            .context("others wait for the slow")??;
        ensure!(posted.status == 200, "{posted:?}");
    }
    ensure!(
        begun.elapsed() < SOON,
        "others wait for the slow: {:?}",
        begun.elapsed()
    );
    let mut finished = slow.pop().context("there are some")?;
    finished.write_all(last.as_bytes()).await?;
    let finished = answer(finished).await?;
    assert!(finished.starts_with("HTTP/1.1 200"), "{finished}");
    for caller in [
        slow.pop().context("there are some")?,
        idle.pop().context("there are some")?,
    ] {
        let said = answer(caller).await?;
        assert!(
            said.starts_with("HTTP/1.1 503") && said.contains("/problems/deadline-exceeded"),
            "{said}"
        );
        assert!(said.contains("retry-after: "), "{said}");
    }
    drop((slow, idle));
    let leads = api.get(&format!("/v1/clients/{client}/leads?limit=200")).await?;
    assert_eq!(leads.json["items"].as_array().map(Vec::len), Some(200));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_while_he_sends_is_told_why_and_keeps_his_connection() -> Result<()> {
    let binary = binary();
    let mut process = binary.start()?;
    let address = process.wait_ready(LIMIT).await?;
    let mut caller = TcpStream::connect(address).await?;
    let body = batch(BATCH).to_string();
    let head = format!(
        "POST /v1/clients/nobody/leads/batch HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer wrong\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    for _ in 0..2 {
        caller.write_all(head.as_bytes()).await?;
        let mut said = Vec::new();
        let early = tokio::time::timeout(Duration::from_millis(200), caller.read_buf(&mut said)).await;
        assert!(
            early.is_err(),
            "answered in the middle: {}",
            String::from_utf8_lossy(&said)
        );
        caller.write_all(body.as_bytes()).await?;
        while !said.ends_with(b"}") {
            let read = tokio::time::timeout(LIMIT, caller.read_buf(&mut said)).await??;
            ensure!(read > 0, "cut off after {}", String::from_utf8_lossy(&said));
        }
        let said = String::from_utf8_lossy(&said);
        assert!(said.starts_with("HTTP/1.1 401"), "{said}");
    }
    Ok(())
}
