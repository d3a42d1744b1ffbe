//! What has changed lately, for whoever shows it as it happens.
//!
//! The database is the truth: what is new is found by ids, which begin with their time, and what was done long after it was made by an
//! index of its own. Ids aren't in the order of commits, so who reads goes back by some seconds each time, and knows what he has seen. Outcomes that this
//! process stores are told as well, so that a retry is seen however old its delivery; nobody listening, that costs one atomic load a batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sea_orm::{ColumnTrait as _, Value};
use sea_orm::{ConnectionTrait, DatabaseBackend, EntityTrait, QueryFilter, QueryResult, Statement};
use sensei_domain::{ClientId, DeliveryId, DeliveryState, KeyId, LeadId, Timestamp, Trigger};
use tokio::sync::broadcast;

use crate::deliveries::first_id;
use crate::entities::{api_keys, clients, deliveries, leads};
use crate::error::StoreError;
use crate::log::LoggedDelivery;
use crate::log_names::padded;
use crate::multi_row::Sql;
use crate::records::Lead;
use crate::store::Store;

/// What was done later than this after it was made is found by the index of that (see the migration).
pub(crate) const LATE_MILLIS: i64 = 5_000;
/// Outcomes that wait for who listens; who is slower looks at the database alone.
const OUTCOMES_TOLD: usize = 4_096;
/// Deliveries that wait for a retry, of which it is looked whether they were tried lately.
const RETRIES_LOOKED_AT: i64 = 2_000;

/// Whom the outcomes of this process are told.
#[derive(Debug)]
pub(crate) struct Told {
    listeners: Arc<AtomicUsize>,
    outcomes: broadcast::Sender<Outcome>,
}

/// A delivery has changed: an attempt of it was stored, or another one asked for.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// Whose it is, where that is known.
    pub client_id: Option<ClientId>,
}

impl Told {
    pub(crate) fn new() -> Self {
        Self {
            listeners: Arc::default(),
            outcomes: broadcast::channel(OUTCOMES_TOLD).0,
        }
    }

    /// Tells who listens. Makes nothing unless somebody does.
    pub(crate) fn tell(&self, outcomes: impl Iterator<Item = Outcome>) {
        if self.listeners.load(Ordering::Relaxed) > 0 {
            for outcome in outcomes {
                // Who has just gone isn't told.
                self.outcomes.send(outcome).ok();
            }
        }
    }
}

/// Hears of outcomes for as long as it lives.
#[derive(Debug)]
pub struct Outcomes {
    listeners: Arc<AtomicUsize>,
    receiver: broadcast::Receiver<Outcome>,
}

impl Outcomes {
    /// What was told since the last call; of very much, the last part.
    pub fn take(&mut self) -> Vec<Outcome> {
        let mut taken = Vec::new();
        loop {
            match self.receiver.try_recv() {
                Ok(outcome) => taken.push(outcome),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return taken,
            }
        }
    }
}

impl Drop for Outcomes {
    fn drop(&mut self) {
        self.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How a delivery was at a moment: another one is shown anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// The delivery.
    pub id: DeliveryId,
    /// Whose it is.
    pub client_id: ClientId,
    /// Where it stands.
    pub state: DeliveryState,
    attempts: i64,
    due_at: Option<i64>,
    completed_at: Option<i64>,
    is_test: bool,
}

impl Sighting {
    /// Whether the delivery was made or done since then.
    pub fn is_since(&self, since: Timestamp) -> bool {
        self.id.as_uuid() > first_id(since.as_millis()) || self.completed_at.is_some_and(|at| at >= since.as_millis())
    }

