//! The system under load: the real binary on a new database, leads in by its API, webhooks out to the receiver.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use reqwest::Client;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use sensei_test_support::{Binary, PostgresOptions, PostgresServer, Process};
use serde_json::{Value, json};

use crate::client::{self, Posted, closed_loop};
use crate::measure::rate;
use crate::process::{cpu_time, family_cpu_time, parent, peak_memory};
use crate::receiver::{Arrival, Receiver};
use crate::report::{Percentiles, System};
use crate::{Arguments, DatabaseKind};

const ADMIN_KEY: &str = "sk_of_a_benchmark_on_loopback";
/// Enough that connections, caches and statements are there.
const WARM_UP: Duration = Duration::from_secs(1);
const ALONE: Duration = Duration::from_secs(2);
/// For a start, and for the last lead to arrive and be recorded.
const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);
const PAGE: usize = 200;

/// Starts everything, measures, and looks every lead up in the log.
pub(crate) async fn measure(arguments: &Arguments) -> Result<System> {
    let postgres = postgres(arguments)?;
    let database = postgres.as_ref().map(PostgresServer::database);
    let directory = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(&arguments.directory)?;
    let mut binary = Binary::in_directory(&arguments.program, directory)
        .env("SENSEI_ADMIN_KEY", ADMIN_KEY)
        .env("SENSEI_EGRESS_ALLOW", "127.0.0.0/8")
        .env("SENSEI_LOG", "warn");
    if let Some(database) = &database {
        binary = binary.env("DATABASE_URL", database.url());
    }
    if let Some(lane) = arguments.lane {
        binary = binary.env("SENSEI_LANE_CONCURRENCY", lane.to_string());
    }
    let mut process = binary.start()?;
    process.wait_ready(PATIENCE).await?;

    let receiver = Receiver::start().await?;
    let api = Api::new(&process, &receiver, arguments.in_flight).await?;
    api.post_leads(WARM_UP, arguments.in_flight).await?;
    api.nothing_pending().await?;

    let server_cpu = cpu_time(process.id())?;
    let database_cpu = postgres.as_ref().map(postgres_cpu).transpose()?;
    let before = receiver.count();
    let start = Instant::now();
    let loaded = api
        .post_leads(Duration::from_secs(arguments.seconds), arguments.in_flight)
        .await?;
    api.nothing_pending().await?;
    let server_cpu = cpu_time(process.id())?.saturating_sub(server_cpu);
    let database_cpu = match (&postgres, database_cpu) {
        (Some(postgres), Some(before)) => Some(postgres_cpu(postgres)?.saturating_sub(before)),
        _ => None,
    };
    let arrivals = receiver.arrivals().split_off(before);

    let alone = api.post_leads(ALONE, 1).await?;
    api.nothing_pending().await?;

    let all = receiver.arrivals();
    let recorded = api.succeeded_leads().await?;
    let first = first_arrivals(&all);
    let acknowledged = || loaded.acknowledged.iter().chain(&alone.acknowledged);
    let last = arrivals
        .iter()
        .map(|arrival| arrival.at)
        .max()
        .context("nothing has arrived")?;
    let distinct: HashSet<_> = arrivals.iter().map(|arrival| arrival.lead).collect();
    let leads = u32::try_from(distinct.len()).context("a run has less than four billion leads")?;
    Ok(System {
        rate: rate(distinct.len(), last - start),
        leads: loaded.acknowledged.len(),
        refused: loaded.refused,
        acknowledgement: acknowledgement(&loaded),
        delivery: delivery(&loaded, &first),
        acknowledgement_alone: acknowledgement(&alone),
        delivery_alone: delivery(&alone, &first),
        cpu: server_cpu / leads,
        database_cpu: database_cpu.map(|cpu| cpu / leads),
        peak_memory: peak_memory(process.id())?,
        duplicates: all.len() - first.len(),
        lost: acknowledged().filter(|lead| !first.contains_key(&lead.lead)).count(),
        unrecorded: acknowledged().filter(|lead| !recorded.contains(&lead.lead)).count(),
    })
}

