//! Deleting a client with everything of it.
//!
//! What there may be much of goes first, some of it a transaction: on SQLite everybody who writes waits for each, and elsewhere captures wait
//! for who has the client locked. The rest goes together with the client. Until then the client is there, captures leads, and can be deleted
//! again: whatever ends this in between, another call goes on where it was.

use std::time::Instant;

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Statement, Value};
use sensei_domain::{ClientId, DestinationId};
use uuid::Uuid;

use crate::audit::{self, Actor};
use crate::clients::lock;
use crate::connection::in_time;
use crate::entities::destinations;
use crate::error::StoreError;
use crate::lead_words;
use crate::leads;
use crate::records::Page;
use crate::store::Store;

/// Leads that one step removes, with all that is known of them: on SQLite everybody waits while their words leave the index, some milliseconds a lead.
const STEP: u32 = 25;
/// Rows of other tables that one step removes.
const ROWS: i64 = 500;
/// How often is looked anew: for what was captured meanwhile.
const ROUNDS: u32 = 10;

impl Store {
    /// Deletes a client and everything of it: leads, events, deliveries, attempts, destinations, keys.
    /// The audit log stays. False when there is no such client. It goes on if the caller stops waiting.
    pub async fn delete_client(&self, id: ClientId, actor: &Actor) -> Result<bool, StoreError> {
        let (store, actor) = (self.clone(), *actor);
        let deletion = self
            .shared()
            .background
            .spawn(async move { store.delete_bit_by_bit(id, &actor).await });
        // It ends early only when the process does.
        deletion.await.unwrap_or(Err(StoreError::Closed))
    }

    async fn delete_bit_by_bit(&self, id: ClientId, actor: &Actor) -> Result<bool, StoreError> {
        if self.client(id).await?.is_none() {
            return Ok(false);
        }
        for _ in 0..ROUNDS {
            let mut before = None;
            let mut removed = 0;
            let mut is_little = true;
            while let Some((last, count)) = self.step_and_rest(self.remove_leads(id, before)).await? {
                removed += count;
                before = Some(last);
                if count < STEP as usize {
                    break;
                }
            }
            for sql in [KEYS, ROLLUPS] {
                while self.step_and_rest(self.remove_some(sql, id)).await? {
                    is_little = false;
                }
            }
            if is_little && removed < STEP as usize {
                break;
            }
        }
        self.delete_rest(id, actor).await
    }

    /// Others have their turn for as long as a step took.
    async fn step_and_rest<T>(&self, step: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        if self.shared().closing().is_cancelled() {
            return Err(StoreError::Closed);
        }
        let begun = Instant::now();
        let done = in_time(step).await?;
        tokio::time::sleep(begun.elapsed()).await;
        Ok(done)
    }

    /// Removes some leads, the newest ones before this one: of an ordered destination nothing goes before what follows it. The last one's
    /// id, and how many there were.
    async fn remove_leads(&self, client: ClientId, before: Option<Uuid>) -> Result<Option<(Uuid, usize)>, StoreError> {
        let (_turn, transaction) = self.connections().begin_step().await?;
        let backend = transaction.get_database_backend();
        lead_words::lock(&transaction).await?;
        // For a moment only: a lead of that range that is committed between these statements would leave some of it behind.
        if lock(&transaction, client).await?.is_none() {
            return Ok(None);
        }
        let page = Page { limit: STEP, before };
        let rows = leads::query(client, page).all(&transaction).await?;
        let (Some(newest), Some(oldest)) = (rows.first(), rows.last()) else {
            return Ok(None);
        };
        lead_words::remove(&transaction, &rows).await?;
        let locking: &[&str] = if self.connections().is_sqlite() {
            &[]
        } else {
            &[LOCK_SOME_LEADS, LOCK_DELIVERIES_OF_LEADS]
        };
        for sql in locking.iter().chain(OF_LEADS) {
            let values: [Value; 3] = [client.as_uuid().into(), oldest.id.into(), newest.id.into()];
            let statement = Statement::from_sql_and_values(backend, *sql, values);
            transaction.execute_raw(statement).await?;
        }
        transaction.commit().await?;
        Ok(Some((oldest.id, rows.len())))
    }

    /// True when there may be more.
    async fn remove_some(&self, sql: &str, client: ClientId) -> Result<bool, StoreError> {
        let writer = &self.connections().writer;
        let values: [Value; 2] = [client.as_uuid().into(), ROWS.into()];
        let statement = Statement::from_sql_and_values(writer.get_database_backend(), sql, values);
        let removed = writer.execute_raw(statement).await?.rows_affected();
        Ok(i64::try_from(removed).is_ok_and(|removed| removed == ROWS))
    }

