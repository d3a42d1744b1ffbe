//! Inserting many rows with few statements.
//!
//! Rows go in chunks whose sizes are powers of two: each length is another prepared statement,
//! and a connection remembers only so many.

use std::fmt::Write as _;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Statement, Value};

/// 128 rows of 14 columns are well under SQLite's 32,766 parameters.
pub(crate) const LARGEST_CHUNK: usize = 128;

/// Inserts rows, leaving those alone that are there already: ids are made before, so that a
/// transaction of unknown outcome can be repeated.
pub(crate) async fn insert<const COLUMNS: usize>(
    transaction: &DatabaseTransaction,
    table: &str,
    columns: [&str; COLUMNS],
    rows: Vec<[Value; COLUMNS]>,
) -> Result<(), DbErr> {
    let mut left = rows.len();
    let mut rows = rows.into_iter();
    while left > 0 {
        let size = chunk(left);
        let mut sql = format!("INSERT INTO {table} ({}) VALUES ", columns.join(", "));
        write_rows(&mut sql, size, COLUMNS);
        sql.push_str(" ON CONFLICT DO NOTHING");
        let values: Vec<Value> = rows.by_ref().take(size).flatten().collect();
        let statement = Statement::from_sql_and_values(transaction.get_database_backend(), sql, values);
        transaction.execute_raw(statement).await?;
        left -= size;
    }
    Ok(())
}

/// The largest power of two that is at most `left` and [`LARGEST_CHUNK`].
pub(crate) fn chunk(left: usize) -> usize {
    left.min(LARGEST_CHUNK).checked_ilog2().map_or(0, |log| 1 << log)
}

/// Writes `($1, $2), ($3, $4)`. Both databases take this form.
pub(crate) fn write_rows(sql: &mut String, rows: usize, columns: usize) {
    for row in 0..rows {
        sql.push_str(if row == 0 { "(" } else { ", (" });
        write_placeholders(sql, row * columns, columns);
        sql.push(')');
    }
}

/// Writes `$4, $5, $6` for three placeholders after three others.
pub(crate) fn write_placeholders(sql: &mut String, before: usize, count: usize) {
    for number in before + 1..=before + count {
        let comma = if number == before + 1 { "" } else { ", " };
        write!(sql, "{comma}${number}").expect("writing to a String can't fail");
    }
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
    fn placeholders_count_up_over_rows() {
        let mut sql = String::new();
        write_rows(&mut sql, 2, 3);
        assert_eq!(sql, "($1, $2, $3), ($4, $5, $6)");
    }
}
