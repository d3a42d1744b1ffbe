//! The database that a run works on, and what is read from it while the process is dead.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use sea_orm::{
    ConnectOptions, ConnectionTrait as _, Database as Connections, DatabaseConnection, QueryResult, Statement,
};
use sensei_test_support::{PostgresOptions, PostgresServer};

use crate::world::PATIENCE;

/// The name of the database on the server.
const NAME: &str = "torture";

/// On what the process keeps its leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DatabaseKind {
    /// A file.
    Sqlite,
    /// A server of the test's own, which waits for the disk at each commit.
    Postgres,
}

impl fmt::Display for DatabaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// A run's database.
#[derive(Debug)]
pub(crate) enum Database {
    File {
        path: PathBuf,
        /// Where it is copied to be read: opening it would mend what the process is to mend.
        copy: PathBuf,
    },
    Server(PostgresServer),
}

/// A connection to read by.
#[derive(Debug)]
pub(crate) struct Reader(DatabaseConnection);

/// By client and event: how many attempts had an answer, and how many hadn't.
pub(crate) type Attempts = BTreeMap<String, BTreeMap<String, (usize, usize)>>;

impl Database {
    /// A server of its own; `None` where PostgreSQL isn't installed, which is said loudly.
    pub(crate) fn server() -> Result<Option<Self>> {
        let options = PostgresOptions {
            fsync: true,
            parent: None,
        };
        let Some(server) = PostgresServer::own(&options) else {
            return Ok(None);
        };
        server.psql("postgres", &format!("CREATE DATABASE {NAME}"))?;
        Ok(Some(Self::Server(server)))
    }

    /// `DATABASE_URL`.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::File { path, .. } => format!("sqlite://{}", path.display()),
            Self::Server(server) => format!("{}/{NAME}", server.base_url()),
        }
    }

    /// To read what a process left that is dead now: nothing of it is still under way, and nothing is changed.
    pub(crate) async fn read(&self) -> Result<Reader> {
        match self {
            Self::File { path, copy } => {
                for suffix in ["", "-wal"] {
                    let (from, to) = (with_suffix(path, suffix), with_suffix(copy, suffix));
                    match fs::copy(&from, &to) {
                        Err(error) if error.kind() == std::io::ErrorKind::NotFound => remove(&to)?,
                        copied => drop(copied.with_context(|| format!("{} can't be copied", from.display()))?),
                    }
                }
                // Of the copy before, whose log another one was.
                remove(&with_suffix(copy, "-shm"))?;
                Reader::connect(format!("sqlite://{}", copy.display())).await
            }
            Self::Server(_) => {
                let reader = Reader::connect(self.url()).await?;
                reader.wait_alone().await?;
                Ok(reader)
            }
        }
    }
}

impl Reader {
    async fn connect(url: String) -> Result<Self> {
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false);
        Ok(Self(Connections::connect(options).await?))
    }

    /// The server may still be at the dead process's last transactions.
    async fn wait_alone(&self) -> Result<()> {
        let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                      AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
        let deadline = Instant::now() + PATIENCE;
        while self.number(others).await? > 0 {
            ensure!(Instant::now() < deadline, "the dead process's sessions don't end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Closes the connection.
    pub(crate) async fn close(self) -> Result<()> {
        Ok(self.0.close().await?)
    }

    /// An id's column as 32 digits.
    pub(crate) fn id(&self, column: &str) -> String {
        match self.0.get_database_backend() {
            sea_orm::DatabaseBackend::Sqlite => format!("lower(hex({column}))"),
            _ => format!("replace(CAST({column} AS TEXT), '-', '')"),
        }
    }

    /// Every attempt of the log.
    pub(crate) async fn attempts(&self) -> Result<Attempts> {
        let sql = format!(
            "SELECT {}, {}, sum(CASE WHEN a.status_code IS NULL THEN 0 ELSE 1 END), \
             sum(CASE WHEN a.status_code IS NULL THEN 1 ELSE 0 END) \
             FROM attempts a JOIN deliveries d ON d.id = a.delivery_id GROUP BY d.client_id, d.event_id",
            self.id("d.client_id"),
            self.id("d.event_id")
        );
        let mut attempts = Attempts::new();
        for row in self.rows(&sql).await? {
            let counts: (i64, i64) = (row.try_get_by_index(2)?, row.try_get_by_index(3)?);
            let counts = (usize::try_from(counts.0)?, usize::try_from(counts.1)?);
            let of_client = attempts.entry(row.try_get_by_index(0)?).or_default();
            of_client.insert(row.try_get_by_index(1)?, counts);
        }
        Ok(attempts)
    }

    /// The first column.
    pub(crate) async fn texts(&self, sql: &str) -> Result<Vec<String>> {
        let rows = self.rows(sql).await?;
        rows.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
    }

    /// The one number that a query gives.
    pub(crate) async fn number(&self, sql: &str) -> Result<i64> {
        let rows = self.rows(sql).await?;
        Ok(rows.first().context("a count has a row")?.try_get_by_index(0)?)
    }

    async fn rows(&self, sql: &str) -> Result<Vec<QueryResult>> {
        let statement = Statement::from_string(self.0.get_database_backend(), sql);
        self.0.query_all_raw(statement).await.with_context(|| sql.to_owned())
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
