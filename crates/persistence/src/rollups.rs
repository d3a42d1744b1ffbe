//! What charts are drawn from: leads, outcomes and durations, added up by client and five minutes.
//!
//! A follower adds up what happened until a moment ago, a bounded piece at a time, and keeps how far it is in the same transaction: each row
//! counts once, however many processes follow, and none is waited for by those who capture and deliver. What is newer is counted when it is
//! asked for (`window`). A number stays once it is added up: of deliveries that are forgotten, too, and of those that are redelivered later.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, QueryResult, Statement, Value};
use uuid::Uuid;

use crate::connection::in_time;
use crate::deliveries::first_id;
use crate::error::StoreError;
use crate::follow::{CLOCK_TOLERANCE_MILLIS, DELIVERY_BEHIND, LEAD_BEHIND, Position};
use crate::live::LATE_MILLIS;
use crate::multi_row::{Sql, Table, chunks};
use crate::pace::Range;
use crate::store::Store;

/// What is added up together.
pub(crate) const BUCKET_MILLIS: i64 = 5 * 60 * 1000;
/// Upper bounds of how long attempts take, in milliseconds, each inclusive; the last slot holds what took longer.
pub(crate) const TOOK_BOUNDS: [u64; 19] = [
    1, 2, 5, 10, 20, 35, 50, 75, 100, 150, 200, 350, 500, 750, 1_000, 2_000, 3_500, 5_000, 10_000,
];
pub(crate) const SLOTS: usize = TOOK_BOUNDS.len() + 1;
/// What is older than this is committed: a commit is given up after ten seconds, what is done is done [five seconds](crate::record) before that at most,
/// and another process's clock may be behind as much.
const SETTLED: Duration = Duration::from_secs(25);
/// Rows of a table that one step adds up, or a few more. Those of one client and five minutes are one sum, so few rows aren't quicker.
pub(crate) const STEP: i64 = 4_000;
pub(crate) const SQLITE_STEP: Range = [400, STEP];
/// How often is looked when there is nothing to do.
const EVERY: Duration = Duration::from_secs(10);
/// How long they are kept.
pub(crate) const KEPT: Duration = Duration::from_hours(400 * 24);
/// Until when everything is added up.
const ROLLED_UP: Position = Position { name: "rollups.until" };

/// Numbers of some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Leads captured in it.
    pub leads: u64,
    /// Deliveries that succeeded in it.
    pub succeeded: u64,
    /// Deliveries that failed in it.
    pub failed: u64,
    /// The attempts that those deliveries had.
    pub attempts: u64,
    /// How many of their last attempts took how long.
    took: [u64; SLOTS],
}

impl Sums {
    /// The part of those deliveries that succeeded, from 0 to 1; `None` of none.
    #[expect(clippy::cast_precision_loss, reason = "a rate isn't exact")]
    pub fn success_rate(&self) -> Option<f64> {
        let all = self.succeeded + self.failed;
        (all > 0).then(|| self.succeeded as f64 / all as f64)
    }

    /// How long at most so much of their last attempts took, in milliseconds; about, as they were counted by bounds.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate, of a part between 0 and 1"
    )]
    pub fn took_millis(&self, part: f64) -> Option<u64> {
        let all = self.took.iter().sum::<u64>();
        if all == 0 {
            return None;
        }
        let wanted = ((all as f64 * part).ceil() as u64).max(1);
        let mut before = 0;
        for (slot, count) in self.took.iter().enumerate() {
            if before + count >= wanted {
                let lower = slot.checked_sub(1).map_or(0, |below| TOOK_BOUNDS[below]);
                let upper = TOOK_BOUNDS.get(slot).copied().unwrap_or(lower * 3 / 2);
                let within = (wanted - before) as f64 / *count as f64;
                return Some(lower + ((upper - lower) as f64 * within).round() as u64);
            }
            before += count;
        }
        None
    }

    pub(crate) fn of_a_lead() -> Self {
        Self {
            leads: 1,
            ..Self::default()
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.leads += other.leads;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.attempts += other.attempts;
        for (slot, count) in self.took.iter_mut().zip(other.took) {
            *slot += count;
        }
    }

    /// Counts deliveries that came to the same, and whose last attempts took about as long.
    pub(crate) fn add_done(&mut self, succeeded: bool, count: u64, attempts: u64, slot: Option<usize>) {
        if succeeded {
            self.succeeded += count;
        } else {
            self.failed += count;
        }
        self.attempts += attempts;
        if let Some(slot) = slot.and_then(|slot| self.took.get_mut(slot)) {
            *slot += count;
        }
    }

    /// Of a row, whose columns are the numbers in their order from this one on.
    pub(crate) fn read(row: &QueryResult, first: usize) -> Result<Self, DbErr> {
        let number = |place: usize| -> Result<u64, DbErr> {
            let number = row.try_get_by_index::<i64>(first + place)?;
            Ok(u64::try_from(number).unwrap_or(0))
        };
        let mut sums = Self {
            leads: number(0)?,
            succeeded: number(1)?,
            failed: number(2)?,
            attempts: number(3)?,
            took: [0; SLOTS],
        };
        for (slot, count) in sums.took.iter_mut().enumerate() {
            *count = number(4 + slot)?;
        }
        Ok(sums)
    }
}

