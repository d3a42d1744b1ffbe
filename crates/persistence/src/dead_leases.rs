//! Leases that a dead process left on SQLite, where no other can be at work: what they hold is due at once.
//!
//! A lease that ran out is due by itself. One that a process took lately ends within a lease's time from now: those are freed before the
//! store opens. Any that ends later (the clock was set back meanwhile, or the lease was longer) is looked for afterwards among all
//! that waits, a part at a time: with a million retries that wait for tomorrow that takes seconds, and nobody waits for it.

use std::time::Instant;

use sea_orm::{ConnectionTrait, Statement, Value};
use sensei_domain::DeliveryId;
use uuid::Uuid;

use crate::connection::in_time;
use crate::error::StoreError;
use crate::job::Lease;
use crate::store::Store;

/// Leases of this many times a lease's length count as taken lately.
const LATELY: u32 = 2;
/// Deliveries that one look for later ones goes over: a millisecond or two.
const LOOKED_AT: i64 = 500;
/// It rests so many times as long as it looked: others read the same file.
const REST: u32 = 3;

/// Frees what is leased until a time between `$1` and `$2`; what was never attempted keeps its place. Hops from destination to destination.
pub(crate) const FREE_RECENT: &str = "UPDATE deliveries SET lease = NULL, \
    due_at = CASE WHEN attempt_count = 0 AND prior_state IS NULL AND created_at < $1 THEN created_at ELSE $1 END WHERE id IN ( \
    WITH RECURSIVE hop (destination_id) AS ( \
    SELECT * FROM (SELECT destination_id FROM deliveries WHERE state = 'pending' \
    ORDER BY destination_id LIMIT 1) AS nearest \
    UNION ALL \
    SELECT (SELECT destination_id FROM deliveries WHERE state = 'pending' AND destination_id > hop.destination_id \
    ORDER BY destination_id LIMIT 1) FROM hop WHERE hop.destination_id IS NOT NULL) \
    SELECT leased.id FROM hop CROSS JOIN deliveries AS leased WHERE leased.destination_id = hop.destination_id \
    AND leased.state = 'pending' AND leased.due_at > $1 AND leased.due_at <= $2 AND leased.lease IS NOT NULL)";
/// What is pending after a place in the order of destinations and times.
pub(crate) const PENDING: &str = "SELECT id, destination_id, due_at, lease FROM deliveries WHERE state = 'pending' \
    AND (destination_id, due_at, id) > ($1, $2, $3) ORDER BY destination_id, due_at, id LIMIT $4";

impl Store {
    /// Makes due what a dead process has leased; a scheduled retry isn't leased and keeps its time.
    pub(crate) async fn free_dead_leases(&self) -> Result<(), StoreError> {
        let now = self.now();
        let values = [now, now.after(self.lease() * LATELY)].map(|bound| bound.as_millis().into());
        let writer = &self.connections().writer;
        let statement = Statement::from_sql_and_values(writer.get_database_backend(), FREE_RECENT, values);
        let freed = writer.execute_raw(statement).await?.rows_affected();
        if freed > 0 {
            tracing::info!(deliveries = freed, "took back what the last process had not finished");
        }
        let store = self.clone();
        self.shared().background.spawn(async move {
            let closing = store.shared().closing().clone();
            if let Some(Err(error)) = closing.run_until_cancelled(store.free_later_leases()).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "leases that a dead process left could not be looked for; they will run out"
                );
            }
        });
        Ok(())
    }

    /// Frees leases that end later than any that this process takes meanwhile.
    async fn free_later_leases(&self) -> Result<(), StoreError> {
        let mut after = (Uuid::nil(), i64::MIN, Uuid::nil());
        loop {
            let begun = Instant::now();
            let later_than = self.now().after(self.lease() * LATELY).as_millis();
            let values: [Value; 4] = [after.0.into(), after.1.into(), after.2.into(), LOOKED_AT.into()];
            let reader = &self.connections().reader;
            let statement = Statement::from_sql_and_values(reader.get_database_backend(), PENDING, values);
            let rows = in_time(reader.query_all_raw(statement)).await?;
            let mut dead = Vec::new();
            for row in &rows {
                let (id, due_at): (Uuid, i64) = (row.try_get("", "id")?, row.try_get("", "due_at")?);
                let lease: Option<i64> = row.try_get("", "lease")?;
                if let Some(lease) = lease.filter(|_| due_at > later_than) {
                    dead.push((DeliveryId::from_uuid(id), Lease::from_column(lease)));
                }
                after = (row.try_get("", "destination_id")?, due_at, id);
            }
            if !dead.is_empty() {
                self.release(&dead).await?;
            }
            if i64::try_from(rows.len()) != Ok(LOOKED_AT) {
                return Ok(());
            }
            tokio::time::sleep(begun.elapsed() * REST).await;
        }
    }
}
