//! The rows of a batch of leads, in as few statements as there can be: each is a way to the database and back.

use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, Value};

use crate::multi_row::{self, LARGEST_CHUNK, Sql, Table, UNLESS_THERE};
use crate::suspected::SUSPECTED;
use crate::unmatched::UNMATCHED;

/// A lead's rows.
#[derive(Clone)]
pub(super) struct Born {
    pub(super) lead: [Value; 9],
    pub(super) event: [Value; 6],
    pub(super) deliveries: Vec<[Value; 9]>,
}

const LEADS: Table<9> = Table {
    name: "leads",
    columns: [
        "id",
        "client_id",
        "name",
        "email",
        "phone",
        "message",
        "session_id",
        "custom",
        "created_at",
    ],
    constants: &[],
};
const EVENTS: Table<6> = Table {
    name: "events",
    columns: ["id", "client_id", "lead_id", "type", "body", "created_at"],
    constants: &[],
};
const DELIVERIES: Table<9> = Table {
    name: "deliveries",
    columns: [
        "id",
        "client_id",
        "event_id",
        "lead_id",
        "destination_id",
        "state",
        "due_at",
        "lease",
        "created_at",
    ],
    constants: &[("attempt_count", "0"), ("scheduled_attempts", "0")],
};

/// Inserts these, in no order, and then deliveries of them that a filter keeps from being attempted.
pub(super) async fn insert(
    transaction: &DatabaseTransaction,
    born: Vec<Born>,
    unmatched: Vec<[Value; 11]>,
) -> Result<(), DbErr> {
    insert_born(transaction, born).await?;
    multi_row::insert(transaction, &UNMATCHED, unmatched).await
}

/// Inserts leads that are kept back, and why.
pub(super) async fn insert_suspected(
    transaction: &DatabaseTransaction,
    suspected: Vec<([Value; 9], [Value; 4])>,
) -> Result<(), DbErr> {
    let (leads, reasons) = suspected.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
    multi_row::insert(transaction, &LEADS, leads).await?;
    multi_row::insert(transaction, &SUSPECTED, reasons).await
}

/// Inserts what leads get that are there already: events, and deliveries.
pub(super) async fn insert_released(
    transaction: &DatabaseTransaction,
    born: Vec<Born>,
    unmatched: Vec<[Value; 11]>,
) -> Result<(), DbErr> {
    for Born { event, deliveries, .. } in born {
        multi_row::insert(transaction, &EVENTS, [event]).await?;
        multi_row::insert(transaction, &DELIVERIES, deliveries).await?;
    }
    multi_row::insert(transaction, &UNMATCHED, unmatched).await
}

async fn insert_born(transaction: &DatabaseTransaction, mut left: Vec<Born>) -> Result<(), DbErr> {
    let backend = transaction.get_database_backend();
    if backend == DatabaseBackend::Postgres {
        return insert_together(transaction, left).await;
    }
    // Those with as many deliveries go together, so that the different texts are few.
    left.sort_by_key(|born| born.deliveries.len());
    while let Some(first) = left.first() {
        let deliveries = first.deliveries.len();
        let alike = left.iter().take_while(|born| born.deliveries.len() == deliveries);
        let most = (LARGEST_CHUNK / deliveries.max(1)).max(1);
        let alike = alike.count().min(most);
        let size = size(alike).min(most);
        let rest = left.split_off(size.min(alike));
        let mut now = std::mem::replace(&mut left, rest);
        // Filled up with one of them: a row that is there already is left alone.
        if let Some(again) = now.last().cloned() {
            now.resize(size, again);
        }
        insert_together(transaction, now).await?;
    }
    Ok(())
}

/// How many of as many leads go into a statement; more, if it is to be filled up: a few rows in vain cost less than another way.
/// A power of two, or one and a half times one.
fn size(leads: usize) -> usize {
    let power = 1 << leads.max(1).ilog2();
    let sizes = [power, power + power / 2, 2 * power];
    let fits = |size: &usize| *size >= leads && *size - leads <= leads / 8 + 1;
    let below = sizes.into_iter().rev().find(|size| *size <= leads);
    sizes.into_iter().find(fits).or(below).unwrap_or(power)
}

async fn insert_together(transaction: &DatabaseTransaction, all: Vec<Born>) -> Result<(), DbErr> {
    if all.is_empty() {
        return Ok(());
    }
    let mut sql = Sql::new(transaction.get_database_backend(), "");
    let left = write(&mut sql, all);
    sql.execute(transaction).await?;
    multi_row::insert(transaction, &DELIVERIES, left).await
}

/// Goes on with inserting these; gives back the deliveries that are too many for a statement.
pub(super) fn write(sql: &mut Sql, all: Vec<Born>) -> Vec<[Value; 9]> {
    let (mut leads, mut events, mut deliveries) = (Vec::new(), Vec::new(), Vec::new());
    for born in all {
        leads.push(born.lead);
        events.push(born.event);
        deliveries.extend(born.deliveries);
    }
    // Where a batch may be filled up.
    let is_sqlite = sql.backend() == DatabaseBackend::Sqlite;
    let unless_there = if is_sqlite { UNLESS_THERE } else { "" };
    LEADS.insert(sql, leads);
    sql.push(unless_there);
    sql.then();
    EVENTS.insert(sql, events);
    sql.push(unless_there);
    if deliveries.is_empty() || (is_sqlite && deliveries.len() > LARGEST_CHUNK) {
        return deliveries;
    }
    sql.then();
    DELIVERIES.insert(sql, deliveries);
    sql.push(unless_there);
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_few_and_fill_up_little() {
        for leads in 1..=LARGEST_CHUNK {
            let size = size(leads);
            let odd = size >> size.trailing_zeros();
            assert!(odd == 1 || odd == 3, "{leads} leads in {size}");
            assert!(
                size <= leads + leads / 8 + 1 && 2 * size > leads,
                "{leads} leads in {size}"
            );
        }
    }
}
