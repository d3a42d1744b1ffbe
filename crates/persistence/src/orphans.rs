//! Deliveries whose destination isn't there any more.

use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, Statement};
use sensei_domain::{DestinationId, Timestamp};

use crate::deliveries::CANCELLED;

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
        "FOR UPDATE SKIP LOCKED"
    } else {
        ""
    };
    // Asked again where the rows are chosen, so that the answer is of the same moment.
    let sql = format!(
        "UPDATE deliveries SET {CANCELLED} \
         WHERE state = 'pending' AND id IN (SELECT id FROM deliveries WHERE state = 'pending' \
         AND destination_id = $2 AND due_at <= $1 AND NOT EXISTS \
         (SELECT 1 FROM destinations WHERE id = $2 AND deleted_at IS NULL) LIMIT $3 {lock})"
    );
    let values = [
        now.as_millis().into(),
        destination.as_uuid().into(),
        ORPHANS_AT_ONCE.into(),
    ];
    let cancelled = transaction
        .execute_raw(Statement::from_sql_and_values(backend, sql, values))
        .await?
        .rows_affected();
    if cancelled > 0 {
        tracing::warn!(%destination, deliveries = cancelled, "cancelled what was due for a deleted destination");
    }
    Ok(())
}
