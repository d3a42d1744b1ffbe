//! Opening the database: one writer and several readers on SQLite, a pool on PostgreSQL.
//!
//! Promises that a commit is on disk before it is answered: `synchronous=FULL` on SQLite's
//! write-ahead log, and a refusal to start where PostgreSQL has `synchronous_commit` off.

use std::path::Path;
use std::time::Duration;

use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, DatabaseTransaction, DbErr,
    Statement, TransactionOptions, TransactionTrait,
};
use sensei_migrations::{Migrator, MigratorTrait};

use crate::error::OpenError;
use crate::options::DatabaseUrl;

/// How long a request waits for a connection before it is answered 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long SQLite waits for a lock that another connection of this process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const SQLITE_READERS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 12;
/// A connection that lay idle this long is tried before it is used.
const TEST_IF_IDLE_FOR: Duration = Duration::from_secs(1);
/// Each query in each of its chunk sizes is one; the libraries' default of 100 is near.
const STATEMENTS_KEPT: usize = 256;
/// Taken while migrating, so that nodes starting together don't migrate together. "sensei" in ASCII.
const MIGRATION_LOCK: i64 = 0x7365_6e73_6569;

/// The connections of a store.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    /// On SQLite a single connection: whoever writes waits here, not in a busy loop.
    pub(crate) writer: DatabaseConnection,
    /// On PostgreSQL the same pool.
    pub(crate) reader: DatabaseConnection,
}

impl Connections {
    /// Connects, migrates, and refuses a database that could forget what it acknowledged.
    pub(crate) async fn open(database: &DatabaseUrl) -> Result<Self, OpenError> {
        match database {
            DatabaseUrl::Sqlite(path) => {
                let writer = Database::connect(sqlite(path, 1)).await.map_err(OpenError::Connect)?;
                Migrator::up(&writer, None).await.map_err(OpenError::Migrate)?;
                let reader = Database::connect(sqlite(path, SQLITE_READERS))
                    .await
                    .map_err(OpenError::Connect)?;
                Ok(Self { writer, reader })
            }
            DatabaseUrl::Postgres(url) => {
                let pool = Database::connect(postgres(url)).await.map_err(OpenError::Connect)?;
                refuse_asynchronous_commit(&pool).await?;
                migrate_alone(&pool).await.map_err(OpenError::Migrate)?;
                Ok(Self {
                    writer: pool.clone(),
                    reader: pool,
                })
            }
        }
    }

    /// Begins a transaction that writes. The one home of `begin`: on SQLite it must be IMMEDIATE, since a
    /// deferred one that read before it writes fails at once where another has written meanwhile.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(sea_orm::SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.writer.begin_with_options(options).await
    }

    /// Closes all connections once they are free.
    pub(crate) async fn close(&self) {
        for connection in [&self.reader, &self.writer] {
            if let Err(error) = connection.close_by_ref().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a database connection could not be closed"
                );
            }
        }
    }

    pub(crate) fn backend(&self) -> DatabaseBackend {
        self.writer.get_database_backend()
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.backend() == DatabaseBackend::Sqlite
    }
}

fn sqlite(path: &Path, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(format!("sqlite://{}?mode=rwc", path.display()));
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(|options| {
            options
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(BUSY_TIMEOUT)
                .foreign_keys(true)
                .statement_cache_capacity(STATEMENTS_KEPT)
                .optimize_on_close(true, None)
        });
    options
}

fn postgres(url: &str) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire_if_idle_for(TEST_IF_IDLE_FOR)
        .sqlx_logging(false)
        .set_application_name("sensei")
        .map_sqlx_postgres_opts(|options| options.statement_cache_capacity(STATEMENTS_KEPT));
    options
}

async fn refuse_asynchronous_commit(pool: &DatabaseConnection) -> Result<(), OpenError> {
    let statement = Statement::from_string(DatabaseBackend::Postgres, "SHOW synchronous_commit");
    let row = pool.query_one_raw(statement).await.map_err(OpenError::Connect)?;
    let setting: Option<String> = row.and_then(|row| row.try_get_by_index(0).ok());
    if setting.as_deref() == Some("off") {
        Err(OpenError::NotDurable)
    } else {
        Ok(())
    }
}

/// Migrates while holding an advisory lock, which ends with its transaction.
async fn migrate_alone(pool: &DatabaseConnection) -> Result<(), DbErr> {
    let lock = pool.begin_with_options(TransactionOptions::default()).await?;
    lock.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
        .await?;
    Migrator::up(pool, None).await?;
    lock.commit().await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sensei_domain::{LeadId, ManualClock, NewLead, Timestamp};

    use super::*;
    use crate::{
        Actor, CaptureError, CaptureLead, CaptureRequest, Captured, MasterKey, NewClient, Page, Store, StoreOptions,
    };

    #[tokio::test(flavor = "multi_thread")]
    async fn full_disk_is_told_and_writes_nothing_and_service_resumes() {
        let folder = tempfile::tempdir().expect("a folder");
        let now = Timestamp::from_millis(1_800_000_000_000);
        let options = StoreOptions {
            database: DatabaseUrl::Sqlite(folder.path().join("sensei.db")),
            master_key: MasterKey::generate(),
            lease: Duration::from_mins(1),
            clock: Arc::new(ManualClock::at(now)),
        };
        let store = Store::open(options).await.expect("opened");
        let new = NewClient {
            name: "Acme Corp".parse().expect("a name"),
            lead_webhook_url: None,
        };
        let client = store
            .create_client(new, &Actor::System)
            .await
            .expect("created")
            .client
            .id;
        let lead = serde_json::json!({"name": "J", "email": "j@example.com", "message": "m".repeat(9_000)});
        let capture = || {
            let lead = |_| CaptureLead {
                id: LeadId::new(now),
                lead: NewLead::from_json(&lead).expect("a lead"),
            };
            let leads = (0..100).map(lead).collect();
            store.capture(CaptureRequest {
                client_id: client,
                leads,
                captured_at: now,
                idempotency: None,
            })
        };
        let leads = || {
            store.leads(
                client,
                Page {
                    limit: 1_000,
                    before: None,
                },
            )
        };

        let writer = &store.connections().writer;
        writer
            .execute_unprepared("PRAGMA max_page_count = 100")
            .await
            .expect("the disk is small now");
        let answer = capture().await;
        assert!(
            matches!(&answer, Err(CaptureError::Store(error)) if error.is_transient()),
            "{answer:?}"
        );
        assert!(leads().await.expect("it can still be read").is_empty());
        writer
            .execute_unprepared("PRAGMA max_page_count = 1000000")
            .await
            .expect("and large again");
        assert_eq!(capture().await.expect("service resumes"), Captured::Now);
        assert_eq!(leads().await.expect("read").len(), 100);
    }
}
