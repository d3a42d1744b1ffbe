//! A client's numbers over a day, a week or a month: what is added up already, and the last moments, which aren't yet.

use std::collections::{HashMap, HashSet};

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, Statement, Value};
use sensei_domain::{ClientId, DestinationId, Timestamp};
use uuid::Uuid;

use crate::deliveries::first_id;
use crate::error::StoreError;
use crate::live::LATE_MILLIS;
use crate::log_names::padded;
use crate::multi_row::Sql;
use crate::rollups::{NO_TEST, SUM_COLUMNS, Sums, slot, slot_sql};
use crate::store::Store;

const HOUR: i64 = 60 * 60 * 1000;
/// Rows that aren't added up yet and are looked at, the newest of them: a moment's at most, unless the adding up is behind.
const TAIL: i64 = 4_000;
/// How often is read anew because a piece was added up meanwhile.
const TRIES: u32 = 4;

/// For how long numbers are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatsWindow {
    /// 24 hours, by hours.
    Day,
    /// 7 days, by six hours.
    Week,
    /// 30 days, by days (UTC).
    Month,
}

impl StatsWindow {
    /// How long a part is, in milliseconds, and how many there are.
    const fn parts(self) -> (i64, i64) {
        match self {
            Self::Day => (HOUR, 24),
            Self::Week => (6 * HOUR, 28),
            Self::Month => (24 * HOUR, 30),
        }
    }
}

/// Numbers over a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowStats {
    /// When it begins.
    pub since: Timestamp,
    /// All of it.
    pub total: Sums,
    /// Its parts, the first one first, each with its beginning; the last one goes on.
    pub parts: Vec<(Timestamp, Sums)>,
}

/// How a destination stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DestinationStanding {
    /// The destination.
    pub id: DestinationId,
    /// Whose it is.
    pub client_id: ClientId,
    /// Whether it is paused.
    pub is_paused: bool,
    /// Whether it is disabled, or somebody was warned that it fails.
    pub is_troubled: bool,
}

/// What is added up for the client `$1` since `$2`, by parts of `$3` milliseconds.
pub(crate) fn rolled_up_sql() -> String {
    let sums = SUM_COLUMNS.iter().map(|name| format!("CAST(sum({name}) AS BIGINT)"));
    let sums = sums.collect::<Vec<_>>().join(", ");
    format!("SELECT at / $3 AS part, {sums} FROM rollups WHERE client_id = $1 AND at >= $2 GROUP BY part")
}

/// The client's newest leads with ids from `$2` on.
pub(crate) const NEW_LEADS: &str =
    "SELECT created_at FROM leads WHERE client_id = $1 AND id >= $2 ORDER BY id DESC LIMIT $3";

/// What was done for the client `$1` since `$2`; soon after it was made, with ids from `$4` on.
pub(crate) fn new_done_sql(late: bool) -> String {
    let (which, order) = if late {
        (
            format!(
                "deliveries.completed_at - deliveries.created_at > {LATE_MILLIS} \
                 AND coalesce(deliveries.client_id, deliveries.client_id) = $1"
            ),
            "deliveries.completed_at",
        )
    } else {
        (
            format!(
                "deliveries.client_id = $1 AND deliveries.id >= $4 \
                 AND deliveries.completed_at - deliveries.created_at <= {LATE_MILLIS}"
            ),
            "deliveries.id",
        )
    };
    let slot = slot_sql();
    format!(
        "SELECT deliveries.completed_at, deliveries.state, deliveries.attempt_count, {slot} FROM deliveries \
         LEFT JOIN attempts ON attempts.delivery_id = deliveries.id AND attempts.number = deliveries.attempt_count \
         WHERE {which} AND deliveries.completed_at >= $2 AND coalesce(deliveries.state, '') IN ('succeeded', 'failed'){NO_TEST} \
         ORDER BY {order} DESC LIMIT $3"
    )
}

impl Store {
    /// A client's numbers over a time, until now.
    pub async fn window_stats(&self, client: ClientId, window: StatsWindow) -> Result<WindowStats, StoreError> {
        let (part, count) = window.parts();
        let now = self.now().as_millis();
        let since = (now / part - (count - 1)) * part;
        let mut parts = (0..count)
            .map(|index| (Timestamp::from_millis(since + index * part), Sums::default()))
            .collect::<Vec<_>>();
        let read = self.sums(client, since, part).await?;
        let mut total = Sums::default();
        for (at, sums) in read {
            let index = usize::try_from((at - since) / part).ok().filter(|_| at >= since);
            if let Some((_, part)) = index.and_then(|index| parts.get_mut(index)) {
                part.add(&sums);
                total.add(&sums);
            }
        }
        Ok(WindowStats {
            since: Timestamp::from_millis(since),
            total,
            parts,
        })
    }

    /// Numbers of a client since then, each with a time that it is of.
    async fn sums(&self, client: ClientId, since: i64, part: i64) -> Result<Vec<(i64, Sums)>, StoreError> {
        let reader = &self.connections().reader;
        let backend = reader.get_database_backend();
        let id: Value = client.as_uuid().into();
        for attempt in 1.. {
            let position = self.rolled_up_until().await?;
            let mut read = Vec::new();
            let values = [id.clone(), since.into(), part.into()];
            let statement = Statement::from_sql_and_values(backend, rolled_up_sql(), values);
            for row in reader.query_all_raw(statement).await? {
                read.push((row.try_get_by_index::<i64>(0)? * part, Sums::read(&row, 1)?));
            }
            self.tail(client, position.unwrap_or(since).max(since), &mut read)
                .await?;
            if attempt == TRIES || self.rolled_up_until().await? == position {
                return Ok(read);
            }
        }
        unreachable!("the last try answers")
    }

