//! Of which version of a destination its receiver said that it is gone: what another URL says isn't said of this one.

use sea_orm_migration::prelude::*;

#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261127_000001_gone_version"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        connection.execute_unprepared(COLUMN).await.map(drop)
    }
}

/// Nothing: it wasn't said, or before there was this column.
const COLUMN: &str = "ALTER TABLE destination_health ADD COLUMN gone_version BIGINT";
