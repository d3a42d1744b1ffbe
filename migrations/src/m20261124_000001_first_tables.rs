//! The first tables: clients, what they want, what was captured, and where it went.
//!
//! Written as SQL because it is the same text for both databases but for two column types.
//! Moments are integer milliseconds (cheap to order and compare); bodies are bytes, never JSON
//! columns, because they are sent as they were stored. The tables that every lead writes to have
//! no foreign keys: a lead, its event and its deliveries are born in one transaction that holds
//! the client's row, and each check would be paid on every insert.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261124_000001_first_tables"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// SQLite would otherwise keep the first half of a migration whose second half failed.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (id, bytes) = match manager.get_database_backend() {
            DatabaseBackend::Postgres => ("uuid", "bytea"),
            _ => ("BLOB", "BLOB"),
        };
        let connection = manager.get_connection();
        for statement in STATEMENTS {
            connection
                .execute_unprepared(&statement.replace("{id}", id).replace("{bytes}", bytes))
                .await?;
        }
        Ok(())
    }
}

const STATEMENTS: &[&str] = &[
    // What is true of this database as a whole, e.g. under which master key its secrets are sealed.
    "CREATE TABLE store_facts (
        name TEXT NOT NULL PRIMARY KEY,
        value TEXT NOT NULL
    )",
    "CREATE TABLE clients (
        id {id} NOT NULL PRIMARY KEY,
        name TEXT NOT NULL,
        include_custom_fields BOOLEAN NOT NULL,
        operational_events BOOLEAN NOT NULL DEFAULT FALSE,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL
    )",
    "CREATE TABLE destinations (
        id {id} NOT NULL PRIMARY KEY,
        client_id {id} NOT NULL REFERENCES clients (id),
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        status TEXT NOT NULL,
        status_reason TEXT,
        status_since BIGINT NOT NULL,
        version BIGINT NOT NULL,
        config TEXT NOT NULL,
        retry TEXT NOT NULL,
        rate_limit TEXT,
        ordered BOOLEAN NOT NULL DEFAULT FALSE,
        sealed_secret TEXT NOT NULL,
        previous_sealed_secret TEXT,
        previous_secret_until BIGINT,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        deleted_at BIGINT
    )",
    // A client's destinations, at every capture; and one living destination a name.
    "CREATE UNIQUE INDEX destinations_name ON destinations (client_id, name) WHERE deleted_at IS NULL",
    // What is wrong with a destination: a row from its first failed attempt to its next success.
    "CREATE TABLE destination_health (
        destination_id {id} NOT NULL PRIMARY KEY,
        client_id {id} NOT NULL,
        failing_since BIGINT NOT NULL,
        failed_attempts BIGINT NOT NULL,
        last_error TEXT,
        is_gone BOOLEAN NOT NULL,
        warned_at BIGINT,
        is_announced BOOLEAN NOT NULL,
        recovered_at BIGINT,
        look_at BIGINT
    )",
    "CREATE INDEX destination_health_look ON destination_health (look_at) WHERE look_at IS NOT NULL",
    "CREATE TABLE leads (
        id {id} NOT NULL PRIMARY KEY,
        client_id {id} NOT NULL,
        name TEXT NOT NULL,
        email TEXT NOT NULL,
        phone TEXT,
        message TEXT,
        session_id TEXT,
        custom TEXT,
        created_at BIGINT NOT NULL,
        erased_at BIGINT
    )",
    // A client's leads, newest first. Retention walks the primary key: ids begin with their time.
    "CREATE INDEX leads_of_client ON leads (client_id, id)",
    "CREATE TABLE events (
        id {id} NOT NULL PRIMARY KEY,
        client_id {id} NOT NULL,
        lead_id {id},
        type TEXT NOT NULL,
        body {bytes} NOT NULL,
        created_at BIGINT NOT NULL
    )",
    // Erasing a lead empties its events.
    "CREATE INDEX events_of_lead ON events (lead_id)",
    "CREATE TABLE deliveries (
        id {id} NOT NULL PRIMARY KEY,
        client_id {id} NOT NULL,
        event_id {id} NOT NULL,
        lead_id {id},
        destination_id {id} NOT NULL,
        state TEXT NOT NULL,
        due_at BIGINT,
        lease BIGINT,
        attempt_count BIGINT NOT NULL,
        scheduled_attempts BIGINT NOT NULL,
        ours_since BIGINT,
        prior_state TEXT,
        prior_due_at BIGINT,
        replayed BOOLEAN NOT NULL DEFAULT FALSE,
        was_head BOOLEAN NOT NULL DEFAULT FALSE,
        failure_reason TEXT,
        created_at BIGINT NOT NULL,
        completed_at BIGINT
    )",
    // What is due, in turn over destinations. Partial: its size is the backlog, not the history.
    "CREATE INDEX deliveries_due ON deliveries (destination_id, due_at, id) WHERE state = 'pending'",
    // What is released when its destination is active again, in order.
    "CREATE INDEX deliveries_held ON deliveries (destination_id, id) WHERE state = 'held'",
    // The head of an ordered lane: what was attempted before, or leased for it (`was_head`), whatever its due time.
    // Partial: a delivery to an unordered destination that succeeds at once never touches it.
    "CREATE INDEX deliveries_tried ON deliveries (destination_id, id) \
     WHERE state = 'pending' AND (attempt_count > 0 OR was_head)",
    // A client's log, newest first.
    "CREATE INDEX deliveries_of_client ON deliveries (client_id, id)",
    // What went wrong for a client, or is held. Partial: a delivery that succeeds never touches it. With OR,
    // as SQLite sees no use in an index with IN.
    "CREATE INDEX deliveries_stuck ON deliveries (client_id, state, id) WHERE state = 'failed' OR state = 'held'",
    // What happened to this lead.
    "CREATE INDEX deliveries_of_lead ON deliveries (lead_id, id)",
    // A lease carries one attempt: (delivery_id, lease) tells an attempt that is written again. Retention
    // walks the primary key.
    "CREATE TABLE attempts (
        delivery_id {id} NOT NULL,
        number BIGINT NOT NULL,
        client_id {id} NOT NULL,
        lease BIGINT NOT NULL,
        trigger_name TEXT NOT NULL,
        started_at BIGINT NOT NULL,
        duration_ms BIGINT NOT NULL,
        outcome TEXT NOT NULL,
        status_code BIGINT,
        error TEXT,
        response_snippet TEXT,
        request_url TEXT,
        PRIMARY KEY (delivery_id, number)
    )",
    // Work on many deliveries that somebody asked for, and how far it has come.
    "CREATE TABLE recoveries (
        id {id} NOT NULL PRIMARY KEY,
        client_id {id} NOT NULL,
        kind TEXT NOT NULL,
        state TEXT NOT NULL,
        criteria TEXT NOT NULL,
        positions TEXT NOT NULL,
        done BIGINT NOT NULL,
        skipped BIGINT NOT NULL,
        error TEXT,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        finished_at BIGINT
    )",
    "CREATE INDEX recoveries_of_client ON recoveries (client_id, id)",
    "CREATE INDEX recoveries_running ON recoveries (id) WHERE state = 'running'",
    "CREATE TABLE api_keys (
        id {id} NOT NULL PRIMARY KEY,
        client_id {id},
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        prefix TEXT NOT NULL,
        hash {bytes} NOT NULL,
        created_at BIGINT NOT NULL,
        last_used_at BIGINT,
        revoked_at BIGINT
    )",
    "CREATE UNIQUE INDEX api_keys_hash ON api_keys (hash)",
    "CREATE TABLE idempotency_keys (
        client_id {id} NOT NULL,
        method TEXT NOT NULL,
        path TEXT NOT NULL,
        key TEXT NOT NULL,
        fingerprint {bytes} NOT NULL,
        status BIGINT NOT NULL,
        answer {bytes} NOT NULL,
        is_sealed BOOLEAN NOT NULL DEFAULT FALSE,
        created_at BIGINT NOT NULL,
        PRIMARY KEY (client_id, method, path, key)
    )",
    // What is older than a day.
    "CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at)",
    "CREATE TABLE audit_log (
        id {id} NOT NULL PRIMARY KEY,
        client_id {id},
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        subject TEXT NOT NULL,
        at BIGINT NOT NULL
    )",
];