/// The columns of the numbers, in their order.
const COLUMNS: [&str; 26] = [
    "client_id",
    "at",
    "leads",
    "succeeded",
    "failed",
    "attempts",
    "took_0",
    "took_1",
    "took_2",
    "took_3",
    "took_4",
    "took_5",
    "took_6",
    "took_7",
    "took_8",
    "took_9",
    "took_10",
    "took_11",
    "took_12",
    "took_13",
    "took_14",
    "took_15",
    "took_16",
    "took_17",
    "took_18",
    "took_19",
];
const ROLLUPS: Table<26> = Table {
    name: "rollups",
    columns: COLUMNS,
    constants: &[],
};
pub(crate) const SUM_COLUMNS: &[&str] = COLUMNS.split_at(2).1;

/// Leads with ids from `$1` and before `$2`.
pub(crate) const LEADS: &str = "SELECT client_id, created_at / 300000 AS bucket, count(*) FROM leads \
    WHERE id >= $1 AND id < $2 GROUP BY client_id, bucket";

pub(crate) const NEWEST: &str = "SELECT id FROM deliveries ORDER BY id DESC LIMIT 1";

/// Deliveries done from `$1` and before `$2`; soon after they were made, with ids from `$3` and before `$4`.
pub(crate) fn done_sql(late: bool) -> String {
    let which = if late {
        format!("deliveries.completed_at - deliveries.created_at > {LATE_MILLIS}")
    } else {
        format!(
            "deliveries.id >= $3 AND deliveries.id < $4 AND deliveries.completed_at - deliveries.created_at <= {LATE_MILLIS}"
        )
    };
    let slot = slot_sql();
    // Written so that indexes by state are of no use.
    format!(
        "SELECT client_id, bucket, state, slot, count(*), CAST(sum(attempts) AS BIGINT) FROM (SELECT deliveries.client_id, \
         deliveries.completed_at / 300000 AS bucket, deliveries.state, {slot} AS slot, \
         deliveries.attempt_count AS attempts FROM deliveries LEFT JOIN attempts ON attempts.delivery_id = deliveries.id \
         AND attempts.number = deliveries.attempt_count WHERE {which} AND deliveries.completed_at >= $1 \
         AND deliveries.completed_at < $2 AND coalesce(deliveries.state, '') IN ('succeeded', 'failed'){NO_TEST}) AS done \
         GROUP BY client_id, bucket, state, slot"
    )
}

/// Of deliveries with their last attempts: none that was a test send.
pub(crate) const NO_TEST: &str = " AND coalesce(attempts.trigger_name, '') <> 'test'";

/// The slot of an attempt's duration; null of none.
pub(crate) fn slot_sql() -> String {
    let mut sql = String::from("CASE WHEN attempts.duration_ms IS NULL THEN NULL");
    for (slot, bound) in TOOK_BOUNDS.iter().enumerate() {
        write!(sql, " WHEN attempts.duration_ms <= {bound} THEN {slot}").expect("a String takes all");
    }
    write!(sql, " ELSE {} END", TOOK_BOUNDS.len()).expect("a String takes all");
    sql
}

/// When what is `$2` behind the first was done, of what was done late since `$1`.
pub(crate) const DONE_BEHIND: &str = "SELECT completed_at FROM deliveries WHERE completed_at - created_at > 5000 \
    AND completed_at >= $1 ORDER BY completed_at LIMIT 1 OFFSET $2";

