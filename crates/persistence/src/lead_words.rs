//! The index of words as it is written: a lead's words added and removed. On SQLite in a table of its kind, which finds words by their beginning; on
//! PostgreSQL as a column of that sort.

use std::collections::BTreeSet;

use sea_orm::sea_query::ArrayType;
use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, Statement, Value};
use sensei_domain::ClientId;
use uuid::Uuid;

use crate::entities::leads::Model;
use crate::leads;
use crate::multi_row::Sql;
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
    for row in rows.iter().filter(|row| row.erased_at.is_none()) {
        let sql = "DELETE FROM searchable_leads WHERE lead_id = ? RETURNING number";
        let removed = Statement::from_sql_and_values(backend, sql, [row.id.into()]);
        let Some(removed) = transaction.query_one_raw(removed).await? else {
            continue;
        };
        let number: i64 = removed.try_get_by_index(0)?;
        let sql = "INSERT INTO lead_words (lead_words, rowid, words) VALUES ('delete', ?, ?)";
        let values: [Value; 2] = [number.into(), sqlite_words(row).into()];
        let remove = Statement::from_sql_and_values(backend, sql, values);
        transaction.execute_raw(remove).await?;
    }
    Ok(())
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

/// Adds the words of these leads, but for those that are there.
pub(crate) async fn add(transaction: &DatabaseTransaction, rows: &[Model]) -> Result<(), DbErr> {
    let backend = transaction.get_database_backend();
    if backend == DatabaseBackend::Postgres {
        for row in rows {
            let words = words_of(row).into_iter().map(Value::from).collect::<Vec<_>>();
            let values: [Value; 3] = [
                row.id.into(),
                row.client_id.into(),
                Value::Array(ArrayType::String, Some(Box::new(words))),
            ];
            let sql = "INSERT INTO lead_words (lead_id, client_id, words) VALUES ($1, $2, array_to_tsvector($3)) \
                       ON CONFLICT DO NOTHING";
            transaction
                .execute_raw(Statement::from_sql_and_values(backend, sql, values))
                .await?;
        }
        return Ok(());
    }
    for row in rows {
        let sql = "INSERT INTO searchable_leads (lead_id) VALUES (?) ON CONFLICT DO NOTHING RETURNING number";
        let added = Statement::from_sql_and_values(backend, sql, [row.id.into()]);
        let Some(added) = transaction.query_one_raw(added).await? else {
            continue;
        };
        let number: i64 = added.try_get_by_index(0)?;
        let sql = "INSERT INTO lead_words (rowid, words) VALUES (?, ?)";
        let values: [Value; 2] = [number.into(), sqlite_words(row).into()];
        transaction
            .execute_raw(Statement::from_sql_and_values(backend, sql, values))
            .await?;
    }
    Ok(())
}

/// All words of a lead as SQLite's index has them, the client's first.
fn sqlite_words(row: &Model) -> String {
    let words = words_of(row).into_iter().collect::<Vec<_>>().join(" ");
    format!("{} {words}", client_word(row.client_id))
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
