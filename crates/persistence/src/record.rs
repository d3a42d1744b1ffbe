//! Recording attempts: the log entry and what follows for the delivery, written together.
//!
//! Promises that an outcome is stored once, however often it has to be tried: a lease carries one
//! attempt, so an attempt that is logged under its lease already was written by a commit whose answer
//! got lost. A stale attempt (the lease is somebody else's by now) is logged, but moves nothing,
//! except that a success still succeeds a delivery that is pending. An attempt that somebody asked for is outside
//! the schedule: unless it succeeds, the delivery goes back to where it was (`redeliver`). The place in the lane is given
//! back after the commit: when the log can't be written, delivery stops, bounded.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, QueryResult, Statement, Value};
use sensei_domain::{DeliveryState, Verdict};
use uuid::Uuid;

use crate::attempt_row::{ATTEMPT_COLUMNS, attempt_values};
use crate::error::StoreError;
use crate::group_commit::Batched;
use crate::health::{self, Fact};
use crate::health_keeper;
use crate::job::{AttemptRecord, Recording};
use crate::multi_row::{self, chunk, write_placeholders, write_rows};
use crate::store::{Shared, Store};

impl Store {
    /// Stores an attempt's outcome, soon. Never fails: it is tried until it is stored, and its place is
    /// kept until then. Only a store that closes gives up; the delivery is then attempted again.
    pub fn record(&self, recording: Recording) {
        let meters = &self.shared().meters;
        meters.outcome_waits();
        if self.recordings().send(recording).is_err() {
            meters.outcomes_done(1);
            tracing::warn!("an attempt ended after the store closed; its delivery will be attempted again");
        }
    }
}

/// The task that commits outcomes.
pub(crate) struct Recordings {
    shared: Arc<Shared>,
}

impl Recordings {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

#[async_trait]
impl Batched for Recordings {
    type Item = Recording;
    /// Whether something must follow at once for a destination's health.
    type Done = bool;

    async fn write(&self, items: &[Recording]) -> Result<bool, DbErr> {
        let transaction = self.shared.connections.begin().await?;
        let ids = items.iter().map(|item| item.delivery_id.as_uuid()).collect::<Vec<_>>();
        let mut rows = lock_deliveries(&transaction, ids).await?;
        let mut logged = logged_before(&transaction, &rows).await?;

        let mut attempts = Vec::with_capacity(items.len());
        let mut facts = Vec::with_capacity(items.len());
        for item in items {
            let id = item.delivery_id.as_uuid();
            // Who was deleted meanwhile has no log either.
            let Some(row) = rows.get_mut(&id) else { continue };
            if logged.insert((id, item.lease.as_column())) {
                let was_pending = row.after.state == DeliveryState::Pending;
                row.after.apply(item);
                attempts.push(attempt_row(id, row, item, was_pending));
                facts.push(fact(row, &item.attempt));
            }
        }
        multi_row::insert(&transaction, "attempts", ATTEMPT_COLUMNS, attempts).await?;
        let is_urgent = health::note(&transaction, &facts, self.shared.clock.now()).await?;
        let changed = rows
            .into_iter()
            .filter(|(_, row)| row.before != row.after)
            .collect::<Vec<_>>();
        update_deliveries(&transaction, &changed).await?;
        transaction.commit().await?;
        Ok(is_urgent)
    }

    fn committed(&self, items: Vec<Recording>, is_urgent: bool) {
        self.shared.meters.outcomes_done(items.len());
        drop(items);
        if is_urgent {
            let shared = Arc::clone(&self.shared);
            self.shared
                .background
                .spawn(async move { health_keeper::keep_at_once(&shared).await });
        }
    }

    fn failed(&self, mut items: Vec<Recording>, error: &StoreError) -> Vec<Recording> {
        let source = error as &dyn std::error::Error;
        tracing::error!(
            error = source,
            attempts = items.len(),
            "outcomes could not be stored; trying again"
        );
        if !error.is_transient() {
            // A text is all in a recording that a database could object to, and never worth an outcome.
            for AttemptRecord {
                error,
                response_snippet,
                request_url,
                ..
            } in items.iter_mut().map(|i| &mut i.attempt)
            {
                (*error, *response_snippet, *request_url) = (None, None, None);
            }
        }
        items
    }

    fn measured(&self, outcomes: usize, took: Duration) {
        self.shared.meters.outcome_batches.add(outcomes, took);
    }

