//! Which leads a destination gets: its filter as JSON, null for all leads.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000001_filters"
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
            connection.execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

const COLUMN: &str = "ALTER TABLE destinations ADD COLUMN filter TEXT";

/// What counts the changes of a client's destinations (see the migration before) looks at this column too.
const SQLITE: &[&str] = &[
    "DROP TRIGGER destinations_version_update",
    "CREATE TRIGGER destinations_version_update AFTER UPDATE OF client_id, kind, name, status, status_reason, status_since, version,
        config, retry, rate_limit, ordered, filter, sealed_secret, deleted_at ON destinations BEGIN
        UPDATE clients SET destinations_version = destinations_version + 1 WHERE id IN (OLD.client_id, NEW.client_id);
    END",
];

const POSTGRES: &[&str] = &[
    "DROP TRIGGER destinations_version ON destinations",
    "CREATE TRIGGER destinations_version AFTER INSERT OR DELETE OR UPDATE OF client_id, kind, name, status, status_reason, status_since,
        version, config, retry, rate_limit, ordered, filter, sealed_secret, deleted_at ON destinations
     FOR EACH ROW EXECUTE FUNCTION count_destinations_version()",
];
