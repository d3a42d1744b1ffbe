//! The system under load: the real binary on a new database, leads in by its API, webhooks out to the receiver.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sensei_test_support::{PostgresOptions, PostgresServer};

use crate::api::{self, Api};
use crate::client::{self, Posted};
use crate::measure::{delivery, rate};
use crate::process::{cpu_time, family_cpu_time, parent, peak_memory};
use crate::receiver::Receiver;
use crate::report::{Percentiles, System};
use crate::{Arguments, DatabaseKind};

/// Enough that connections, caches and statements are there.
const WARM_UP: Duration = Duration::from_secs(1);
const ALONE: Duration = Duration::from_secs(2);

/// Starts everything, measures, and looks every lead up in the log.
pub(crate) async fn measure(arguments: &Arguments) -> Result<System> {
    let postgres = postgres(arguments)?;
    let database = postgres.as_ref().map(PostgresServer::database);
    let mut binary = api::binary(arguments)?;
    if let Some(database) = &database {
        binary = binary.env("DATABASE_URL", database.url());
    }
    if let Some(lane) = arguments.lane {
        binary = binary.env("SENSEI_LANE_CONCURRENCY", lane.to_string());
    }
    let mut process = binary.start()?;
    process.wait_ready(api::PATIENCE).await?;

    let receiver = Receiver::start().await?;
    let http = client::new(arguments.in_flight)?;
    let api = Api::new(http, &process, "Acme Corp", &receiver.url()).await?;
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
    let first = receiver.first_arrivals();
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

fn acknowledgement(posted: &Posted) -> Percentiles {
    Percentiles::of(posted.acknowledged.iter().map(|lead| lead.took).collect())
}
