//! Clients and their destinations, as a transaction that captures leads sees them.
//!
//! The clients' rows are read in that transaction, so that a URL that was saved a moment ago is used and one that was
//! removed isn't: a client's row tells the version of its destinations, and those of a version that was read before
//! needn't be read again. Parsing and unsealing are done once a version of a destination: the result is shared by all jobs.
//! A destination whose row can't be read harms nobody else: it is named in the log, and its leads are kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, Statement};
use sensei_domain::{ClientId, DestinationId, Filter};
use uuid::Uuid;

use crate::destination_row::read_row;
use crate::entities::destinations;
use crate::error::StoreError;
use crate::master_keys::MasterKeys;
use crate::multi_row::Sql;
use crate::records::Destination;

/// Beyond this many, all are forgotten and read again: a bound, not a tuning.
const KEPT: usize = 20_000;

/// A client as capture needs it.
#[derive(Debug)]
pub(crate) struct Addressee {
    /// Of its destinations.
    pub(crate) version: i64,
    pub(crate) name: String,
    pub(crate) include_custom_fields: bool,
    pub(crate) destinations: Vec<Bound>,
}

impl Addressee {
    fn is_as(&self, row: &ClientRow) -> bool {
        self.version == row.destinations_version
            && self.name == row.name
            && self.include_custom_fields == row.include_custom_fields
    }
}

/// Clients by id.
pub(crate) type Addressees = HashMap<ClientId, Arc<Addressee>>;

/// A destination that leads are bound for.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) id: DestinationId,
    /// `None` when its row can't be read: its deliveries wait in the database until it can.
    pub(crate) destination: Option<Arc<Destination>>,
}

impl Bound {
    /// What its leads must match.
    pub(crate) fn filter(&self) -> Option<&Filter> {
        self.destination.as_ref()?.filter.as_ref()
    }
}

/// What was read before: destinations and clients by id, each good for as long as its version is the same.
#[derive(Debug)]
pub(crate) struct Directory {
    master_keys: MasterKeys,
    kept: Mutex<HashMap<Uuid, Arc<Destination>>>,
    addressees: Mutex<HashMap<ClientId, Arc<Addressee>>>,
    /// Versions that can't be read and were complained about.
    unreadable: Mutex<HashMap<Uuid, i64>>,
}

/// Who asks for addressees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// A transaction that has changed no client or destination: what is read is kept.
    Committed,
    /// One that may have: what it reads may never be committed.
    AmidChanges,
}

#[derive(Debug, FromQueryResult)]
struct ClientRow {
    id: Uuid,
    name: String,
    include_custom_fields: bool,
    destinations_version: i64,
}

/// Reads clients. On PostgreSQL they stay locked against change until the transaction ends.
pub(crate) fn client_rows(backend: DatabaseBackend, ids: &[Uuid]) -> Statement {
    let text = "SELECT id, name, include_custom_fields, destinations_version FROM clients WHERE id ";
    let mut sql = Sql::new(backend, text);
    sql.among(padded(backend, ids));
    if backend == DatabaseBackend::Postgres {
        sql.push(" ORDER BY id FOR SHARE");
    }
    sql.statement()
}

/// Reads the living destinations of clients.
pub(crate) fn destination_rows(backend: DatabaseBackend, clients: &[Uuid]) -> Statement {
    let mut sql = Sql::new(
        backend,
        "SELECT * FROM destinations WHERE deleted_at IS NULL AND client_id ",
    );
    sql.among(padded(backend, clients));
    sql.statement()
}

/// Reads clients with their living destinations as they are at this moment: a row for each, and one for a client without any.
/// On PostgreSQL alone.
pub(crate) fn client_and_destination_rows(ids: &[Uuid]) -> Statement {
    let mut sql = Sql::new(
        DatabaseBackend::Postgres,
        "SELECT c.id AS c_id, c.name AS c_name, c.include_custom_fields AS c_include_custom_fields, \
         c.destinations_version AS c_destinations_version, d.* FROM clients c \
         LEFT JOIN destinations d ON d.client_id = c.id AND d.deleted_at IS NULL AND d.client_id ",
    );
    sql.among(ids.iter().copied());
    sql.push(" WHERE c.id ");
    sql.among(ids.iter().copied());
    sql.statement()
}

/// Writes a query: whether clients are still as they were read. If so, they stay, as in [`client_rows`].
pub(crate) fn are_unchanged(sql: &mut Sql, addressees: &Addressees) {
    sql.push("SELECT count(*) = ");
    sql.value(i64::try_from(addressees.len()).unwrap_or(i64::MAX));
    sql.push(" FROM (SELECT c.id FROM (");
    sql.rows(addressees.iter().map(|(id, addressee)| {
        [
            id.as_uuid().into(),
            addressee.version.into(),
            addressee.name.as_str().into(),
            addressee.include_custom_fields.into(),
        ]
    }));
    sql.push(
        ") AS known (id, version, name, include_custom_fields) JOIN clients c ON c.id = known.id \
         AND c.destinations_version = known.version AND c.name = known.name \
         AND c.include_custom_fields = known.include_custom_fields",
    );
    sql.and_among_them("c.id");
    sql.push(" ORDER BY c.id FOR SHARE OF c) AS unchanged");
}

/// On SQLite padded to a power of two by repeating the last: there each length is another prepared statement.
fn padded(backend: DatabaseBackend, ids: &[Uuid]) -> impl Iterator<Item = Uuid> {
    let length = match backend {
        DatabaseBackend::Postgres => ids.len(),
        _ => ids.len().next_power_of_two(),
    };
    let last = ids.last().copied().into_iter().cycle();
    ids.iter().copied().chain(last).take(length)
}

