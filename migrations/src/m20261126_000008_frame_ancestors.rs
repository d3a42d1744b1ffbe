//! In whose pages a client's own view may be embedded.

use sea_orm_migration::prelude::*;

#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000008_frame_ancestors"
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

/// Origins separated by spaces, as the policy of a page writes them.
const COLUMN: &str = "ALTER TABLE clients ADD COLUMN frame_ancestors TEXT NOT NULL DEFAULT ''";
