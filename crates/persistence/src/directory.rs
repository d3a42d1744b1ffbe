//! Clients and their destinations, as a transaction that captures leads sees them.
//!
//! Read in that transaction, one statement for all clients of a batch, so that a URL that was saved a moment
//! ago is used and one that was removed isn't. Parsing and unsealing are done once a version: the
//! result is kept, and shared by all jobs. A destination whose row can't be read harms nobody else: it is
//! named in the log, and its leads are kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, Statement};
use sensei_domain::{ClientId, DestinationId, Signer, Timestamp};
use uuid::Uuid;

use crate::entities::destinations;
use crate::error::StoreError;
use crate::master_key::{MasterKey, SealedPlace};
use crate::multi_row::Sql;
use crate::records::Destination;

/// Beyond this many, all are forgotten and read again: a bound, not a tuning.
const KEPT: usize = 20_000;

/// A client as capture needs it.
#[derive(Debug, Default)]
pub(crate) struct Addressee {
    pub(crate) name: String,
    pub(crate) include_custom_fields: bool,
    pub(crate) destinations: Vec<Bound>,
}

/// A destination that leads are bound for.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) id: DestinationId,
    /// `None` when its row can't be read: its deliveries wait in the database until it can.
    pub(crate) destination: Option<Arc<Destination>>,
}

/// Destinations that were read before, by id; good for as long as the version is the same.
#[derive(Debug)]
pub(crate) struct Directory {
    master_key: MasterKey,
    kept: Mutex<HashMap<Uuid, Arc<Destination>>>,
    /// Versions that can't be read and were complained about.
    unreadable: Mutex<HashMap<Uuid, i64>>,
}

/// Reads clients with their living destinations.
pub(crate) fn addressees(backend: DatabaseBackend, clients: impl IntoIterator<Item = Uuid>) -> Statement {
    let text = "SELECT c.id AS addressee, c.name AS addressee_name, c.include_custom_fields, d.* \
        FROM clients c LEFT JOIN destinations d ON d.client_id = c.id AND d.deleted_at IS NULL WHERE c.id ";
    let mut sql = Sql::new(backend, text);
    sql.among(clients);
    sql.statement()
}

impl Directory {
    pub(crate) fn new(master_key: MasterKey) -> Self {
        Self {
            master_key,
            kept: Mutex::default(),
            unreadable: Mutex::default(),
        }
    }

    /// Reads some clients and their living destinations. Who is missing doesn't exist.
    ///
    /// On PostgreSQL the clients' rows stay locked against change until the transaction ends: settings
    /// and deletions lock them too, so they come wholly before a capture or wholly after.
    pub(crate) async fn addressees(
        &self,
        transaction: &DatabaseTransaction,
        clients: &[ClientId],
    ) -> Result<HashMap<ClientId, Addressee>, DbErr> {
        let backend = transaction.get_database_backend();
        // Padded to a power of two by repeating the last id: each length is another prepared statement.
        let count = clients.len().next_power_of_two();
        let Some(&last) = clients.last() else {
            return Ok(HashMap::new());
        };
        let padded = || {
            let ids = clients.iter().copied().chain(std::iter::repeat(last));
            ids.take(count).map(ClientId::as_uuid)
        };
        if backend == DatabaseBackend::Postgres {
            // A statement of its own: one that waits for a lock reads the locked row again, but what it joined
            // stays as it was before the wait.
            let mut lock = Sql::new(backend, "SELECT id FROM clients WHERE id ");
            lock.among(padded());
            lock.push(" ORDER BY id FOR SHARE");
            transaction.query_all_raw(lock.statement()).await?;
        }
        let rows = transaction.query_all_raw(addressees(backend, padded())).await?;

        let mut found = HashMap::<ClientId, Addressee>::with_capacity(clients.len());
        for row in rows {
            let addressee = found
                .entry(ClientId::from_uuid(row.try_get("", "addressee")?))
                .or_default();
            addressee.name = row.try_get("", "addressee_name")?;
            addressee.include_custom_fields = row.try_get("", "include_custom_fields")?;
            if row.try_get::<Option<Uuid>>("", "id")?.is_some() {
                let model = destinations::Model::from_query_result(&row, "")?;
                addressee.destinations.push(Bound {
                    id: DestinationId::from_uuid(model.id),
                    destination: self.readable(model),
                });
            }
        }
        Ok(found)
    }

