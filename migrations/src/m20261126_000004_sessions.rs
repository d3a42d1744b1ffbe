//! Who is signed in to the console.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000004_sessions"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (id, bytes, time) = match manager.get_database_backend() {
            DatabaseBackend::Postgres => ("uuid", "bytea", "bigint"),
            _ => ("BLOB", "BLOB", "INTEGER"),
        };
        let table = format!(
            "CREATE TABLE sessions (hash {bytes} NOT NULL PRIMARY KEY, key_id {id} NOT NULL, client_id {id}, \
             created_at {time} NOT NULL, expires_at {time} NOT NULL)"
        );
        let connection = manager.get_connection();
        connection.execute_unprepared(&table).await?;
        // Looked through whenever somebody signs in, to remove those that have expired.
        let index = "CREATE INDEX sessions_expiring ON sessions (expires_at)";
        connection.execute_unprepared(index).await.map(drop)
    }
}
