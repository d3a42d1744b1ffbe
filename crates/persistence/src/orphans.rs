//! Deliveries whose destination isn't there any more: cancelled some at a time, since there may be a million of them, and everybody who
//! writes waits for each time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr};
use sensei_domain::{DeliveryState, DestinationId, Timestamp};
use uuid::Uuid;

use crate::connection::in_time;
use crate::deliveries::cancelling;
use crate::error::StoreError;
use crate::multi_row::Sql;
use crate::store::{Shared, Store};

/// Deliveries that are cancelled at once at most.
const STEP: u64 = 250;
/// Who deletes a destination waits for as long at most until nothing of it is left.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which deliveries of a destination that was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Orphans {
    /// Those that are pending and due.
    Due,
    Pending,
    Held,
}

impl Store {
    /// Cancels what waits for a destination that was deleted. It goes on when the caller stops waiting; what a process that ends leaves is
    /// cancelled when it is due, or when what is held is looked at.
    pub(crate) async fn cancel_all_for(&self, destination: DestinationId) {
        let shared = Arc::clone(self.shared());
        let cancelling = self.shared().background.spawn(async move {
            for which in [Orphans::Pending, Orphans::Held] {
                if let Err(error) = cancel_bit_by_bit(&shared, destination, which).await {
                    tracing::warn!(
                        %destination,
                        error = &error as &dyn std::error::Error,
                        "what waits for a deleted destination is cancelled later"
                    );
                }
            }
        });
        // Whether it is over or not, the destination is deleted.
        let _ = tokio::time::timeout(PATIENCE, cancelling).await;
    }
}

/// Others have their turn for as long as a step took.
async fn cancel_bit_by_bit(shared: &Shared, destination: DestinationId, which: Orphans) -> Result<(), StoreError> {
    let mut was_none = false;
    while !shared.closing().is_cancelled() {
        let begun = Instant::now();
        let writer = &shared.connections.writer;
        let some = cancel_orphans(writer, destination, which, shared.clock.now());
        // Somebody may have some of them locked for a moment.
        match in_time(some).await? {
            0 if was_none => break,
            cancelled => was_none = cancelled == 0,
        }
        tokio::time::sleep(begun.elapsed()).await;
    }
    Ok(())
}

/// Cancels some of what is due for a destination but has no event any more, which nobody can claim; of an ordered one, only its head is
/// looked at. How many.
pub(crate) async fn cancel_eventless(
    connection: &impl ConnectionTrait,
    destination: DestinationId,
    head: Option<Uuid>,
    now: Timestamp,
) -> Result<u64, DbErr> {
    let mut sql = cancelling(connection.get_database_backend(), now);
    sql.push("state = 'pending' AND id IN (SELECT id FROM deliveries WHERE state = 'pending' AND destination_id = ");
    sql.value(destination.as_uuid());
    sql.push(" AND due_at <= ");
    sql.value(now.as_millis());
    if let Some(head) = head {
        sql.push(" AND id = ");
        sql.value(head);
    }
    sql.push(" AND NOT EXISTS (SELECT 1 FROM events WHERE events.id = deliveries.event_id)");
    let cancelled = take_some(sql, connection).await?;
    if cancelled > 0 {
        tracing::warn!(%destination, deliveries = cancelled, "cancelled what was due and has no event any more");
    }
    Ok(cancelled)
}

/// Ends such a statement, and carries it out.
async fn take_some(mut sql: Sql, connection: &impl ConnectionTrait) -> Result<u64, DbErr> {
    sql.push(" LIMIT ");
    sql.value(i64::try_from(STEP).unwrap_or(i64::MAX));
    if connection.get_database_backend() == DatabaseBackend::Postgres {
        sql.push(" FOR UPDATE SKIP LOCKED");
    }
    sql.push(")");
    Ok(connection.execute_raw(sql.statement()).await?.rows_affected())
}

/// Cancels some deliveries of a destination, if it isn't there any more: they would wait for ever. How many.
pub(crate) async fn cancel_orphans(
    connection: &impl ConnectionTrait,
    destination: DestinationId,
    which: Orphans,
    now: Timestamp,
) -> Result<u64, DbErr> {
    let state = match which {
        Orphans::Due | Orphans::Pending => DeliveryState::Pending,
        Orphans::Held => DeliveryState::Held,
    };
    // Written out, as a partial index isn't used for a parameter.
    let is_so = format!("state = '{}'", state.name());
    // Asked again where the rows are chosen, so that the answer is of the same moment.
    let mut sql = cancelling(connection.get_database_backend(), now);
    sql.push(&is_so);
    sql.push(" AND id IN (SELECT id FROM deliveries WHERE ");
    sql.push(&is_so);
    sql.push(" AND destination_id = ");
    sql.value(destination.as_uuid());
    if which == Orphans::Due {
        sql.push(" AND due_at <= ");
        sql.value(now.as_millis());
    }
    sql.push(" AND NOT EXISTS (SELECT 1 FROM destinations WHERE deleted_at IS NULL AND id = ");
    sql.value(destination.as_uuid());
    sql.push(")");
    take_some(sql, connection).await
}
