//! `/metrics`: what is counted adds up, on the real program.

#![expect(clippy::float_cmp, reason = "whole numbers, though a sample is a float")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sensei::{Config, Sensei};
use sensei_persistence::DatabaseUrl;
use sensei_test_support::{Api, Binary, Receiver, free_port, http_client};
use serde_json::json;
use tokio::net::TcpListener;

use crate::faults::LIMIT;

const KEY: &str = "sk_0123456789abcdef";

/// The samples of a scrape, by name and labels.
async fn scrape(address: SocketAddr) -> Result<HashMap<String, f64>> {
    let answer = http_client().get(format!("http://{address}/metrics")).send().await?;
    ensure!(answer.status() == 200, "{}", answer.status());
    let content = answer.headers()["content-type"].to_str()?;
    ensure!(content.starts_with("application/openmetrics-text"), "{content}");
    let text = answer.text().await?;
    ensure!(text.ends_with("# EOF\n"), "{text}");
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').context("a sample")?;
            Ok((name.to_owned(), value.parse()?))
        })
        .collect()
}

fn sensei() -> Binary {
    Binary::new(env!("CARGO_BIN_EXE_sensei"))
        .env("SENSEI_ADMIN_KEY", KEY)
        .env("SENSEI_EGRESS_ALLOW", "127.0.0.0/8")
}

