//! The system that is measured: the release binary as a process on a new database with fsync, and what it has used.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::Client;
use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use sensei_persistence::DatabaseUrl;
use sensei_test_support::{Binary, PostgresOptions, PostgresServer, Process};

use crate::DatabaseKind;
use crate::api::{ADMIN_KEY, Api};
use crate::client;
use crate::process::{cpu_time, family_cpu_time, parent, peak_memory};
use crate::scenario::Setup;

/// For a start, and for the last lead to arrive and be recorded.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
pub(crate) const POLL: Duration = Duration::from_millis(20);
/// Clients that are made at the same time.
const MADE_AT_ONCE: usize = 32;
const POSTGRES_DATABASE: &str = "bench";

/// A running system, and its database. Both end with it.
#[derive(Debug)]
pub(crate) struct System {
    // First: it ends before its database does.
    process: Process,
    binary: Binary,
    postgres: Option<PostgresServer>,
    http: Client,
}

/// CPU time that was used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu {
    pub(crate) server: Duration,
    /// Of `PostgreSQL`.
    pub(crate) database: Option<Duration>,
}

impl System {
    /// On a new database, with the defaults but for what the command line says.
    pub(crate) async fn start(setup: &Setup<'_>) -> Result<Self> {
        Self::start_with(setup, &[]).await
    }

    /// With these settings.
    pub(crate) async fn start_with(setup: &Setup<'_>, settings: &[(&str, String)]) -> Result<Self> {
        let arguments = setup.arguments;
        let directory = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(&arguments.directory)?;
        let mut binary = Binary::in_directory(setup.program, directory)
            .env("SENSEI_ADMIN_KEY", ADMIN_KEY)
            .env("SENSEI_ADMIN_LISTEN", "127.0.0.1:0")
            .env("SENSEI_EGRESS_ALLOW", "127.0.0.0/8")
            .env("SENSEI_LOG", "warn,sensei=info");
        let postgres = (setup.database == DatabaseKind::Postgres)
            .then(|| postgres(setup))
            .transpose()?;
        if let Some(server) = &postgres {
            binary = binary.env("DATABASE_URL", postgres_url(server));
        }
        if let Some(lane) = arguments.lane {
            binary = binary.env("SENSEI_LANE_CONCURRENCY", lane.to_string());
        }
        for (name, value) in settings {
            binary = binary.env(name, value);
        }
        let mut process = binary.start()?;
        process.wait_ready(PATIENCE).await?;
        Ok(Self {
            process,
            binary,
            postgres,
            http: client::new(1_024)?,
        })
    }

    /// Ends the process in peace; the database stays.
    pub(crate) async fn end(&mut self) -> Result<()> {
        self.process.terminate()?;
        self.process.wait_exit(PATIENCE).await?;
        Ok(())
    }

    /// Starts the process on the same database, at another address. How long until its first answer.
    pub(crate) async fn start_again(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        self.process = self.binary.start()?;
        self.process.wait_ready(PATIENCE).await?;
        Ok(begun.elapsed())
    }