fn postgres(arguments: &Arguments) -> Result<Option<PostgresServer>> {
    if arguments.database == DatabaseKind::Sqlite {
        return Ok(None);
    }
    let options = PostgresOptions {
        fsync: true,
        parent: Some(arguments.directory.clone()),
    };
    PostgresServer::own(&options)
        .map(Some)
        .context("PostgreSQL is not installed")
}

/// What the server's processes have used: all are children of one, whose id a child of it tells.
fn postgres_cpu(server: &PostgresServer) -> Result<Duration> {
    let child = server.psql(
        "postgres",
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'",
    )?;
    family_cpu_time(parent(child.parse()?)?)
}

fn first_arrivals(arrivals: &[Arrival]) -> HashMap<u128, Instant> {
    let mut first = HashMap::with_capacity(arrivals.len());
    for arrival in arrivals {
        first.entry(arrival.lead).or_insert(arrival.at);
    }
    first
}

fn acknowledgement(posted: &Posted) -> Percentiles {
    Percentiles::of(posted.acknowledged.iter().map(|lead| lead.took).collect())
}

fn delivery(posted: &Posted, first: &HashMap<u128, Instant>) -> Percentiles {
    let took = posted
        .acknowledged
        .iter()
        .filter_map(|lead| Some(first.get(&lead.lead)?.duration_since(lead.sent)));
    Percentiles::of(took.collect())
}

/// The API of the system, with one client whose webhook is the receiver.
struct Api {
    http: Client,
    client_url: String,
}

impl Api {
    async fn new(process: &Process, receiver: &Receiver, connections: usize) -> Result<Self> {
        let http = client::new(connections)?;
        let body = json!({ "name": "Acme Corp", "leadWebhookUrl": receiver.url() });
        let url = format!("{}/v1/clients", process.url());
        let answer = http.post(&url).bearer_auth(ADMIN_KEY).json(&body).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "creating a client answered {status}: {text}");
        let client: Value = serde_json::from_str(&text)?;
        let id = client["id"].as_str().context("a client has an id")?;
        Ok(Self {
            http,
            client_url: format!("{url}/{id}"),
        })
    }

    async fn post_leads(&self, time: Duration, in_flight: usize) -> Result<Posted> {
        let body = json!({
            "name": "John Doe",
            "email": "john@example.com",
            "phone": "+1234567890",
            "message": "I need a quote for enterprise plan",
            "sessionId": "0193a2b5-0000-7000-8000-000000000000",
        })
        .to_string();
        let (http, url) = (self.http.clone(), format!("{}/leads", self.client_url));
        let authorization = format!("Bearer {ADMIN_KEY}");
        let request = move || {
            let request = http.post(&url).header(AUTHORIZATION, &authorization);
            (
                request.header(CONTENT_TYPE, "application/json").body(body.clone()),
                None,
            )
        };
        closed_loop(time, in_flight, request).await
    }

    /// Waits until every delivery has been made and recorded.
    async fn nothing_pending(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.deliveries("state=pending&limit=1").await?["items"]
            .as_array()
            .is_some_and(Vec::is_empty)
        {
            if Instant::now() > deadline {
                bail!("deliveries are still pending {PATIENCE:?} after the last lead");
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// The leads of all deliveries that the log has as succeeded.
    async fn succeeded_leads(&self) -> Result<HashSet<u128>> {
        let mut leads = HashSet::new();
        let mut cursor = String::new();
        loop {
            let page = self
                .deliveries(&format!("state=succeeded&limit={PAGE}{cursor}"))
                .await?;
            for delivery in page["items"].as_array().context("a list has items")? {
                let id = delivery["leadId"].as_str().context("a delivery has its lead")?;
                leads.insert(u128::from_str_radix(&id.replace('-', ""), 16)?);
            }
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(leads),
            }
        }
    }

    async fn deliveries(&self, query: &str) -> Result<Value> {
        let url = format!("{}/deliveries?{query}", self.client_url);
        let answer = self.http.get(url).bearer_auth(ADMIN_KEY).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "the delivery log answered {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }
}