    /// What isn't added up yet.
    async fn tail(&self, client: ClientId, from: i64, read: &mut Vec<(i64, Sums)>) -> Result<(), StoreError> {
        let reader = &self.connections().reader;
        let backend = reader.get_database_backend();
        let id: Value = client.as_uuid().into();
        let values = [id.clone(), first_id(from).into(), TAIL.into()];
        let leads = Statement::from_sql_and_values(backend, NEW_LEADS, values);
        for row in reader.query_all_raw(leads).await? {
            let one = Sums::of_a_lead();
            read.push((row.try_get_by_index(0)?, one));
        }
        for late in [false, true] {
            let mut values = vec![id.clone(), from.into(), TAIL.into()];
            if !late {
                values.push(first_id(from - LATE_MILLIS).into());
            }
            let done = Statement::from_sql_and_values(backend, new_done_sql(late), values);
            for row in reader.query_all_raw(done).await? {
                let succeeded = row.try_get_by_index::<String>(1)? == "succeeded";
                let attempts = u64::try_from(row.try_get_by_index::<i64>(2)?).unwrap_or(0);
                let mut one = Sums::default();
                one.add_done(succeeded, 1, attempts, slot(&row, 3)?);
                read.push((row.try_get_by_index(0)?, one));
            }
        }
        Ok(())
    }

    /// The last 24 hours of each of these clients, to within five minutes, in one read a table: leads and outcomes alone.
    pub async fn days_of(&self, clients: &[ClientId]) -> Result<HashMap<ClientId, Sums>, StoreError> {
        for attempt in 1.. {
            let position = self.rolled_up_until().await?;
            let days = self.days_with(clients, position).await?;
            // As [`Store::sums`].
            if attempt == TRIES || self.rolled_up_until().await? == position {
                return Ok(days);
            }
        }
        unreachable!("the last try answers")
    }

    async fn days_with(
        &self,
        clients: &[ClientId],
        position: Option<i64>,
    ) -> Result<HashMap<ClientId, Sums>, StoreError> {
        let reader = &self.connections().reader;
        let since = self.now().as_millis() - 24 * HOUR;
        let mut days = clients
            .iter()
            .map(|client| (*client, Sums::default()))
            .collect::<HashMap<_, _>>();
        let Some(ids) = padded(clients.iter().map(|client| client.as_uuid()).collect()) else {
            return Ok(days);
        };
        let statement = days_sql(reader.get_database_backend(), ids, since).statement();
        for row in reader.query_all_raw(statement).await? {
            if let Some(day) = days.get_mut(&ClientId::from_uuid(row.try_get_by_index(0)?)) {
                let number = |place| -> Result<u64, DbErr> {
                    Ok(u64::try_from(row.try_get_by_index::<i64>(place)?).unwrap_or(0))
                };
                (day.leads, day.succeeded, day.failed) = (number(1)?, number(2)?, number(3)?);
            }
        }
        let from = Timestamp::from_millis(position.unwrap_or(since).max(since));
        let most = u32::try_from(TAIL).unwrap_or(u32::MAX);
        for (client, _) in self.leads_since(clients, from, most).await? {
            days.entry(client).or_default().leads += 1;
        }
        // Those that were made a little before and done since are found by when they were made.
        let made = Timestamp::from_millis(from.as_millis() - LATE_MILLIS);
        let mut counted = HashSet::new();
        for sighting in self.sightings_since(clients, made, most).await? {
            // What was done late is found twice.
            if !counted.insert(sighting.id) {
                continue;
            }
            if let Some(succeeded) = sighting.has_succeeded_since(from) {
                days.entry(sighting.client_id)
                    .or_default()
                    .add_done(succeeded, 1, 0, None);
            }
        }
        Ok(days)
    }

    /// How the living destinations of these clients stand.
    pub async fn standings_of(&self, clients: &[ClientId]) -> Result<Vec<DestinationStanding>, StoreError> {
        let reader = &self.connections().reader;
        let Some(ids) = padded(clients.iter().map(|client| client.as_uuid()).collect()) else {
            return Ok(Vec::new());
        };
        let statement = standings_sql(reader.get_database_backend(), ids).statement();
        let rows = reader.query_all_raw(statement).await?;
        let rows = rows.iter().map(|row| {
            let (id, client): (Uuid, Uuid) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let status: String = row.try_get_by_index(2)?;
            let warned_at: Option<i64> = row.try_get_by_index(3)?;
            Ok(DestinationStanding {
                id: DestinationId::from_uuid(id),
                client_id: ClientId::from_uuid(client),
                is_paused: status == "paused",
                is_troubled: status == "disabled" || warned_at.is_some(),
            })
        });
        rows.collect()
    }
}

pub(crate) fn days_sql(backend: DatabaseBackend, clients: Vec<Uuid>, since: i64) -> Sql {
    let text = "SELECT client_id, CAST(sum(leads) AS BIGINT), CAST(sum(succeeded) AS BIGINT), CAST(sum(failed) AS BIGINT) \
                FROM rollups WHERE client_id ";
    let mut sql = Sql::new(backend, text);
    sql.among(clients);
    sql.push(" AND at >= ");
    sql.value(since);
    sql.push(" GROUP BY client_id");
    sql
}

pub(crate) fn standings_sql(backend: DatabaseBackend, clients: Vec<Uuid>) -> Sql {
    let text = "SELECT destinations.id, destinations.client_id, status, warned_at FROM destinations \
                LEFT JOIN destination_health ON destination_id = destinations.id WHERE deleted_at IS NULL \
                AND destinations.client_id ";
    let mut sql = Sql::new(backend, text);
    sql.among(clients);
    sql
}
