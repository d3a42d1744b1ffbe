//! Marks in the database that tell under which master keys its secrets are sealed: better a start that is refused than a delivery.
//!
//! The first to open a database leaves a word there, sealed under its key. Who opens it with a key that takes that one's place leaves a
//! second word before anything is sealed under the new key, and so for as long as there are secrets under either: a start
//! must open both. Once all are sealed under the new key, its word is the only one.

use sea_orm::{ConnectionTrait, DbErr, Statement, Value};
use uuid::Uuid;

use crate::error::{OpenError, StoreError};
use crate::master_key::{MasterKey, SealedPlace};
use crate::master_keys::MasterKeys;

/// Names the mark of the key that secrets are sealed under.
const MARK: &str = "master_key";
/// Names the mark of the key that takes its place.
const NEW_MARK: &str = "new_master_key";

/// Refuses keys under which a secret in the database wouldn't open, and marks the database for the key in use. Of several who start
/// together, one is the first.
pub(crate) async fn refuse_other_keys(
    connection: &impl ConnectionTrait,
    master_keys: &MasterKeys,
) -> Result<(), OpenError> {
    if master_keys.are_alike() {
        return Err(OpenError::SameMasterKey {
            id: master_keys.current_id().to_owned(),
        });
    }
    leave(connection, master_keys, MARK).await?;
    let marks = opened(connection, master_keys).await?;
    if !marks.iter().any(|mark| master_keys.is_current(mark)) {
        leave(connection, master_keys, NEW_MARK).await?;
        // Somebody may have left another's meanwhile.
        opened(connection, master_keys).await?;
    }
    Ok(())
}

/// The marks as they are, to see later whether somebody has changed them.
pub(crate) async fn read(connection: &impl ConnectionTrait) -> Result<Vec<(String, String)>, DbErr> {
    let sql = "SELECT name, value FROM store_facts WHERE name IN ($1, $2)";
    let values = [MARK.into(), NEW_MARK.into()];
    let read = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    let rows = connection.query_all_raw(read).await?;
    rows.iter()
        .map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?)))
        .collect()
}

/// Notes that everything is sealed under the key in use. False, and nothing is noted, if the marks aren't as they were when the look at
/// everything began: somebody else has begun or ended a change of keys meanwhile.
pub(crate) async fn note_all_current(
    connection: &impl ConnectionTrait,
    master_keys: &MasterKeys,
    seen: &[(String, String)],
) -> Result<bool, DbErr> {
    let backend = connection.get_database_backend();
    for (name, value) in seen {
        let statement = if name == MARK {
            let sql = "UPDATE store_facts SET value = $1 WHERE name = $2 AND value = $3";
            let values = [sealed(master_keys, MARK).into(), MARK.into(), value.into()];
            Statement::from_sql_and_values(backend, sql, values)
        } else {
            let sql = "DELETE FROM store_facts WHERE name = $1 AND value = $2";
            Statement::from_sql_and_values(backend, sql, [NEW_MARK.into(), value.into()])
        };
        if connection.execute_raw(statement).await?.rows_affected() != 1 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Leaves a mark unless it is there.
async fn leave(
    connection: &impl ConnectionTrait,
    master_keys: &MasterKeys,
    name: &'static str,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO store_facts (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let values: [Value; 2] = [name.into(), sealed(master_keys, name).into()];
    let insert = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    connection.execute_raw(insert).await?;
    Ok(())
}

/// The marks, if all can be opened.
async fn opened(connection: &impl ConnectionTrait, master_keys: &MasterKeys) -> Result<Vec<String>, OpenError> {
    let mut marks = Vec::new();
    for (name, mark) in read(connection).await.map_err(StoreError::from)? {
        let name = if name == MARK { MARK } else { NEW_MARK };
        if master_keys.open(&place(name), &mark).is_none() {
            return Err(OpenError::OtherMasterKey {
                sealed: MasterKey::id_of_sealed(&mark).to_owned(),
                given: master_keys.ids(),
            });
        }
        marks.push(mark);
    }
    Ok(marks)
}

/// The word is the mark's name.
fn sealed(master_keys: &MasterKeys, name: &'static str) -> String {
    master_keys.seal(&place(name), name.as_bytes())
}

fn place(column: &'static str) -> SealedPlace {
    SealedPlace {
        table: "store_facts",
        row: Uuid::nil(),
        column,
    }
}
