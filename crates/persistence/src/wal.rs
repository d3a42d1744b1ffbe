//! On SQLite: what commits have put into the write-ahead log goes back into the database file, beside the writer.
//!
//! Left alone, SQLite does that within some commit, with all that has gathered and two syncs, while everybody who writes waits. Here a connection
//! that reads does it; the writer does no more than the little that came meanwhile, now and then: the log begins anew only when all of it is back.

use std::sync::Weak;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};

use crate::store::Shared;

/// How often is looked how much there is; a look at memory that the connections share.
const EVERY: Duration = Duration::from_millis(100);
/// So many pages go back together.
const TOGETHER: i64 = 3_000;
/// A log of so many pages is to begin anew.
const LONG: i64 = 16_000;
/// With so many the writer puts them back by itself, whatever became of this task: 24 times what is SQLite's own measure.
pub(crate) const WRITER_PAGES: &str = "24000";

/// Pages of the log, and how many of them are back in the file.
struct Log {
    all: i64,
    back: i64,
}

/// Goes on until the store is gone.
pub(crate) async fn put_back(shared: Weak<Shared>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut has_failed = false;
    loop {
        ticks.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        match round(&shared).await {
            Ok(()) => has_failed = false,
            Err(error) if !has_failed => {
                has_failed = true;
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "SQLite's log could not be put back into the file; tried again");
            }
            Err(_) => {}
        }
    }
}

async fn round(shared: &Shared) -> Result<(), DbErr> {
    let (reader, writer) = (&shared.connections.reader, &shared.connections.writer);
    let log = checkpoint(reader, "NOOP").await?;
    if log.all - log.back < TOGETHER {
        return Ok(());
    }
    checkpoint(reader, "PASSIVE").await?;
    if log.all >= LONG {
        // Only a few came meanwhile, and none can now.
        checkpoint(writer, "PASSIVE").await?;
    }
    Ok(())
}

/// Waits for nobody. While another connection does the same, it does nothing.
async fn checkpoint(connection: &DatabaseConnection, mode: &str) -> Result<Log, DbErr> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let row = connection.query_one_raw(statement).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("a checkpoint's pages".to_owned()))?;
    let pages = |place| row.try_get_by_index::<i32>(place).map(i64::from);
    Ok(Log {
        all: pages(1)?,
        back: pages(2)?,
    })
}