    fn weight(_: &Recording) -> usize {
        1
    }
}

/// A delivery's row as it is locked, and as it shall be.
struct Row {
    client_id: Uuid,
    destination_id: Uuid,
    before: Progress,
    after: Progress,
}

/// What attempts change of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Progress {
    state: DeliveryState,
    due_at: Option<i64>,
    lease: Option<i64>,
    attempt_count: i64,
    scheduled_attempts: i64,
    ours_since: Option<i64>,
    /// Set while somebody's wish to redeliver it is carried out: where it goes back to unless that succeeds.
    prior_state: Option<DeliveryState>,
    prior_due_at: Option<i64>,
    failure_reason: Option<String>,
    completed_at: Option<i64>,
}

impl Progress {
    /// Counts an attempt, and lets its verdict follow if it holds the lease.
    fn apply(
        &mut self,
        Recording {
            lease,
            attempt,
            verdict,
            ..
        }: &Recording,
    ) {
        self.attempt_count += 1;
        let holds = self.lease == Some(lease.as_column());
        let to = match verdict {
            Verdict::Succeeded => DeliveryState::Succeeded,
            Verdict::Failed(_) => DeliveryState::Failed,
            Verdict::Retry { .. } | Verdict::NotCounted { .. } => DeliveryState::Pending,
        };
        // An attempt begins at pending; what it comes to moves nothing that has left that meanwhile.
        let may = self.state == DeliveryState::Pending && self.state.may_become(to);
        if !may || !(holds || to == DeliveryState::Succeeded) {
            return;
        }
        let ended_at = attempt.started_at.after(attempt.duration).as_millis();
        self.lease = None;
        let is_over = matches!(verdict, Verdict::Failed(_) | Verdict::Retry { .. });
        if is_over && let Some(prior) = self.prior_state.take() {
            (self.state, self.due_at, self.ours_since) = (prior, self.prior_due_at.take(), None);
            return;
        }
        self.state = to;
        match verdict {
            Verdict::Succeeded => {
                (self.due_at, self.completed_at, self.failure_reason) = (None, Some(ended_at), None);
                (self.prior_state, self.prior_due_at) = (None, None);
            }
            Verdict::Failed(reason) => {
                (self.due_at, self.completed_at) = (None, Some(ended_at));
                self.failure_reason = Some(reason.name().to_owned());
            }
            Verdict::Retry { at } => {
                (self.due_at, self.ours_since) = (Some(at.as_millis()), None);
                self.scheduled_attempts += 1;
            }
            Verdict::NotCounted { at } => {
                self.due_at = Some(at.as_millis());
                self.ours_since.get_or_insert(attempt.started_at.as_millis());
            }
        }
    }
}

/// Reads deliveries and, on PostgreSQL, keeps them from others until the transaction ends; in the order
/// of ids, as everybody does who locks several.
async fn lock_deliveries(transaction: &DatabaseTransaction, mut ids: Vec<Uuid>) -> Result<BTreeMap<Uuid, Row>, DbErr> {
    ids.sort_unstable();
    ids.dedup();
    let backend = transaction.get_database_backend();
    let mut rows = BTreeMap::new();
    let mut left = &ids[..];
    while !left.is_empty() {
        let (now, rest) = left.split_at(chunk(left.len()));
        left = rest;
        let mut sql = "SELECT id, client_id, destination_id, state, due_at, lease, attempt_count, scheduled_attempts, \
                       ours_since, prior_state, prior_due_at, failure_reason, completed_at FROM deliveries WHERE id IN ("
            .to_owned();
        write_placeholders(&mut sql, 0, now.len());
        sql.push_str(if backend == DatabaseBackend::Postgres {
            ") ORDER BY id FOR UPDATE"
        } else {
            ")"
        });
        let values = now.iter().map(|&id| id.into()).collect::<Vec<Value>>();
        for found in transaction
            .query_all_raw(Statement::from_sql_and_values(backend, sql, values))
            .await?
        {
            let before = progress(&found)?;
            let row = Row {
                client_id: found.try_get("", "client_id")?,
                destination_id: found.try_get("", "destination_id")?,
                after: before.clone(),
                before,
            };
            rows.insert(found.try_get("", "id")?, row);
        }
    }
    Ok(rows)
}

fn progress(row: &QueryResult) -> Result<Progress, DbErr> {
    let state = |name: String| name.parse().map_err(|_| DbErr::Type("a delivery's state".to_owned()));
    Ok(Progress {
        state: state(row.try_get("", "state")?)?,
        due_at: row.try_get("", "due_at")?,
        lease: row.try_get("", "lease")?,
        attempt_count: row.try_get("", "attempt_count")?,
        scheduled_attempts: row.try_get("", "scheduled_attempts")?,
        ours_since: row.try_get("", "ours_since")?,
        prior_state: row
            .try_get::<Option<String>>("", "prior_state")?
            .map(state)
            .transpose()?,
        prior_due_at: row.try_get("", "prior_due_at")?,
        failure_reason: row.try_get("", "failure_reason")?,
        completed_at: row.try_get("", "completed_at")?,
    })
}

