//! Statements of many rows: as few as there can be, and few different ones.
//!
//! Rows go in chunks whose sizes are powers of two: each length is another prepared statement,
//! and a connection remembers only so many.

use std::fmt::Write as _;

use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, Statement, Value};

/// 128 rows of 14 columns are well under SQLite's 32,766 parameters.
pub(crate) const LARGEST_CHUNK: usize = 128;

/// A statement as it is written: its text, and the values of its placeholders in their order.
#[derive(Debug)]
pub(crate) struct Sql {
    backend: DatabaseBackend,
    text: String,
    values: Vec<Value>,
}

impl Sql {
    pub(crate) fn new(backend: DatabaseBackend, text: &str) -> Self {
        Self {
            backend,
            text: text.to_owned(),
            values: Vec::new(),
        }
    }

    /// Goes on with this text.
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Goes on with a value.
    pub(crate) fn value(&mut self, value: impl Into<Value>) {
        self.values.push(value.into());
        match self.backend {
            DatabaseBackend::Postgres => {
                write!(self.text, "${}", self.values.len()).expect("writing to a String can't fail");
            }
            // Without a number: SQLite looks numbered ones up by their names, each in a list of all of them.
            _ => self.text.push('?'),
        }
    }

    /// Goes on with `1, 2, 3`.
    pub(crate) fn list(&mut self, values: impl IntoIterator<Item = impl Into<Value>>) {
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.push(", ");
            }
            self.value(value);
        }
    }

    /// Goes on with `(1, 2), (3, 4)`.
    pub(crate) fn rows<const COLUMNS: usize>(&mut self, rows: impl IntoIterator<Item = [Value; COLUMNS]>) {
        for (index, row) in rows.into_iter().enumerate() {
            self.push(if index == 0 { "(" } else { ", (" });
            self.list(row);
            self.push(")");
        }
    }

    /// Begins another statement, sent with this one. On SQLite alone.
    pub(crate) fn then(&mut self, other: Self) {
        debug_assert_eq!(
            self.backend,
            DatabaseBackend::Sqlite,
            "PostgreSQL prepares one at a time"
        );
        self.push("; ");
        self.push(&other.text);
        self.values.extend(other.values);
    }

    pub(crate) fn statement(self) -> Statement {
        Statement::from_sql_and_values(self.backend, self.text, self.values)
    }
}

/// Inserts rows, leaving those alone that are there already: ids are made before, so that a
/// transaction of unknown outcome can be repeated.
pub(crate) async fn insert<const COLUMNS: usize>(
    transaction: &DatabaseTransaction,
    table: &Table<COLUMNS>,
    rows: impl IntoIterator<Item = [Value; COLUMNS], IntoIter: ExactSizeIterator + Send> + Send,
) -> Result<(), DbErr> {
    let mut rows = rows.into_iter();
    while rows.len() > 0 {
        let size = chunk(rows.len());
        let insert = table.insert(transaction.get_database_backend(), rows.by_ref().take(size));
        transaction.execute_raw(insert.statement()).await?;
    }
    Ok(())
}

/// A table, and the columns that are written.
#[derive(Debug)]
pub(crate) struct Table<const COLUMNS: usize> {
    pub(crate) name: &'static str,
    pub(crate) columns: [&'static str; COLUMNS],
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// Inserts these rows, in one statement. See [`insert`].
    pub(crate) fn insert(&self, backend: DatabaseBackend, rows: impl IntoIterator<Item = [Value; COLUMNS]>) -> Sql {
        let mut sql = Sql::new(backend, "INSERT INTO ");
        sql.push(self.name);
        sql.push(" (");
        sql.push(&self.columns.join(", "));
        sql.push(") VALUES ");
        sql.rows(rows);
        sql.push(" ON CONFLICT DO NOTHING");
        sql
    }
}

/// The largest power of two that is at most `left` and [`LARGEST_CHUNK`].
pub(crate) fn chunk(left: usize) -> usize {
    left.min(LARGEST_CHUNK).checked_ilog2().map_or(0, |log| 1 << log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_powers_of_two_and_cover_all_rows() {
        for rows in 0..1_100 {
            let (mut left, mut statements) = (rows, 0);
            while left > 0 {
                let size = chunk(left);
                assert!(size.is_power_of_two() && size <= left && size <= LARGEST_CHUNK);
                left -= size;
                statements += 1;
            }
            assert!(
                statements <= rows / LARGEST_CHUNK + 7,
                "{rows} rows in {statements} statements"
            );
        }
    }

    #[test]
    fn placeholders_are_numbered_for_postgres_alone() {
        let written = |backend| {
            let mut sql = Sql::new(backend, "VALUES ");
            sql.rows([[1.into(), 2.into()], [3.into(), Value::from(4)]]);
            sql.push(" AND id IN (");
            sql.list([5, 6]);
            sql.push(")");
            assert_eq!(sql.values.len(), 6);
            sql.text
        };
        assert_eq!(
            written(DatabaseBackend::Postgres),
            "VALUES ($1, $2), ($3, $4) AND id IN ($5, $6)"
        );
        assert_eq!(
            written(DatabaseBackend::Sqlite),
            "VALUES (?, ?), (?, ?) AND id IN (?, ?)"
        );
    }
}
