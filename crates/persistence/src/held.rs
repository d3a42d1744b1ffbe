//! Held deliveries: kept while their destination is paused or disabled, released when it is active again.
//!
//! Held are those captured meanwhile, and those that come due meanwhile. They are released in the order of their
//! capture, ahead of what came later: due since they were captured.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, Statement, Value};
use sensei_domain::{DeliveryId, DeliveryState, DestinationId, Timestamp};
use uuid::Uuid;

use crate::connection::in_time;
use crate::due::HOPS;
use crate::error::StoreError;
use crate::job::Lease;
use crate::multi_row::{Sql, chunks};
use crate::orphans::{Orphans, cancel_orphans};
use crate::store::Store;

/// Deliveries that one step moves at most.
const MOVED_AT_ONCE: i64 = 1_000;
/// Destinations that one step releases for at most.
const DESTINATIONS_AT_ONCE: usize = 100;
/// After so long it goes on at the next step: others fetch what is due in between.
const LONG: Duration = Duration::from_millis(100);

/// A pending delivery is held; one that is being redelivered goes back to where it was.
const PUT_BACK: &str = "state = coalesce(prior_state, 'held'), due_at = prior_due_at, lease = NULL, \
    prior_state = NULL, prior_due_at = NULL";

/// Destinations after `$1` with something held, at most `$2`, each with whether it is active, and whether it was deleted. Hops from one to the next.
pub(crate) const RELEASABLE: &str = "WITH RECURSIVE hop (destination_id, hops) AS ( \
    SELECT * FROM (SELECT destination_id, CAST(1 AS BIGINT) FROM deliveries WHERE state = 'held' \
    AND destination_id > $1 ORDER BY destination_id LIMIT 1) AS nearest \
    UNION ALL \
    SELECT (SELECT destination_id FROM deliveries WHERE state = 'held' AND destination_id > hop.destination_id \
    ORDER BY destination_id LIMIT 1), hops + 1 FROM hop WHERE hop.destination_id IS NOT NULL AND hops < $2) \
    SELECT destination_id, EXISTS (SELECT 1 FROM destinations \
    WHERE destinations.id = hop.destination_id AND status = 'active' AND deleted_at IS NULL), \
    EXISTS (SELECT 1 FROM destinations WHERE destinations.id = hop.destination_id AND deleted_at IS NOT NULL) \
    FROM hop WHERE destination_id IS NOT NULL";

impl Store {
    /// Makes due what is held for destinations that are active again, some of it: of those that were resumed here, then
    /// of those that the next look comes by. True when it is known that there is more.
    pub async fn free_held(&self) -> Result<bool, StoreError> {
        in_time(self.free_some()).await
    }

    async fn free_some(&self) -> Result<bool, StoreError> {
        let resumed = || self.shared().resumed.lock().unwrap_or_else(PoisonError::into_inner);
        let (releasable, more) = self.releasable().await?;
        resumed().extend(releasable);
        let first = resumed().iter().take(DESTINATIONS_AT_ONCE).copied().collect::<Vec<_>>();
        let begun = Instant::now();
        for destination in first {
            let freed = self.free(destination.as_uuid()).await?;
            if freed < MOVED_AT_ONCE.unsigned_abs() {
                resumed().remove(&destination);
            }
            if freed > 0 {
                self.shared().left_behind([destination]);
            }
            if begun.elapsed() > LONG {
                break;
            }
        }
        Ok(more || !resumed().is_empty())
    }

    /// Active destinations with something held, of those that the next look comes by. What is held for deleted ones is cancelled, some of it;
    /// whether there may be more.
    async fn releasable(&self) -> Result<(Vec<DestinationId>, bool), StoreError> {
        let after = || self.shared().held_after.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = self.connections().prompt();
        let values: [Value; 2] = [(*after()).into(), i64::try_from(HOPS).unwrap_or(i64::MAX).into()];
        let look = Statement::from_sql_and_values(reader.get_database_backend(), RELEASABLE, values);
        let rows = reader.query_all_raw(look).await?;
        let (mut last, mut releasable, mut deleted) = (Uuid::nil(), Vec::new(), Vec::new());
        for row in &rows {
            last = row.try_get_by_index(0)?;
            let destination = DestinationId::from_uuid(last);
            if row.try_get_by_index::<bool>(1)? {
                releasable.push(destination);
            }
            if row.try_get_by_index::<bool>(2)? {
                deleted.push(destination);
            }
        }
        *after() = if rows.len() < HOPS { Uuid::nil() } else { last };
        let mut more = false;
        for destination in deleted {
            let writer = &self.connections().writer;
            match cancel_orphans(writer, destination, Orphans::Held, self.now()).await {
                Ok(cancelled) => more |= cancelled > 0,
                // Nobody else has to wait for it.
                Err(error) => {
                    tracing::warn!(%destination, %error, "what is held for a deleted destination is cancelled later");
                }
            }
        }
        Ok((releasable, more))
    }

