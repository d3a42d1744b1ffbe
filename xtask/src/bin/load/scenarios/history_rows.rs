//! A log of deliveries that were made long ago, written with SQL while the system is down: captured, they would take hours.
//!
//! Each row is as the system writes it; of very many without bodies and messages, which nothing reads then: so ten million deliveries
//! take some 6 GB. They lie over all destinations that there are, in the order of their times.

use std::fs::File;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sea_orm::{ConnectionTrait as _, DatabaseBackend, DatabaseConnection};
use sensei_domain::{Clock as _, SystemClock};

use crate::system::System;

/// Rows that one statement writes.
const CHUNK: u64 = 250_000;
/// How far they reach back, in milliseconds.
const SPAN: i64 = 20 * 24 * 3_600 * 1_000;

/// Adding up and indexing rest for much longer than they work.
const CAUGHT_UP_WITHIN: Duration = Duration::from_hours(2);

/// What comes first: quickly, and the file is whole before the system opens it.
const SQLITE_FIRST: &[&str] = &["PRAGMA synchronous = OFF", "PRAGMA cache_size = -262144"];
const SQLITE_LAST: &[&str] = &["PRAGMA wal_checkpoint(TRUNCATE)"];
const POSTGRES_LAST: &[&str] = &["VACUUM ANALYZE", "CHECKPOINT"];

const PLACES: &[&str] = &[
    "CREATE TEMP TABLE place AS SELECT row_number() OVER (ORDER BY id) - 1 AS number, id, client_id \
     FROM destinations WHERE deleted_at IS NULL",
    "CREATE UNIQUE INDEX place_number ON place (number)",
];
/// As large as what the system would write.
const BODY: &str = r#"{"event":"lead.created","timestamp":"2024-11-24T10:30:00.000Z","data":{"id":"0193a2b5-0000-7000-8000-000000000001","name":"John Doe","email":"john@example.com","phone":"+1234567890","message":"I need a quote for enterprise plan","clientId":"d454991a-eddb-4e81-959d-87c868e050ca","clientName":"Acme Corp","sessionId":"0193a2b5-0000-7000-8000-000000000000"}}"#;
/// A chunk of the rows. `numbers` and the ids are the database's own way of writing them.
const ROWS: &[&str] = &[
    "INSERT INTO leads (id, client_id, name, email, phone, message, created_at) \
     SELECT {lead}, p.client_id, 'John Doe', 'john@example.com', {phone}, {message}, at FROM ({numbers}) AS n JOIN place p ON p.number = l % {places} WHERE n % {share} = 0",
    "INSERT INTO events (id, client_id, lead_id, type, body, created_at) \
     SELECT {event}, p.client_id, {lead}, 'lead.created', {body}, at FROM ({numbers}) AS n JOIN place p ON p.number = l % {places} \
     WHERE n % {share} = 0",
    "INSERT INTO deliveries (id, client_id, event_id, lead_id, destination_id, state, attempt_count, scheduled_attempts, \
     created_at, completed_at) \
     SELECT {delivery}, p.client_id, {event}, {lead}, p.id, 'succeeded', 1, 1, at, at + 2 \
     FROM ({numbers}) AS n JOIN place p ON p.number = l % {places}",
    "INSERT INTO attempts (delivery_id, number, client_id, lease, trigger_name, started_at, duration_ms, outcome, status_code) \
     SELECT {delivery}, 1, p.client_id, n + 1, 'first', at, 1, 'delivered', 200 \
     FROM ({numbers}) AS n JOIN place p ON p.number = l % {places}",
];

/// What is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct History {
    /// Deliveries, each with its attempt.
    pub(super) deliveries: u64,
    /// All to its client's one destination.
    pub(super) deliveries_a_lead: u64,
    /// With what a lead says, and the body that is delivered.
    pub(super) has_bodies: bool,
}

