//! The parts of SQLite's index of words are merged here, a few pages at a time.
//!
//! Each step of the follower adds a part, and a search looks into every one. Left alone, SQLite merges them within the commit that adds one, some
//! hundred pages at once, while everybody who writes waits.

use std::sync::{MutexGuard, PoisonError};
use std::time::Instant;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Statement};

use crate::connection::in_time;
use crate::error::StoreError;
use crate::pace::Pace;
use crate::store::Store;

/// Pages of a step, at most.
pub(crate) const LARGEST_STEP: i64 = 200;

impl Store {
    /// One step: merges some of the parts. True when there may be more, which it never is on `PostgreSQL`.
    pub async fn merge_index(&self) -> Result<bool, StoreError> {
        if !self.connections().is_sqlite() {
            return Ok(false);
        }
        let transaction = self.connections().begin().await?;
        let begun = Instant::now();
        let pages = self.merging().rows();
        if !in_time(merge(&transaction, pages)).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        self.merging().took(begun.elapsed());
        in_time(transaction.commit()).await?;
        Ok(true)
    }

    fn merging(&self) -> MutexGuard<'_, Pace> {
        self.shared().merging.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes so many pages of merged parts. Whether there was anything to merge: four parts of about the same size.
async fn merge(transaction: &DatabaseTransaction, pages: i64) -> Result<bool, DbErr> {
    let before = changes(transaction).await?;
    let sql = "INSERT INTO lead_words (lead_words, rank) VALUES ('merge', ?)";
    let merge = Statement::from_sql_and_values(transaction.get_database_backend(), sql, [pages.into()]);
    transaction.execute_raw(merge).await?;
    // The statement itself counts as one.
    Ok(changes(transaction).await? - before > 1)
}

/// Rows that this connection has ever changed, among them those in which the index keeps itself.
async fn changes(transaction: &DatabaseTransaction) -> Result<i64, DbErr> {
    let changes = Statement::from_string(transaction.get_database_backend(), "SELECT total_changes()");
    let row = transaction.query_one_raw(changes).await?;
    row.map_or(Ok(0), |row| row.try_get_by_index(0))
}
