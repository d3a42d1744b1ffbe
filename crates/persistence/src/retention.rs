//! Forgetting what has been kept for long enough, a little at a time.
//!
//! A pass walks each table once by its primary key (ids begin with their time), some rows a transaction,
//! and rests between them for much longer than they took: live work never waits for more than one step. What
//! is pending or held is kept however old it is.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, EntityTrait, Statement, Value};
use sensei_domain::Timestamp;
use uuid::Uuid;

use crate::connection::in_time;
use crate::deliveries::first_id;
use crate::entities::leads;
use crate::error::StoreError;
use crate::follow::Load;
use crate::lead_words;
use crate::pace::{Pace, Range};
use crate::rollups;
use crate::store::Store;
use crate::tallies::EMPTY;

/// Rows that one step looks at, on PostgreSQL and on SQLite. There a lead's words take some milliseconds to leave the index.
const STEP: i64 = 150;
const SQLITE_STEP: Range = [1, 500];
/// A step is followed by a rest of at least this, and of so many times what it took.
const SHORTEST_REST: Duration = Duration::from_millis(20);
const REST_PER_WORK: u32 = 9;
/// On SQLite leads wait for each step and its commit, so it rests for longer while so many leads a second are captured; unless a pass takes so
/// long that more may come than goes.
const REST_WHILE_BUSY: u32 = 60;
const BUSY: f64 = 100.0;
const PATIENCE: Duration = Duration::from_mins(30);
/// Finished recoveries are shown for so long.
const RECOVERIES_KEPT: Duration = Duration::from_hours(30 * 24);
/// Deliveries of an event are written with it, or later for a lead; ids may run ahead of their time by this.
const CLOCK_STEP: Duration = Duration::from_hours(1);
/// SQLite gives pages back to the file system when so many are free, and this part of the file at least.
const FREE_PAGES: i64 = 2_000;
const FREE_PART: i64 = 5;
const PAGES_A_STEP: i64 = 150;

/// For how long things are kept. `None`: for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Attempts, from their beginning.
    pub attempts: Option<Duration>,
    /// Deliveries, from when they were done, and events, from when they happened.
    pub deliveries: Option<Duration>,
    /// Leads, from their capture, with all that is known of them.
    pub leads: Option<Duration>,
    /// How long after a pass, or the start, the next one begins.
    pub every: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            attempts: Some(Duration::from_hours(30 * 24)),
            deliveries: Some(Duration::from_hours(90 * 24)),
            leads: None,
            every: Duration::from_hours(1),
        }
    }
}

/// One table's part in a pass.
pub(crate) struct Task {
    /// The ids of a step: behind `$1`, below `$2`, at most `$3`.
    pub(crate) page: &'static str,
    /// What is removed of them: behind `$1`, up to `$2`, older than `$3`; `$4` is an id that is later than their deliveries.
    pub(crate) removals: &'static [&'static str],
    /// What is locked on PostgreSQL before it is looked which of it may go, by the same bounds: who makes deliveries of it meanwhile has done so, or
    /// waits and finds it gone.
    pub(crate) lock: Option<&'static str>,
    /// The leads whose words are removed as well, by the same bounds.
    pub(crate) searchable: Option<&'static str>,
}