    /// Reads the row of one living destination.
    pub(crate) async fn by_id(
        connection: &impl ConnectionTrait,
        id: DestinationId,
    ) -> Result<Option<destinations::Model>, DbErr> {
        let model = destinations::Entity::find_by_id(id.as_uuid()).one(connection).await?;
        Ok(model.filter(|model| model.deleted_at.is_none()))
    }

    /// What a row says; `None` when it can't be read, which is logged once a version.
    pub(crate) fn readable(&self, model: destinations::Model) -> Option<Arc<Destination>> {
        let (id, version) = (model.id, model.version);
        match self.destination(model) {
            Ok(destination) => Some(destination),
            Err(error) => {
                let mut unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
                if unreadable.len() >= KEPT {
                    unreadable.clear();
                }
                if unreadable.insert(id, version) != Some(version) {
                    tracing::error!(
                        destination = %id,
                        error = &error as &dyn std::error::Error,
                        "a destination can't be read; its leads are kept, and delivered once it can"
                    );
                }
                None
            }
        }
    }

    /// What a row says, parsed and unsealed unless that was done for this version before.
    pub(crate) fn destination(&self, model: destinations::Model) -> Result<Arc<Destination>, StoreError> {
        let id = model.id;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.get(&id).filter(|known| known.version == model.version) {
            return Ok(Arc::clone(known));
        }
        let destination = Arc::new(read(&self.master_key, model)?);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(id, Arc::clone(&destination));
        Ok(destination)
    }

    /// What a row says that isn't committed yet: nothing is kept of it.
    pub(crate) fn uncommitted(&self, model: destinations::Model) -> Result<Destination, StoreError> {
        read(&self.master_key, model)
    }

    pub(crate) fn master_key(&self) -> &MasterKey {
        &self.master_key
    }
}

fn read(master_key: &MasterKey, model: destinations::Model) -> Result<Destination, StoreError> {
    let unreadable = |what| StoreError::Unreadable { what };
    let secret = unsealed(master_key, &secret_place(model.id), &model.sealed_secret)?;
    let previous_secret = match model.previous_sealed_secret.zip(model.previous_secret_until) {
        Some((sealed, until)) => {
            let previous = unsealed(master_key, &previous_secret_place(model.id), &sealed)?;
            Some((previous, Timestamp::from_millis(until)))
        }
        None => None,
    };
    Ok(Destination {
        id: DestinationId::from_uuid(model.id),
        client_id: ClientId::from_uuid(model.client_id),
        kind: model.kind,
        name: model.name,
        status: model.status.parse().map_err(|_| unreadable("destination status"))?,
        status_reason: model.status_reason,
        status_since: Timestamp::from_millis(model.status_since),
        version: model.version,
        config: serde_json::from_str(&model.config).map_err(|_| unreadable("destination config"))?,
        retry: serde_json::from_str(&model.retry).map_err(|_| unreadable("retry policy"))?,
        rate_limit: model
            .rate_limit
            .map(|limit| serde_json::from_str(&limit))
            .transpose()
            .map_err(|_| unreadable("rate limit"))?,
        ordered: model.ordered,
        secret,
        previous_secret,
        created_at: Timestamp::from_millis(model.created_at),
        updated_at: Timestamp::from_millis(model.updated_at),
    })
}

/// The signing secret in a place of a destination's row.
pub(crate) fn unsealed(master_key: &MasterKey, place: &SealedPlace, sealed: &str) -> Result<Signer, StoreError> {
    let secret = master_key.open(place, sealed);
    secret
        .and_then(|secret| std::str::from_utf8(&secret).ok()?.parse().ok())
        .ok_or(StoreError::Unreadable { what: "signing secret" })
}

/// Where a destination's signing secret is kept.
pub(crate) fn secret_place(destination: Uuid) -> SealedPlace {
    SealedPlace {
        table: "destinations",
        row: destination,
        column: "sealed_secret",
    }
}

/// Where the one before is kept while it still counts.
pub(crate) fn previous_secret_place(destination: Uuid) -> SealedPlace {
    SealedPlace {
        column: "previous_sealed_secret",
        ..secret_place(destination)
    }
}