    async fn free(&self, destination: Uuid) -> Result<u64, DbErr> {
        let writer = &self.connections().writer;
        let statement = free_statement(writer.get_database_backend(), destination);
        Ok(writer.execute_raw(statement).await?.rows_affected())
    }
}

/// Holds what is due for a destination that isn't active, some of it. True when there may be more.
pub(crate) async fn hold_due(
    transaction: &DatabaseTransaction,
    destination: DestinationId,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let statement = hold_due_statement(transaction.get_database_backend(), destination, now);
    Ok(transaction.execute_raw(statement).await?.rows_affected() == MOVED_AT_ONCE.unsigned_abs())
}

/// Makes due some of what is held for this destination. Whether it is active is asked once more, in the statement that moves.
/// What the inner query finds is locked, or nobody else writes: the outer one need not ask again, and goes by id.
pub(crate) fn free_statement(backend: DatabaseBackend, destination: Uuid) -> Statement {
    let sql = format!(
        "UPDATE deliveries SET state = 'pending', due_at = created_at WHERE id IN \
         (SELECT id FROM deliveries WHERE state = 'held' AND destination_id = $1 AND EXISTS \
         (SELECT 1 FROM destinations WHERE id = $1 AND status = 'active' AND deleted_at IS NULL) \
         ORDER BY id LIMIT $2{})",
        skip_locked(backend)
    );
    Statement::from_sql_and_values(backend, sql, [destination.into(), MOVED_AT_ONCE.into()])
}

/// Holds some of what is due for this destination.
pub(crate) fn hold_due_statement(backend: DatabaseBackend, destination: DestinationId, now: Timestamp) -> Statement {
    let sql = format!(
        "UPDATE deliveries SET {PUT_BACK} WHERE id IN \
         (SELECT id FROM deliveries WHERE state = 'pending' AND destination_id = $1 AND due_at <= $2 \
         ORDER BY due_at, id LIMIT $3{})",
        skip_locked(backend)
    );
    let values = [
        destination.as_uuid().into(),
        now.as_millis().into(),
        MOVED_AT_ONCE.into(),
    ];
    Statement::from_sql_and_values(backend, sql, values)
}

/// Holds deliveries that a process had in its lanes, each if it is still leased to it.
pub(crate) async fn hold_leased(
    transaction: &DatabaseTransaction,
    mut held: Vec<(DeliveryId, Lease)>,
) -> Result<(), DbErr> {
    held.sort_unstable_by_key(|(id, _)| id.as_uuid());
    let backend = transaction.get_database_backend();
    for part in chunks(backend, &held) {
        let hold = hold_leased_statement(backend, part);
        transaction.execute_raw(hold).await?;
    }
    Ok(())
}

/// Holds deliveries that are still under these leases.
pub(crate) fn hold_leased_statement(backend: DatabaseBackend, held: &[(DeliveryId, Lease)]) -> Statement {
    let mut sql = Sql::new(backend, "WITH moved (id, lease, state) AS (");
    let pending = DeliveryState::Pending.name();
    sql.rows(
        held.iter()
            .map(|(id, lease)| [id.as_uuid().into(), lease.as_column().into(), pending.into()]),
    );
    sql.push(") UPDATE deliveries SET ");
    sql.push(PUT_BACK);
    // As where attempts are recorded: `= 'pending'` would tempt a planner.
    sql.push(
        " FROM moved WHERE deliveries.id = moved.id AND deliveries.lease = moved.lease \
         AND deliveries.state = moved.state",
    );
    sql.and_among_them("deliveries.id");
    sql.statement()
}

const fn skip_locked(backend: DatabaseBackend) -> &'static str {
    match backend {
        DatabaseBackend::Postgres => " FOR UPDATE SKIP LOCKED",
        _ => "",
    }
}
