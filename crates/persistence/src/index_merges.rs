//! The parts of SQLite's index of words are merged here, a few pages at a time.
//!
//! Each step of the follower adds a part, and a search looks into every one. Left alone, SQLite merges them within the commit that adds one, some
//! hundred pages at once, while everybody who writes waits.

use std::sync::{MutexGuard, PoisonError};
use std::time::Instant;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Statement};

use crate::connection::in_time;
use crate::error::StoreError;
use crate::pace::{Pace, Range};
use crate::store::Store;

/// Pages of a step. Of fewer, looking at all parts takes longer than merging.
const STEP: Range = [10, 200];
/// Parts of about the same size that SQLite merges: before so many have come there is nothing to merge.
const TOGETHER: usize = 4;
/// With so many that nobody has merged none is added: the more there are the longer a step takes, and with four hundred SQLite would merge all at once.
const BEHIND: usize = 16;

/// How merging goes.
#[derive(Debug)]
pub(crate) struct Merging {
    pace: Pace,
    /// Parts that have come since there was nothing to merge.
    parts: usize,
}

impl Merging {
    /// Of an index that was there before.
    pub(crate) const fn new() -> Self {
        Self {
            pace: Pace::for_sqlite(STEP),
            parts: TOGETHER,
        }
    }

    pub(crate) const fn a_part_has_come(&mut self) {
        self.parts += 1;
    }

    pub(crate) const fn is_behind(&self) -> bool {
        self.parts >= BEHIND
    }
}

impl Store {
    /// One step: merges some of the parts. True when there may be more, which it never is on `PostgreSQL`.
    pub async fn merge_index(&self) -> Result<bool, StoreError> {
        if !self.connections().is_sqlite() || self.merging().parts < TOGETHER {
            return Ok(false);
        }
        let (_turn, transaction) = self.connections().begin_step().await?;
        let begun = Instant::now();
        let pages = self.merging().pace.rows();
        if !in_time(merge(&transaction, pages)).await? {
            transaction.rollback().await?;
            self.merging().parts = 0;
            return Ok(false);
        }
        self.merging().pace.took(begun.elapsed());
        in_time(transaction.commit()).await?;
        Ok(true)
    }

    pub(crate) fn merging(&self) -> MutexGuard<'_, Merging> {
        self.shared().merging.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes so many pages of merged parts. Whether there was anything to merge.
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
