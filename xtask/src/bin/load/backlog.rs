//! What a million pending deliveries cost on SQLite: a start, memory, the sweeper's queries, and the leads of a client who has
//! nothing to do with them.
//!
//! The backlog lies over many destinations. Half of it is due, to a receiver that hangs and is mended later; half waits for a retry of
//! tomorrow. It is written into the database file with SQL while the program is down: a million real outages
//! would take an hour.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database};
use sensei_domain::SystemClock;
use sensei_persistence::{DatabaseUrl, MasterKey, Store, StoreOptions};
use sensei_test_support::{Binary, Process};
use tokio::net::TcpListener;

use crate::Arguments;
use crate::api::{self, Api};
use crate::client::{self, open_loop};
use crate::measure::{delivery, rate};
use crate::process::peak_memory;
use crate::receiver::Receiver;
use crate::report::{Percentiles, print_percentiles};

/// Destinations that the backlog lies over.
const DESTINATIONS: usize = 1_000;
/// Leads a second of the client who has no backlog.
const RATE: u32 = 100;
const START_BAR: Duration = Duration::from_secs(2);
const QUERY_BAR: Duration = Duration::from_millis(10);
/// MiB.
const MEMORY_BAR: f64 = 256.0;
/// Looks at what is due, to see what one costs.
const LOOKS: usize = 2_000;

/// The rows of the backlog, made of one lead that was captured; `:pending` of them, half of them due a second ago.
const FILL: &[&str] = &[
    "CREATE TEMP TABLE place (number INTEGER PRIMARY KEY, id BLOB, client_id BLOB)",
    "INSERT INTO place (id, client_id) SELECT id, client_id FROM destinations \
     WHERE client_id <> (SELECT client_id FROM leads LIMIT 1)",
    "CREATE TEMP TABLE made AS WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < :pending) \
     SELECT n, at, CAST(unhex(printf('%012x7000', at)) || randomblob(8) AS BLOB) AS lead, \
     CAST(unhex(printf('%012x7000', at)) || randomblob(8) AS BLOB) AS event, CAST(unhex(printf('%012x7000', at)) || randomblob(8) AS BLOB) AS delivery \
     FROM (SELECT n, (SELECT created_at FROM leads LIMIT 1) - :pending + n AS at FROM n)",
    "CREATE TEMP TABLE one AS SELECT l.name, l.email, l.phone, l.message, l.session_id, l.custom, e.type, e.body \
     FROM leads l JOIN events e ON e.lead_id = l.id LIMIT 1",
    "INSERT INTO leads SELECT lead, p.client_id, name, email, phone, message, session_id, custom, at, NULL \
     FROM made JOIN place p ON p.number = 1 + n % :destinations, one",
    "INSERT INTO events SELECT event, p.client_id, lead, type, body, at \
     FROM made JOIN place p ON p.number = 1 + n % :destinations, one",
    "INSERT INTO deliveries (id, client_id, event_id, lead_id, destination_id, state, due_at, attempt_count, \
     scheduled_attempts, created_at) SELECT delivery, p.client_id, event, lead, p.id, 'pending', \
     at + CASE WHEN n / :destinations % 2 THEN 0 ELSE 86400000 END, 0, 0, at \
     FROM made JOIN place p ON p.number = 1 + n % :destinations",
    "PRAGMA wal_checkpoint(TRUNCATE)",
];

