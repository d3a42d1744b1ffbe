//! What the usual attempt leaves on SQLite, the first one, which delivers, can be written as one row of a view: its trigger logs it and moves its
//! delivery on. A batch is one statement then, and a statement is a transaction by itself; beginning one and committing were two more ways to the
//! database, each waited for by everybody who writes.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261127_000004_usual_outcomes"
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

/// Nothing of the batch is written if a delivery isn't as it was handed over. Rows without a delivery only fill a batch up.
const SQLITE: &[&str] = &[
    "CREATE VIEW usual_outcomes (
        delivery_id, client_id, lease, started_at, duration_ms, status_code, response_snippet, request_url, completed_at
    ) AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE",
    "CREATE TRIGGER usual_outcomes_insert INSTEAD OF INSERT ON usual_outcomes WHEN NEW.delivery_id IS NOT NULL BEGIN
        INSERT INTO attempts (delivery_id, client_id, lease, started_at, duration_ms, status_code, response_snippet,
            request_url, number, trigger_name, outcome)
            VALUES (NEW.delivery_id, NEW.client_id, NEW.lease, NEW.started_at, NEW.duration_ms, NEW.status_code,
                NEW.response_snippet, NEW.request_url, 1, 'first', 'delivered');
        UPDATE deliveries SET state = 'succeeded', due_at = NULL, lease = NULL, attempt_count = 1, scheduled_attempts = 0,
            ours_since = NULL, failure_reason = NULL, completed_at = NEW.completed_at
            WHERE id = NEW.delivery_id AND lease = NEW.lease AND state = 'pending';
        SELECT RAISE(ABORT, 'a delivery has changed') WHERE changes() <> 1;
    END",
];
