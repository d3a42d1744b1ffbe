//! Opening the database: one writer and several readers on SQLite; pools for batches, other writes and slow reads on PostgreSQL.
//!
//! Promises that a commit is on disk before it is answered: `synchronous=FULL` on SQLite's
//! write-ahead log, and a refusal to start where PostgreSQL has `synchronous_commit` off.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::sqlite::{SqliteAutoVacuum, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{Connection as _, Executor as _};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, DatabaseTransaction, DbErr,
    RuntimeErr, Statement, TransactionOptions, TransactionTrait,
};
use sensei_migrations::{Migrator, MigratorTrait};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::error::OpenError;
use crate::options::DatabaseUrl;
use crate::wal::WRITER_PAGES;

/// How long a request waits for a connection before it is answered 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long SQLite waits for a lock that another connection of this process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// What a grown write-ahead log is cut to, in bytes.
const WAL_KEPT: &str = "67108864";
const SQLITE_READERS: u32 = 4;
const POSTGRES_WRITERS: u32 = 8;
/// Captures commit one after another, and so do outcomes. The others are for connections that hang in silence: giving one up can take
/// the system's own time limits. Opened as needed.
const POSTGRES_COMMITTERS: u32 = 6;
const POSTGRES_READERS: u32 = 6;
/// How long a transaction may take before its callers are told that the database is unavailable.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// PostgreSQL ends a statement of a writer by itself soon after, so that its connection is free again; one that waits for
/// another's lock a little before, so that it is known what it waited for. Plans are kept, and must stay right while tables grow
/// from nothing, of which no statistics tell: going through rows counts as dear as reaching one by its index.
const WRITER_SETTINGS: &str = "SET statement_timeout = '12s'; SET lock_timeout = '11s'; \
    SET enable_seqscan = off; SET cpu_tuple_cost = 1; SET jit = off";
/// In addition, for batches: their few statements find all by id, so a plan made once is right for any batch, and making one takes
/// PostgreSQL as long as writing a lead. What waits is ended before [`TIME_LIMIT`], the wait for a connection included: a statement that is a transaction by itself would
/// otherwise be carried out after its callers gave up.
const COMMITTER_SETTINGS: &str =
    "SET plan_cache_mode = force_generic_plan; SET statement_timeout = '6s'; SET lock_timeout = '5s'";
/// Compiling a query takes longer than any of ours runs.
const READER_SETTINGS: &str = "SET jit = off";
/// A connection that lay idle this long is tried before it is used.
const TEST_IF_IDLE_FOR: Duration = Duration::from_secs(1);
/// Each query in each of its chunk sizes is one; the libraries' default of 100 is near.
const STATEMENTS_KEPT: usize = 256;
/// Taken while migrating, so that nodes starting together don't migrate together. "sensei" in ASCII.
const MIGRATION_LOCK: i64 = 0x7365_6e73_6569;

/// While it is held, no other step begins.
pub(crate) type Turn = OwnedMutexGuard<()>;

/// The connections of a store.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    /// On SQLite a single connection: whoever writes waits here, not in a busy loop.
    pub(crate) writer: DatabaseConnection,
    /// Batches of captures and of outcomes are written here: nobody else's transaction is waited for on PostgreSQL. On SQLite the writer.
    pub(crate) committer: DatabaseConnection,
    /// Lists and logs are read here, as slowly as they may be.
    pub(crate) reader: DatabaseConnection,
    /// Of work in the background on SQLite, a step at a time: a lead waits for the writer behind one of them, not behind all.
    background: Arc<Mutex<()>>,
}