/// The delivery and lease of each attempt that is in the log already. Asked in a statement after the
/// one that locks, so that it sees what the former holder of the lock has committed.
async fn logged_before(
    transaction: &DatabaseTransaction,
    rows: &BTreeMap<Uuid, Row>,
) -> Result<HashSet<(Uuid, i64)>, DbErr> {
    let attempted = rows
        .iter()
        .filter(|(_, row)| row.before.attempt_count > 0)
        .map(|(&id, _)| id)
        .collect::<Vec<_>>();
    let mut logged = HashSet::new();
    let mut left = &attempted[..];
    while !left.is_empty() {
        let (now, rest) = left.split_at(chunk(left.len()));
        left = rest;
        let mut sql = "SELECT delivery_id, lease FROM attempts WHERE delivery_id IN (".to_owned();
        write_placeholders(&mut sql, 0, now.len());
        sql.push(')');
        let values = now.iter().map(|&id| id.into()).collect::<Vec<Value>>();
        let statement = Statement::from_sql_and_values(transaction.get_database_backend(), sql, values);
        for row in transaction.query_all_raw(statement).await? {
            logged.insert((row.try_get("", "delivery_id")?, row.try_get("", "lease")?));
        }
    }
    Ok(logged)
}

fn fact<'a>(row: &Row, attempt: &'a AttemptRecord) -> Fact<'a> {
    Fact {
        destination_id: row.destination_id,
        client_id: row.client_id,
        outcome: &attempt.outcome,
        error: attempt.error.as_deref(),
        ended_at: attempt.started_at.after(attempt.duration),
    }
}

fn attempt_row(id: Uuid, row: &Row, Recording { lease, attempt, .. }: &Recording, was_pending: bool) -> [Value; 12] {
    let mut values = attempt_values(id, row.after.attempt_count, row.client_id, *lease, attempt);
    if !was_pending {
        // An erased lead's data must not come back in what its receiver answers; erasing leaves nothing pending.
        values[10] = None::<String>.into();
    }
    values
}

/// Moves deliveries on, each if it is still as it was read.
async fn update_deliveries(transaction: &DatabaseTransaction, rows: &[(Uuid, Row)]) -> Result<(), DbErr> {
    let mut left = rows;
    while !left.is_empty() {
        let (now, rest) = left.split_at(chunk(left.len()));
        left = rest;
        let values = now.iter().flat_map(|(id, Row { before, after, .. })| -> [Value; 13] {
            [
                (*id).into(),
                before.state.name().into(),
                before.lease.into(),
                after.state.name().into(),
                after.due_at.into(),
                after.lease.into(),
                after.attempt_count.into(),
                after.scheduled_attempts.into(),
                after.ours_since.into(),
                after.prior_state.map(DeliveryState::name).into(),
                after.prior_due_at.into(),
                after.failure_reason.clone().into(),
                after.completed_at.into(),
            ]
        });
        let statement =
            Statement::from_sql_and_values(transaction.get_database_backend(), update_sql(now.len()), values);
        let moved = transaction.execute_raw(statement).await?.rows_affected();
        if moved != now.len() as u64 {
            return Err(DbErr::Custom(format!(
                "{moved} of {} locked deliveries were moved",
                now.len()
            )));
        }
    }
    Ok(())
}

/// The statement that moves so many deliveries on.
pub(crate) fn update_sql(rows: usize) -> String {
    let mut sql = "WITH moved (id, state_before, lease_before, state, due_at, lease, attempt_count, \
                   scheduled_attempts, ours_since, prior_state, prior_due_at, failure_reason, completed_at) AS (VALUES "
        .to_owned();
    write_rows(&mut sql, rows, 13);
    sql.push_str(
        ") UPDATE deliveries SET state = moved.state, due_at = moved.due_at, lease = moved.lease, \
         attempt_count = moved.attempt_count, scheduled_attempts = moved.scheduled_attempts, \
         ours_since = moved.ours_since, prior_state = moved.prior_state, prior_due_at = moved.prior_due_at, \
         failure_reason = moved.failure_reason, \
         completed_at = moved.completed_at FROM moved WHERE deliveries.id = moved.id \
         AND deliveries.state = moved.state_before AND deliveries.lease IS NOT DISTINCT FROM moved.lease_before",
    );
    sql
}
