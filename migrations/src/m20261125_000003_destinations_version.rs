//! A number with each client that grows with every change of its destinations.
//!
//! Captures read a client's row anyway; by this number they know whether its destinations are still those that were read
//! before. Triggers, so that no statement can forget to count. On PostgreSQL they lock the client's row as well, which is
//! what parts a change from captures.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261125_000003_destinations_version"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        connection.execute_unprepared(COLUMN).await?;
        let statements = match manager.get_database_backend() {
            DatabaseBackend::Postgres => POSTGRES,
            _ => SQLITE,
        };
        for statement in statements {
            // A former secret that is forgotten once it signs nothing any more is no change.
            let statement = statement.replace(
                "{changes}",
                "client_id, kind, name, status, status_reason, status_since, version, config, retry, rate_limit, ordered, \
                 sealed_secret, deleted_at",
            );
            connection.execute_unprepared(&statement).await?;
        }
        Ok(())
    }
}

const COLUMN: &str = "ALTER TABLE clients ADD COLUMN destinations_version BIGINT NOT NULL DEFAULT 0";

const SQLITE: &[&str] = &[
    "CREATE TRIGGER destinations_version_insert AFTER INSERT ON destinations BEGIN
        UPDATE clients SET destinations_version = destinations_version + 1 WHERE id = NEW.client_id;
    END",
    "CREATE TRIGGER destinations_version_update AFTER UPDATE OF {changes} ON destinations BEGIN
        UPDATE clients SET destinations_version = destinations_version + 1 WHERE id IN (OLD.client_id, NEW.client_id);
    END",
    "CREATE TRIGGER destinations_version_delete AFTER DELETE ON destinations BEGIN
        UPDATE clients SET destinations_version = destinations_version + 1 WHERE id = OLD.client_id;
    END",
];

const POSTGRES: &[&str] = &[
    "CREATE FUNCTION count_destinations_version() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE clients SET destinations_version = destinations_version + 1 WHERE id IN (OLD.client_id, NEW.client_id);
        RETURN NULL;
    END $$",
    "CREATE TRIGGER destinations_version AFTER INSERT OR DELETE OR UPDATE OF {changes} ON destinations
     FOR EACH ROW EXECUTE FUNCTION count_destinations_version()",
];
