//! What of a destination's requests templates fill: an object of them as JSON, null for none.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000003_templates"
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
        let statement = match manager.get_database_backend() {
            DatabaseBackend::Postgres => POSTGRES,
            _ => SQLITE,
        };
        connection.execute_unprepared(statement).await?;
        Ok(())
    }
}

const COLUMN: &str = "ALTER TABLE destinations ADD COLUMN template TEXT";

/// Counts the changes of a client's destinations, beside the trigger that looks at the other columns: of what is changed at
/// once it may count one more, which does no harm.
const SQLITE: &str = "CREATE TRIGGER destinations_version_template AFTER UPDATE OF template ON destinations BEGIN
        UPDATE clients SET destinations_version = destinations_version + 1 WHERE id IN (OLD.client_id, NEW.client_id);
    END";

const POSTGRES: &str = "CREATE TRIGGER destinations_version_template AFTER UPDATE OF template ON destinations
     FOR EACH ROW EXECUTE FUNCTION count_destinations_version()";
