//! After the last life: every receiver is mended, what is due is delivered, and everything is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sensei_test_support::Api;

use crate::database::{Database, Reader};
use crate::explain::explain;
use crate::fault::End;
use crate::life::LARGEST_JUMP;
use crate::seen::see;
use crate::world::{ADMIN_KEY, PATIENCE, Tenant, World, hex};

/// Deliveries that wait for a retry, a breaker or a clock that was ahead.
const SETTLING: Duration = Duration::from_mins(10);

/// What can be wrong in the database, each with the query that counts it.
const RULES: &[(&str, &str)] = &[
    (
        "leads without exactly one event",
        "SELECT count(*) FROM leads WHERE (SELECT count(*) FROM events WHERE events.lead_id = leads.id) <> 1",
    ),
    (
        "leads without exactly one delivery",
        "SELECT count(*) FROM leads WHERE (SELECT count(*) FROM deliveries WHERE deliveries.lead_id = leads.id) <> 1",
    ),
    (
        "deliveries that are still pending or held",
        "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'held')",
    ),
    (
        "deliveries that are done and have a lease or a due time",
        "SELECT count(*) FROM deliveries WHERE state <> 'pending' AND (lease IS NOT NULL OR due_at IS NOT NULL)",
    ),
    (
        "deliveries that are done and don't say when",
        "SELECT count(*) FROM deliveries WHERE state IN ('succeeded', 'failed') AND completed_at IS NULL",
    ),
    (
        "deliveries whose attempts aren't numbered from 1 without a gap",
        "SELECT count(*) FROM deliveries WHERE attempt_count <> \
         (SELECT count(*) FROM attempts WHERE delivery_id = deliveries.id) OR attempt_count <> \
         coalesce((SELECT max(number) FROM attempts WHERE delivery_id = deliveries.id), 0)",
    ),
    (
        "deliveries that succeeded without an attempt that did",
        "SELECT count(*) FROM deliveries WHERE state = 'succeeded' AND NOT EXISTS \
         (SELECT 1 FROM attempts WHERE delivery_id = deliveries.id AND outcome = 'delivered')",
    ),
    (
        "deliveries that failed without an attempt",
        "SELECT count(*) FROM deliveries WHERE state = 'failed' AND attempt_count = 0",
    ),
];

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) tenants: Vec<TenantFound>,
    /// What is wrong, in words; empty if everything adds up.
    pub(crate) wrong: Vec<String>,
    /// What SQLite says of its file; nothing on PostgreSQL.
    pub(crate) integrity: Option<String>,
}

/// What was found of one tenant.
#[derive(Debug, Default)]
pub(crate) struct TenantFound {
    pub(crate) words: &'static str,
    pub(crate) acknowledged: usize,
    pub(crate) lost: usize,
    pub(crate) requests: usize,
    /// Requests for a lead beyond its first.
    pub(crate) repeats: usize,
    /// Requests that no attempt tells of, each in a life that was killed.
    pub(crate) unrecorded: usize,
    pub(crate) succeeded: i64,
    pub(crate) failed: i64,
}

impl Found {
    pub(crate) fn adds_up(&self) -> bool {
        self.wrong.is_empty()
    }
}

/// Lets everything end, and counts.
pub(crate) async fn reconcile(world: &mut World) -> Result<Found> {
    world.mend()?;
    if let Some(shim) = &world.shim {
        shim.calm()?;
        // What was made due while the clock was ahead is due when the clock gets there.
        shim.jump(i64::try_from(LARGEST_JUMP)? + 60)?;
    }
    let (mut process, address) = world.start().await?;
    let api = Api::new(address, ADMIN_KEY);
    let deadline = Instant::now() + SETTLING;
    for tenant in &world.tenants {
        let path = format!("/v1/clients/{}/deliveries?state=pending&limit=1", tenant.client);
        loop {
            let pending = api.get(&path).await?;
            if pending.json["items"].as_array().is_some_and(Vec::is_empty) {
                break;
            }
            ensure!(
                Instant::now() < deadline,
                "{}: still pending: {pending:?}",
                tenant.manner.words()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    process.terminate()?;
    let ended = process.wait_exit(PATIENCE).await?;
    ensure!(
        ended.success(),
        "asked to end, it ended with {ended}:\n{}",
        process.output()
    );
    see(world, End::Terminated).await?;
    count(world).await
}

/// Compares what callers were told, what receivers got and what the database has.
async fn count(world: &World) -> Result<Found> {
    let reader = world.database.read().await?;
    let mut found = Found::default();
    if let Database::File { .. } = &world.database {
        let integrity = reader.texts("PRAGMA integrity_check").await?.join("; ");
        if integrity != "ok" {
            found.wrong.push(format!("the file: {integrity}"));
        }
        found.integrity = Some(integrity);
    }
    for (what, sql) in RULES {
        let count = reader.number(sql).await?;
        if count > 0 {
            found.wrong.push(format!("{count} {what}"));
        }
    }
    let leads = reader.texts(&format!("SELECT {} FROM leads", reader.id("id"))).await?;
    let leads = leads.into_iter().collect::<BTreeSet<_>>();
    let explained = explain(&world.seen);
    found.wrong.extend(explained.wrong);
    for tenant in &world.tenants {
        let (of_tenant, wrong) = look(&reader, tenant, &leads, &explained.unrecorded).await?;
        found.tenants.push(of_tenant);
        found.wrong.extend(wrong);
    }
    reader.close().await?;
    Ok(found)
}

async fn look(
    reader: &Reader,
    tenant: &Tenant,
    leads: &BTreeSet<String>,
    unrecorded: &BTreeMap<String, usize>,
) -> Result<(TenantFound, Vec<String>)> {
    let mut wrong = Vec::new();
    let state = |state: &str| {
        format!(
            "SELECT count(*) FROM deliveries WHERE state = '{state}' AND {} = '{}'",
            reader.id("client_id"),
            hex(&tenant.client)
        )
    };
    let mut found = TenantFound {
        words: tenant.manner.words(),
        acknowledged: tenant.acknowledged.len(),
        succeeded: reader.number(&state("succeeded")).await?,
        failed: reader.number(&state("failed")).await?,
        ..TenantFound::default()
    };
    for lead in &tenant.acknowledged {
        let is_kept = leads.contains(&hex(lead));
        if !is_kept || (tenant.manner.must_receive() && !tenant.received.contains_key(lead)) {
            found.lost += 1;
        }
    }
    if found.lost > 0 {
        wrong.push(format!("{}: {} acknowledged leads are lost", found.words, found.lost));
    }
    for (lead, ids) in &tenant.received {
        if ids.len() > 1 {
            wrong.push(format!("lead {lead} came under {} webhook-ids", ids.len()));
        }
        for (event, &requests) in ids {
            found.requests += requests;
            found.repeats += requests - 1;
            found.unrecorded += unrecorded.get(&hex(event)).copied().unwrap_or(0);
        }
    }
    Ok((found, wrong))
}
