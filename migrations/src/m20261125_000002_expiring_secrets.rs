//! An index of the destinations whose secret before still counts: they are few, and looked for each minute.

use sea_orm_migration::prelude::*;

#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261125_000002_expiring_secrets"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let index = "CREATE INDEX destinations_expiring ON destinations (previous_secret_until) \
                     WHERE previous_secret_until IS NOT NULL";
        manager.get_connection().execute_unprepared(index).await.map(drop)
    }
}
