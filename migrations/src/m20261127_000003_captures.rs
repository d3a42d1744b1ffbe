//! What a lead leaves on SQLite can be written as one row of a view: its trigger makes the lead, its event and its delivery of it. A batch is one
//! statement then, and a statement is a transaction by itself; beginning one, looking at the clients and committing were three more ways to the database.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261127_000003_captures"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DatabaseBackend::Sqlite {
            for statement in SQLITE {
                manager.get_connection().execute_unprepared(statement).await?;
            }
        }
        Ok(())
    }
}

/// Nothing of the batch is written if a client isn't as it was read. A lead may have no delivery.
const SQLITE: &[&str] = &[
    "CREATE VIEW captures (
        lead_id, client_id, name, email, phone, message, session_id, custom, captured_at,
        event_id, type, body,
        delivery_id, destination_id, state, due_at, lease, created_at,
        client_name, include_custom_fields, destinations_version
    ) AS SELECT
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL
    WHERE FALSE",
    "CREATE TRIGGER captures_insert INSTEAD OF INSERT ON captures BEGIN
        SELECT RAISE(ABORT, 'a client has changed') WHERE NOT EXISTS (
            SELECT 1 FROM clients WHERE id = NEW.client_id AND name = NEW.client_name
            AND include_custom_fields = NEW.include_custom_fields AND destinations_version = NEW.destinations_version
        );
        INSERT INTO leads (id, client_id, name, email, phone, message, session_id, custom, created_at)
            VALUES (NEW.lead_id, NEW.client_id, NEW.name, NEW.email, NEW.phone, NEW.message, NEW.session_id, NEW.custom,
                NEW.captured_at);
        INSERT INTO events (id, client_id, lead_id, type, body, created_at)
            VALUES (NEW.event_id, NEW.client_id, NEW.lead_id, NEW.type, NEW.body, NEW.captured_at);
        INSERT INTO deliveries (id, client_id, event_id, lead_id, destination_id, state, due_at, lease, created_at,
            attempt_count, scheduled_attempts)
            SELECT NEW.delivery_id, NEW.client_id, NEW.event_id, NEW.lead_id, NEW.destination_id, NEW.state, NEW.due_at,
                NEW.lease, NEW.created_at, 0, 0
            WHERE NEW.delivery_id IS NOT NULL;
    END",
];
