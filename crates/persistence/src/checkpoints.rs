//! How far a delivery has come whose attempts take several calls: the next attempt goes on there, whatever ended the last one.
//!
//! Promises that a checkpoint is on disk when [`Job::reach`] answers, and that only who holds the delivery writes it. What it says is the
//! kind's own matter. It goes with its delivery.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use sea_orm::{ConnectionTrait, DbErr, EntityTrait, Statement};

use crate::connection::in_time;
use crate::entities::checkpoints;
use crate::error::StoreError;
use crate::job::Job;
use crate::store::Shared;

/// A kind keeps ids and digests, no text of anybody's.
const LONGEST: usize = 1_024;
const REACH: &str = "INSERT INTO checkpoints (delivery_id, reached) \
    SELECT id, $3 FROM deliveries WHERE id = $1 AND lease = $2 AND state = 'pending' \
    ON CONFLICT (delivery_id) DO UPDATE SET reached = excluded.reached";

/// Where the checkpoints of deliveries are kept. Cheap to clone.
#[derive(Clone)]
pub struct Checkpoints(Kept);

#[derive(Clone)]
enum Kept {
    Database(Arc<Shared>),
    Memory(Arc<Mutex<Option<String>>>),
}

impl Checkpoints {
    pub(crate) const fn of(shared: Arc<Shared>) -> Self {
        Self(Kept::Database(shared))
    }

    /// Of one delivery that isn't in the database, such as a test.
    pub fn in_memory() -> Self {
        Self(Kept::Memory(Arc::default()))
    }
}

impl fmt::Debug for Checkpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoints").finish_non_exhaustive()
    }
}

impl Job {
    /// How far attempts of this delivery have come, if any has come anywhere.
    pub async fn reached(&self) -> Result<Option<String>, StoreError> {
        let shared = match &self.checkpoints.0 {
            Kept::Database(shared) => shared,
            Kept::Memory(kept) => return Ok(kept.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        };
        let read = checkpoints::Entity::find_by_id(self.delivery_id.as_uuid()).one(shared.connections.prompt());
        let found = in_time(async { read.await.map_err(StoreError::from) }).await?;
        Ok(found.map(|row| row.reached))
    }

    /// Keeps how far this attempt has come.
    ///
    /// # Errors
    /// If it isn't kept, also as the delivery is held by somebody else by now, or is there no more: the attempt must end.
    pub async fn reach(&self, reached: &str) -> Result<(), StoreError> {
        debug_assert!(reached.len() <= LONGEST, "a checkpoint is short");
        let shared = match &self.checkpoints.0 {
            Kept::Database(shared) => shared,
            Kept::Memory(kept) => {
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(reached.to_owned());
                return Ok(());
            }
        };
        let id = self.delivery_id.as_uuid();
        let values = [id.into(), self.lease.as_column().into(), reached.into()];
        let statement = Statement::from_sql_and_values(shared.connections.backend(), REACH, values);
        let written = in_time(async {
            let transaction = shared.connections.begin().await?;
            let written = transaction.execute_raw(statement).await?.rows_affected();
            transaction.commit().await?;
            Ok::<_, DbErr>(written)
        });
        if written.await? == 0 {
            return Err(StoreError::Superseded);
        }
        Ok(())
    }
}