pub(crate) const ATTEMPTS: Task = Task {
    page: "SELECT delivery_id FROM attempts WHERE delivery_id > $1 AND delivery_id < $2 ORDER BY delivery_id LIMIT $3",
    removals: &["DELETE FROM attempts WHERE delivery_id > $1 AND delivery_id <= $2 AND started_at < $3"],
    lock: None,
    searchable: None,
};
pub(crate) const DELIVERIES: Task = Task {
    page: "SELECT id FROM deliveries WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3",
    removals: &[
        "DELETE FROM attempts WHERE delivery_id IN (SELECT id FROM deliveries WHERE id > $1 AND id <= $2 \
         AND state IN ('succeeded', 'failed', 'cancelled') AND completed_at < $3)",
        "DELETE FROM checkpoints WHERE delivery_id IN (SELECT id FROM deliveries WHERE id > $1 AND id <= $2 \
         AND state IN ('succeeded', 'failed', 'cancelled') AND completed_at < $3)",
        "DELETE FROM deliveries WHERE id > $1 AND id <= $2 \
         AND state IN ('succeeded', 'failed', 'cancelled') AND completed_at < $3",
    ],
    lock: None,
    searchable: None,
};
/// A replay that runs reads old events: it is waited for. Events without a lead are asked for such that the index of leads
/// can't serve it: it would read all of them in each step.
pub(crate) const EVENTS: Task = Task {
    page: "SELECT id FROM events WHERE id > $1 AND id < $2 \
           AND NOT EXISTS (SELECT 1 FROM recoveries WHERE state = 'running') ORDER BY id LIMIT $3",
    removals: &[
        "DELETE FROM events WHERE id > $1 AND id <= $2 AND created_at < $3 AND lead_id IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.lead_id = events.lead_id AND event_id = events.id)",
        "DELETE FROM events WHERE id > $1 AND id <= $2 AND created_at < $3 AND coalesce(lead_id, id) = id \
         AND NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.client_id = events.client_id \
         AND deliveries.id > $1 AND deliveries.id < $4 AND event_id = events.id)",
    ],
    lock: Some("SELECT id FROM events WHERE id > $1 AND id <= $2 AND created_at < $3 ORDER BY id FOR UPDATE"),
    searchable: None,
};
macro_rules! forgotten_leads {
    () => {
        "SELECT id FROM leads WHERE id > $1 AND id <= $2 AND created_at < $3 AND NOT EXISTS (SELECT 1 FROM deliveries \
         WHERE deliveries.lead_id = leads.id AND (state = 'pending' OR state = 'held'))"
    };
}
pub(crate) const LEADS: Task = Task {
    page: "SELECT id FROM leads WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3",
    removals: &[
        concat!(
            "DELETE FROM attempts WHERE delivery_id IN (SELECT id FROM deliveries WHERE lead_id IN (",
            forgotten_leads!(),
            "))"
        ),
        concat!(
            "DELETE FROM checkpoints WHERE delivery_id IN (SELECT id FROM deliveries WHERE lead_id IN (",
            forgotten_leads!(),
            "))"
        ),
        concat!("DELETE FROM deliveries WHERE lead_id IN (", forgotten_leads!(), ")"),
        concat!("DELETE FROM events WHERE lead_id IN (", forgotten_leads!(), ")"),
        concat!(
            "DELETE FROM suspected_leads WHERE lead_id IN (",
            forgotten_leads!(),
            ")"
        ),
        concat!("DELETE FROM leads WHERE id IN (", forgotten_leads!(), ")"),
    ],
    lock: Some("SELECT id FROM leads WHERE id > $1 AND id <= $2 AND created_at < $3 ORDER BY id FOR UPDATE"),
    searchable: Some(concat!("SELECT * FROM leads WHERE id IN (", forgotten_leads!(), ")")),
};

/// Sums from before `$1`, at most `$2` rows.
pub(crate) const ROLLUPS: &str = "DELETE FROM rollups WHERE (client_id, at) IN (SELECT client_id, at FROM rollups WHERE at < $1 ORDER BY at LIMIT $2)";

/// After a step that took so long, in a pass of this age.
fn rest(took: Duration, is_busy: bool, pass: Duration) -> Duration {
    let times = if is_busy && pass < PATIENCE {
        REST_WHILE_BUSY
    } else {
        REST_PER_WORK
    };
    SHORTEST_REST.max(took * times)
}

