//! How many deliveries a client has in each state, kept by the database itself.
//!
//! Triggers, so that no statement can forget to count, whoever writes it. On SQLite, where one writes at a time, they
//! count in place. On PostgreSQL a row that everybody counts in would make writers wait for each other: there a
//! statement appends what it changed, one row a client and state, and somebody folds that into the counts now and then.
//! All clients together are counted under the nil id.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261125_000001_tallies"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statements = match manager.get_database_backend() {
            DatabaseBackend::Postgres => POSTGRES,
            _ => SQLITE,
        };
        for statement in statements {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

const SQLITE: &[&str] = &[
    "CREATE TABLE tallies (
        client_id BLOB NOT NULL,
        state TEXT NOT NULL,
        count BIGINT NOT NULL,
        PRIMARY KEY (client_id, state)
    ) WITHOUT ROWID",
    "CREATE TRIGGER deliveries_tally_insert AFTER INSERT ON deliveries BEGIN
        INSERT INTO tallies (client_id, state, count)
        VALUES (NEW.client_id, NEW.state, 1), (zeroblob(16), NEW.state, 1)
        ON CONFLICT (client_id, state) DO UPDATE SET count = count + excluded.count;
    END",
    "CREATE TRIGGER deliveries_tally_update AFTER UPDATE OF client_id, state ON deliveries
    WHEN OLD.state <> NEW.state OR OLD.client_id <> NEW.client_id BEGIN
        INSERT INTO tallies (client_id, state, count)
        VALUES (OLD.client_id, OLD.state, -1), (NEW.client_id, NEW.state, 1),
            (zeroblob(16), OLD.state, -1), (zeroblob(16), NEW.state, 1)
        ON CONFLICT (client_id, state) DO UPDATE SET count = count + excluded.count;
    END",
    "CREATE TRIGGER deliveries_tally_delete AFTER DELETE ON deliveries BEGIN
        INSERT INTO tallies (client_id, state, count)
        VALUES (OLD.client_id, OLD.state, -1), (zeroblob(16), OLD.state, -1)
        ON CONFLICT (client_id, state) DO UPDATE SET count = count + excluded.count;
    END",
    "INSERT INTO tallies (client_id, state, count)
     SELECT client_id, state, count(*) FROM deliveries GROUP BY client_id, state",
    "INSERT INTO tallies (client_id, state, count) SELECT zeroblob(16), state, sum(count) FROM tallies GROUP BY state",
];

/// A trigger's creation waits for whoever writes deliveries, and makes them wait until all is counted.
const POSTGRES: &[&str] = &[
    "CREATE TABLE tallies (
        client_id uuid NOT NULL,
        state TEXT NOT NULL,
        count BIGINT NOT NULL,
        PRIMARY KEY (client_id, state)
    )",
    "CREATE TABLE tally_changes (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        client_id uuid NOT NULL,
        state TEXT NOT NULL,
        change BIGINT NOT NULL
    )",
    "CREATE FUNCTION tally_deliveries() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO tally_changes (client_id, state, change)
            SELECT client_id, state, count(*) FROM new_rows GROUP BY client_id, state;
        ELSIF TG_OP = 'DELETE' THEN
            INSERT INTO tally_changes (client_id, state, change)
            SELECT client_id, state, -count(*) FROM old_rows GROUP BY client_id, state;
        ELSE
            INSERT INTO tally_changes (client_id, state, change)
            SELECT client_id, state, sum(change) FROM (
                SELECT client_id, state, -1 AS change FROM old_rows
                UNION ALL
                SELECT client_id, state, 1 FROM new_rows
            ) AS moves GROUP BY client_id, state HAVING sum(change) <> 0;
        END IF;
        RETURN NULL;
    END $$",
    "CREATE TRIGGER deliveries_tally_insert AFTER INSERT ON deliveries
     REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tally_deliveries()",
    "CREATE TRIGGER deliveries_tally_update AFTER UPDATE ON deliveries
     REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tally_deliveries()",
    "CREATE TRIGGER deliveries_tally_delete AFTER DELETE ON deliveries
     REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION tally_deliveries()",
    "INSERT INTO tallies (client_id, state, count)
     SELECT client_id, state, count(*) FROM deliveries GROUP BY client_id, state",
    "INSERT INTO tallies (client_id, state, count)
     SELECT '00000000-0000-0000-0000-000000000000'::uuid, state, sum(count) FROM tallies GROUP BY state",
];