impl Connections {
    /// Connects, migrates, and refuses a database that could forget what it acknowledged.
    pub(crate) async fn open(database: &DatabaseUrl) -> Result<Self, OpenError> {
        match database {
            DatabaseUrl::Sqlite(path) => {
                let first = Database::connect(sqlite(path, 1)).await.map_err(OpenError::Connect)?;
                Migrator::up(&first, None).await.map_err(OpenError::Migrate)?;
                forget_statistics(&first).await.map_err(OpenError::Migrate)?;
                // It still knows the statistics that it found.
                first.close().await.map_err(OpenError::Connect)?;
                let writer = Database::connect(sqlite(path, 1)).await.map_err(OpenError::Connect)?;
                let reader = Database::connect(sqlite(path, SQLITE_READERS))
                    .await
                    .map_err(OpenError::Connect)?;
                let committer = writer.clone();
                Ok(Self {
                    writer,
                    committer,
                    reader,
                    background: Arc::default(),
                })
            }
            DatabaseUrl::Postgres(url) => {
                let mut options = postgres(url, POSTGRES_READERS, &[READER_SETTINGS]);
                // It hears of a restart by nothing but its own failures, and isn't in a hurry.
                options
                    .test_before_acquire(true)
                    .test_before_acquire_if_idle_for(Duration::ZERO);
                let reader = Database::connect(options).await.map_err(OpenError::Connect)?;
                refuse_asynchronous_commit(&reader).await?;
                // Where nothing is limited: a migration takes as long as it takes.
                migrate_alone(&reader).await.map_err(OpenError::Migrate)?;
                let options = postgres(url, POSTGRES_WRITERS, &[WRITER_SETTINGS]);
                let writer = Database::connect(options).await.map_err(OpenError::Connect)?;
                let options = postgres(url, POSTGRES_COMMITTERS, &[WRITER_SETTINGS, COMMITTER_SETTINGS]);
                let committer = Database::connect(options).await.map_err(OpenError::Connect)?;
                Ok(Self {
                    writer,
                    committer,
                    reader,
                    background: Arc::default(),
                })
            }
        }
    }

