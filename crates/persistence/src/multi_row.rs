//! Statements of many rows: as few as there can be, and few different ones.
//!
//! A connection remembers only so many texts. On SQLite rows go in chunks whose sizes are powers of two. On PostgreSQL
//! a column goes as an array, so that the text is the same for any number of rows; and several statements go as one, since
//! each is a way to the server and back.

use std::fmt::Write as _;
use std::sync::LazyLock;

use sea_orm::sea_query::ArrayType;
use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, Statement, Value};
use uuid::Uuid;

use crate::error::{is_division_by_zero, is_there_already};

/// 128 leads, each with its event and a delivery, are 3,328 parameters: well under SQLite's 32,766. Of twice as many outcomes it doesn't look their
/// deliveries up by id any more, but goes through all that there are.
pub(crate) const LARGEST_CHUNK: usize = 128;
/// After an insert: what is there already is left alone. On PostgreSQL it costs another search of each unique index, and an entry
/// in its log for each row.
pub(crate) const UNLESS_THERE: &str = " ON CONFLICT DO NOTHING";
/// Stands for NULL in an array of texts, since the library's arrays can't hold one. Nobody can guess it, nor so write it into a lead.
static NO_TEXT: LazyLock<String> = LazyLock::new(|| format!("null-{:032x}", rand::random::<u128>()));

/// A statement as it is written, or several: its text, and the values of its placeholders in their order.
#[derive(Debug)]
pub(crate) struct Sql {
    backend: DatabaseBackend,
    /// Statements that are whole and come first.
    before: Vec<String>,
    /// On PostgreSQL, a query of one truth: rows are given only if it holds.
    condition: Option<String>,
    text: String,
    values: Vec<Value>,
    /// On PostgreSQL, the ids of the last rows: their first column.
    ids: Vec<Uuid>,
}

impl Sql {
    pub(crate) fn new(backend: DatabaseBackend, text: &str) -> Self {
        Self {
            backend,
            before: Vec::new(),
            condition: None,
            text: text.to_owned(),
            values: Vec::new(),
            ids: Vec::new(),
        }
    }

