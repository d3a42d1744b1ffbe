//! The index of words as it is written: a lead's words added and removed. On SQLite in a table of its kind, which finds words by their beginning; on
//! PostgreSQL as a column of that sort.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, EntityTrait as _, QueryFilter as _,
    Statement, Value,
};
use sensei_domain::ClientId;
use serde_json::json;
use uuid::Uuid;

use crate::entities::leads::{Column, Entity, Model};
use crate::leads;
use crate::multi_row::{Sql, UNLESS_THERE};
use crate::records::Page;
use crate::words::words;

/// Leads of a client whose words are removed at once.
const REMOVED_AT_ONCE: u32 = 500;
/// Whoever changes the index holds this on PostgreSQL: who removes words together with others, who adds some alone. "words" in ASCII.
const LOCK: i64 = 0x77_6f72_6473;

/// Nobody adds words until the transaction ends. Before anything else is locked, since a step of the follower may have to be waited for, and
/// before leads are read whose words are removed.
pub(crate) async fn lock(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    if transaction.get_database_backend() == DatabaseBackend::Postgres {
        let sql = format!("SELECT pg_advisory_xact_lock_shared({LOCK})");
        transaction.execute_unprepared(&sql).await?;
    }
    Ok(())
}

/// Nobody else changes the index until the transaction ends. False, at once, if somebody does: those who remove words wait for nobody who waits himself.
pub(crate) async fn try_lock_alone(transaction: &DatabaseTransaction) -> Result<bool, DbErr> {
    let backend = transaction.get_database_backend();
    if backend != DatabaseBackend::Postgres {
        return Ok(true);
    }
    let lock = Statement::from_string(backend, format!("SELECT pg_try_advisory_xact_lock({LOCK})"));
    let row = transaction.query_one_raw(lock).await?;
    row.map_or(Ok(false), |row| row.try_get_by_index(0))
}

/// Removes the words of these leads, which are as they were when they were captured.
pub(crate) async fn remove(transaction: &DatabaseTransaction, rows: &[Model]) -> Result<(), DbErr> {
    let backend = transaction.get_database_backend();
    if backend == DatabaseBackend::Postgres {
        let mut sql = Sql::new(backend, "DELETE FROM lead_words WHERE lead_id ");
        sql.among(rows.iter().map(|row| row.id));
        return transaction.execute_raw(sql.statement()).await.map(drop);
    }
    let there = rows.iter().filter(|row| row.erased_at.is_none());
    let there = there.map(|row| (row.id, row)).collect::<HashMap<_, _>>();
    let ids = there.keys().map(|id| id.simple().to_string()).collect::<Vec<_>>();
    let sql = "DELETE FROM searchable_leads WHERE lead_id IN (SELECT unhex(value) FROM json_each(?)) RETURNING number, lead_id";
    let numbers = Statement::from_sql_and_values(backend, sql, [Value::from(serde_json::Value::from(ids).to_string())]);
    let mut removed = Vec::with_capacity(there.len());
    for row in transaction.query_all_raw(numbers).await? {
        let (number, id): (i64, Uuid) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        removed.extend(there.get(&id).map(|row| json!([number, sqlite_words(row)])));
    }
    let words = serde_json::Value::from(removed).to_string();
    let remove = Statement::from_sql_and_values(backend, REMOVE, [Value::from(words)]);
    transaction.execute_raw(remove).await.map(drop)
}

/// Removes the words of all of a client's leads.
pub(crate) async fn remove_all_of(transaction: &DatabaseTransaction, client: ClientId) -> Result<(), DbErr> {
    let backend = transaction.get_database_backend();
    if backend == DatabaseBackend::Postgres {
        let sql = "DELETE FROM lead_words WHERE client_id = $1";
        let remove = Statement::from_sql_and_values(backend, sql, [client.as_uuid().into()]);
        return transaction.execute_raw(remove).await.map(drop);
    }
    let mut before = None;
    loop {
        let page = Page {
            limit: REMOVED_AT_ONCE,
            before,
        };
        let rows = leads::query(client, page).all(transaction).await?;
        remove(transaction, &rows).await?;
        before = rows.last().map(|row| row.id);
        if rows.len() < REMOVED_AT_ONCE as usize {
            return Ok(());
        }
    }
}

/// What is to be written of leads, each by its id: made before anybody has to wait for it.
pub(crate) type Words = HashMap<Uuid, (Uuid, String)>;

/// Ids from this one and before that one.
pub(crate) type Ids = [Uuid; 2];

/// The words of some leads, each with its client.
pub(crate) async fn read(connection: &impl ConnectionTrait, [from, to]: Ids) -> Result<Words, DbErr> {
    let query = Entity::find()
        .filter(Column::Id.gte(from))
        .filter(Column::Id.lt(to))
        .filter(Column::ErasedAt.is_null());
    let is_sqlite = connection.get_database_backend() == DatabaseBackend::Sqlite;
    let rows = query.all(connection).await?;
    let words = rows.iter().map(|row| {
        let words = if is_sqlite { sqlite_words(row) } else { joined(row) };
        (row.id, (row.client_id, words))
    });
    Ok(words.collect())
}