    /// Begins a transaction that writes.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        begin(&self.writer).await
    }

    /// As [`Connections::begin`], for a step of work in the background, after its turn has come. What is dropped last is the turn: it is named first.
    pub(crate) async fn begin_step(&self) -> Result<(Option<Turn>, DatabaseTransaction), DbErr> {
        Ok((self.turn().await, self.begin().await?))
    }

    /// A turn of work in the background; none on PostgreSQL, where nobody waits for it.
    pub(crate) async fn turn(&self) -> Option<Turn> {
        if self.is_sqlite() {
            Some(Arc::clone(&self.background).lock_owned().await)
        } else {
            None
        }
    }

    /// As [`Connections::begin`], for a batch of captures or of outcomes.
    pub(crate) async fn begin_batch(&self) -> Result<DatabaseTransaction, DbErr> {
        begin(&self.committer).await
    }

    /// For reads that captures and deliveries wait for: never behind slow reads of the log.
    pub(crate) fn prompt(&self) -> &DatabaseConnection {
        if self.is_sqlite() { &self.reader } else { &self.writer }
    }

    /// As [`Connections::begin`], for a change of as many rows as there may be: statements aren't cut off.
    pub(crate) async fn begin_long(&self) -> Result<DatabaseTransaction, DbErr> {
        let transaction = self.begin().await?;
        if !self.is_sqlite() {
            transaction
                .execute_unprepared("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
                .await?;
        }
        Ok(transaction)
    }

    /// Closes all connections once they are free.
    pub(crate) async fn close(&self) {
        for connection in [&self.reader, &self.committer, &self.writer] {
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

/// The one home of `begin`: on SQLite it must be IMMEDIATE, since a deferred one that read before it writes fails at once
/// where another has written meanwhile.
async fn begin(connection: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(sea_orm::SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    connection.begin_with_options(options).await
}

/// Ends what takes too long; what was written may or may not be there. Dropping a transaction rolls it back; a statement that is one by
/// itself may still be carried out, by a server that was cut off or is stuck in its commit, or by SQLite on a disk that hangs.
pub(crate) async fn in_time<T, E: From<DbErr>>(what: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    match tokio::time::timeout(TIME_LIMIT, what).await {
        Ok(result) => result,
        Err(_elapsed) => {
            let text = format!("no answer within {} s", TIME_LIMIT.as_secs());
            Err(DbErr::Conn(RuntimeErr::Internal(text)).into())
        }
    }
}

fn sqlite(path: &Path, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new("sqlite:");
    // Not in the URL, where it would be decoded.
    let path = path.to_owned();
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_sqlite_pool_opts(|options| {
            // SQLite ends a transaction by itself when the disk is full. The library goes on to count it, so the next
            // transactions would be savepoints in one that nobody commits: such a connection is closed instead.
            options.before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        })
        .map_sqlx_sqlite_opts(move |options| {
            options
                .filename(&path)
                .create_if_missing(true)
                .in_memory(false)
                .shared_cache(false)
                // Before the first table: what is removed later can be given back to the file system.
                .auto_vacuum(SqliteAutoVacuum::Incremental)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(BUSY_TIMEOUT)
                .pragma("journal_size_limit", WAL_KEPT)
                .pragma("wal_autocheckpoint", WRITER_PAGES)
                .foreign_keys(true)
                .statement_cache_capacity(STATEMENTS_KEPT)
                // See `forget_statistics`.
                .optimize_on_close(false, None)
        });
    options
}

/// To a file that a server may be using: nothing of it is set, which would take turns with the server's writer.
pub(crate) fn sqlite_to_copy(path: &Path) -> ConnectOptions {
    let mut options = ConnectOptions::new("sqlite:");
    let path = path.to_owned();
    options
        .max_connections(1)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |options| {
            options
                .filename(&path)
                .create_if_missing(false)
                .in_memory(false)
                .shared_cache(false)
                .busy_timeout(BUSY_TIMEOUT)
                .optimize_on_close(false, None)
        });
    options
}

fn postgres(url: &str, connections: u32, settings: &'static [&'static str]) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire_if_idle_for(TEST_IF_IDLE_FOR)
        .sqlx_logging(false)
        .set_application_name("sensei")
        .map_sqlx_postgres_opts(|options| options.statement_cache_capacity(STATEMENTS_KEPT))
        // Of each connection: the library's own `after_connect` is called once a pool.
        .map_sqlx_postgres_pool_opts(move |options| {
            options.after_connect(move |connection, _| {
                Box::pin(async move {
                    for some in settings {
                        connection.execute(*some).await?;
                    }
                    Ok(())
                })
            })
        });
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

/// SQLite plans by rules, and the plans that we pin are made by them. Statistics that it finds overrule them, however old they are: by
/// those of a day when a table had one row, it is read whole for each row of another. Older versions of this
/// program had them made, and so may whoever opens the file.
async fn forget_statistics(connection: &DatabaseConnection) -> Result<(), DbErr> {
    for table in ["sqlite_stat1", "sqlite_stat4"] {
        connection
            .execute_unprepared(&format!("DROP TABLE IF EXISTS {table}"))
            .await?;
    }
    Ok(())
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

    /// Dropped at whatever point, as a time limit does it, a transaction leaves the only writer usable.
    #[tokio::test(flavor = "multi_thread")]
    async fn dropped_transaction_leaves_the_writer_usable() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sensei.db");
        let connections = Connections::open(&DatabaseUrl::Sqlite(path)).await.expect("opened");
        let insert = async |name: &str| {
            let transaction = connections.begin().await?;
            let sql = format!("INSERT INTO store_facts VALUES ('{name}', '')");
            transaction.execute_unprepared(&sql).await?;
            transaction.commit().await
        };
        for polls in 0..40 {
            let name = polls.to_string();
            let mut cut = Box::pin(insert(&name));
            for _ in 0..polls / 2 {
                if futures_util::poll!(&mut cut).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(cut);
            in_time(insert(&format!("after {polls}"))).await.expect("written");
        }
        let count = "SELECT count(*) FROM store_facts WHERE name LIKE 'after %'";
        let count = Statement::from_string(DatabaseBackend::Sqlite, count);
        let row = connections
            .reader
            .query_one_raw(count)
            .await
            .expect("read")
            .expect("a row");
        assert_eq!(row.try_get_by_index::<i64>(0).expect("a number"), 40);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn full_disk_is_told_and_writes_nothing_and_service_resumes() {
        let folder = tempfile::tempdir().expect("a folder");
        let now = Timestamp::from_millis(1_800_000_000_000);
        let options = StoreOptions {
            database: DatabaseUrl::Sqlite(folder.path().join("sensei.db")),
            master_key: MasterKey::generate(),
            previous_master_key: None,
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

    #[tokio::test(flavor = "multi_thread")]
    async fn a_transaction_that_sqlite_ended_by_itself_takes_no_later_one_along() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = DatabaseUrl::Sqlite(folder.path().join("sensei.db"));
        let connections = Connections::open(&database).await.expect("opened");
        for _ in 0..2 {
            let transaction = connections.begin().await.expect("begun");
            // As SQLite does on a full disk.
            transaction.execute_unprepared("ROLLBACK").await.expect("ended");
            drop(transaction);
            let transaction = connections.begin().await.expect("begun");
            drop(transaction);
        }
        let transaction = connections.begin().await.expect("begun");
        let insert = "INSERT INTO store_facts (name, value) VALUES ('fact', 'kept')";
        transaction.execute_unprepared(insert).await.expect("written");
        transaction.commit().await.expect("committed");
        let seen = Statement::from_string(DatabaseBackend::Sqlite, "SELECT 1 FROM store_facts WHERE name = 'fact'");
        let seen = connections.reader.query_one_raw(seen).await.expect("read");
        assert!(seen.is_some(), "what is committed is there for everybody");
    }
}
