//! How far a follower is that reads what others have written, kept in the database.
//!
//! It moves in the transaction of what the follower writes, and only from where it was: of several that follow at once, one takes each step.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Statement, Value};
use uuid::Uuid;

use crate::connection::in_time;
use crate::deliveries::first_id;
use crate::error::StoreError;
use crate::store::Store;

/// A follower that is further than it may be by more than this goes back: the clock was. Less is made up for by what is waited for, and
/// processes may differ by as much.
pub(crate) const CLOCK_TOLERANCE_MILLIS: i64 = 5_000;

/// A follower's position: until when, in milliseconds, it has read everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    /// Under which name the database keeps it.
    pub(crate) name: &'static str,
}

impl Position {
    /// Where it is; `None` before it has begun.
    pub(crate) async fn read(self, connection: &impl ConnectionTrait) -> Result<Option<i64>, StoreError> {
        let sql = "SELECT value FROM store_facts WHERE name = $1";
        let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, [self.name.into()]);
        let Some(row) = connection.query_one_raw(statement).await? else {
            return Ok(None);
        };
        let text: String = row.try_get_by_index(0)?;
        let position = text.parse().map_err(|_| StoreError::Unreadable {
            what: "position of a follower",
        })?;
        Ok(Some(position))
    }

    /// Begins there, unless it has begun.
    pub(crate) async fn begin(self, connection: &impl ConnectionTrait, at: i64) -> Result<(), DbErr> {
        let sql = "INSERT INTO store_facts (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        let values: [Value; 2] = [self.name.into(), at.to_string().into()];
        let insert = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
        in_time(connection.execute_raw(insert)).await.map(drop)
    }

    /// Goes on, or back. False if it isn't there any more, and nothing of this transaction must be committed.
    pub(crate) async fn go_on(self, transaction: &DatabaseTransaction, from: i64, to: i64) -> Result<bool, DbErr> {
        let sql = "UPDATE store_facts SET value = $1 WHERE name = $2 AND value = $3";
        let values: [Value; 3] = [to.to_string().into(), self.name.into(), from.to_string().into()];
        let update = Statement::from_sql_and_values(transaction.get_database_backend(), sql, values);
        let moved = in_time(transaction.execute_raw(update)).await?;
        Ok(moved.rows_affected() == 1)
    }
}

/// The id of the row `$2` behind the first with an id from `$1` on.
pub(crate) const LEAD_BEHIND: &str = "SELECT id FROM leads WHERE id >= $1 ORDER BY id LIMIT 1 OFFSET $2";
pub(crate) const DELIVERY_BEHIND: &str = "SELECT id FROM deliveries WHERE id >= $1 ORDER BY id LIMIT 1 OFFSET $2";

/// After a step of much work a follower rests for so many times what it took, and for longer while so many leads a second are captured here.
const REST_PER_WORK: u32 = 4;
const REST_WHILE_BUSY: u32 = 20;
const BUSY: f64 = 2_000.0;
const SHORTEST_REST: Duration = Duration::from_millis(20);

impl Store {
    /// Follows until the store closes: takes one step after the other, each of which says whether there may be more to do, and looks again
    /// after `every` when there isn't.
    pub(crate) fn follow<F>(&self, job: &'static str, every: Duration, step: impl Fn(Self) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<bool, StoreError>> + Send,
    {
        let store = self.clone();
        self.shared().background.spawn(async move {
            let closing = store.shared().closing().clone();
            let rounds = async {
                let mut load = Load::new(&store);
                loop {
                    let begun = Instant::now();
                    let done = step(store.clone()).await;
                    store.shared().jobs.ran(job, store.now(), begun.elapsed());
                    let rest = match done {
                        Ok(true) => {
                            let is_busy = load.leads_a_second(&store) > BUSY;
                            let times = if is_busy { REST_WHILE_BUSY } else { REST_PER_WORK };
                            SHORTEST_REST.max(begun.elapsed() * times)
                        }
                        Ok(false) => every,
                        Err(error) => {
                            let error = &error as &dyn std::error::Error;
                            tracing::warn!(error, job, "work in the background failed; tried again");
                            every
                        }
                    };
                    tokio::time::sleep(rest).await;
                }
            };
            closing.run_until_cancelled(rounds).await;
        });
    }

    /// When the row was made that is so many behind the first of this moment, by its id.
    pub(crate) async fn made_behind(&self, sql: &str, from: i64, rows: i64) -> Result<Option<i64>, DbErr> {
        let reader = &self.connections().reader;
        let values: [Value; 2] = [first_id(from).into(), rows.into()];
        let statement = Statement::from_sql_and_values(reader.get_database_backend(), sql, values);
        let row = reader.query_one_raw(statement).await?;
        row.map(|row| Ok(millis_of(row.try_get_by_index(0)?))).transpose()
    }
}

/// How much this process has to do.
pub(crate) struct Load {
    captured: u64,
    since: Instant,
}

impl Load {
    pub(crate) fn new(store: &Store) -> Self {
        Self {
            captured: store.leads_captured(),
            since: Instant::now(),
        }
    }

    /// Since the last call, or its making.
    #[expect(clippy::cast_precision_loss, reason = "a rate isn't exact")]
    pub(crate) fn leads_a_second(&mut self, store: &Store) -> f64 {
        let before = std::mem::replace(self, Self::new(store));
        let captured = self.captured.saturating_sub(before.captured) as f64;
        captured / self.since.duration_since(before.since).as_secs_f64().max(f64::EPSILON)
    }
}

/// When an id was made: it begins with that.
pub(crate) fn millis_of(id: Uuid) -> i64 {
    i64::try_from(id.as_u128() >> 80).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_time() {
        let at = sensei_domain::Timestamp::from_millis(1_732_444_200_123);
        assert_eq!(millis_of(sensei_domain::LeadId::new(at).as_uuid()), 1_732_444_200_123);
        assert_eq!(millis_of(first_id(1_732_444_200_123)), 1_732_444_200_123);
    }
}