/// Adds words of leads that were read: of those that aren't erased meanwhile, but for those that are there. Whether there were any.
pub(crate) async fn add(transaction: &DatabaseTransaction, ids: Ids, mut words: Words) -> Result<bool, DbErr> {
    let backend = transaction.get_database_backend();
    let found = Statement::from_sql_and_values(backend, found_sql(backend), ids.map(Value::from));
    let mut found = transaction
        .query_all_raw(found)
        .await?
        .iter()
        .map(|row| Ok((row.try_get_by_index::<i64>(0)?, row.try_get_by_index::<Uuid>(1)?)))
        .collect::<Result<Vec<_>, DbErr>>()?;
    found.sort_unstable();
    if found.iter().any(|(_, id)| !words.contains_key(id)) {
        // Committed since: later than it should be.
        words = read(transaction, ids).await?;
    }
    let found = found
        .into_iter()
        .filter_map(|(number, id)| Some((number, id, words.remove(&id)?)));
    if backend == DatabaseBackend::Sqlite {
        let rows = found
            .map(|(number, _, (_, words))| json!([number, words]))
            .collect::<Vec<_>>();
        if rows.is_empty() {
            return Ok(false);
        }
        let add =
            Statement::from_sql_and_values(backend, ADD, [Value::from(serde_json::Value::from(rows).to_string())]);
        return transaction.execute_raw(add).await.map(|_| true);
    }
    let rows = found.map(|(_, id, (client, words))| [id.into(), client.into(), words.into()]);
    let rows = rows.collect::<Vec<_>>();
    if rows.is_empty() {
        return Ok(false);
    }
    // Words have letters and digits only.
    let text = "INSERT INTO lead_words (lead_id, client_id, words) \
                SELECT id, client_id, array_to_tsvector(string_to_array(words, ' ')) FROM (";
    let mut sql = Sql::new(backend, text);
    sql.rows(rows);
    sql.push(") AS leads (id, client_id, words)");
    sql.push(UNLESS_THERE);
    sql.execute(transaction).await.map(|_| true)
}

/// Leads with ids in a range that aren't erased, each with a number.
pub(crate) const fn found_sql(backend: DatabaseBackend) -> &'static str {
    match backend {
        DatabaseBackend::Sqlite => NUMBERING,
        _ => LIVING,
    }
}

/// Gives leads numbers in the order of their ids, unless they have one. SQLite's.
const NUMBERING: &str = "INSERT INTO searchable_leads (lead_id) SELECT id FROM leads WHERE id >= ? AND id < ? AND erased_at IS NULL \
                         ORDER BY id ON CONFLICT DO NOTHING RETURNING number, lead_id";
/// And `PostgreSQL`'s, where leads need none.
const LIVING: &str = "SELECT CAST(0 AS BIGINT), id FROM leads WHERE id >= $1 AND id < $2 AND erased_at IS NULL";
/// A list of numbers with their words, in one text: however many there are, the statement is the same.
const ADD: &str = "INSERT INTO lead_words (rowid, words) SELECT value ->> 0, value ->> 1 FROM json_each(?)";
const REMOVE: &str =
    "INSERT INTO lead_words (lead_words, rowid, words) SELECT 'delete', value ->> 0, value ->> 1 FROM json_each(?)";

fn joined(row: &Model) -> String {
    words_of(row).into_iter().collect::<Vec<_>>().join(" ")
}

/// All words of a lead as SQLite's index has them, the client's first.
fn sqlite_words(row: &Model) -> String {
    format!("{} {}", client_word(row.client_id), joined(row))
}

/// A word that no text makes: words of texts are shorter.
pub(crate) fn client_word(client: Uuid) -> String {
    format!("clientclientclient{}", client.simple())
}

pub(crate) fn words_of(row: &Model) -> BTreeSet<String> {
    let texts = [
        Some(&row.name),
        Some(&row.email),
        row.phone.as_ref(),
        row.message.as_ref(),
    ];
    words(texts.into_iter().flatten().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use sensei_domain::{LeadId, NewLead};

    use super::*;
    use crate::plans::open;
    use crate::{Actor, CaptureLead, CaptureRequest, DatabaseUrl, NewClient, Store};

    async fn lead(store: &Store, client: ClientId) -> LeadId {
        let id = LeadId::new(store.now());
        let request = CaptureRequest {
            client_id: client,
            leads: vec![CaptureLead {
                id,
                lead: NewLead::sample(),
            }],
            captured_at: store.now(),
            idempotency: None,
        };
        store.capture(request).await.expect("captured");
        id
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_erased_or_captured_after_the_reading_is_seen_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(DatabaseUrl::Sqlite(folder.path().join("sensei.db"))).await;
        let new = NewClient {
            name: "Acme Corp".parse().expect("a name"),
            lead_webhook_url: None,
        };
        let client = store
            .create_client(new, &Actor::System)
            .await
            .expect("created")
            .client
            .id;
        let (kept, erased) = (lead(&store, client).await, lead(&store, client).await);
        let ids = [Uuid::nil(), Uuid::max()];
        let words = read(&store.connections().reader, ids).await.expect("read");
        assert_eq!(words.len(), 2);
        store.erase_lead(client, erased, &Actor::System).await.expect("erased");
        let later = lead(&store, client).await;
        let transaction = store.connections().begin().await.expect("begun");
        add(&transaction, ids, words).await.expect("added");
        transaction.commit().await.expect("committed");
        let reader = &store.connections().reader;
        let all = "SELECT lead_id, (SELECT count(*) FROM lead_words WHERE lead_words MATCH 'sample' AND rowid = number) \
                   FROM searchable_leads ORDER BY number";
        let all = Statement::from_string(DatabaseBackend::Sqlite, all);
        let rows = reader.query_all_raw(all).await.expect("read");
        let rows = rows.iter().map(|row| {
            let (id, words): (Uuid, i64) = (
                row.try_get_by_index(0).expect("an id"),
                row.try_get_by_index(1).expect("a count"),
            );
            (id, words)
        });
        assert_eq!(rows.collect::<Vec<_>>(), [(kept.as_uuid(), 1), (later.as_uuid(), 1)]);
    }
}
