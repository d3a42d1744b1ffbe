//! What a million pending deliveries cost on SQLite: a start, memory, the sweeper's queries, and the leads of a client who has
//! nothing to do with them.
//!
//! The backlog lies over many destinations. Half of it is due, to a receiver that hangs and is mended later; half waits for a retry of
//! tomorrow. It is written into the database file with SQL while the program is down: a million real outages
//! would take an hour.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use sea_orm::ConnectionTrait as _;
use sensei_domain::SystemClock;
use sensei_persistence::{MasterKey, Store, StoreOptions};
use tokio::net::TcpListener;
use xtask::figures::{Figure, Unit};

use crate::client::open_loop;
use crate::loaded::{delivery, whole};
use crate::measure::rate;
use crate::percentiles::{Percentiles, count};
use crate::receiver::Receiver;
use crate::scenario::Setup;
use crate::system::{PATIENCE, POLL, System};

pub(crate) const ABOUT: (&str, &str) = (
    "A million pending deliveries",
    "A million pending deliveries (`--pending`) over 1,000 destinations on SQLite, half of them due to a receiver that never answers, half waiting for a retry of tomorrow, written \
     into the file while the system is down. *A look* is a query of the sweeper, 2,000 times, with nobody else at work. Then 100 leads a \
     second of another client, while the receiver hangs, and once it is mended and the first 100 of the backlog are delivered: the latter is what a recovery costs others on the one \
     writer that SQLite has.",
);

/// Destinations that the backlog lies over.
const DESTINATIONS: usize = 1_000;
/// Leads a second of the client who has no backlog.
const RATE: u32 = 100;
/// Seconds.
const START_BAR: f64 = 2.0;
/// Milliseconds.
const QUERY_BAR: f64 = 10.0;
/// MiB.
const MEMORY_BAR: f64 = 256.0;
/// So many of the backlog that its recovery is under way.
const RECOVERS: usize = 100;
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

pub(crate) async fn measure(setup: &Setup<'_>) -> Result<Vec<Figure>> {
    let pending = setup.arguments.pending;
    let receiver = Receiver::start().await?;
    let theirs = Mendable::start().await?;

    let mut system = System::start(setup).await?;
    let ours = system.client("Acme Corp", &receiver.url(0)).await?;
    system.clients("client", DESTINATIONS, |_| theirs.url()).await?;
    let one = open_loop(Duration::from_secs(1), 1, move |_| ours.lead()).await?;
    one.all_acknowledged()?;
    receiver.wait_for(1, PATIENCE).await?;
    system.end().await?;
    fill(&system, pending).await?;
    let waiting = usize::try_from(pending)?;
    let mut figures = vec![count("pending deliveries", waiting)];
    figures.extend(look(&system).await?);

    let start = system.start_again().await?;
    figures.push(Figure::new("start to the first answer", start.as_secs_f64(), Unit::Seconds).at_most(START_BAR));

    let ours = [system.client("Beta Corp", &receiver.url(1)).await?];
    let mut all_posted = Vec::new();
    for (name, mends) in [("beside the hanging backlog", false), ("beside its recovery", true)] {
        theirs.answers.store(mends, Ordering::Relaxed);
        if mends {
            theirs.wait_for(RECOVERS).await?;
        }
        let (before, theirs_before, begun) = (
            receiver.count(),
            theirs.answered.load(Ordering::Relaxed),
            Instant::now(),
        );
        let ([ours], time) = (ours.clone(), setup.arguments.time().max(Duration::from_secs(2)));
        let posted = open_loop(time, RATE, move |_| ours.lead()).await?;
        posted.all_acknowledged()?;
        receiver.wait_for(before + posted.acknowledged.len(), PATIENCE).await?;
        let recovered = theirs.answered.load(Ordering::Relaxed) - theirs_before;
        figures.extend(delivery(&posted, &receiver).figures(&format!("leads of another client, {name}")));
        if mends {
            let recovered = rate(recovered, begun.elapsed());
            figures.push(Figure::new("of the backlog meanwhile", recovered, Unit::PerSecond));
        }
        all_posted.push(posted);
    }
    figures.push(Figure::new("peak memory", system.peak_memory()?, Unit::Mebibytes).at_most(MEMORY_BAR));
    ours[0].nothing_pending().await?;
    let all_posted: Vec<_> = all_posted.iter().collect();
    figures.extend(whole(&ours, &receiver, &all_posted, 1).await?);
    Ok(figures)
}

async fn fill(system: &System, pending: u64) -> Result<()> {
    let connection = system.connect().await?;
    for sql in FILL {
        let sql = sql
            .replace(":pending", &pending.to_string())
            .replace(":destinations", &DESTINATIONS.to_string());
        let done = connection.execute_unprepared(&sql).await;
        done.with_context(|| format!("filling: {sql}"))?;
    }
    connection.close().await?;
    Ok(())
}

/// What the sweeper's looks at the database cost, by its own queries, with nobody else at work.
async fn look(system: &System) -> Result<Vec<Figure>> {
    let store = Box::pin(Store::open(StoreOptions {
        database: system.database(),
        master_key: MasterKey::load_or_create(&system.master_key())?,
        previous_master_key: None,
        lease: Duration::from_mins(1),
        clock: Arc::new(SystemClock),
    }))
    .await?;
    let (mut due, mut held) = (Vec::new(), Vec::new());
    for _ in 0..LOOKS {
        let begun = Instant::now();
        store.due_destinations().await?;
        due.push(begun.elapsed());
        let begun = Instant::now();
        store.free_held().await?;
        held.push(begun.elapsed());
    }
    store.close().await;
    let mut figures = Vec::new();
    for (name, looks) in [("a look at what is due", due), ("a look at what may be released", held)] {
        let [p50, p99] = Percentiles::of(looks).figures(name);
        figures.extend([p50, p99.at_most(QUERY_BAR)]);
    }
    Ok(figures)
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

    async fn wait_for(&self, answered: usize) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.answered.load(Ordering::Relaxed) < answered {
            ensure!(
                Instant::now() < deadline,
                "the backlog isn't delivered once its receiver is back"
            );
            tokio::time::sleep(POLL).await;
        }
        Ok(())
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
