//! Faults that other webhook systems have had, each tried on the real program. The table of all of them, with those
//! that a lower crate shows better, is docs/peer-faults.md.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sensei_test_support::{Api, Binary, Fault, FaultServer, PostgresServer, Process, Receiver};
use serde_json::{Value, json};

use crate::faults::{ADMIN_KEY, LIMIT, all_delivered, binary, create_client, text, until};
use crate::outcomes::delivered;

/// More than any lane holds in memory.
const MORE_THAN_A_LANE: usize = 2_000;
const NOT_STORED: &str = "outcomes could not be stored";

async fn start(binary: &Binary) -> Result<(Process, Api)> {
    let mut process = binary.start()?;
    let address = process.wait_ready(LIMIT).await?;
    Ok((process, Api::new(address, ADMIN_KEY)))
}

async fn capture(api: &Api, client: &str) -> Result<String> {
    let lead = json!({"name": "John Doe", "email": "john@example.com"});
    let answer = api.post(&format!("/v1/clients/{client}/leads"), &lead).await?;
    ensure!(answer.status == 201, "{answer:?}");
    Ok(text(&answer.json["id"]))
}

async fn capture_many(api: &Api, client: &str, count: usize) -> Result<BTreeSet<String>> {
    let mut ids = BTreeSet::new();
    while ids.len() < count {
        let leads = vec![json!({"name": "John Doe", "email": "john@example.com"}); (count - ids.len()).min(1_000)];
        let path = format!("/v1/clients/{client}/leads/batch");
        let answer = api.post(&path, &json!({ "leads": leads })).await?;
        let items = answer.json["items"].as_array().context("a list")?;
        ids.extend(items.iter().map(|item| text(&item["lead"]["id"])));
    }
    Ok(ids)
}

async fn destination(api: &Api, client: &str) -> Result<String> {
    let settings = api.get(&format!("/v1/clients/{client}/settings")).await?;
    let id = text(&settings.json["destinationId"]);
    Ok(format!("/v1/clients/{client}/destinations/{id}"))
}

async fn change(api: &Api, path: &str, what: &Value) -> Result<Value> {
    let answer = api.patch(path, what).await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(answer.json)
}