    async fn delete_rest(&self, id: ClientId, actor: &Actor) -> Result<bool, StoreError> {
        let transaction = self.connections().begin_long().await?;
        lead_words::lock(&transaction).await?;
        if lock(&transaction, id).await?.is_none() {
            return Ok(false);
        }
        let destinations = destinations::Entity::find()
            .filter(destinations::Column::ClientId.eq(id.as_uuid()))
            .filter(destinations::Column::DeletedAt.is_null())
            .all(&transaction)
            .await?;
        lead_words::remove_all_of(&transaction, id).await?;
        let locking: &[&str] = if self.connections().is_sqlite() {
            &[]
        } else {
            &[LOCK_LEADS, LOCK_DELIVERIES]
        };
        for sql in [DELETE_RECOVERIES].iter().chain(locking).chain(DELETIONS) {
            let values = [id.as_uuid().into()];
            let statement = Statement::from_sql_and_values(transaction.get_database_backend(), *sql, values);
            transaction.execute_raw(statement).await?;
        }
        audit::log(&transaction, self.now(), actor, "client.deleted", Some(id), id).await?;
        transaction.commit().await?;
        self.shared().keys.forget_client(id);
        self.shared()
            .changed(destinations.into_iter().map(|row| DestinationId::from_uuid(row.id)));
        Ok(true)
    }
}

macro_rules! some_leads {
    () => {
        "SELECT id FROM leads WHERE client_id = $1 AND id >= $2 AND id <= $3"
    };
}
macro_rules! deliveries_of_some {
    () => {
        concat!("SELECT id FROM deliveries WHERE lead_id IN (", some_leads!(), ")")
    };
}
/// As [`LOCK_LEADS`].
pub(crate) const LOCK_SOME_LEADS: &str = concat!(
    "SELECT count(*) FROM (",
    some_leads!(),
    " ORDER BY id FOR UPDATE) AS locked"
);
/// As [`LOCK_DELIVERIES`].
pub(crate) const LOCK_DELIVERIES_OF_LEADS: &str = concat!(
    "SELECT count(*) FROM (",
    deliveries_of_some!(),
    " ORDER BY id FOR UPDATE) AS locked"
);
/// Everything of the leads of the client `$1` from `$2` to `$3`.
pub(crate) const OF_LEADS: &[&str] = &[
    concat!(
        "DELETE FROM attempts WHERE delivery_id IN (",
        deliveries_of_some!(),
        ")"
    ),
    concat!(
        "DELETE FROM checkpoints WHERE delivery_id IN (",
        deliveries_of_some!(),
        ")"
    ),
    concat!("DELETE FROM deliveries WHERE lead_id IN (", some_leads!(), ")"),
    concat!("DELETE FROM events WHERE lead_id IN (", some_leads!(), ")"),
    concat!("DELETE FROM suspected_leads WHERE lead_id IN (", some_leads!(), ")"),
    "DELETE FROM leads WHERE client_id = $1 AND id >= $2 AND id <= $3",
];
/// Some of the client's, `$2` of them.
pub(crate) const KEYS: &str = "DELETE FROM idempotency_keys WHERE client_id = $1 AND (method, path, key) IN \
    (SELECT method, path, key FROM idempotency_keys WHERE client_id = $1 LIMIT $2)";
pub(crate) const ROLLUPS: &str = "DELETE FROM rollups WHERE client_id = $1 AND at IN \
    (SELECT at FROM rollups WHERE client_id = $1 LIMIT $2)";

/// Before the deliveries, as a recovery's step locks its own row before theirs.
const DELETE_RECOVERIES: &str = "DELETE FROM recoveries WHERE client_id = $1";
/// Before what is known of them, as retention does.
const LOCK_LEADS: &str =
    "SELECT count(*) FROM (SELECT id FROM leads WHERE client_id = $1 ORDER BY id FOR UPDATE) AS locked";
/// Who records an attempt locks its delivery first, so nobody adds one after this. In the order of ids, as
/// everybody does who locks several.
const LOCK_DELIVERIES: &str =
    "SELECT count(*) FROM (SELECT id FROM deliveries WHERE client_id = $1 ORDER BY id FOR UPDATE) AS locked";
/// Everything of a client, each by an index.
const DELETIONS: &[&str] = &[
    "DELETE FROM attempts WHERE delivery_id IN (SELECT id FROM deliveries WHERE client_id = $1)",
    "DELETE FROM checkpoints WHERE delivery_id IN (SELECT id FROM deliveries WHERE client_id = $1)",
    "DELETE FROM events WHERE id IN (SELECT event_id FROM deliveries WHERE client_id = $1)",
    "DELETE FROM deliveries WHERE client_id = $1",
    "DELETE FROM events WHERE lead_id IN (SELECT id FROM leads WHERE client_id = $1)",
    "DELETE FROM leads WHERE client_id = $1",
    "DELETE FROM suspected_leads WHERE client_id = $1",
    "DELETE FROM idempotency_keys WHERE client_id = $1",
    "DELETE FROM api_keys WHERE client_id = $1",
    "DELETE FROM rollups WHERE client_id = $1",
    "DELETE FROM destination_health WHERE client_id = $1",
    "DELETE FROM recoveries WHERE client_id = $1",
    "DELETE FROM destinations WHERE client_id = $1",
    "DELETE FROM clients WHERE id = $1",
];
