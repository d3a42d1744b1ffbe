//! What charts are drawn from: leads, outcomes and durations of each client, added up by five minutes. And the index by which is found what
//! was done long after it was made.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000006_rollups"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (id, end) = match manager.get_database_backend() {
            DatabaseBackend::Postgres => ("uuid", ""),
            _ => ("BLOB", " WITHOUT ROWID"),
        };
        let connection = manager.get_connection();
        // `took_0` to `took_19`: how many attempts took up to how long; the bounds are the program's.
        let took = (0..20).map(|slot| format!("took_{slot} BIGINT NOT NULL, "));
        let table = format!(
            "CREATE TABLE rollups (client_id {id} NOT NULL, at BIGINT NOT NULL, leads BIGINT NOT NULL, \
             succeeded BIGINT NOT NULL, failed BIGINT NOT NULL, attempts BIGINT NOT NULL, {took}\
             PRIMARY KEY (client_id, at)){end}",
            took = took.collect::<String>()
        );
        connection.execute_unprepared(&table).await?;
        // Partial: a delivery that is done at once, as nearly all are, never touches it. Others are found by their ids.
        let index = "CREATE INDEX deliveries_done_late ON deliveries (completed_at, client_id) \
                     WHERE completed_at - created_at > 5000";
        connection.execute_unprepared(index).await?;
        // What is old is removed, whosever it is.
        let index = "CREATE INDEX rollups_age ON rollups (at)";
        connection.execute_unprepared(index).await.map(drop)
    }
}