impl Store {
    /// Forgets, from now until the store closes, what has been kept for long enough.
    pub fn keep_house(&self, retention: Retention) {
        let store = self.clone();
        self.shared().background.spawn(async move {
            let closing = store.shared().closing().clone();
            let rounds = async {
                loop {
                    tokio::time::sleep(retention.every).await;
                    let begun = Instant::now();
                    let done = store.forget_old(&retention).await;
                    store.shared().jobs.ran("retention", store.now(), begun.elapsed());
                    if let Err(error) = done {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "what is old could not be removed; tried again at the next pass"
                        );
                    }
                }
            };
            closing.run_until_cancelled(rounds).await;
        });
    }

    /// One pass: removes everything that has been kept for long enough. Says how many rows that were.
    pub async fn forget_old(&self, retention: &Retention) -> Result<u64, StoreError> {
        let (mut removed, begun) = (0, Instant::now());
        for (task, kept) in [
            (&LEADS, retention.leads),
            (&ATTEMPTS, retention.attempts),
            (&DELIVERIES, retention.deliveries),
            (&EVENTS, retention.deliveries),
        ] {
            if let Some(kept) = kept {
                removed += self.walk(task, before(self.now(), kept), begun).await?;
            }
        }
        let finished = before(self.now(), RECOVERIES_KEPT).as_millis();
        let writer = &self.connections().writer;
        let sql = "DELETE FROM recoveries WHERE finished_at < $1";
        let old = Statement::from_sql_and_values(writer.get_database_backend(), sql, [finished.into()]);
        removed += writer.execute_raw(old).await?.rows_affected();
        removed += self.forget_rollups(begun).await?;
        in_time(writer.execute_unprepared(EMPTY)).await?;
        if self.connections().is_sqlite() {
            self.give_pages_back().await?;
        }
        Ok(removed)
    }

    /// In a pass that began then.
    async fn walk(&self, task: &Task, cut: Timestamp, pass: Instant) -> Result<u64, StoreError> {
        let (mut position, mut removed) = (Uuid::nil(), 0);
        let is_sqlite = self.connections().is_sqlite();
        let (mut pace, mut load) = (Pace::new(is_sqlite, STEP, SQLITE_STEP), Load::new(self));
        loop {
            let begun = Instant::now();
            let Some((last, count)) = in_time(self.step(task, position, cut, &mut pace)).await? else {
                return Ok(removed);
            };
            (position, removed) = (last, removed + count);
            let is_busy = is_sqlite && load.leads_a_second(self) > BUSY;
            tokio::time::sleep(rest(begun.elapsed(), is_busy, pass.elapsed())).await;
        }
    }

    /// The last id that was looked at, and how many rows were removed; nothing when the walk is over.
    async fn step(
        &self,
        task: &Task,
        position: Uuid,
        cut: Timestamp,
        pace: &mut Pace,
    ) -> Result<Option<(Uuid, u64)>, DbErr> {
        let reader = &self.connections().reader;
        let backend = reader.get_database_backend();
        let bounds = [position.into(), first_id(cut.as_millis()).into(), pace.rows().into()];
        let page = Statement::from_sql_and_values(backend, task.page, bounds);
        let rows = reader.query_all_raw(page).await?;
        let Some(last) = rows.last() else { return Ok(None) };
        let last: Uuid = last.try_get_by_index(0)?;
        let later = first_id(cut.after(CLOCK_STEP).as_millis());
        let (_turn, transaction) = self.connections().begin_step().await?;
        let begun = Instant::now();
        let mut removed = 0;
        if task.searchable.is_some() {
            lead_words::lock(&transaction).await?;
        }
        let bounds: [Value; 3] = [position.into(), last.into(), cut.as_millis().into()];
        if let Some(lock) = task.lock.filter(|_| backend == DatabaseBackend::Postgres) {
            let lock = Statement::from_sql_and_values(backend, lock, bounds.clone());
            transaction.query_all_raw(lock).await?;
        }
        if let Some(forgotten) = task.searchable {
            let forgotten = Statement::from_sql_and_values(backend, forgotten, bounds.clone());
            let rows = leads::Entity::find().from_raw_sql(forgotten).all(&transaction).await?;
            lead_words::remove(&transaction, &rows).await?;
        }
        for sql in task.removals {
            removed += remove(&transaction, sql, bounds.clone(), later).await?;
        }
        pace.took(begun.elapsed());
        transaction.commit().await?;
        Ok(Some((last, removed)))
    }

    /// Removes sums that have been kept for long enough.
    async fn forget_rollups(&self, pass: Instant) -> Result<u64, StoreError> {
        let cut = before(self.now(), rollups::KEPT).as_millis();
        let is_sqlite = self.connections().is_sqlite();
        let mut pace = Pace::new(is_sqlite, rollups::STEP, rollups::SQLITE_STEP);
        let (mut removed, mut load) = (0, Load::new(self));
        loop {
            let rows = pace.rows();
            let (turn, transaction) = self.connections().begin_step().await?;
            let begun = Instant::now();
            let values: [Value; 2] = [cut.into(), rows.into()];
            let old = Statement::from_sql_and_values(transaction.get_database_backend(), ROLLUPS, values);
            let count = in_time(transaction.execute_raw(old)).await?.rows_affected();
            pace.took(begun.elapsed());
            in_time(transaction.commit()).await?;
            drop(turn);
            removed += count;
            if count < rows.unsigned_abs() {
                return Ok(removed);
            }
            let is_busy = is_sqlite && load.leads_a_second(self) > BUSY;
            tokio::time::sleep(rest(begun.elapsed(), is_busy, pass.elapsed())).await;
        }
    }

    /// Shrinks the file when much of it is free, a few pages at a time.
    async fn give_pages_back(&self) -> Result<(), StoreError> {
        loop {
            let (free, all) = (self.pragma("freelist_count").await?, self.pragma("page_count").await?);
            if free < FREE_PAGES || free * FREE_PART < all {
                return Ok(());
            }
            let turn = self.connections().turn().await;
            let begun = Instant::now();
            let writer = &self.connections().writer;
            writer
                .execute_unprepared(&format!("PRAGMA incremental_vacuum({PAGES_A_STEP})"))
                .await?;
            drop(turn);
            if self.pragma("freelist_count").await? >= free {
                // A file that was made otherwise.
                return Ok(());
            }
            tokio::time::sleep(SHORTEST_REST.max(begun.elapsed() * REST_PER_WORK)).await;
        }
    }

    async fn pragma(&self, name: &str) -> Result<i64, DbErr> {
        let writer = &self.connections().writer;
        let statement = Statement::from_string(writer.get_database_backend(), format!("PRAGMA {name}"));
        let row = writer.query_one_raw(statement).await?;
        row.map_or(Ok(0), |row| row.try_get_by_index(0))
    }
}

async fn remove(
    transaction: &DatabaseTransaction,
    sql: &str,
    [position, last, cut]: [Value; 3],
    later: Uuid,
) -> Result<u64, DbErr> {
    let mut values = vec![position, last, cut];
    if sql.contains("$4") {
        values.push(later.into());
    }
    let statement = Statement::from_sql_and_values(transaction.get_database_backend(), sql, values);
    Ok(transaction.execute_raw(statement).await?.rows_affected())
}

fn before(now: Timestamp, kept: Duration) -> Timestamp {
    let kept = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_sub(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_are_longer_while_leads_come_unless_that_goes_on_for_long() {
        let took = Duration::from_millis(8);
        for (is_busy, pass, millis) in [
            (false, Duration::ZERO, 72),
            (true, Duration::ZERO, 480),
            (true, PATIENCE, 72),
        ] {
            assert_eq!(rest(took, is_busy, pass), Duration::from_millis(millis));
        }
        assert_eq!(rest(Duration::ZERO, true, Duration::ZERO), SHORTEST_REST);
    }
}