    /// Whether it has succeeded, or failed, since then; `None` of neither, and of a test send.
    pub(crate) fn has_succeeded_since(&self, since: Timestamp) -> Option<bool> {
        let is_done = !self.is_test && self.completed_at.is_some_and(|at| at >= since.as_millis());
        match self.state {
            DeliveryState::Succeeded if is_done => Some(true),
            DeliveryState::Failed if is_done => Some(false),
            _ => None,
        }
    }
}

/// What a sighting is read from. Of what is of no lead, one attempt more is looked at: a test send is known by its trigger.
const SIGHTED: &str = "SELECT id, client_id, state, attempt_count, CASE WHEN lease IS NULL THEN due_at END, completed_at, \
                       CASE WHEN lead_id IS NULL THEN (SELECT trigger_name FROM attempts WHERE delivery_id = deliveries.id \
                       AND number = 1) END FROM deliveries WHERE ";

impl Store {
    /// Hears of the outcomes that this process stores from now on.
    pub fn outcomes(&self) -> Outcomes {
        let told = &self.shared().told;
        told.listeners.fetch_add(1, Ordering::Relaxed);
        Outcomes {
            listeners: Arc::clone(&told.listeners),
            receiver: told.outcomes.subscribe(),
        }
    }

    /// Whether other processes may write to the same database.
    pub fn is_shared(&self) -> bool {
        !self.connections().is_sqlite()
    }

    /// Leads of these clients made since then, at most so many; which isn't all when it is as many.
    pub async fn leads_since(
        &self,
        clients: &[ClientId],
        since: Timestamp,
        most: u32,
    ) -> Result<Vec<(ClientId, LeadId)>, StoreError> {
        let reader = &self.connections().reader;
        let Some(sql) = since_sql(
            reader.get_database_backend(),
            "SELECT client_id, id FROM leads WHERE ",
            clients,
            since,
            most,
        ) else {
            return Ok(Vec::new());
        };
        let rows = reader.query_all_raw(sql.statement()).await?;
        let rows = rows.iter().map(|row| {
            let (client, id) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            Ok((ClientId::from_uuid(client), LeadId::from_uuid(id)))
        });
        rows.collect()
    }

    /// Deliveries of these clients made since then, or done since then more than five seconds after they were made, at most so many of either.
    pub async fn sightings_since(
        &self,
        clients: &[ClientId],
        since: Timestamp,
        most: u32,
    ) -> Result<Vec<Sighting>, StoreError> {
        let reader = &self.connections().reader;
        let backend = reader.get_database_backend();
        let Some(new) = since_sql(backend, SIGHTED, clients, since, most) else {
            return Ok(Vec::new());
        };
        let mut rows = reader.query_all_raw(new.statement()).await?;
        let late = done_late_sql(backend, clients, since, most).statement();
        rows.extend(reader.query_all_raw(late).await?);
        rows.iter().map(sighting).collect()
    }

    /// How these deliveries are now.
    pub async fn sightings_of(&self, ids: Vec<DeliveryId>) -> Result<Vec<Sighting>, StoreError> {
        let Some(ids) = padded(ids.into_iter().map(DeliveryId::as_uuid).collect()) else {
            return Ok(Vec::new());
        };
        let reader = &self.connections().reader;
        let mut sql = Sql::new(reader.get_database_backend(), SIGHTED);
        sql.push("id ");
        sql.among(ids);
        let rows = reader.query_all_raw(sql.statement()).await?;
        rows.iter().map(sighting).collect()
    }

    /// Deliveries of a client that wait for a retry and were tried since then, of so many that are looked at.
    pub async fn retries_since(&self, client: ClientId, since: Timestamp) -> Result<Vec<Sighting>, StoreError> {
        let reader = &self.connections().reader;
        let values: [Value; 3] = [
            client.as_uuid().into(),
            RETRIES_LOOKED_AT.into(),
            since.as_millis().into(),
        ];
        let sql = format!("{SIGHTED}id IN ({RETRIED})");
        let statement = Statement::from_sql_and_values(reader.get_database_backend(), sql, values);
        let rows = reader.query_all_raw(statement).await?;
        rows.iter().map(sighting).collect()
    }

    /// These leads, the oldest first.
    pub async fn leads_by_id(&self, ids: Vec<LeadId>) -> Result<Vec<Lead>, StoreError> {
        let Some(ids) = padded(ids.into_iter().map(LeadId::as_uuid).collect()) else {
            return Ok(Vec::new());
        };
        let query = leads::Entity::find().filter(leads::Column::Id.is_in(ids));
        let mut rows = query.all(&self.connections().reader).await?;
        rows.sort_unstable_by_key(|row| row.id);
        let leads = rows
            .into_iter()
            .map(crate::leads::lead)
            .collect::<Result<Vec<_>, _>>()?;
        self.marked(leads).await
    }