type Buckets = BTreeMap<(Uuid, i64), Sums>;

impl Store {
    /// Adds up what happens, from now until the store closes.
    pub fn roll_up_in_background(&self) {
        self.follow("charts", EVERY, |store| async move { store.roll_up().await });
    }

    /// One step: adds up a piece of what isn't yet. True when there may be more.
    pub async fn roll_up(&self) -> Result<bool, StoreError> {
        let settled = i64::try_from(SETTLED.as_millis()).unwrap_or(0);
        let until = self.now().as_millis() - settled;
        let Some(from) = self.rolled_up_until().await? else {
            let begin = self.first_row_at().await?.unwrap_or(until).min(until);
            ROLLED_UP.begin(&self.connections().writer, begin).await?;
            return Ok(true);
        };
        if from > until + CLOCK_TOLERANCE_MILLIS {
            return self.count_anew(from, until).await;
        }
        if from >= until {
            return Ok(false);
        }
        let to = self.piece_end(from, until).await?;
        let buckets = self.added_up(from, to).await?;
        let (_turn, transaction) = self.connections().begin_step().await?;
        let begun = Instant::now();
        let backend = transaction.get_database_backend();
        if !ROLLED_UP.go_on(&transaction, from, to).await? {
            // Another process has added up this piece.
            transaction.rollback().await?;
            return Ok(true);
        }
        let rows = buckets.into_iter().collect::<Vec<_>>();
        for some in chunks(backend, &rows) {
            in_time(add_sql(backend, some).execute(&transaction)).await?;
        }
        self.shared().adding_up.took(begun.elapsed());
        in_time(transaction.commit()).await?;
        Ok(to < until)
    }

    /// Goes back, since the clock was put back: more may come of a time that is added up. What was counted of it is counted anew.
    async fn count_anew(&self, from: i64, until: i64) -> Result<bool, StoreError> {
        let to = until - until.rem_euclid(BUCKET_MILLIS);
        let (_turn, transaction) = self.connections().begin_step().await?;
        if !ROLLED_UP.go_on(&transaction, from, to).await? {
            transaction.rollback().await?;
            return Ok(true);
        }
        let sql = "DELETE FROM rollups WHERE at >= $1";
        let counted = Statement::from_sql_and_values(transaction.get_database_backend(), sql, [to.into()]);
        in_time(transaction.execute_raw(counted)).await?;
        in_time(transaction.commit()).await?;
        Ok(true)
    }

    /// Until when everything is added up; `None` before the first step.
    pub(crate) async fn rolled_up_until(&self) -> Result<Option<i64>, StoreError> {
        ROLLED_UP.read(&self.connections().reader).await
    }

    /// When the oldest lead or delivery was made.
    async fn first_row_at(&self) -> Result<Option<i64>, StoreError> {
        let lead = self.made_behind(LEAD_BEHIND, 0, 0).await?;
        let delivery = self.made_behind(DELIVERY_BEHIND, 0, 0).await?;
        Ok(lead.into_iter().chain(delivery).min())
    }

    /// Where a piece ends that isn't too large: before this moment, and after its beginning.
    async fn piece_end(&self, from: i64, until: i64) -> Result<i64, StoreError> {
        let reader = &self.connections().reader;
        let rows = self.shared().adding_up.rows();
        let lead = self.made_behind(LEAD_BEHIND, from, rows).await?;
        let delivery = self.made_behind(DELIVERY_BEHIND, from, rows).await?;
        let late =
            Statement::from_sql_and_values(reader.get_database_backend(), DONE_BEHIND, [from.into(), rows.into()]);
        let late = reader.query_one_raw(late).await?;
        let late = late.map(|row| row.try_get_by_index(0)).transpose()?;
        let ends = [lead, delivery, late].into_iter().flatten();
        let end = ends.min().unwrap_or(until).min(until);
        // All of one millisecond belong together.
        Ok(end.max(from + 1))
    }