/// Whether all bars are held.
pub(crate) async fn run(arguments: &Arguments) -> Result<bool> {
    let binary = api::binary(arguments)?;
    let receiver = Receiver::start().await?;
    let theirs = Mendable::start().await?;
    let http = client::new(64)?;

    let mut process = binary.start()?;
    process.wait_ready(api::PATIENCE).await?;
    let ours = Api::new(http.clone(), &process, "Acme Corp", &receiver.url()).await?;
    for number in 0..DESTINATIONS {
        Api::new(http.clone(), &process, &format!("Client {number}"), &theirs.url()).await?;
    }
    let one = open_loop(Duration::from_secs(1), 1, move |_| ours.lead()).await?;
    one.all_acknowledged()?;
    end(process).await?;
    fill(&binary, arguments.pending).await?;
    let mut all_kept = look(&binary).await?;

    let begun = Instant::now();
    let mut process = binary.start()?;
    process.wait_ready(api::PATIENCE).await?;
    let start = begun.elapsed();
    println!(
        "start to ready with {} pending: {:.2} s",
        arguments.pending,
        start.as_secs_f64()
    );
    all_kept &= start < START_BAR;

    let ours = Api::new(http.clone(), &process, "Beta Corp", &receiver.url()).await?;
    for (name, mends) in [("beside a hanging backlog", false), ("beside its recovery", true)] {
        theirs.answers.store(mends, Ordering::Relaxed);
        let (before, theirs_before, begun) = (
            receiver.count(),
            theirs.answered.load(Ordering::Relaxed),
            Instant::now(),
        );
        let (ours, time) = (ours.clone(), Duration::from_secs(arguments.seconds.max(2)));
        let posted = open_loop(time, RATE, move |_| ours.lead()).await?;
        posted.all_acknowledged()?;
        receiver
            .wait_for(before + posted.acknowledged.len(), api::PATIENCE)
            .await?;
        let recovered = theirs.answered.load(Ordering::Relaxed) - theirs_before;
        print_percentiles(name, &delivery(&posted, &receiver.first_arrivals()));
        println!(
            "  of the backlog {recovered} delivered, {:.0} /s",
            rate(recovered, begun.elapsed())
        );
    }
    let memory = peak_memory(process.id())?;
    println!("  peak memory        {memory:>9.1} MiB");
    all_kept &= memory < MEMORY_BAR;
    end(process).await?;
    Ok(all_kept)
}

async fn end(mut process: Process) -> Result<()> {
    process.terminate()?;
    process.wait_exit(api::PATIENCE).await?;
    Ok(())
}

async fn fill(binary: &Binary, pending: u32) -> Result<()> {
    let begun = Instant::now();
    let url = format!("sqlite://{}", database(binary).display());
    let mut options = ConnectOptions::new(url);
    // Temporary tables are a connection's own.
    options.max_connections(1).sqlx_logging(false);
    let connection = Database::connect(options).await?;
    for sql in FILL {
        let sql = sql
            .replace(":pending", &pending.to_string())
            .replace(":destinations", &DESTINATIONS.to_string());
        let done = connection.execute_unprepared(&sql).await;
        done.with_context(|| format!("filling: {sql}"))?;
    }
    connection.close().await?;
    println!("filled in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// What the sweeper's looks at the database cost, by its own queries, with nobody else at work.
async fn look(binary: &Binary) -> Result<bool> {
    let store = Store::open(StoreOptions {
        database: DatabaseUrl::Sqlite(database(binary)),
        master_key: MasterKey::load_or_create(&binary.directory().join("data/master.key"))?,
        lease: Duration::from_mins(1),
        clock: Arc::new(SystemClock),
    })
    .await?;
    let (mut due, mut held) = (Vec::new(), Vec::new());
    let mut looked_at = 0;
    for _ in 0..LOOKS {
        let begun = Instant::now();
        looked_at = looked_at.max(store.due_destinations().await?.destinations.len());
        due.push(begun.elapsed());
        let begun = Instant::now();
        store.free_held().await?;
        held.push(begun.elapsed());
    }
    store.close().await;
    let (due, held) = (Percentiles::of(due), Percentiles::of(held));
    println!("{LOOKS} looks, each at up to {looked_at} destinations with something due");
    print_percentiles("what is due", &due);
    print_percentiles("what is released", &held);
    Ok(due.p99 < QUERY_BAR && held.p99 < QUERY_BAR)
}

fn database(binary: &Binary) -> std::path::PathBuf {
    binary.directory().join("data/sensei.db")
}

/// A receiver that never answers, until it is mended.
struct Mendable {
    address: std::net::SocketAddr,
    answers: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
}

impl Mendable {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (answers, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let router = Router::new()
            .route("/hook", post(answer))
            .with_state((Arc::clone(&answers), Arc::clone(&answered)));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            address,
            answers,
            answered,
        })
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }
}

async fn answer(State((answers, answered)): State<(Arc<AtomicBool>, Arc<AtomicUsize>)>) -> StatusCode {
    if !answers.load(Ordering::Relaxed) {
        // Until the caller hangs up.
        std::future::pending::<()>().await;
    }
    answered.fetch_add(1, Ordering::Relaxed);
    StatusCode::OK
}
