//! What receivers that hang cost those that answer: the same leads to the healthy ones alone, beside the hanging ones,
//! and alone again. Then whether limits of attempts at the same time are kept, as receivers count it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use reqwest::Client;
use sensei_test_support::{Fault, FaultServer, Process};
use tokio::net::TcpListener;

use crate::Arguments;
use crate::api::{self, Api};
use crate::client::{self, Posted, open_loop};
use crate::measure::delivery;
use crate::receiver::Receiver;
use crate::report::print_percentiles;

/// Destinations of each side.
const DESTINATIONS: usize = 50;
/// Leads a second to each side.
const RATE: u32 = 100;
/// A share of the 99th percentile alone that may come on top, and what may in any case.
const MAY_GROW_BY: f64 = 0.5;
const MAY_GROW: Duration = Duration::from_millis(5);
/// Longer than the deadline of an attempt, twice: hanging ones are met in every state of their lanes.
const BESIDE: Duration = Duration::from_secs(45);
/// Destinations, leads a second, and the time of an answer that fill every limit by default.
const SLOW_DESTINATIONS: usize = 80;
const SLOW_RATE: u32 = 800;
const SLOW_ANSWER: Duration = Duration::from_secs(2);
const SLOW: Duration = Duration::from_secs(12);
/// The defaults, said all the same so that what is counted is what was asked for.
const LANE_LIMIT: usize = 16;
const TOTAL_LIMIT: usize = 1_024;

/// Whether the healthy ones were no slower than they may be, and no limit was exceeded.
pub(crate) async fn run(arguments: &Arguments) -> Result<bool> {
    let binary = api::binary(arguments)?
        .env("SENSEI_LANE_CONCURRENCY", LANE_LIMIT.to_string())
        .env("SENSEI_TOTAL_CONCURRENCY", TOTAL_LIMIT.to_string());
    let mut process = binary.start()?;
    process.wait_ready(api::PATIENCE).await?;
    let http = client::new(1_024)?;
    let isolated = isolation(arguments, &process, &http).await?;
    let kept = limits(&process, &http).await?;
    Ok(isolated && kept)
}

async fn isolation(arguments: &Arguments, process: &Process, http: &Client) -> Result<bool> {
    let receiver = Receiver::start().await?;
    let hanging = FaultServer::start(Fault::BlackHole);
    let healthy = clients(process, http, "healthy", DESTINATIONS, |_| receiver.url()).await?;
    let hung = clients(process, http, "hanging", DESTINATIONS, |_| hanging.url()).await?;

    let alone_for = Duration::from_secs(arguments.seconds);
    let warm = post_to(&healthy, Duration::from_secs(2)).await?;
    let before = post_to(&healthy, alone_for).await?;
    let hanging_for = BESIDE + Duration::from_secs(1);
    let beside_hung = tokio::spawn(async move { post_to(&hung, hanging_for).await });
    let beside = post_to(&healthy, BESIDE).await?;
    let to_hung = beside_hung.await??;
    let after = post_to(&healthy, alone_for).await?;
    let all = [&warm, &before, &beside, &after];
    let all = all.iter().map(|posted| posted.acknowledged.len()).sum();
    receiver.wait_for(all, api::PATIENCE).await?;

    let first = receiver.first_arrivals();
    let [before, beside, after] = [before, beside, after].map(|posted| delivery(&posted, &first));
    let alone = before.p99.min(after.p99);
    let may = alone + alone.mul_f64(MAY_GROW_BY).max(MAY_GROW);
    println!("{DESTINATIONS} healthy destinations, {RATE} leads/s, capture to receiver");
    print_percentiles("alone", &before);
    print_percentiles("beside", &beside);
    print_percentiles("alone again", &after);
    println!(
        "  beside {DESTINATIONS} that hang: {} leads to them, {} connections; p99 may be {:.2} ms",
        to_hung.acknowledged.len(),
        hanging.connections(),
        may.as_secs_f64() * 1_000.0
    );
    to_hung.all_acknowledged()?;
    Ok(beside.p99 <= may)
}

/// As many attempts at a time as the limits allow, counted where they arrive: a request counts from when its head is read until
/// just before it is answered, which is less than the attempt takes.
async fn limits(process: &Process, http: &Client) -> Result<bool> {
    let slow = SlowReceiver::start().await?;
    let clients = clients(process, http, "slow", SLOW_DESTINATIONS, |number| slow.url(number)).await?;
    let posted = open_loop(SLOW, SLOW_RATE, move |number| clients[number % clients.len()].lead()).await?;
    let deadline = Instant::now() + api::PATIENCE;
    while slow.counts.answered.load(Ordering::Relaxed) < posted.acknowledged.len() {
        ensure!(Instant::now() < deadline, "leads to slow receivers didn't arrive");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let most = *slow.counts.most.lock().unwrap_or_else(PoisonError::into_inner);
    println!(
        "{} leads to {SLOW_DESTINATIONS} destinations that take {SLOW_ANSWER:?}: at the same time at most {} to one \
         (limit {LANE_LIMIT}), {} to all (limit {TOTAL_LIMIT})",
        posted.acknowledged.len(),
        most.of_one,
        most.of_all
    );
    ensure!(
        most.of_one >= LANE_LIMIT && most.of_all >= TOTAL_LIMIT,
        "the load was too small to reach the limits"
    );
    Ok(most.of_one == LANE_LIMIT && most.of_all == TOTAL_LIMIT)
}

async fn clients(
    process: &Process,
    http: &Client,
    name: &str,
    count: usize,
    url: impl Fn(usize) -> String,
) -> Result<Vec<Api>> {
    let mut made = Vec::with_capacity(count);
    for number in 0..count {
        made.push(Api::new(http.clone(), process, &format!("{name} {number}"), &url(number)).await?);
    }
    Ok(made)
}

async fn post_to(clients: &[Api], time: Duration) -> Result<Posted> {
    let clients = clients.to_vec();
    let posted = open_loop(time, RATE, move |number| clients[number % clients.len()].lead()).await?;
    posted.all_acknowledged()?;
    Ok(posted)
}

/// Answers each request after a while, and counts those that wait for their answer.
struct SlowReceiver {
    address: std::net::SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    now: Mutex<HashMap<usize, usize>>,
    most: Mutex<Most>,
    answered: AtomicUsize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Most {
    of_one: usize,
    of_all: usize,
}

impl SlowReceiver {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let counts = Arc::<Counts>::default();
        let router = Router::new()
            .route("/{number}", post(answer_slowly))
            .with_state(Arc::clone(&counts));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, counts })
    }

    fn url(&self, number: usize) -> String {
        format!("http://{}/{number}", self.address)
    }
}

async fn answer_slowly(State(counts): State<Arc<Counts>>, Path(number): Path<usize>) -> StatusCode {
    {
        let mut now = counts.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now.entry(number).or_default() += 1;
        let mut most = counts.most.lock().unwrap_or_else(PoisonError::into_inner);
        most.of_one = most.of_one.max(now[&number]);
        most.of_all = most.of_all.max(now.values().sum());
    }
    tokio::time::sleep(SLOW_ANSWER).await;
    if let Some(count) = counts
        .now
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get_mut(&number)
    {
        *count -= 1;
    }
    counts.answered.fetch_add(1, Ordering::Relaxed);
    StatusCode::OK
}