    /// Gives the process a setting, from its next start on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.binary.set_env(name, value);
    }

    /// The id of the process.
    pub(crate) fn process(&self) -> u32 {
        self.process.id()
    }

    /// Where the process is.
    pub(crate) fn url(&self) -> String {
        self.process.url()
    }

    /// Creates a client with this Lead Webhook URL.
    pub(crate) async fn client(&self, name: &str, webhook: &str) -> Result<Api> {
        Api::new(self.http.clone(), &self.process.url(), name, Some(webhook)).await
    }

    /// Creates a client without one.
    pub(crate) async fn client_without_webhook(&self, name: &str) -> Result<Api> {
        Api::new(self.http.clone(), &self.process.url(), name, None).await
    }

    /// Creates clients, some at a time. `webhook` gives each its URL.
    pub(crate) async fn clients(
        &self,
        name: &str,
        count: usize,
        webhook: impl Fn(usize) -> String,
    ) -> Result<Vec<Api>> {
        let mut made = Vec::with_capacity(count);
        let mut making = tokio::task::JoinSet::new();
        for number in 0..count {
            let (http, url) = (self.http.clone(), self.process.url());
            let (name, webhook) = (format!("{name} {number}"), webhook(number));
            making.spawn(async move { Api::new(http, &url, &name, Some(&webhook)).await });
            while making.len() >= MADE_AT_ONCE || (number + 1 == count && !making.is_empty()) {
                let client = making.join_next().await.context("a client is being made")?;
                made.push(client??);
            }
        }
        Ok(made)
    }

    /// Waits until every delivery has been made and recorded.
    pub(crate) async fn nothing_pending(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.deliveries("pending").await? > 0 {
            ensure!(
                Instant::now() < deadline,
                "deliveries are still pending {PATIENCE:?} after the last lead"
            );
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// How many deliveries of all clients are in a state.
    pub(crate) async fn deliveries(&self, state: &str) -> Result<u64> {
        let address = self.process.metrics_address().context("metrics are served")?;
        let answer = self.http.get(format!("http://{address}/metrics")).send().await?;
        let text = answer.error_for_status()?.text().await?;
        let name = format!("sensei_deliveries{{state=\"{state}\"}} ");
        let count = text.lines().find_map(|line| line.strip_prefix(&name));
        Ok(count.context("metrics count deliveries")?.parse()?)
    }

    /// What has been used until now.
    pub(crate) fn cpu(&self) -> Result<Cpu> {
        Ok(Cpu {
            server: cpu_time(self.process.id())?,
            database: self.postgres.as_ref().map(postgres_cpu).transpose()?,
        })
    }

    /// The most memory that the process has had since its start, in MiB.
    pub(crate) fn peak_memory(&self) -> Result<f64> {
        peak_memory(self.process.id())
    }

    /// The database, for a store beside the process's own.
    pub(crate) fn database(&self) -> DatabaseUrl {
        match &self.postgres {
            Some(server) => DatabaseUrl::Postgres(postgres_url(server)),
            None => DatabaseUrl::Sqlite(self.binary.directory().join("data/sensei.db")),
        }
    }

    /// The file of the master key.
    pub(crate) fn master_key(&self) -> PathBuf {
        self.binary.directory().join("data/master.key")
    }

    /// A connection to write rows by, while the process is down, or to count some.
    pub(crate) async fn connect(&self) -> Result<DatabaseConnection> {
        let url = match self.database() {
            DatabaseUrl::Sqlite(path) => format!("sqlite://{}", path.display()),
            DatabaseUrl::Postgres(url) => url,
        };
        let mut options = ConnectOptions::new(url);
        // Temporary tables are a connection's own.
        options.max_connections(1).sqlx_logging(false);
        Ok(Box::pin(Database::connect(options)).await?)
    }

    /// Bytes of the database on the disk, in MiB.
    pub(crate) fn database_size(&self) -> Result<f64> {
        let bytes: u64 = match (&self.postgres, self.database()) {
            (None, DatabaseUrl::Sqlite(path)) => std::fs::metadata(path)?.len(),
            (Some(server), _) => {
                let sql = format!("SELECT pg_database_size('{POSTGRES_DATABASE}')");
                server.psql("postgres", &sql)?.parse()?
            }
            (None, DatabaseUrl::Postgres(_)) => unreachable!("a database of PostgreSQL has a server"),
        };
        Ok(f64::from(u32::try_from(bytes / 1024)?) / 1024.0)
    }
}

impl Cpu {
    /// What was used since then.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            server: self.server.saturating_sub(before.server),
            database: self
                .database
                .zip(before.database)
                .map(|(now, before)| now.saturating_sub(before)),
        }
    }

    /// Of both.
    pub(crate) fn all(self) -> Duration {
        self.server + self.database.unwrap_or_default()
    }
}

fn postgres(setup: &Setup<'_>) -> Result<PostgresServer> {
    let options = PostgresOptions {
        fsync: true,
        parent: Some(setup.arguments.directory.clone()),
    };
    let server = PostgresServer::own(&options).context("PostgreSQL is not installed")?;
    server.psql("postgres", &format!("CREATE DATABASE {POSTGRES_DATABASE}"))?;
    Ok(server)
}

fn postgres_url(server: &PostgresServer) -> String {
    format!("{}/{POSTGRES_DATABASE}", server.base_url())
}

/// What the server's processes have used: all are children of one, whose id a child of it tells.
fn postgres_cpu(server: &PostgresServer) -> Result<Duration> {
    let child = server.psql(
        "postgres",
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'",
    )?;
    family_cpu_time(parent(child.parse()?)?)
}
