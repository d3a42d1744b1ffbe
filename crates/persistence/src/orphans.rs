//! Deliveries whose destination isn't there any more.

use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr};
use sensei_domain::{DestinationId, Timestamp};

use crate::deliveries::cancelling;

/// Deliveries of a deleted destination that one claim cancels at most.
const ORPHANS_AT_ONCE: i64 = 1_000;

/// Cancels what is due for a destination that isn't there any more: it would stay pending for ever.
pub(crate) async fn cancel_orphans(
    transaction: &DatabaseTransaction,
    destination: DestinationId,
    now: Timestamp,
) -> Result<(), DbErr> {
    let backend = transaction.get_database_backend();
    let lock = if backend == DatabaseBackend::Postgres {
        " FOR UPDATE SKIP LOCKED"
    } else {
        ""
    };
    // Asked again where the rows are chosen, so that the answer is of the same moment.
    let mut sql = cancelling(backend, now);
    sql.push("state = 'pending' AND id IN (SELECT id FROM deliveries WHERE state = 'pending' AND due_at <= ");
    sql.value(now.as_millis());
    sql.push(" AND destination_id = ");
    sql.value(destination.as_uuid());
    sql.push(" AND NOT EXISTS (SELECT 1 FROM destinations WHERE deleted_at IS NULL AND id = ");
    sql.value(destination.as_uuid());
    sql.push(") LIMIT ");
    sql.value(ORPHANS_AT_ONCE);
    sql.push(lock);
    sql.push(")");
    let cancelled = transaction.execute_raw(sql.statement()).await?.rows_affected();
    if cancelled > 0 {
        tracing::warn!(%destination, deliveries = cancelled, "cancelled what was due for a deleted destination");
    }
    Ok(())
}
