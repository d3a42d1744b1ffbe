//! What attempts tell of their destinations' health: a row a destination that fails, none for a healthy one.
//!
//! Written in the transaction that records the attempts, so that no failure is forgotten. What follows from it
//! is decided apart (`health_keeper`).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QuerySelect, Select, Statement,
};
use sensei_domain::{DestinationId, Failing, Outcome, Timestamp};
use uuid::Uuid;

use crate::connection::Connections;
use crate::entities::destination_health::{Column, Entity, Model};
use crate::error::StoreError;
use crate::multi_row::Sql;
use crate::storable::storable;
use crate::store::{Shared, Store};

const ERROR_BYTES: usize = 1_024;

/// What is wrong with a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Since when and how often it fails.
    pub failing: Failing,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// Destinations that are known to have a row: mostly there are none. Where no other process writes (SQLite) others have none, and
/// nobody needs to look.
#[derive(Debug)]
pub(crate) struct KnownFailing {
    are_all: bool,
    known: Mutex<HashSet<Uuid>>,
}

impl KnownFailing {
    pub(crate) async fn read(connections: &Connections) -> Result<Self, DbErr> {
        let all = Entity::find().select_only().column(Column::DestinationId);
        let all = all.into_tuple::<Uuid>().all(&connections.writer).await?;
        Ok(Self {
            are_all: connections.is_sqlite(),
            known: Mutex::new(all.into_iter().collect()),
        })
    }

