//! How far an attempt of several calls has come, so that the next one goes on there.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000002_checkpoints"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let id = match manager.get_database_backend() {
            DatabaseBackend::Postgres => "uuid",
            _ => "BLOB",
        };
        // Deleted with its delivery, by its key.
        let table = format!("CREATE TABLE checkpoints (delivery_id {id} NOT NULL PRIMARY KEY, reached TEXT NOT NULL)");
        manager.get_connection().execute_unprepared(&table).await.map(drop)
    }
}