    pub(crate) const fn backend(&self) -> DatabaseBackend {
        self.backend
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

    /// Goes on with a condition: `IN (1, 2, 3)`.
    pub(crate) fn among(&mut self, ids: impl IntoIterator<Item = Uuid>) {
        if self.backend == DatabaseBackend::Postgres {
            self.push("= ANY(");
            let ids = ids.into_iter().map(Value::from).collect::<Vec<_>>();
            self.value(Value::Array(ArrayType::Uuid, Some(Box::new(ids))));
        } else {
            self.push("IN (");
            self.list(ids.into_iter().map(Value::from));
        }
        self.push(")");
    }

    /// Goes on with rows, as a table without names: `VALUES (1, 2), (3, 4)`. There must be one.
    pub(crate) fn rows<const COLUMNS: usize>(&mut self, rows: impl IntoIterator<Item = [Value; COLUMNS]>) {
        self.rows_with(rows, &[]);
    }

    /// The same, with further columns at the end, which are the same in all rows and written as they are: what isn't sent costs nothing.
    pub(crate) fn rows_with<const COLUMNS: usize>(
        &mut self,
        rows: impl IntoIterator<Item = [Value; COLUMNS]>,
        constants: &[&str],
    ) {
        let constants = constants.iter().fold(String::new(), |all, one| all + ", " + one);
        if self.backend == DatabaseBackend::Postgres {
            self.arrays(rows, &constants);
            return;
        }
        for (index, row) in rows.into_iter().enumerate() {
            self.push(if index == 0 { "VALUES (" } else { ", (" });
            self.list(row);
            self.push(&constants);
            self.push(")");
        }
    }

    fn list(&mut self, values: impl IntoIterator<Item = Value>) {
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.push(", ");
            }
            self.value(value);
        }
    }

    /// Goes on with what the last rows say already: that a column is one of their ids. PostgreSQL then finds a table's rows by its index
    /// whatever it thinks of the table's size: by a plan that was made while a table was tiny it would go through all of it.
    pub(crate) fn and_among_them(&mut self, column: &str) {
        if self.backend == DatabaseBackend::Postgres {
            self.push(" AND ");
            self.push(column);
            self.push(" ");
            let ids = std::mem::take(&mut self.ids);
            self.among(ids);
        }
    }

    /// `SELECT c1, NULLIF(c2, '...') FROM unnest($1, $2) AS given (c1, c2)`.
    fn arrays<const COLUMNS: usize>(&mut self, rows: impl IntoIterator<Item = [Value; COLUMNS]>, constants: &str) {
        let mut columns = [(); COLUMNS].map(|()| Vec::new());
        self.ids.clear();
        for row in rows {
            if let Some(Value::Uuid(Some(id))) = row.first() {
                self.ids.push(*id);
            }
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(value);
            }
        }
        let columns = columns.map(Column::of);
        for (index, column) in columns.iter().enumerate() {
            self.push(if index == 0 { "SELECT " } else { ", " });
            match &column.null {
                Some(null) => write!(self.text, "NULLIF(c{index}, '{null}')"),
                None => write!(self.text, "c{index}"),
            }
            .expect("writing to a String can't fail");
        }
        self.push(constants);
        let mut names = String::new();
        for (index, column) in columns.into_iter().enumerate() {
            self.push(if index == 0 { " FROM unnest(" } else { ", " });
            self.value(column.array);
            self.push(column.cast);
            let comma = if index == 0 { "" } else { ", " };
            write!(names, "{comma}c{index}").expect("writing to a String can't fail");
        }
        write!(self.text, ") AS given ({names})").expect("writing to a String can't fail");
        if self.condition.is_some() {
            self.push(" WHERE (SELECT holds FROM condition)");
        }
    }

    /// What was written so far is a query of one truth: whether the rows that follow are given. On PostgreSQL alone.
    pub(crate) fn only_if(&mut self) {
        debug_assert_eq!(
            self.backend,
            DatabaseBackend::Postgres,
            "there alone are several statements one"
        );
        self.condition = Some(std::mem::take(&mut self.text));
    }

    /// Begins another statement, sent with this one. On PostgreSQL none of them sees what the others write.
    pub(crate) fn then(&mut self) {
        self.before.push(std::mem::take(&mut self.text));
    }

    /// A statement alone.
    pub(crate) fn statement(self) -> Statement {
        debug_assert!(self.before.is_empty(), "several statements are executed");
        Statement::from_sql_and_values(self.backend, self.text, self.values)
    }

    /// Runs what writes rows; says how many, of all statements together.
    pub(crate) async fn execute(self, connection: &impl ConnectionTrait) -> Result<u64, DbErr> {
        self.run("", connection).await
    }

    /// Runs what is to write so many rows, of all statements together.
    pub(crate) async fn execute_exactly(
        mut self,
        rows: usize,
        connection: &impl ConnectionTrait,
    ) -> Result<Written, DbErr> {
        let has_condition = self.condition.is_some();
        let exactly = i64::try_from(rows).unwrap_or(i64::MAX);
        // By an error, since nothing else undoes a statement that is a transaction by itself.
        let refusal = if self.backend == DatabaseBackend::Postgres {
            self.values.push(exactly.into());
            format!(
                " / (CASE WHEN written IN (0, ${}) THEN 1 ELSE 0 END)",
                self.values.len()
            )
        } else {
            String::new()
        };
        match self.run(&refusal, connection).await {
            Ok(written) if written == rows as u64 => Ok(Written::All),
            Ok(0) if has_condition => Ok(Written::Nothing),
            Ok(_) => Ok(Written::Others),
            Err(error) if is_division_by_zero(&error) || is_there_already(&error) => Ok(Written::Others),
            Err(error) => Err(error),
        }
    }

    async fn run(mut self, refusal: &str, connection: &impl ConnectionTrait) -> Result<u64, DbErr> {
        let mut all = std::mem::take(&mut self.before);
        all.push(std::mem::take(&mut self.text));
        let statement = |text| Statement::from_sql_and_values(self.backend, text, self.values);
        if self.backend != DatabaseBackend::Postgres {
            return Ok(connection.execute_raw(statement(all.join("; "))).await?.rows_affected());
        }
        if let ([text], None, "") = (all.as_slice(), &self.condition, refusal) {
            return Ok(connection.execute_raw(statement(text.clone())).await?.rows_affected());
        }
        let condition = self.condition.map(|query| format!("condition (holds) AS ({query})"));
        let written = all.iter().enumerate();
        let written = written.map(|(index, one)| format!("s{index} AS ({one} RETURNING 1)"));
        let parts = condition.into_iter().chain(written).collect::<Vec<_>>().join(", ");
        let counts = (0..all.len()).map(|index| format!("(SELECT count(*) FROM s{index})"));
        let counts = counts.collect::<Vec<_>>().join(" + ");
        let text = format!("WITH {parts} SELECT written{refusal} FROM (SELECT {counts} AS written) AS counts");
        let row = connection.query_one_raw(statement(text)).await?;
        let count = row.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

/// What became of a statement that was to write so many rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// It wrote them.
    All,
    /// Its condition didn't hold.
    Nothing,
    /// Some are otherwise than was thought. A statement that is a transaction by itself has written nothing; another must be rolled back.
    Others,
}

/// A column of rows as one value.
struct Column {
    array: Value,
    cast: &'static str,
    /// What stands for NULL, where there may be one.
    null: Option<String>,
}