    /// These deliveries as the log shows them, the oldest first.
    pub async fn logged(&self, ids: Vec<DeliveryId>) -> Result<Vec<LoggedDelivery>, StoreError> {
        let Some(ids) = padded(ids.into_iter().map(DeliveryId::as_uuid).collect()) else {
            return Ok(Vec::new());
        };
        let query = deliveries::Entity::find().filter(deliveries::Column::Id.is_in(ids));
        let mut rows = query.all(&self.connections().reader).await?;
        rows.sort_unstable_by_key(|row| row.id);
        self.dressed(rows).await
    }

    /// Whether a key still counts, and its client, and this client is there.
    pub async fn may_still_see(&self, key: KeyId, client: ClientId) -> Result<bool, StoreError> {
        let reader = self.connections().prompt();
        let found = api_keys::Entity::find_by_id(key.as_uuid()).one(reader).await?;
        let is_valid = found.is_some_and(|key| key.revoked_at.is_none());
        Ok(is_valid
            && clients::Entity::find_by_id(client.as_uuid())
                .one(reader)
                .await?
                .is_some())
    }
}

/// Of those retried since `$3` that wait again, of the client `$1`; `$2` are looked at.
pub(crate) const RETRIED: &str = "SELECT page.id FROM (SELECT id, attempt_count FROM deliveries WHERE state = 'pending' \
    AND (attempt_count > 0 OR was_head) AND destination_id IN (SELECT id FROM destinations WHERE client_id = $1 \
    AND deleted_at IS NULL) LIMIT $2) AS page JOIN attempts ON attempts.delivery_id = page.id \
    AND attempts.number = page.attempt_count WHERE attempts.started_at >= $3";

/// Rows of these clients with ids since then; nothing of no clients.
pub(crate) fn since_sql(
    backend: DatabaseBackend,
    select: &str,
    clients: &[ClientId],
    since: Timestamp,
    most: u32,
) -> Option<Sql> {
    let clients = padded(clients.iter().map(|client| client.as_uuid()).collect())?;
    let mut sql = Sql::new(backend, select);
    sql.push("client_id ");
    sql.among(clients);
    sql.push(" AND id > ");
    sql.value(first_id(since.as_millis()));
    sql.push(" LIMIT ");
    sql.value(i64::from(most));
    Some(sql)
}

/// Of these clients, what was done since then, long after it was made.
pub(crate) fn done_late_sql(backend: DatabaseBackend, clients: &[ClientId], since: Timestamp, most: u32) -> Sql {
    let mut sql = Sql::new(backend, SIGHTED);
    sql.push(&format!(
        "completed_at - created_at > {LATE_MILLIS} AND completed_at >= "
    ));
    sql.value(since.as_millis());
    // Hidden from the planner, which would walk all that these clients have.
    sql.push(" AND coalesce(client_id, client_id) ");
    sql.among(padded(clients.iter().map(|client| client.as_uuid()).collect()).unwrap_or_default());
    sql.push(" LIMIT ");
    sql.value(i64::from(most));
    sql
}

fn sighting(row: &QueryResult) -> Result<Sighting, StoreError> {
    let state: String = row.try_get_by_index(2)?;
    Ok(Sighting {
        id: DeliveryId::from_uuid(row.try_get_by_index(0)?),
        client_id: ClientId::from_uuid(row.try_get_by_index(1)?),
        state: state
            .parse()
            .map_err(|_| StoreError::Unreadable { what: "delivery state" })?,
        attempts: row.try_get_by_index(3)?,
        due_at: row.try_get_by_index(4)?,
        completed_at: row.try_get_by_index(5)?,
        is_test: row.try_get_by_index::<Option<String>>(6)?.as_deref() == Some(Trigger::Test.name()),
    })
}
