//! Whether limits of attempts at the same time are kept, as receivers count it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use tokio::net::TcpListener;
use xtask::figures::Figure;

use crate::client::open_loop;
use crate::percentiles::{count, float};
use crate::system::{PATIENCE, System};

/// Destinations, leads a second, and the time of an answer that fill every limit by default.
const DESTINATIONS: usize = 80;
const RATE: u32 = 800;
const ANSWER: Duration = Duration::from_secs(2);
const TIME: Duration = Duration::from_secs(12);
/// The defaults, said all the same so that what is counted is what was asked for.
const LANE_LIMIT: usize = 16;
const TOTAL_LIMIT: usize = 1_024;

/// The settings that the system must have.
pub(super) fn settings() -> [(&'static str, String); 2] {
    [
        ("SENSEI_LANE_CONCURRENCY", LANE_LIMIT.to_string()),
        ("SENSEI_TOTAL_CONCURRENCY", TOTAL_LIMIT.to_string()),
    ]
}

/// As many attempts at a time as the limits allow, counted where they arrive: a request counts from when its head is read until
/// just before it is answered, which is less than the attempt takes.
pub(super) async fn measure(system: &System) -> Result<[Figure; 2]> {
    let slow = SlowReceiver::start().await?;
    let clients = system.clients("slow", DESTINATIONS, |number| slow.url(number)).await?;
    let posted = open_loop(TIME, RATE, move |number| clients[number % clients.len()].lead()).await?;
    posted.all_acknowledged()?;
    let deadline = Instant::now() + PATIENCE;
    while slow.counts.answered.load(Ordering::Relaxed) < posted.acknowledged.len() {
        ensure!(Instant::now() < deadline, "leads to slow receivers didn't arrive");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let most = *slow.counts.most.lock().unwrap_or_else(PoisonError::into_inner);
    ensure!(
        most.of_one >= LANE_LIMIT && most.of_all >= TOTAL_LIMIT,
        "the load was too small to reach the limits: {most:?}"
    );
    Ok([
        count("at the same time to one destination", most.of_one).at_most(float(LANE_LIMIT)),
        count("at the same time to all", most.of_all).at_most(float(TOTAL_LIMIT)),
    ])
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
    tokio::time::sleep(ANSWER).await;
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
