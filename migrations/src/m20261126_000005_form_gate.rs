//! Lead forms of clients, where they may stand, and which leads of theirs are suspected to be no person's.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000005_form_gate"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (id, time) = match manager.get_database_backend() {
            DatabaseBackend::Postgres => ("uuid", "bigint"),
            _ => ("BLOB", "INTEGER"),
        };
        // Beside the leads, so that those that aren't suspected are written as before.
        let suspected = format!(
            "CREATE TABLE suspected_leads (lead_id {id} NOT NULL PRIMARY KEY, client_id {id} NOT NULL, \
             reasons TEXT NOT NULL, at {time} NOT NULL, released_at {time})"
        );
        let connection = manager.get_connection();
        for sql in [
            "ALTER TABLE clients ADD COLUMN allowed_origins TEXT NOT NULL DEFAULT '[]'",
            "ALTER TABLE clients ADD COLUMN form TEXT",
            &suspected,
            "CREATE INDEX suspected_leads_of_client ON suspected_leads (client_id, lead_id)",
        ] {
            connection.execute_unprepared(sql).await?;
        }
        Ok(())
    }
}