/// Waits until what is at a path is as it is wanted.
async fn until_it(api: &Api, path: &str, is_wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let json = api.get(path).await?.json;
        if is_wanted(&json) {
            return Ok(json);
        }
        ensure!(Instant::now() < deadline, "waited {LIMIT:?}: {json}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_event_is_not_lost_with_the_queue() -> Result<()> {
    let (binary, hanging) = (binary(), FaultServer::start(Fault::BlackHole));
    let (mut process, api) = start(&binary).await?;
    let client = create_client(&api, Some(&hanging.url())).await?;
    // Some find a place in memory, for the others it is full; then all that is in memory is gone.
    let acknowledged = capture_many(&api, &client, MORE_THAN_A_LANE).await?;
    process.kill();
    let address = hanging.address();
    drop(hanging);
    let receiver = Receiver::start_on(address)?;
    let (_process, _) = start(&binary).await?;
    all_delivered(&receiver, &acknowledged).await?;
    Ok(())
}

/// One lead whose attempt ends while the log can't be written; then it can. Its delivery in the end.
async fn attempted_without_a_log(status: u16) -> Result<Option<Value>> {
    let Some(server) = PostgresServer::shared() else {
        return Ok(None);
    };
    let (database, receiver) = (server.database(), Receiver::start());
    receiver.set_status(status);
    let (process, api) = start(&binary().env("DATABASE_URL", database.url())).await?;
    let client = create_client(&api, Some(&receiver.url())).await?;
    database.psql("ALTER TABLE attempts RENAME TO attempts_away")?;
    capture(&api, &client).await?;
    until("storing to have failed several times", || {
        process.output().matches(NOT_STORED).count() >= 4
    })
    .await?;
    let log = format!("/v1/clients/{client}/deliveries");
    let pending = api.get(&format!("{log}?state=pending")).await?.json;
    ensure!(pending["items"][0]["attemptCount"] == 0, "{pending}");
    ensure!(receiver.count() == 1, "{} requests", receiver.count());
    database.psql("ALTER TABLE attempts_away RENAME TO attempts")?;
    let ended = until_it(&api, &log, |log| log["items"][0]["state"] != "pending").await?;
    let delivery = api
        .get(&format!("{log}/{}", text(&ended["items"][0]["id"])))
        .await?
        .json;
    ensure!(receiver.count() == 1, "{} requests", receiver.count());
    Ok(Some(delivery))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_first_attempt_is_not_lost_with_its_log_write() -> Result<()> {
    let Some(delivery) = attempted_without_a_log(503).await? else {
        return Ok(());
    };
    assert_eq!(
        (&delivery["state"], &delivery["attemptCount"]),
        (&json!("failed"), &json!(1))
    );
    assert_eq!(delivery["attempts"][0]["statusCode"], 503);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_not_repeated_while_storing_its_answer_fails() -> Result<()> {
    let Some(delivery) = attempted_without_a_log(200).await? else {
        return Ok(());
    };
    assert_eq!(
        (&delivery["state"], &delivery["attemptCount"]),
        (&json!("succeeded"), &json!(1))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_destination_drops_nothing_that_comes() -> Result<()> {
    let (binary, receiver) = (binary(), Receiver::start());
    let (_process, api) = start(&binary).await?;
    let client = create_client(&api, Some(&receiver.url())).await?;
    let destination = destination(&api, &client).await?;
    change(&api, &destination, &json!({"status": "paused"})).await?;
    let acknowledged = capture_many(&api, &client, 20).await?;
    let held = api.get(&format!("/v1/clients/{client}/deliveries?state=held")).await?;
    assert_eq!(held.json["items"].as_array().map(Vec::len), Some(20));
    assert_eq!(receiver.count(), 0);
    change(&api, &destination, &json!({"status": "active"})).await?;
    assert_eq!(all_delivered(&receiver, &acknowledged).await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_destination_is_disabled_without_anybody_being_told() -> Result<()> {
    let (binary, gone, operators) = (binary(), Receiver::start(), Receiver::start());
    gone.set_status(410);
    let (_process, api) = start(&binary).await?;
    let operator = create_client(&api, Some(&operators.url())).await?;
    let settings = format!("/v1/clients/{operator}/settings");
    change(&api, &settings, &json!({"operationalEvents": true})).await?;
    let client = create_client(&api, Some(&gone.url())).await?;
    let destination = destination(&api, &client).await?;
    change(&api, &destination, &json!({"retry": {"policy": "standard"}})).await?;
    capture(&api, &client).await?;
    let disabled = until_it(&api, &destination, |destination| destination["status"] == "disabled").await?;
    assert_eq!(disabled["statusReason"], "the receiver says that it is gone (410)");
    let told = operators.wait_for(1, LIMIT).await?.remove(0).json();
    assert_eq!(
        (&told["event"], text(&told["data"]["clientId"])),
        (&json!("destination.disabled"), client)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_manual_resend_leaves_the_automatic_retries() -> Result<()> {
    let (binary, receiver) = (binary(), Receiver::start());
    receiver.set_status(503);
    let (_process, api) = start(&binary).await?;
    let client = create_client(&api, Some(&receiver.url())).await?;
    let retry = json!({"retry": {"policy": "custom", "delays": ["1h", "1h"]}});
    change(&api, &destination(&api, &client).await?, &retry).await?;
    capture(&api, &client).await?;
    let log = format!("/v1/clients/{client}/deliveries");
    let waits = until_it(&api, &log, |log| log["items"][0]["attemptCount"] == 1).await?["items"][0].take();
    ensure!(waits["state"] == "pending" && waits["dueAt"].is_string(), "{waits}");
    let path = format!("{log}/{}", text(&waits["id"]));
    let asked = api.post(&format!("{path}/redeliver"), &json!({})).await?;
    ensure!(asked.status == 202, "{asked:?}");
    let after = until_it(&api, &path, |delivery| delivery["attemptCount"] == 2).await?;
    assert_eq!(after["attempts"][1]["trigger"], "manual");
    assert_eq!((&after["state"], &after["dueAt"]), (&waits["state"], &waits["dueAt"]));
    Ok(())
}

async fn answer_with_a_nul(binary: &Binary) -> Result<()> {
    let answer = b"HTTP/1.1 500 Nope\r\ncontent-type: text/plain\r\ncontent-length: 7\r\n\r\na\0b\xff\0c\0".to_vec();
    let receiver = FaultServer::start(Fault::Raw(answer));
    let (process, api) = start(binary).await?;
    let delivery = delivered(&api, &receiver.url()).await?;
    let attempts = delivery["attempts"].as_array().context("a list")?;
    assert_eq!(
        (attempts.len(), &attempts[0]["statusCode"]),
        (1, &json!(500)),
        "{delivery}"
    );
    assert_eq!(attempts[0]["responseSnippet"], "ab\u{fffd}c");
    assert_eq!((receiver.connections(), &delivery["state"]), (1, &json!("failed")));
    ensure!(!process.output().contains(NOT_STORED), "{}", process.output());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_a_nul_byte_is_logged_and_not_repeated() -> Result<()> {
    answer_with_a_nul(&binary()).await?;
    if let Some(server) = PostgresServer::shared() {
        let database = server.database();
        answer_with_a_nul(&binary().env("DATABASE_URL", database.url())).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_trickles_ends_with_the_deadline() -> Result<()> {
    let (binary, receiver) = (binary(), FaultServer::start(Fault::SlowBody));
    let (_process, api) = start(&binary).await?;
    let delivery = delivered(&api, &receiver.url()).await?;
    let took = delivery["attempts"][0]["durationMs"].as_u64().context("a duration")?;
    assert!((14_000..20_000).contains(&took), "{delivery}");
    assert_eq!(
        (&delivery["state"], &delivery["attempts"][0]["statusCode"]),
        (&json!("succeeded"), &json!(200))
    );
    Ok(())
}

/// The most memory that a process has had, in KiB.
fn peak(process: &Process) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    Ok(peak.context("a peak")?.trim().trim_end_matches(" kB").parse()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_answer_is_not_read_into_memory() -> Result<()> {
    let (binary, receiver) = (binary(), FaultServer::start(Fault::EndlessBody));
    let (process, api) = start(&binary).await?;
    // What any delivery takes is none of the answer's.
    delivered(&api, &Receiver::start().url()).await?;
    let before = peak(&process)?;
    for _ in 0..5 {
        let delivery = delivered(&api, &receiver.url()).await?;
        let snippet = text(&delivery["attempts"][0]["responseSnippet"]);
        assert!(!snippet.is_empty() && snippet.len() <= 1_024, "{}", snippet.len());
    }
    let more = peak(&process)? - before;
    assert!(more < 32 << 10, "five answers took {more} KiB");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_clients_hanging_url_delays_no_others_lead() -> Result<()> {
    let (binary, hanging, receiver) = (binary(), FaultServer::start(Fault::BlackHole), Receiver::start());
    let (_process, api) = start(&binary).await?;
    let stuck = create_client(&api, Some(&hanging.url())).await?;
    let other = create_client(&api, Some(&receiver.url())).await?;
    capture_many(&api, &stuck, MORE_THAN_A_LANE).await?;
    until("attempts to hang", || hanging.connections() >= 4).await?;
    for count in 1..=20 {
        capture(&api, &other).await?;
        // An attempt that hangs takes 15 s: none is waited for.
        receiver.wait_for(count, Duration::from_secs(5)).await?;
    }
    Ok(())
}
