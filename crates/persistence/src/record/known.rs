//! The quick way: rows that are as they were when they were handed over are moved on unread.
//!
//! Safe since a lease carries one attempt: a row that is pending under it was neither attempted since nor changed.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, Value};
use sensei_domain::{DeliveryState, Timestamp};
use uuid::Uuid;

use super::progress::Progress;
use crate::attempt_row::{self, ATTEMPTS, USUAL_ATTEMPTS, attempt_values, usual_values};
use crate::error::{is_raised, is_there_already};
use crate::health::{self, Fact};
use crate::job::{KnownRow, Recording};
use crate::multi_row::{Sql, Written, chunks};

/// More than mostly comes together where two cores do all they can: captures wait behind it, and the longer way holds them up for longer.
const FEW: usize = 256;

/// All of a batch with their rows, in the order of ids, as everybody goes who locks several; nothing if a row isn't known.
pub(super) fn all_known(items: &[Recording]) -> Option<Vec<(&Recording, KnownRow)>> {
    let mut known = items
        .iter()
        .map(|item| Some((item, item.known?)))
        .collect::<Option<Vec<_>>>()?;
    known.sort_unstable_by_key(|(item, _)| item.delivery_id);
    let is_once = known
        .windows(2)
        .all(|pair| pair[0].0.delivery_id != pair[1].0.delivery_id);
    is_once.then_some(known)
}

