//! The careful way: rows are read and locked, and moved on from what they are.

use std::collections::{BTreeMap, HashSet};

use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, QueryResult, Statement, Value};
use sensei_domain::{DeliveryState, Timestamp};
use uuid::Uuid;

use super::progress::Progress;
use crate::attempt_row::{ATTEMPTS, attempt_values};
use crate::health::Fact;
use crate::job::{AttemptRecord, Recording};
use crate::multi_row::{self, Sql, chunks};

/// What is kept instead of what a receiver said.
const ENDED_MEANWHILE: &str = "the delivery had ended meanwhile: what was answered isn't kept";

/// Logs attempts, and lets follow what follows, for rows that are locked.
pub(super) async fn write<'a>(
    transaction: &DatabaseTransaction,
    items: &'a [Recording],
    rows: &mut BTreeMap<Uuid, Row>,
    now: Timestamp,
) -> Result<Vec<Fact<'a>>, DbErr> {
    let mut logged = logged_before(transaction, rows).await?;

    let mut attempts = Vec::with_capacity(items.len());
    let mut facts = Vec::with_capacity(items.len());
    for item in items {
        let id = item.delivery_id.as_uuid();
        // Who was deleted meanwhile has no log either.
        let Some(row) = rows.get_mut(&id) else { continue };
        if logged.insert((id, item.lease.as_column())) {
            let was_pending = row.after.state == DeliveryState::Pending;
            row.after.apply(item, now);
            attempts.push(attempt_row(id, row, item, was_pending));
            facts.push(fact(row, &item.attempt, was_pending));
        }
    }
    multi_row::insert(transaction, &ATTEMPTS, attempts).await?;
    let changed = rows
        .iter()
        .filter(|(_, row)| row.before != row.after)
        .map(|(&id, row)| (id, row))
        .collect::<Vec<_>>();
    update_deliveries(transaction, &changed).await?;
    Ok(facts)
}

/// A delivery's row as it is locked, and as it shall be.
pub(super) struct Row {
    client_id: Uuid,
    destination_id: Uuid,
    before: Progress,
    after: Progress,
}

/// Reads deliveries and, on PostgreSQL, keeps them from others until the transaction ends; in the order
/// of ids, as everybody does who locks several.
pub(super) async fn lock_deliveries(
    transaction: &DatabaseTransaction,
    items: &[Recording],
) -> Result<BTreeMap<Uuid, Row>, DbErr> {
    let mut ids = items.iter().map(|item| item.delivery_id.as_uuid()).collect::<Vec<_>>();
    ids.sort_unstable();
    ids.dedup();
    let backend = transaction.get_database_backend();
    let mut rows = BTreeMap::new();
    for now in chunks(backend, &ids) {
        for found in transaction.query_all_raw(lock_statement(backend, now)).await? {
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

/// Reads and locks deliveries.
pub(crate) fn lock_statement(backend: DatabaseBackend, ids: &[Uuid]) -> Statement {
    let text = "SELECT id, client_id, destination_id, state, due_at, lease, attempt_count, scheduled_attempts, \
        ours_since, prior_state, prior_due_at, failure_reason, completed_at FROM deliveries WHERE id ";
    let mut sql = Sql::new(backend, text);
    sql.among(ids.iter().copied());
    if backend == DatabaseBackend::Postgres {
        sql.push(" ORDER BY id FOR UPDATE");
    }
    sql.statement()
}

/// Reads under which leases deliveries were attempted.
pub(crate) fn logged_statement(backend: DatabaseBackend, ids: &[Uuid]) -> Statement {
    let mut sql = Sql::new(backend, "SELECT delivery_id, lease FROM attempts WHERE delivery_id ");
    sql.among(ids.iter().copied());
    sql.statement()
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
    let backend = transaction.get_database_backend();
    for now in chunks(backend, &attempted) {
        let statement = logged_statement(backend, now);
        for row in transaction.query_all_raw(statement).await? {
            logged.insert((row.try_get("", "delivery_id")?, row.try_get("", "lease")?));
        }
    }
    Ok(logged)
}

fn fact<'a>(row: &Row, attempt: &'a AttemptRecord, was_pending: bool) -> Fact<'a> {
    Fact {
        destination_id: row.destination_id,
        version: attempt.destination_version,
        client_id: row.client_id,
        outcome: &attempt.outcome,
        is_unsent: attempt.is_unsent,
        // As of its row: see `attempt_row`.
        error: attempt.error.as_deref().filter(|_| was_pending),
        ended_at: attempt.started_at.after(attempt.duration),
    }
}

fn attempt_row(id: Uuid, row: &Row, Recording { lease, attempt, .. }: &Recording, was_pending: bool) -> [Value; 12] {
    let mut values = attempt_values(id, row.after.attempt_count, row.client_id, *lease, attempt);
    if !was_pending {
        // An erased lead's data must not come back in what its receiver answers; erasing leaves nothing pending.
        let error = attempt.error.as_ref().map(|_| ENDED_MEANWHILE.to_owned());
        (values[9], values[10], values[11]) = (error.into(), None::<String>.into(), None::<String>.into());
    }
    values
}

/// Moves deliveries on, each if it is still as it was read.
async fn update_deliveries(transaction: &DatabaseTransaction, rows: &[(Uuid, &Row)]) -> Result<(), DbErr> {
    let backend = transaction.get_database_backend();
    for now in chunks(backend, rows) {
        let values = now.iter().map(|(id, Row { before, after, .. })| -> [Value; 13] {
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
        let statement = update_statement(backend, values);
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

/// Moves deliveries on that are as they were.
pub(crate) fn update_statement(backend: DatabaseBackend, rows: impl IntoIterator<Item = [Value; 13]>) -> Statement {
    let text = "WITH moved (id, state_before, lease_before, state, due_at, lease, attempt_count, \
        scheduled_attempts, ours_since, prior_state, prior_due_at, failure_reason, completed_at) AS (";
    let mut sql = Sql::new(backend, text);
    sql.rows(rows);
    sql.push(
        ") UPDATE deliveries SET state = moved.state, due_at = moved.due_at, lease = moved.lease, \
         attempt_count = moved.attempt_count, scheduled_attempts = moved.scheduled_attempts, \
         ours_since = moved.ours_since, prior_state = moved.prior_state, prior_due_at = moved.prior_due_at, \
         failure_reason = moved.failure_reason, \
         completed_at = moved.completed_at FROM moved WHERE deliveries.id = moved.id \
         AND deliveries.state = moved.state_before AND deliveries.lease IS NOT DISTINCT FROM moved.lease_before",
    );
    sql.and_among_them("deliveries.id");
    sql.statement()
}
