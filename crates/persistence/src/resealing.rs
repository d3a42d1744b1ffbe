//! A new master key takes the place of the one before, while everything is in use.
//!
//! A pass walks what is sealed by its primary key, a few rows a transaction, and seals anew what isn't sealed under the key in use. No row
//! that somebody else has changed meanwhile is written: its client is locked, as by everybody who changes a destination, and what
//! is replaced must be what was read. A pass that was cut off leaves some under each key, which both open; the next goes on. When
//! a pass finds nothing more, the database's mark is that of the key in use.
//!
//! A destination's version stays, since what it says does: whoever has read it needn't again. Only captures read
//! a client's destinations once more.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult, Statement, Value};
use sensei_domain::ClientId;
use uuid::Uuid;

use crate::clients;
use crate::connection::in_time;
use crate::destination_config::DestinationConfig;
use crate::destination_row::{previous_secret_place, secret_place};
use crate::error::StoreError;
use crate::idempotency;
use crate::master_key_marks;
use crate::master_keys::{MasterKeys, Resealed};
use crate::store::Store;

/// Destinations of one step. Captures of their clients wait for it, and on SQLite whoever writes.
const DESTINATIONS_A_STEP: i64 = 20;
/// Kept answers that one step looks at; few of them are sealed.
const ANSWERS_A_STEP: i64 = 500;
/// A step is followed by a rest of so many times what it took.
const REST: u32 = 3;
/// As long as others seal under the previous key, each pass may find something.
const PASSES: usize = 3;
/// How long the server waits before it begins again.
const PAUSE: Duration = Duration::from_secs(30);

/// Destinations, deleted ones too, behind `$1`, and at most `$2`: their secrets as they are sealed.
pub(crate) const DESTINATIONS: &str = "SELECT id, client_id, config, sealed_secret, previous_sealed_secret \
    FROM destinations WHERE id > $1 ORDER BY id LIMIT $2";
/// Kept answers behind the key of `$1` to `$4`, and at most `$5`; what isn't sealed isn't read.
pub(crate) const ANSWERS: &str = "SELECT client_id, method, path, key, CASE WHEN is_sealed THEN answer END AS sealed \
    FROM idempotency_keys WHERE (client_id, method, path, key) > ($1, $2, $3, $4) \
    ORDER BY client_id, method, path, key LIMIT $5";

/// What came of sealing everything under the master key in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resealing {
    /// Values that were sealed anew.
    pub resealed: u64,
    /// Values that no given key opens: damaged, or sealed under a third key. They stay as they are.
    pub unreadable: u64,
    /// Whether nothing is left under the previous key. If not, somebody else still seals under it.
    pub is_complete: bool,
}

/// A row of `destinations`, as far as it is sealed.
struct Sealed {
    id: Uuid,
    client: Uuid,
    config: String,
    secret: String,
    previous_secret: Option<String>,
}

impl Sealed {
    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.try_get("", "id")?,
            client: row.try_get("", "client_id")?,
            config: row.try_get("", "config")?,
            secret: row.try_get("", "sealed_secret")?,
            previous_secret: row.try_get("", "previous_sealed_secret")?,
        })
    }

    /// Its columns, each with its text and what becomes of it. A deleted one has no secret.
    fn columns<'a>(&'a self, keys: &MasterKeys) -> Vec<(&'static str, &'a str, Resealed)> {
        let secret = Some(self.secret.as_str()).filter(|secret| !secret.is_empty());
        let secret = secret.map(|text| ("sealed_secret", text, keys.reseal(&secret_place(self.id), text)));
        let previous = self.previous_secret.as_deref();
        let place = previous_secret_place(self.id);
        let previous = previous.map(|text| ("previous_sealed_secret", text, keys.reseal(&place, text)));
        let config = DestinationConfig::resealed(keys, self.id, &self.config);
        let config = ("config", self.config.as_str(), config);
        [Some(config), secret, previous].into_iter().flatten().collect()
    }
}