/// Logs attempts, and lets follow what follows. False when a row isn't as it was: then what is written isn't right, and must not be
/// committed.
pub(super) async fn write(
    transaction: &DatabaseTransaction,
    known: &[(&Recording, KnownRow)],
    now: Timestamp,
) -> Result<bool, DbErr> {
    let backend = transaction.get_database_backend();
    for some in chunks(backend, known) {
        let mut sql = Sql::new(backend, "");
        log_and_move_on(&mut sql, some, now);
        if sql.execute_exactly(2 * some.len(), transaction).await? != Written::All {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The same in one statement, which is a transaction by itself, on PostgreSQL: begin and commit are ways to the server and back.
/// Nothing if something is known of the health of one of these destinations.
pub(super) async fn write_at_once(
    connection: &DatabaseConnection,
    known: &[(&Recording, KnownRow)],
    healthy: BTreeSet<Uuid>,
    now: Timestamp,
) -> Result<Written, DbErr> {
    let mut sql = Sql::new(connection.get_database_backend(), "");
    health::have_none(&mut sql, healthy);
    sql.only_if();
    log_and_move_on(&mut sql, known, now);
    sql.execute_exactly(2 * known.len(), connection).await
}

/// And on SQLite, as rows of a view whose trigger writes what the usual attempt leaves. Nothing if one isn't usual, or there are more than a few.
pub(super) async fn write_rows(
    connection: &DatabaseConnection,
    known: &[(&Recording, KnownRow)],
    now: Timestamp,
) -> Result<Written, DbErr> {
    if known.len() > FEW {
        return Ok(Written::Nothing);
    }
    let after = applied(known, now);
    if !are_usual(&after) {
        return Ok(Written::Nothing);
    }
    let rows = after.iter().map(|(item, known, row)| {
        let [delivery, client, lease, started_at, duration, status_code, snippet, url] = usual_attempt(item, known);
        let completed_at = row.completed_at.into();
        [
            delivery,
            client,
            lease,
            started_at,
            duration,
            status_code,
            snippet,
            url,
            completed_at,
        ]
    });
    let mut rows = rows.collect::<Vec<_>>();
    // Each number of rows is another prepared statement.
    rows.resize(rows.len().next_power_of_two(), [const { Value::Bytes(None) }; 9]);
    let mut sql = Sql::new(connection.get_database_backend(), "INSERT INTO usual_outcomes ");
    sql.rows(rows);
    match sql.execute(connection).await {
        Ok(_) => Ok(Written::All),
        Err(error) if is_raised(&error) || is_there_already(&error) => Ok(Written::Others),
        Err(error) => Err(error),
    }
}

/// What became of each delivery.
type Applied<'a> = (&'a Recording, &'a KnownRow, Progress);

fn applied<'a>(known: &'a [(&'a Recording, KnownRow)], now: Timestamp) -> Vec<Applied<'a>> {
    let after = known.iter().map(|&(item, ref known)| {
        let mut row = Progress::of_known(known, item.lease);
        row.apply(item, now);
        (item, known, row)
    });
    after.collect()
}

/// Both in one: a statement is a way to the database and back.
fn log_and_move_on(sql: &mut Sql, known: &[(&Recording, KnownRow)], now: Timestamp) {
    let after = applied(known, now);
    if are_usual(&after) {
        USUAL_ATTEMPTS.insert(sql, after.iter().map(|(item, known, _)| usual_attempt(item, known)));
        sql.then();
        update(sql, after.iter().map(|(item, _, row)| first_values(item, row)), USUAL);
        return;
    }
    ATTEMPTS.insert(
        sql,
        after.iter().map(|(item, known, row)| {
            let (id, client) = (item.delivery_id.as_uuid(), known.client_id.as_uuid());
            attempt_values(id, row.attempt_count, client, item.lease, &item.attempt)
        }),
    );
    sql.then();
    update(sql, after.iter().map(|(item, _, row)| values(item, row)), &[]);
}

/// What becomes of a delivery that its first attempt delivers, as nearly all do: its columns after the first ones of [`update`].
pub(crate) const USUAL: &[&str] = &[
    "'succeeded'",
    "CAST(NULL AS BIGINT)",
    "1",
    "0",
    "CAST(NULL AS BIGINT)",
    "CAST(NULL AS TEXT)",
];

/// Whether [`USUAL_ATTEMPTS`] and [`USUAL`] say all of them.
fn are_usual(after: &[Applied<'_>]) -> bool {
    after.iter().all(|(item, _, row)| {
        attempt_row::is_usual(row.attempt_count, &item.attempt)
            && row.state == DeliveryState::Succeeded
            && (row.due_at, row.scheduled_attempts, row.ours_since) == (None, 0, None)
            && row.failure_reason.is_none()
    })
}

fn usual_attempt(item: &Recording, known: &KnownRow) -> [Value; 8] {
    let (id, client) = (item.delivery_id.as_uuid(), known.client_id.as_uuid());
    usual_values(id, client, item.lease, &item.attempt)
}

/// What these attempts say of destinations.
pub(super) fn facts<'a>(known: &[(&'a Recording, KnownRow)]) -> Vec<Fact<'a>> {
    let facts = known.iter().map(|&(item, known)| Fact {
        destination_id: known.destination_id.as_uuid(),
        version: item.attempt.destination_version,
        client_id: known.client_id.as_uuid(),
        outcome: &item.attempt.outcome,
        is_unsent: item.attempt.is_unsent,
        error: item.attempt.error.as_deref(),
        ended_at: item.attempt.started_at.after(item.attempt.duration),
    });
    facts.collect()
}

fn first_values(item: &Recording, row: &Progress) -> [Value; 4] {
    [
        item.delivery_id.as_uuid().into(),
        item.lease.as_column().into(),
        DeliveryState::Pending.name().into(),
        row.completed_at.into(),
    ]
}

fn values(item: &Recording, row: &Progress) -> [Value; 10] {
    let [id, lease, state_before, completed_at] = first_values(item, row);
    [
        id,
        lease,
        state_before,
        completed_at,
        row.state.name().into(),
        row.due_at.into(),
        row.attempt_count.into(),
        row.scheduled_attempts.into(),
        row.ours_since.into(),
        row.failure_reason.clone().into(),
    ]
}

/// Moves on deliveries that are still under their lease; `rest` is what is the same of all of them. The state that they must be in comes with
/// each row: written as `= 'pending'`, it would tempt a planner to begin with all that is pending, which it takes for next to nothing.
pub(crate) fn update<const GIVEN: usize>(sql: &mut Sql, rows: impl IntoIterator<Item = [Value; GIVEN]>, rest: &[&str]) {
    sql.push(
        "WITH moved (id, lease, state_before, completed_at, state, due_at, attempt_count, scheduled_attempts, ours_since, \
         failure_reason) AS (",
    );
    sql.rows_with(rows, rest);
    sql.push(
        ") UPDATE deliveries SET state = moved.state, due_at = moved.due_at, lease = NULL, \
         attempt_count = moved.attempt_count, scheduled_attempts = moved.scheduled_attempts, \
         ours_since = moved.ours_since, failure_reason = moved.failure_reason, completed_at = moved.completed_at \
         FROM moved WHERE deliveries.id = moved.id AND deliveries.lease = moved.lease \
         AND deliveries.state = moved.state_before",
    );
    sql.and_among_them("deliveries.id");
}
