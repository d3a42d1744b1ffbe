//! A batch of leads in one statement, which is a transaction by itself: each is a way to the database and back.
//!
//! On PostgreSQL several statements are one. On SQLite they are rows of a view, whose trigger writes what a lead leaves.

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, RuntimeErr, Value};
use sensei_domain::ClientId;

use super::rows::{self, Born};
use crate::directory::{self, Addressee, Addressees};
use crate::error::{is_raised, is_there_already};
use crate::multi_row::Sql;
use crate::unmatched::UNMATCHED;

/// Of more leads, as they come in a closed loop of 64, the ways that are saved made no difference that could be measured.
pub(super) const FEW: usize = 8;

/// Writes them on PostgreSQL. False, and nothing is written, where a client has changed since it was read.
pub(super) async fn write_statements(
    connection: &impl ConnectionTrait,
    born: Vec<Born>,
    unmatched: Vec<[Value; 11]>,
    addressees: &Addressees,
) -> Result<bool, DbErr> {
    let mut sql = Sql::new(DatabaseBackend::Postgres, "");
    directory::are_unchanged(&mut sql, addressees);
    sql.only_if();
    let all = born.iter().map(|born| 2 + born.deliveries.len() as u64);
    let all = all.sum::<u64>() + unmatched.len() as u64;
    rows::write(&mut sql, born);
    if !unmatched.is_empty() {
        sql.then();
        UNMATCHED.insert(&mut sql, unmatched);
    }
    match sql.execute(connection).await? {
        0 => Ok(false),
        written if written == all => Ok(true),
        // It is committed by now, and must not be repeated.
        written => {
            let text = format!("{written} of {all} rows of a batch were written");
            Err(DbErr::Conn(RuntimeErr::Internal(text)))
        }
    }
}

/// Whether a lead of this client is one row of the view: it has one delivery at most.
pub(super) fn is_simple(addressee: &Addressee) -> bool {
    match &addressee.destinations[..] {
        [] => true,
        [bound] => bound.filter().is_none(),
        _ => false,
    }
}

/// Writes them on SQLite. False, and nothing is written, where a client has changed since it was read.
pub(super) async fn write_rows(
    connection: &impl ConnectionTrait,
    born: Vec<Born>,
    addressees: &Addressees,
) -> Result<bool, DbErr> {
    let mut rows = Vec::with_capacity(born.len());
    for born in born {
        let Some(addressee) = addressee(&born, addressees) else {
            return Ok(false);
        };
        rows.push(row(born, addressee));
    }
    let mut sql = Sql::new(DatabaseBackend::Sqlite, "INSERT INTO captures ");
    sql.rows(rows);
    match sql.execute(connection).await {
        Ok(_) => Ok(true),
        Err(error) if is_raised(&error) || is_there_already(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn addressee<'a>(born: &Born, addressees: &'a Addressees) -> Option<&'a Addressee> {
    let [_, Value::Uuid(Some(client)), ..] = &born.lead else {
        return None;
    };
    addressees.get(&ClientId::from_uuid(*client)).map(AsRef::as_ref)
}

/// A row of the view, in the order of its columns.
fn row(born: Born, addressee: &Addressee) -> [Value; 21] {
    let [lead, client, name, email, phone, message, session, custom, captured_at] = born.lead;
    let [event, _, _, kind, body, _] = born.event;
    let none = || [const { Value::Bytes(None) }; 9];
    let delivery = born.deliveries.into_iter().next().unwrap_or_else(none);
    let [delivery, _, _, _, destination, state, due_at, lease, created_at] = delivery;
    [
        lead,
        client,
        name,
        email,
        phone,
        message,
        session,
        custom,
        captured_at,
        event,
        kind,
        body,
        delivery,
        destination,
        state,
        due_at,
        lease,
        created_at,
        addressee.name.as_str().into(),
        addressee.include_custom_fields.into(),
        addressee.version.into(),
    ]
}