/// Writes a log. The system must have ended.
pub(super) async fn fill(system: &System, history: History) -> Result<()> {
    let History {
        deliveries: count,
        deliveries_a_lead,
        has_bodies,
    } = history;
    let connection = system.connect().await?;
    let is_sqlite = connection.get_database_backend() == DatabaseBackend::Sqlite;
    let (first, last) = if is_sqlite {
        (SQLITE_FIRST, SQLITE_LAST)
    } else {
        (&[][..], POSTGRES_LAST)
    };
    for sql in first.iter().chain(PLACES) {
        execute(&connection, sql).await?;
    }
    let places = one_number(&connection, "SELECT count(*) FROM place").await?;
    let begin = SystemClock.now().as_millis() - SPAN;
    let mut from = 0;
    while from < count {
        let to = count.min(from + CHUNK);
        for template in ROWS {
            let sql = written(template, is_sqlite, has_bodies)
                .replace("{from}", &from.to_string())
                .replace("{to}", &(to - 1).to_string())
                .replace("{begin}", &begin.to_string())
                .replace("{span}", &SPAN.to_string())
                .replace("{count}", &count.to_string())
                .replace("{places}", &places.to_string())
                .replace("{share}", &deliveries_a_lead.to_string());
            execute(&connection, &sql).await?;
        }
        from = to;
    }
    for sql in last {
        execute(&connection, sql).await?;
    }
    connection.close().await?;
    if let Some(path) = system.database().sqlite_path() {
        // Else the kernel would write it to the disk half a minute later, beside what is measured. PostgreSQL has by its last statement.
        File::open(path)?.sync_all()?;
    }
    Ok(())
}

/// Does now what a database does by itself at times.
pub(super) async fn tidy(system: &System) -> Result<()> {
    let connection = system.connect().await?;
    if connection.get_database_backend() == DatabaseBackend::Postgres {
        for sql in POSTGRES_LAST {
            execute(&connection, sql).await?;
        }
    }
    Ok(connection.close().await?)
}

/// A template in the words of a database. Ids are UUIDs of version 7: of the row's time, its table and its number.
fn written(template: &str, is_sqlite: bool, has_bodies: bool) -> String {
    let numbers = if is_sqlite {
        "WITH RECURSIVE i (n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM i WHERE n < {to}) \
         SELECT n, n / {share} AS l, {begin} + n * {span} / {count} AS at, \
         {begin} + n / {share} * {share} * {span} / {count} AS of_lead FROM i"
    } else {
        "SELECT n, n / {share} AS l, {begin}::bigint + n * {span} / {count} AS at, \
         {begin}::bigint + n / {share} * {share} * {span} / {count} AS of_lead FROM generate_series({from}::bigint, {to}) AS n"
    };
    let (text, phone, message) = if has_bodies {
        (BODY, "'+1234567890'", "'I need a quote for enterprise plan'")
    } else {
        ("{}", "NULL", "NULL")
    };
    let body = if is_sqlite {
        format!("CAST('{text}' AS BLOB)")
    } else {
        format!("convert_to('{text}', 'UTF8')")
    };
    let id = |table: u8, at: &str, number: &str| {
        if is_sqlite {
            format!("unhex(printf('%012x700{table}8000%012x', {at}, {number}))")
        } else {
            format!("(lpad(to_hex({at}), 12, '0') || '700{table}8000' || lpad(to_hex({number}), 12, '0'))::uuid")
        }
    };
    template
        .replace("{lead}", &id(1, "of_lead", "l"))
        .replace("{event}", &id(2, "of_lead", "l"))
        .replace("{delivery}", &id(3, "at", "n"))
        .replace("{body}", &body)
        .replace("{phone}", phone)
        .replace("{message}", message)
        .replace("{numbers}", numbers)
}

async fn execute(connection: &DatabaseConnection, sql: &str) -> Result<()> {
    let done = connection.execute_unprepared(sql).await;
    done.with_context(|| format!("filling: {sql}"))?;
    Ok(())
}

/// What was written has times at which nothing was: adding up and indexing have passed them. The system must have ended.
pub(super) async fn from_the_beginning(system: &System) -> Result<()> {
    let connection = system.connect().await?;
    let forget = "DELETE FROM store_facts WHERE name IN ('rollups.until', 'search.until')";
    execute(&connection, forget).await?;
    Ok(connection.close().await?)
}

/// Waits until all is added up and indexed but the last moments.
pub(super) async fn caught_up(system: &System) -> Result<()> {
    let deadline = Instant::now() + CAUGHT_UP_WITHIN;
    let connection = system.connect().await?;
    let behind = "SELECT min(CAST(value AS BIGINT)) FROM store_facts WHERE name IN ('rollups.until', 'search.until') \
                  HAVING count(*) = 2 UNION ALL SELECT 0 LIMIT 1";
    while one_number(&connection, behind).await? < SystemClock.now().as_millis() - 60_000 {
        ensure!(Instant::now() < deadline, "numbers or words are still behind");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    connection.close().await?;
    Ok(())
}

/// What a query with one number answers.
pub(super) async fn one_number(connection: &DatabaseConnection, sql: &str) -> Result<i64> {
    let statement = sea_orm::Statement::from_string(connection.get_database_backend(), sql);
    let row = connection.query_one_raw(statement).await?;
    Ok(row.context("a count is a row")?.try_get_by_index(0)?)
}