    /// Until when there are ids that are ahead of the clock: it was put back, and ids only grow. Zero if there are none.
    async fn ids_reach(&self) -> Result<i64, StoreError> {
        let reader = &self.connections().reader;
        let newest = Statement::from_string(reader.get_database_backend(), NEWEST);
        let newest = reader.query_one_raw(newest).await?;
        let newest = newest.map(|row| row.try_get_by_index::<Uuid>(0)).transpose()?;
        let newest = newest.map_or(0, |id| i64::try_from(id.as_u128() >> 80).unwrap_or(0));
        let reach = &self.shared().ids_reach;
        if newest > self.now().as_millis() {
            reach.fetch_max(newest, Ordering::Relaxed);
        }
        Ok(reach.load(Ordering::Relaxed))
    }

    async fn added_up(&self, from: i64, to: i64) -> Result<Buckets, StoreError> {
        let reader = &self.connections().reader;
        let backend = reader.get_database_backend();
        let mut buckets = Buckets::new();
        let values: [Value; 2] = [first_id(from).into(), first_id(to).into()];
        let leads = Statement::from_sql_and_values(backend, LEADS, values);
        for row in reader.query_all_raw(leads).await? {
            let count = row.try_get_by_index::<i64>(2)?;
            bucket(&mut buckets, &row)?.leads += u64::try_from(count).unwrap_or(0);
        }
        let soon: Vec<Value> = vec![
            from.into(),
            to.into(),
            first_id(from - LATE_MILLIS).into(),
            first_id(to.max(self.ids_reach().await? + 1)).into(),
        ];
        let late = soon[..2].to_vec();
        for (is_late, values) in [(false, soon), (true, late)] {
            let done = Statement::from_sql_and_values(backend, done_sql(is_late), values);
            for row in reader.query_all_raw(done).await? {
                let succeeded = row.try_get_by_index::<String>(2)? == "succeeded";
                let slot = slot(&row, 3)?;
                let number = |place| -> Result<u64, DbErr> {
                    Ok(u64::try_from(row.try_get_by_index::<i64>(place)?).unwrap_or(0))
                };
                let (count, attempts) = (number(4)?, number(5)?);
                bucket(&mut buckets, &row)?.add_done(succeeded, count, attempts, slot);
            }
        }
        Ok(buckets)
    }
}

/// The slot at a place of a row: PostgreSQL's small numbers are of another type.
pub(crate) fn slot(row: &QueryResult, place: usize) -> Result<Option<usize>, DbErr> {
    let slot = row.try_get_by_index::<Option<i32>>(place)?;
    Ok(slot.and_then(|slot| usize::try_from(slot).ok()))
}

fn bucket<'a>(buckets: &'a mut Buckets, row: &QueryResult) -> Result<&'a mut Sums, DbErr> {
    let (client, bucket): (Uuid, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    Ok(buckets.entry((client, bucket * BUCKET_MILLIS)).or_default())
}

fn add_sql(backend: DatabaseBackend, rows: &[((Uuid, i64), Sums)]) -> Sql {
    let mut sql = Sql::new(backend, "");
    let rows = rows.iter().map(|((client, at), sums)| {
        let mut values = [const { Value::BigInt(Some(0)) }; 26];
        values[0] = (*client).into();
        values[1] = (*at).into();
        let numbers = [sums.leads, sums.succeeded, sums.failed, sums.attempts];
        for (value, number) in values[2..].iter_mut().zip(numbers.into_iter().chain(sums.took)) {
            *value = i64::try_from(number).unwrap_or(i64::MAX).into();
        }
        values
    });
    ROLLUPS.insert(&mut sql, rows);
    sql.push(" ON CONFLICT (client_id, at) DO UPDATE SET ");
    let sums = SUM_COLUMNS
        .iter()
        .map(|name| format!("{name} = rollups.{name} + excluded.{name}"));
    sql.push(&sums.collect::<Vec<_>>().join(", "));
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_within_the_bounds_of_what_was_counted() {
        let mut sums = Sums::default();
        assert_eq!(sums.took_millis(0.5), None);
        sums.add_done(true, 90, 90, Some(3));
        sums.add_done(false, 10, 10, Some(SLOTS - 1));
        let (half, most) = (
            sums.took_millis(0.5).expect("some"),
            sums.took_millis(0.95).expect("some"),
        );
        assert!((5..=10).contains(&half), "{half}");
        assert!((10_000..=15_000).contains(&most), "{most}");
        assert_eq!(sums.success_rate(), Some(0.9));
        assert_eq!(Sums::default().success_rate(), None);
    }
}