impl Column {
    fn of(mut values: Vec<Value>) -> Self {
        let (kind, cast, null) = match values.first() {
            Some(Value::Uuid(_)) => (
                ArrayType::Uuid,
                "::uuid[]",
                Some((Uuid::nil().into(), Uuid::nil().to_string())),
            ),
            Some(Value::BigInt(_)) => (
                ArrayType::BigInt,
                "::bigint[]",
                Some((i64::MIN.into(), i64::MIN.to_string())),
            ),
            Some(Value::String(_)) => (
                ArrayType::String,
                "::text[]",
                Some((NO_TEXT.as_str().into(), NO_TEXT.clone())),
            ),
            Some(Value::Bytes(_)) => (ArrayType::Bytes, "::bytea[]", None),
            Some(Value::Bool(_)) => (ArrayType::Bool, "::boolean[]", None),
            other => unreachable!("no column begins with {other:?}"),
        };
        if let Some((null, _)) = &null {
            for value in values.iter_mut().filter(|value| **value == value.as_null()) {
                value.clone_from(null);
            }
        }
        Self {
            array: Value::Array(kind, Some(Box::new(values))),
            cast,
            null: null.map(|(_, text)| text),
        }
    }
}

/// Inserts rows, leaving those alone that are there already: ids are made before, so that a
/// transaction of unknown outcome can be repeated.
pub(crate) async fn insert<const COLUMNS: usize>(
    transaction: &DatabaseTransaction,
    table: &Table<COLUMNS>,
    rows: impl IntoIterator<Item = [Value; COLUMNS], IntoIter: ExactSizeIterator + Send> + Send,
) -> Result<(), DbErr> {
    let backend = transaction.get_database_backend();
    let mut rows = rows.into_iter();
    while rows.len() > 0 {
        let size = chunk(backend, rows.len());
        let mut sql = Sql::new(backend, "");
        table.insert(&mut sql, rows.by_ref().take(size));
        sql.push(UNLESS_THERE);
        sql.execute(transaction).await?;
    }
    Ok(())
}

/// A table, and the columns that are written.
#[derive(Debug)]
pub(crate) struct Table<const COLUMNS: usize> {
    pub(crate) name: &'static str,
    pub(crate) columns: [&'static str; COLUMNS],
    /// Further columns, which are the same in all rows, as they are written.
    pub(crate) constants: &'static [(&'static str, &'static str)],
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// Goes on with inserting these rows.
    pub(crate) fn insert(&self, sql: &mut Sql, rows: impl IntoIterator<Item = [Value; COLUMNS]>) {
        sql.push("INSERT INTO ");
        sql.push(self.name);
        sql.push(" (");
        sql.push(&self.columns.join(", "));
        for (column, _) in self.constants {
            sql.push(", ");
            sql.push(column);
        }
        sql.push(") ");
        let constants = self.constants.iter().map(|(_, value)| *value).collect::<Vec<_>>();
        sql.rows_with(rows, &constants);
    }
}

/// How many of those that are left go into a statement: on SQLite the largest power of two that is at most
/// as many and [`LARGEST_CHUNK`].
pub(crate) fn chunk(backend: DatabaseBackend, left: usize) -> usize {
    if backend == DatabaseBackend::Postgres {
        return left;
    }
    left.min(LARGEST_CHUNK).checked_ilog2().map_or(0, |log| 1 << log)
}

/// All of these, as they go into statements: see [`chunk`].
pub(crate) fn chunks<T>(backend: DatabaseBackend, mut left: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let (now, rest) = left.split_at(chunk(backend, left.len()));
        left = rest;
        (!now.is_empty()).then_some(now)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_powers_of_two_and_cover_all_rows() {
        for rows in 0..1_100 {
            let (all, mut covered, mut statements) = (vec![(); rows], 0, 0);
            for size in chunks(DatabaseBackend::Sqlite, &all).map(<[()]>::len) {
                assert!(size.is_power_of_two() && size <= LARGEST_CHUNK);
                covered += size;
                statements += 1;
            }
            assert_eq!(covered, rows);
            assert!(
                statements <= rows / LARGEST_CHUNK + 7,
                "{rows} rows in {statements} statements"
            );
        }
    }

    #[test]
    fn text_is_the_same_for_any_number_of_rows_on_postgres() {
        let written = |backend, count: i64| {
            let mut sql = Sql::new(backend, "");
            sql.rows_with(
                (0..count).map(|number| [number.into(), Value::from("a")]),
                &["'b'", "1"],
            );
            sql.push(" WHERE id ");
            sql.among((0..count).map(|_| Uuid::nil()));
            sql.statement().sql
        };
        assert_eq!(
            written(DatabaseBackend::Sqlite, 2),
            "VALUES (?, ?, 'b', 1), (?, ?, 'b', 1) WHERE id IN (?, ?)"
        );
        let of_two = written(DatabaseBackend::Postgres, 2);
        assert_eq!(
            of_two,
            format!(
                "SELECT NULLIF(c0, '-9223372036854775808'), NULLIF(c1, '{}'), 'b', 1 \
                 FROM unnest($1::bigint[], $2::text[]) AS given (c0, c1) WHERE id = ANY($3)",
                *NO_TEXT
            )
        );
        assert_eq!(written(DatabaseBackend::Postgres, 100), of_two);
    }
}
