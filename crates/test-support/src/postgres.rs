//! A private PostgreSQL: made in a temporary directory, on a free port of 127.0.0.1, gone with us.
//!
//! Promises that the server and its files are removed however the test ends (returned, panicked,
//! killed), and that each [`Database`] is empty at first and nobody else's. Needs PostgreSQL's own
//! programs on this machine, and no database crate: statements go through `psql`.
//!
//! One server serves a whole process, or, by `SENSEI_TEST_POSTGRES=postgres://…`, many of them
//! (`cargo xtask test` does that, since cargo-nextest gives every test a process of its own).
//! A test that stops the server starts its own.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::free_port::free_port;
use crate::postgres_programs::{Identity, Programs};

/// Names a running server for [`PostgresServer::shared`]; its role must be allowed to create databases.
pub const SERVER_VARIABLE: &str = "SENSEI_TEST_POSTGRES";

/// How long a start may take: initdb's files have to be read from a slow disk, and recovery counts too.
const START_DEADLINE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);
/// Another process can take the port between asking for a free one and the server's own bind.
const START_TRIES: u32 = 3;

/// How a private server is run.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// Waits for the disk at each commit. Off by default: faster, and only a power cut tells the difference.
    pub fsync: bool,
    /// Where the server's directory is made; the system's temporary directory by default. The user
    /// that runs the server must be allowed to pass through it.
    pub parent: Option<PathBuf>,
}

/// A PostgreSQL server: a private one that ends with this value, or one named by the environment.
#[derive(Debug)]
pub struct PostgresServer {
    programs: Programs,
    base_url: String,
    private: Option<Mutex<Supervisor>>,
}

/// The shell that runs the server (`supervise.sh`); closing its input ends both.
#[derive(Debug)]
struct Supervisor {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl PostgresServer {
    /// Whether [`PostgresServer::shared`] would give a server.
    pub fn available() -> bool {
        env::var_os(SERVER_VARIABLE).is_some() || Programs::find().is_some()
    }

    /// The server that the tests of this process share, started at the first call.
    ///
    /// Without PostgreSQL on this machine: says so loudly and returns `None`, so that the test can
    /// return early; where `CI=true` nothing may be skipped, and it panics.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<PostgresServer>> = OnceLock::new();
        SHARED
            .get_or_init(|| Self::started_or_skipped(Self::named_or_private))
            .as_ref()
    }

    /// A server for this test alone, for tests that stop it. Skips as [`PostgresServer::shared`] does.
    pub fn own(options: &PostgresOptions) -> Option<Self> {
        Self::started_or_skipped(|programs| Self::start(&programs, options))
    }

    fn started_or_skipped(start: impl FnOnce(Programs) -> Result<Self>) -> Option<Self> {
        let Some(programs) = Programs::find() else {
            assert!(
                env::var("CI").as_deref() != Ok("true"),
                "PostgreSQL is not installed, and with CI=true no test may be skipped"
            );
            // Not `eprintln`: the test harness would keep that to itself when the test passes.
            writeln!(
                std::io::stderr(),
                "SKIPPED: PostgreSQL is not installed (apt-get install postgresql), its tests are not run"
            )
            .ok();
            return None;
        };
        Some(start(programs).expect("PostgreSQL is installed, so a private server starts"))
    }

    fn named_or_private(programs: Programs) -> Result<Self> {
        match env::var(SERVER_VARIABLE) {
            Ok(url) => Ok(Self {
                programs,
                base_url: without_database(&url)?,
                private: None,
            }),
            Err(_) => Self::start(&programs, &PostgresOptions::default()),
        }
    }

