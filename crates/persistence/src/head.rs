//! The head of an ordered destination: the one delivery of it that may be attempted now.
//!
//! Promises that deliveries go in the order of their capture and one at a time: while one is leased or waits for its
//! retry, or one is held, none follows. A head is marked when it is leased (`was_head`): however its lease ends, it is
//! found again before those that came after it.

use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, Statement};
use sensei_domain::{DeliveryId, DestinationId, Timestamp};
use uuid::Uuid;

use crate::claim::Due;
use crate::orphans::cancel_eventless;

/// Whether something of the destination `$1` is still to come before any that is due at `$2`: leased, or waiting for its retry.
pub(crate) const BLOCKED: &str = "SELECT 1 AS blocked WHERE EXISTS (SELECT 1 FROM deliveries \
    WHERE state = 'pending' AND destination_id = $1 AND due_at > $2 AND (lease IS NOT NULL OR attempt_count > 0 OR was_head)) \
    OR EXISTS (SELECT 1 FROM deliveries WHERE state = 'held' AND destination_id = $1)";
/// The oldest two of the destination `$1` that were attempted or leased before.
pub(crate) const TRIED: &str = "SELECT id FROM deliveries WHERE state = 'pending' AND destination_id = $1 \
    AND (attempt_count > 0 OR was_head) ORDER BY id LIMIT 2";
/// The two of the destination `$1` that are due the longest at `$2`, of those that nobody had: these are due since their
/// capture.
pub(crate) const UNTRIED: &str = "SELECT id FROM deliveries WHERE state = 'pending' AND destination_id = $1 \
    AND due_at <= $2 AND NOT (attempt_count > 0 OR was_head) ORDER BY due_at, id LIMIT 2";
/// And that which was captured first before the clock was put back.
pub(crate) const AHEAD: &str = "SELECT id FROM deliveries WHERE state = 'pending' AND destination_id = $1 \
    AND due_at > $2 AND lease IS NULL AND NOT (attempt_count > 0 OR was_head) ORDER BY due_at, id LIMIT 1";
/// The delivery `$1`, if it is due at `$2`.
const HEAD: &str = "SELECT d.id, d.event_id, d.attempt_count, d.scheduled_attempts, d.ours_since, \
    d.prior_state, d.replayed, e.body \
    FROM deliveries d JOIN events e ON e.id = d.event_id \
    WHERE d.state = 'pending' AND d.id = $1 \
    AND (d.due_at <= $2 OR (d.lease IS NULL AND NOT (d.attempt_count > 0 OR d.was_head)))";
const MARK: &str = "UPDATE deliveries SET was_head = TRUE WHERE id = $1 AND NOT was_head";

/// The head, if it may be leased: marked, and on PostgreSQL locked.
pub(crate) async fn due_head(
    transaction: &DatabaseTransaction,
    destination: DestinationId,
    is_held: &(impl Fn(DeliveryId) -> bool + Sync),
    now: Timestamp,
) -> Result<Due, DbErr> {
    let none = Due {
        rows: Vec::new(),
        left: true,
    };
    let backend = transaction.get_database_backend();
    let postgres = backend == DatabaseBackend::Postgres;
    let (of, now) = (destination.as_uuid(), now.as_millis());
    let blocked = Statement::from_sql_and_values(backend, BLOCKED, [of.into(), now.into()]);
    if transaction.query_one_raw(blocked.clone()).await?.is_some() {
        return Ok(none);
    }
    if postgres {
        // Two processes that look at once would each see no lease of the other. Whoever comes second doesn't wait, and
        // whoever comes first looks again: somebody may have been there before.
        let alone = "SELECT id FROM destinations WHERE id = $1 FOR UPDATE SKIP LOCKED";
        let alone = Statement::from_sql_and_values(backend, alone, [of.into()]);
        if transaction.query_one_raw(alone).await?.is_none() || transaction.query_one_raw(blocked).await?.is_some() {
            return Ok(none);
        }
    }
    let tried = Statement::from_sql_and_values(backend, TRIED, [of.into()]);
    let [untried, ahead] =
        [UNTRIED, AHEAD].map(|sql| Statement::from_sql_and_values(backend, sql, [of.into(), now.into()]));
    let mut ids = Vec::with_capacity(5);
    for statement in [tried, untried, ahead] {
        for row in transaction.query_all_raw(statement).await? {
            ids.push(row.try_get::<Uuid>("", "id")?);
        }
    }
    let Some(&head) = ids.iter().min() else {
        return Ok(Due { left: false, ..none });
    };
    // Due by the clock, but its attempt may be under way here.
    if is_held(DeliveryId::from_uuid(head)) {
        return Ok(none);
    }
    let lock = if postgres { " FOR UPDATE OF d SKIP LOCKED" } else { "" };
    let read = Statement::from_sql_and_values(backend, format!("{HEAD}{lock}"), [head.into(), now.into()]);
    let rows = transaction.query_all_raw(read).await?;
    if rows.is_empty() {
        cancel_eventless(transaction, destination, Some(head), Timestamp::from_millis(now)).await?;
    } else {
        let mark = Statement::from_sql_and_values(backend, MARK, [head.into()]);
        transaction.execute_raw(mark).await?;
    }
    let left = rows.is_empty() || ids.len() > 1;
    Ok(Due { rows, left })
}