impl Store {
    /// Seals everything under the master key in use that isn't yet, for as long as it takes: after it, no start needs the previous key. May
    /// be cut off at any point and begun again, beside whoever uses the database.
    pub async fn reseal(&self) -> Result<Resealing, StoreError> {
        let mut all = Resealing::default();
        for _ in 0..PASSES {
            let mut pass = Resealing::default();
            let writer = &self.connections().writer;
            let seen = in_time(async { master_key_marks::read(writer).await.map_err(StoreError::from) }).await?;
            self.reseal_destinations(&mut pass).await?;
            self.reseal_answers(&mut pass).await?;
            all.resealed += pass.resealed;
            all.unreadable = pass.unreadable;
            if pass.resealed == 0 && in_time(self.note_all_current(&seen)).await? {
                all.is_complete = true;
                break;
            }
        }
        Ok(all)
    }

    /// Whether the master key in use takes another's place.
    pub fn has_previous_master_key(&self) -> bool {
        self.shared().directory.master_keys().are_two()
    }

    /// As [`Store::reseal`], from now on and until it is complete or the store closes, if there are two master keys.
    pub fn reseal_in_background(&self) {
        if !self.has_previous_master_key() {
            return;
        }
        let keys = self.shared().directory.master_keys();
        let (store, master_key) = (self.clone(), keys.current_id().to_owned());
        self.shared().background.spawn(async move {
            let closing = store.shared().closing().clone();
            let passes = async {
                loop {
                    match store.reseal().await {
                        Ok(done) => {
                            let Resealing { resealed, unreadable, .. } = done;
                            if unreadable > 0 {
                                tracing::error!(unreadable, "some secrets open under no given master key; they stay as they are");
                            }
                            if done.is_complete {
                                tracing::info!(
                                    resealed,
                                    master_key,
                                    "everything is sealed under the master key in use: the previous one isn't needed here any more"
                                );
                                return;
                            }
                            tracing::warn!(resealed, "another process still seals under the previous master key; looked for again");
                        }
                        Err(error) => tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "secrets could not be sealed under the master key in use; tried again"
                        ),
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            };
            closing.run_until_cancelled(passes).await;
        });
    }

    async fn note_all_current(&self, seen: &[(String, String)]) -> Result<bool, StoreError> {
        let transaction = self.connections().begin().await?;
        let master_keys = self.shared().directory.master_keys();
        let is_noted = master_key_marks::note_all_current(&transaction, master_keys, seen).await?;
        if is_noted {
            transaction.commit().await?;
        } else {
            transaction.rollback().await?;
        }
        Ok(is_noted)
    }

    async fn reseal_destinations(&self, pass: &mut Resealing) -> Result<(), StoreError> {
        let keys = self.shared().directory.master_keys();
        let mut after = Uuid::nil();
        loop {
            let begun = Instant::now();
            let reader = &self.connections().reader;
            let values: [Value; 2] = [after.into(), DESTINATIONS_A_STEP.into()];
            let page = Statement::from_sql_and_values(reader.get_database_backend(), DESTINATIONS, values);
            let rows = in_time(reader.query_all_raw(page)).await?;
            let rows = rows.iter().map(Sealed::read).collect::<Result<Vec<_>, _>>()?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.id;
            let mut clients = Vec::new();
            for row in &rows {
                let columns = row.columns(keys);
                let of = |what: fn(&Resealed) -> bool| columns.iter().filter(|(.., column)| what(column)).count();
                let unreadable = of(|column| *column == Resealed::Unreadable);
                if unreadable > 0 {
                    tracing::debug!(destination = %row.id, unreadable, "opens under no given master key");
                }
                pass.unreadable += unreadable as u64;
                if of(|column| matches!(column, Resealed::Now(_))) > 0 {
                    clients.push((row.client, row.id));
                }
            }
            if !clients.is_empty() {
                pass.resealed += in_time(self.reseal_some(clients)).await?;
                tokio::time::sleep(begun.elapsed() * REST).await;
            }
        }
    }

    /// Seals some destinations anew, each with its client. In the order of clients, as captures lock them too.
    async fn reseal_some(&self, mut destinations: Vec<(Uuid, Uuid)>) -> Result<u64, StoreError> {
        destinations.sort_unstable();
        let transaction = self.connections().begin().await?;
        for client in destinations.chunk_by(|one, other| one.0 == other.0) {
            clients::lock(&transaction, ClientId::from_uuid(client[0].0)).await?;
        }
        let mut resealed = 0;
        for (_, destination) in destinations {
            resealed += reseal_one(&transaction, self.shared().directory.master_keys(), destination).await?;
        }
        transaction.commit().await?;
        Ok(resealed)
    }

    async fn reseal_answers(&self, pass: &mut Resealing) -> Result<(), StoreError> {
        let keys = self.shared().directory.master_keys();
        let mut after = (Uuid::nil(), String::new(), String::new(), String::new());
        loop {
            let begun = Instant::now();
            let reader = &self.connections().reader;
            let (client, method, path, key) = after.clone();
            let values: [Value; 5] = [
                client.into(),
                method.into(),
                path.into(),
                key.into(),
                ANSWERS_A_STEP.into(),
            ];
            let page = Statement::from_sql_and_values(reader.get_database_backend(), ANSWERS, values);
            let rows = in_time(reader.query_all_raw(page)).await?;
            for row in &rows {
                after = (
                    row.try_get("", "client_id")?,
                    row.try_get("", "method")?,
                    row.try_get("", "path")?,
                    row.try_get("", "key")?,
                );
                let Some(sealed) = row.try_get::<Option<Vec<u8>>>("", "sealed")? else {
                    continue;
                };
                let scope = (after.0, &*after.1, &*after.2, &*after.3);
                let text = str::from_utf8(&sealed).unwrap_or_default();
                match keys.reseal(&idempotency::place(scope), text) {
                    Resealed::Before => {}
                    Resealed::Unreadable => pass.unreadable += 1,
                    Resealed::Now(anew) => {
                        pass.resealed += in_time(self.replace_answer(scope, sealed, anew)).await?;
                    }
                }
            }
            if i64::try_from(rows.len()) != Ok(ANSWERS_A_STEP) {
                return Ok(());
            }
            tokio::time::sleep(begun.elapsed() * REST).await;
        }
    }

    /// By itself, so that it waits for no second key while it holds one.
    async fn replace_answer(
        &self,
        (client, method, path, key): idempotency::Scope<'_>,
        sealed: Vec<u8>,
        anew: String,
    ) -> Result<u64, DbErr> {
        let sql = "UPDATE idempotency_keys SET answer = $1 \
                   WHERE client_id = $2 AND method = $3 AND path = $4 AND key = $5 AND answer = $6";
        let values: [Value; 6] = [
            anew.into_bytes().into(),
            client.into(),
            method.into(),
            path.into(),
            key.into(),
            sealed.into(),
        ];
        let writer = &self.connections().writer;
        let update = Statement::from_sql_and_values(writer.get_database_backend(), sql, values);
        Ok(writer.execute_raw(update).await?.rows_affected())
    }
}

/// Seals a destination's row anew, as it is now. Its client is locked. Says how many values that were.
async fn reseal_one(transaction: &DatabaseTransaction, keys: &MasterKeys, id: Uuid) -> Result<u64, DbErr> {
    let backend = transaction.get_database_backend();
    let sql = "SELECT id, client_id, config, sealed_secret, previous_sealed_secret FROM destinations WHERE id = $1";
    let read = Statement::from_sql_and_values(backend, sql, [id.into()]);
    let Some(row) = transaction.query_one_raw(read).await? else {
        return Ok(0);
    };
    let row = Sealed::read(&row)?;
    let mut resealed = 0;
    for (column, text, anew) in row.columns(keys) {
        let Resealed::Now(anew) = anew else { continue };
        // A secret that signs nothing any more is removed without the client's lock.
        let sql = format!("UPDATE destinations SET {column} = $1 WHERE id = $2 AND {column} = $3");
        let values: [Value; 3] = [anew.into(), id.into(), text.into()];
        let update = Statement::from_sql_and_values(backend, sql, values);
        resealed += transaction.execute_raw(update).await?.rows_affected();
    }
    Ok(resealed)
}