async fn capture(api: &Api, url: &str, leads: usize) -> Result<()> {
    let client = api
        .post("/v1/clients", &json!({"name": "Acme Corp", "leadWebhookUrl": url}))
        .await?;
    ensure!(client.status == 201, "{client:?}");
    let path = format!("/v1/clients/{}/leads", client.json["id"].as_str().context("an id")?);
    for _ in 0..leads {
        let lead = api
            .post(&path, &json!({"name": "John Doe", "email": "john@example.com"}))
            .await?;
        ensure!(lead.status == 201, "{lead:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn leads_and_attempts_add_up_between_scrapes() -> Result<()> {
    let receiver = Receiver::start();
    let binary = sensei().env("SENSEI_ADMIN_LISTEN", "127.0.0.1:0");
    let mut process = binary.start()?;
    let api = Api::new(process.wait_ready(LIMIT).await?, KEY);
    let metrics = process.metrics_address().context("metrics are served")?;
    let before = scrape(metrics).await?;
    for name in [
        "sensei_leads_captured_total",
        "sensei_leads_refused_total{reason=\"overload\"}",
        "sensei_leads_waiting",
        "sensei_deliveries{state=\"pending\"}",
        "sensei_deliveries{state=\"held\"}",
        "sensei_oldest_due_age_seconds",
        "sensei_attempts_total{outcome=\"delivered\",trigger=\"first\"}",
        "sensei_attempt_duration_seconds_count",
        "sensei_attempts_running",
        "sensei_lane_places",
        "sensei_lane_bytes",
        "sensei_lanes",
        "sensei_breakers_open",
        "sensei_outcomes_waiting",
        "sensei_commit_batch_size_count{of=\"leads\"}",
        "sensei_commit_duration_seconds_count{of=\"outcomes\"}",
        "sensei_egress_refused_total",
    ] {
        assert_eq!(before.get(name), Some(&0.0), "{name}: {before:#?}");
    }
    let version = format!("sensei_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!((before[&version], before["sensei_database_up"]), (1.0, 1.0));

    capture(&api, &receiver.url(), 5).await?;
    capture(&api, &format!("http://127.0.0.1:{}/", free_port()?), 2).await?;
    receiver.wait_for(5, LIMIT).await?;
    let begun = Instant::now();
    let after = loop {
        let after = scrape(metrics).await?;
        let done = after["sensei_deliveries{state=\"succeeded\"}"] + after["sensei_deliveries{state=\"failed\"}"];
        if done >= 7.0 && after["sensei_lane_places"] == 0.0 && after["sensei_attempts_running"] == 0.0 {
            break after;
        }
        ensure!(begun.elapsed() < LIMIT, "{after:#?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    for (name, value) in [
        ("sensei_leads_captured_total", 7.0),
        ("sensei_deliveries{state=\"pending\"}", 0.0),
        ("sensei_deliveries{state=\"succeeded\"}", 5.0),
        ("sensei_deliveries{state=\"failed\"}", 2.0),
        ("sensei_attempts_total{outcome=\"delivered\",trigger=\"first\"}", 5.0),
        ("sensei_attempts_total{outcome=\"unavailable\",trigger=\"first\"}", 2.0),
        ("sensei_attempt_duration_seconds_count", 7.0),
        ("sensei_attempt_duration_seconds_bucket{le=\"+Inf\"}", 7.0),
        ("sensei_commit_batch_size_sum{of=\"leads\"}", 7.0),
        ("sensei_commit_batch_size_sum{of=\"outcomes\"}", 7.0),
        ("sensei_outcomes_waiting", 0.0),
        ("sensei_lane_bytes", 0.0),
        ("sensei_oldest_due_age_seconds", 0.0),
    ] {
        assert_eq!(after.get(name), Some(&value), "{name}: {after:#?}");
    }
    let all = after
        .iter()
        .filter(|(name, _)| name.starts_with("sensei_attempts_total"));
    assert_eq!(all.map(|(_, count)| count).sum::<f64>(), 7.0, "each is counted once");
    let commits = after["sensei_commit_batch_size_count{of=\"leads\"}"];
    assert!((1.0..=7.0).contains(&commits));
    assert_eq!(after["sensei_commit_duration_seconds_count{of=\"leads\"}"], commits);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn default_address_in_use_stops_nobody_and_a_chosen_one_is_an_error() -> Result<()> {
    // Another program may have it already: then this one can't, and that is as well.
    let _default = TcpListener::bind("127.0.0.1:9090").await;
    let binary = sensei().env("SENSEI_ADMIN_LISTEN", "");
    let mut process = binary.start()?;
    process.wait_ready(LIMIT).await?;
    process.wait_output("no metrics are served", LIMIT).await?;
    drop(process);

    let taken = TcpListener::bind("127.0.0.1:0").await?;
    let address = taken.local_addr()?.to_string();
    for binary in [
        sensei().env("SENSEI_ADMIN_LISTEN", &address),
        sensei().arg("--admin-listen").arg(&address),
    ] {
        let mut process = binary.start()?;
        let status = process.wait_exit(LIMIT).await?;
        assert_eq!(status.code(), Some(1));
        process.wait_output("metrics can't be served", LIMIT).await?;
        process.wait_output(&address, LIMIT).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_in_one_process_do_not_mix() -> Result<()> {
    let mut addresses = Vec::new();
    let mut running = Vec::new();
    for _ in 0..2 {
        let folder = tempfile::tempdir()?;
        let config = Config {
            database: DatabaseUrl::Sqlite(folder.path().join("sensei.db")),
            ..Config::default()
        };
        let sensei = Sensei::start(config).await?;
        let mut pair = Vec::new();
        for router in [sensei.router(), sensei.metrics_router()] {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            pair.push(listener.local_addr()?);
            tokio::spawn(async move { axum::serve(listener, router).await });
        }
        addresses.push(pair);
        running.push((sensei, folder));
    }
    let key = running[0].0.first_admin_key().context("a new database")?;
    let api = Api::new(addresses[0][0], key);
    let client = api.post("/v1/clients", &json!({"name": "Acme Corp"})).await?;
    let path = format!("/v1/clients/{}/leads", client.json["id"].as_str().context("an id")?);
    let lead = api
        .post(&path, &json!({"name": "John Doe", "email": "john@example.com"}))
        .await?;
    ensure!(lead.status == 201, "{lead:?}");
    for (pair, captured) in addresses.iter().zip([1.0, 0.0]) {
        assert_eq!(scrape(pair[1]).await?["sensei_leads_captured_total"], captured);
    }
    for (sensei, _folder) in running {
        sensei.shutdown().await;
    }
    for pair in addresses {
        let gone = http_client().get(format!("http://{}/metrics", pair[1])).send().await?;
        assert_eq!(gone.status(), 503, "it tells of nothing that isn't there");
    }
    Ok(())
}