impl Directory {
    pub(crate) fn new(master_keys: MasterKeys) -> Self {
        Self {
            master_keys,
            kept: Mutex::default(),
            addressees: Mutex::default(),
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
        reading: Reading,
    ) -> Result<Addressees, DbErr> {
        let backend = transaction.get_database_backend();
        let ids = clients.iter().map(|id| id.as_uuid()).collect::<Vec<_>>();
        if ids.is_empty() {
            return Ok(Addressees::new());
        }
        let mut rows = HashMap::with_capacity(ids.len());
        for row in transaction.query_all_raw(client_rows(backend, &ids)).await? {
            let row = ClientRow::from_query_result(&row, "")?;
            rows.insert(row.id, row);
        }
        let mut addressees = match reading {
            Reading::Committed => self.kept(clients),
            Reading::AmidChanges => Addressees::new(),
        };
        addressees.retain(|id, kept| rows.get(&id.as_uuid()).is_some_and(|row| kept.is_as(row)));
        rows.retain(|id, _| !addressees.contains_key(&ClientId::from_uuid(*id)));
        if rows.is_empty() {
            return Ok(addressees);
        }
        let unknown = rows.keys().copied().collect::<Vec<_>>();
        // A statement of its own: one that waits for a lock reads the locked row again, but what it joined
        // would stay as it was before the wait.
        let mut models = Vec::new();
        for row in transaction.query_all_raw(destination_rows(backend, &unknown)).await? {
            models.push(destinations::Model::from_query_result(&row, "")?);
        }
        addressees.extend(self.read(rows, models, reading));
        Ok(addressees)
    }

    /// Of some clients and their living destinations, what was read before, and what is there now of those that weren't. Nothing
    /// is locked: whoever goes by it sees whether they [are unchanged](are_unchanged). On PostgreSQL alone.
    pub(crate) async fn read_ahead(
        &self,
        connection: &impl ConnectionTrait,
        clients: &[ClientId],
    ) -> Result<Addressees, DbErr> {
        let mut addressees = self.kept(clients);
        let unknown = clients.iter().filter(|id| !addressees.contains_key(id));
        let unknown = unknown.map(|id| id.as_uuid()).collect::<Vec<_>>();
        if unknown.is_empty() {
            return Ok(addressees);
        }
        let (mut rows, mut models) = (HashMap::new(), Vec::new());
        // One statement, and so of one moment.
        for row in connection.query_all_raw(client_and_destination_rows(&unknown)).await? {
            let client = ClientRow::from_query_result(&row, "c_")?;
            rows.insert(client.id, client);
            if row.try_get::<Option<Uuid>>("", "id")?.is_some() {
                models.push(destinations::Model::from_query_result(&row, "")?);
            }
        }
        addressees.extend(self.read(rows, models, Reading::Committed));
        Ok(addressees)
    }

    /// Clients as their rows and those of their destinations say.
    fn read(
        &self,
        clients: HashMap<Uuid, ClientRow>,
        models: Vec<destinations::Model>,
        reading: Reading,
    ) -> Addressees {
        let mut bound = HashMap::<Uuid, Vec<Bound>>::new();
        for model in models {
            bound.entry(model.client_id).or_default().push(Bound {
                id: DestinationId::from_uuid(model.id),
                destination: match reading {
                    Reading::Committed => self.readable(model),
                    Reading::AmidChanges => self.uncommitted(model).map(Arc::new).ok(),
                },
            });
        }
        let read = clients.into_values().map(|row| {
            let addressee = Addressee {
                version: row.destinations_version,
                name: row.name,
                include_custom_fields: row.include_custom_fields,
                destinations: bound.remove(&row.id).unwrap_or_default(),
            };
            (ClientId::from_uuid(row.id), Arc::new(addressee))
        });
        let read = read.collect::<Addressees>();
        if reading == Reading::Committed {
            self.keep(&read);
        }
        read
    }

    /// A client as he was when he was last read.
    pub(crate) fn known(&self, client: ClientId) -> Option<Arc<Addressee>> {
        let kept = self.addressees.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&client).map(Arc::clone)
    }

    /// Those of these clients that were read before, as they were then.
    pub(crate) fn kept(&self, clients: &[ClientId]) -> Addressees {
        let kept = self.addressees.lock().unwrap_or_else(PoisonError::into_inner);
        let known = clients.iter().filter_map(|id| Some((*id, Arc::clone(kept.get(id)?))));
        known.collect()
    }

    fn keep(&self, read: &Addressees) {
        let mut kept = self.addressees.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.extend(read.iter().map(|(id, addressee)| (*id, Arc::clone(addressee))));
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
        {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = kept.get(&id).filter(|known| known.version == model.version) {
                return Ok(Arc::clone(known));
            }
        }
        // Without the lock: a filter's patterns take a while.
        let destination = Arc::new(read_row(&self.master_keys, model)?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(id, Arc::clone(&destination));
        Ok(destination)
    }

    /// What a row says that isn't committed yet: nothing is kept of it.
    pub(crate) fn uncommitted(&self, model: destinations::Model) -> Result<Destination, StoreError> {
        read_row(&self.master_keys, model)
    }

    pub(crate) fn master_keys(&self) -> &MasterKeys {
        &self.master_keys
    }
}