    fn start(programs: &Programs, options: &PostgresOptions) -> Result<Self> {
        let mut tries = 1;
        loop {
            match Self::start_once(programs, options) {
                Ok(server) => return Ok(server),
                Err(_) if tries < START_TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn start_once(programs: &Programs, options: &PostgresOptions) -> Result<Self> {
        let identity = Identity::for_server()?;
        let mut builder = tempfile::Builder::new();
        builder.prefix("sensei-postgres-");
        let directory = match &options.parent {
            Some(parent) => builder.tempdir_in(parent)?,
            None => builder.tempdir()?,
        };
        identity.own(directory.path())?;
        initialise(programs, &identity, directory.path())?;
        // From here on the supervisor removes the directory, as this value may never be dropped.
        let directory = directory.keep();

        let port = free_port()?;
        let log = directory.join("log");
        let mut supervisor = Supervisor::spawn(programs, &identity, &directory, &log, port, options)?;
        let base_url = format!("postgres://postgres@127.0.0.1:{port}");
        let server = Self {
            programs: programs.clone(),
            base_url,
            private: None,
        };
        if let Err(error) = server.wait_until_ready() {
            let output = std::fs::read_to_string(&log).unwrap_or_default();
            supervisor.end();
            return Err(error.context(format!("the server wrote:\n{output}")));
        }
        Ok(Self {
            private: Some(Mutex::new(supervisor)),
            ..server
        })
    }

    /// The server's URL without a database, e.g. `postgres://postgres@127.0.0.1:5433`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// A new, empty database of this server, dropped with the returned value.
    pub fn database(&self) -> Database<'_> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // A named server outlives us, and process ids come round again: the time keeps names apart.
        let name = format!(
            "test_{}_{}_{}",
            std::process::id(),
            std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_micros()),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        self.psql("postgres", &format!("CREATE DATABASE {name}"))
            .expect("the server can create a database");
        Database {
            server: self,
            url: format!("{}/{name}", self.base_url),
            name,
        }
    }

    /// Runs SQL in a database and returns the rows, one a line, columns separated by `|`.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String> {
        let output = Command::new(&self.programs.psql)
            .args([
                "--no-psqlrc",
                "--quiet",
                "--tuples-only",
                "--no-align",
                "--set=ON_ERROR_STOP=1",
                "--command",
                sql,
            ])
            .arg(format!("{}/{database}", self.base_url))
            .env("PGCONNECT_TIMEOUT", "5")
            .stdin(Stdio::null())
            .output()
            .context("psql could not be run")?;
        ensure!(
            output.status.success(),
            "psql: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// Stops the server at once, as a crash would (immediate mode): connections break, nothing is flushed.
    ///
    /// # Panics
    /// If the server is not a private one.
    pub fn stop(&self) {
        self.supervisor()
            .order("stop")
            .expect("the supervisor stops the server");
    }

    /// Kills the server (SIGKILL), which then hasn't told its own processes, nor its clients.
    ///
    /// # Panics
    /// If the server is not a private one.
    pub fn crash(&self) {
        self.supervisor()
            .order("crash")
            .expect("the supervisor kills the server");
    }

    /// Starts the server again after [`PostgresServer::stop`] or [`PostgresServer::crash`], on the same port and data, and waits until it answers.
    ///
    /// # Panics
    /// If the server is not a private one or doesn't come back.
    pub fn restart(&self) {
        self.supervisor()
            .order("start")
            .expect("the supervisor starts the server");
        self.wait_until_ready().expect("the server comes back after a restart");
    }

    fn supervisor(&self) -> std::sync::MutexGuard<'_, Supervisor> {
        let private = self
            .private
            .as_ref()
            .expect("only a private server is stopped: start one with `own`");
        private.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "polls a server that can't tell us; no runtime to block here"
    )]
    fn wait_until_ready(&self) -> Result<()> {
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            match self.psql("postgres", "SELECT 1") {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    return Err(error.context(format!("PostgreSQL did not answer within {START_DEADLINE:?}")));
                }
                Err(_) => std::thread::sleep(POLL),
            }
        }
    }
}

/// A database of a [`PostgresServer`], dropped with this value (its connections are cut).
#[derive(Debug)]
#[must_use = "the database is dropped with this value"]
pub struct Database<'a> {
    server: &'a PostgresServer,
    name: String,
    url: String,
}

impl Database<'_> {
    /// `postgres://…/name`, as `DATABASE_URL` takes it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs SQL here, see [`PostgresServer::psql`].
    pub fn psql(&self, sql: &str) -> Result<String> {
        self.server.psql(&self.name, sql)
    }

    /// Cuts every connection to this database, as an administrator or a failing network would.
    pub fn cut_connections(&self) -> Result<()> {
        let name = &self.name;
        let sql = format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'");
        self.server.psql("postgres", &sql)?;
        Ok(())
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        // A stopped server goes with its databases; nothing else is worth failing a test here.
        self.server
            .psql(
                "postgres",
                &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
            )
            .ok();
    }
}

impl Supervisor {
    fn spawn(
        programs: &Programs,
        identity: &Identity,
        directory: &Path,
        log: &Path,
        port: u16,
        options: &PostgresOptions,
    ) -> Result<Self> {
        let mut command = Command::new("sh");
        command
            .args(["-c", include_str!("supervise.sh"), "supervise"])
            .arg(directory)
            .arg(log);
        command
            .arg(programs.server.join("postgres"))
            .arg("-D")
            .arg(directory.join("data"));
        let port = port.to_string();
        let fsync = if options.fsync { "on" } else { "off" };
        for (name, value) in [
            ("listen_addresses", "127.0.0.1"),
            ("port", &port),
            ("unix_socket_directories", ""),
            ("fsync", fsync),
            ("full_page_writes", fsync),
            // Many tests at a time, each with its pool.
            ("max_connections", "300"),
        ] {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        identity.apply(&mut command);
        // A group of its own: Ctrl-C ends us first, and the closed pipe then ends the supervisor.
        command.process_group(0).current_dir(directory);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().context("sh could not be run")?;
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("stdout was asked for")?);
        Ok(Self { child, orders, answers })
    }

    fn order(&mut self, order: &str) -> Result<()> {
        let orders = self.orders.as_mut().context("the supervisor has ended")?;
        writeln!(orders, "{order}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        ensure!(answer.trim() == "done", "the supervisor of PostgreSQL is gone");
        Ok(())
    }

    fn end(&mut self) {
        self.orders = None;
        self.child.wait().ok();
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.end();
    }
}

fn initialise(programs: &Programs, identity: &Identity, directory: &Path) -> Result<()> {
    let mut command = Command::new(programs.server.join("initdb"));
    command.args([
        "--auth=trust",
        "--username=postgres",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
        "--pgdata",
    ]);
    command
        .arg(directory.join("data"))
        .current_dir(directory)
        .stdin(Stdio::null());
    identity.apply(&mut command);
    let output = command.output().context("initdb could not be run")?;
    if !output.status.success() {
        bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// `postgres://user@host:port/database?x` → `postgres://user@host:port`.
fn without_database(url: &str) -> Result<String> {
    let rest = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"))
        .with_context(|| format!("{SERVER_VARIABLE} is no postgres:// URL"))?;
    let server = rest.split(['/', '?']).next().unwrap_or(rest);
    Ok(format!("postgres://{server}"))
}