    /// Those that attempts succeeded at, if all that there is to note of them is that they have no row. Whether they have none
    /// is to be looked at.
    pub(crate) fn all_well(&self, facts: &[Fact<'_>]) -> Option<BTreeSet<Uuid>> {
        let known = self.known();
        let mut succeeded = BTreeSet::new();
        for fact in facts {
            match fact.outcome {
                Outcome::Ours => {}
                Outcome::Delivered if fact.is_unsent => {}
                Outcome::Delivered if !known.contains(&fact.destination_id) => {
                    succeeded.insert(fact.destination_id);
                }
                _ => return None,
            }
        }
        Some(succeeded)
    }

    fn may_have(&self, destination: Uuid) -> bool {
        !self.are_all || self.known().contains(&destination)
    }

    /// Before a row is written: if it isn't in the end, somebody looks in vain.
    fn add(&self, destination: Uuid) {
        self.known().insert(destination);
    }

    /// What a transaction that writes has seen before it wrote.
    fn are_seen(&self, asked: &[Uuid], found: &[Model]) {
        let mut known = self.known();
        for id in asked {
            known.remove(id);
        }
        known.extend(found.iter().map(|row| row.destination_id));
    }

    fn known(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a query: whether none of these has a row.
pub(crate) fn have_none(sql: &mut Sql, destinations: impl IntoIterator<Item = Uuid>) {
    sql.push("SELECT NOT EXISTS (SELECT 1 FROM destination_health WHERE destination_id ");
    sql.among(destinations);
    sql.push(")");
}

/// What an attempt tells of its destination.
pub(crate) struct Fact<'a> {
    pub(crate) destination_id: Uuid,
    /// The destination's, when it was attempted.
    pub(crate) version: i64,
    pub(crate) client_id: Uuid,
    pub(crate) outcome: &'a Outcome,
    /// There was nothing to send.
    pub(crate) is_unsent: bool,
    pub(crate) error: Option<&'a str>,
    pub(crate) ended_at: Timestamp,
}

/// What a batch tells of one destination: failures since the last success in it, if there was one.
#[derive(Default)]
struct Tally<'a> {
    client_id: Uuid,
    has_succeeded: bool,
    failing_since: Option<Timestamp>,
    failed_attempts: i64,
    last_error: Option<&'a str>,
    /// The last version that is said to be gone.
    gone_version: Option<i64>,
}

impl Store {
    /// What is wrong with these destinations; a healthy one isn't named.
    pub async fn health(&self, destinations: &[DestinationId]) -> Result<HashMap<DestinationId, Health>, StoreError> {
        let found = Entity::find()
            .filter(Column::DestinationId.is_in(destinations.iter().map(|id| id.as_uuid())))
            .filter(Column::FailedAttempts.gt(0))
            .filter(Column::RecoveredAt.is_null())
            .all(&self.connections().reader)
            .await?;
        let health = |row: Model| Health {
            failing: failing(&row),
            last_error: row.last_error,
        };
        Ok(found
            .into_iter()
            .map(|row| (DestinationId::from_uuid(row.destination_id), health(row)))
            .collect())
    }
}

/// Writes down what attempts tell, in the order in which they ended. True if something must follow at once.
pub(crate) async fn note(
    transaction: &DatabaseTransaction,
    shared: &Shared,
    facts: &[Fact<'_>],
) -> Result<bool, DbErr> {
    let now = shared.clock.now();
    let mut tallies = BTreeMap::<Uuid, Tally<'_>>::new();
    for fact in facts {
        let tally = tallies.entry(fact.destination_id).or_default();
        tally.client_id = fact.client_id;
        match fact.outcome {
            Outcome::Delivered if fact.is_unsent => {}
            Outcome::Delivered => {
                *tally = Tally {
                    client_id: fact.client_id,
                    has_succeeded: true,
                    ..Tally::default()
                };
            }
            Outcome::Ours => {}
            outcome => {
                tally.failing_since.get_or_insert(fact.ended_at);
                tally.failed_attempts += 1;
                tally.last_error = fact.error;
                if *outcome == Outcome::Gone {
                    tally.gone_version = tally.gone_version.max(Some(fact.version));
                }
            }
        }
    }
    let mut is_urgent = false;
    let succeeded = tallies.iter().filter(|(_, tally)| tally.has_succeeded);
    let succeeded = succeeded.map(|(&id, _)| id);
    let mut succeeded = succeeded.filter(|&id| shared.failing.may_have(id)).collect::<Vec<_>>();
    if let Some(&last) = succeeded.last() {
        // Each length is another prepared statement.
        succeeded.resize(succeeded.len().next_power_of_two(), last);
        let found = rows(&succeeded).all(transaction).await?;
        shared.failing.are_seen(&succeeded, &found);
        for row in found {
            is_urgent |= recovered(transaction, &row, now).await?;
        }
    }
    for (id, tally) in &tallies {
        if let Some(since) = tally.failing_since {
            shared.failing.add(*id);
            failed(transaction, *id, tally, since, now).await?;
            is_urgent |= tally.gone_version.is_some();
        }
    }
    Ok(is_urgent)
}

/// The rows of these destinations.
pub(crate) fn rows(destinations: &[Uuid]) -> Select<Entity> {
    Entity::find().filter(Column::DestinationId.is_in(destinations.iter().copied()))
}

/// Forgets a failure that nobody was told of; one that was announced ends with another word.
async fn recovered(transaction: &DatabaseTransaction, row: &Model, now: Timestamp) -> Result<bool, DbErr> {
    if row.recovered_at.is_some() {
        return Ok(false);
    }
    let backend = transaction.get_database_backend();
    let id = row.destination_id.into();
    let statement = if row.is_announced {
        let sql = "UPDATE destination_health SET recovered_at = $2, look_at = $2 WHERE destination_id = $1";
        Statement::from_sql_and_values(backend, sql, [id, now.as_millis().into()])
    } else {
        Statement::from_sql_and_values(
            backend,
            "DELETE FROM destination_health WHERE destination_id = $1",
            [id],
        )
    };
    transaction.execute_raw(statement).await?;
    Ok(row.is_announced)
}

async fn failed(
    transaction: &DatabaseTransaction,
    id: Uuid,
    tally: &Tally<'_>,
    since: Timestamp,
    now: Timestamp,
) -> Result<(), DbErr> {
    // One that says it is gone is looked at at once, the first time.
    let sql = "INSERT INTO destination_health AS known \
               (destination_id, client_id, failing_since, failed_attempts, last_error, is_gone, is_announced, look_at, gone_version) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
               ON CONFLICT (destination_id) DO UPDATE SET \
               failing_since = CASE WHEN known.recovered_at IS NULL AND known.failed_attempts > 0 \
               THEN known.failing_since ELSE excluded.failing_since END, \
               failed_attempts = CASE WHEN known.recovered_at IS NULL \
               THEN known.failed_attempts ELSE 0 END + excluded.failed_attempts, \
               last_error = excluded.last_error, is_gone = known.is_gone OR excluded.is_gone, \
               gone_version = CASE WHEN excluded.gone_version > known.gone_version OR known.gone_version IS NULL \
               THEN excluded.gone_version ELSE known.gone_version END, \
               look_at = CASE WHEN known.recovered_at IS NOT NULL OR known.failed_attempts = 0 \
               OR (excluded.is_gone AND (NOT known.is_gone OR known.gone_version IS NULL \
               OR excluded.gone_version > known.gone_version)) THEN excluded.look_at ELSE known.look_at END, \
               warned_at = CASE WHEN known.recovered_at IS NULL THEN known.warned_at END, recovered_at = NULL";
    let is_gone = tally.gone_version.is_some();
    let look_at = if is_gone { now } else { Failing::first_look(since) };
    let values = [
        id.into(),
        tally.client_id.into(),
        since.as_millis().into(),
        tally.failed_attempts.into(),
        tally.last_error.map(|error| storable(error, ERROR_BYTES)).into(),
        is_gone.into(),
        false.into(),
        look_at.as_millis().into(),
        tally.gone_version.into(),
    ];
    let statement = Statement::from_sql_and_values(transaction.get_database_backend(), sql, values);
    transaction.execute_raw(statement).await.map(drop)
}

/// A destination that somebody made active again gets another chance: its failures count anew.
pub(crate) async fn resumed(transaction: &DatabaseTransaction, destination: Uuid) -> Result<(), DbErr> {
    // Whoever heard of its trouble is to hear of its recovery, once it is proven.
    let announced = "UPDATE destination_health SET failed_attempts = 0, is_gone = FALSE, warned_at = NULL, \
                     look_at = NULL WHERE destination_id = $1 AND is_announced AND recovered_at IS NULL";
    let others = "DELETE FROM destination_health WHERE destination_id = $1 AND NOT is_announced";
    for sql in [announced, others] {
        let statement = Statement::from_sql_and_values(transaction.get_database_backend(), sql, [destination.into()]);
        transaction.execute_raw(statement).await?;
    }
    Ok(())
}

/// Nothing is wrong with what isn't there any more.
pub(crate) async fn forget(transaction: &DatabaseTransaction, destination: Uuid) -> Result<(), DbErr> {
    Entity::delete_by_id(destination).exec(transaction).await.map(drop)
}

pub(crate) fn failing(row: &Model) -> Failing {
    Failing {
        since: Timestamp::from_millis(row.failing_since),
        attempts: u32::try_from(row.failed_attempts).unwrap_or(u32::MAX),
        is_gone: row.is_gone,
        warned_at: row.warned_at.map(Timestamp::from_millis),
    }
}
