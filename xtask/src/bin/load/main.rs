//! The load generator of `cargo xtask bench`: what goes from a POST to the receiver, end to end, as a ratio to what this machine
//! can do at all with the same client and the same receiver, and what happens to it when others are slow, dead, or many.
//!
//! Each scenario is a file in `scenarios` with the text that explains it; each measures the release binary as a process, on
//! real files, and yields figures, some of them with bars.

mod api;
mod client;
mod in_turn;
mod loaded;
mod machine;
mod measure;
mod percentiles;
mod process;
mod profile;
mod receiver;
mod runner;
mod scenario;
mod scenarios;
mod short;
mod system;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use scenario::Scenario;

/// Measures the release binary, end to end, against the bare limit of this machine
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench", version = None)]
struct Arguments {
    /// The release binary
    #[arg(long, hide = true)]
    program: PathBuf,
    /// Where databases are made: a real disk, or a sync costs nothing
    #[arg(long, hide = true)]
    directory: PathBuf,
    /// Another build, measured in turn with the first
    #[arg(long, hide = true, requires = "compare_name")]
    compare_program: Option<PathBuf>,
    /// What the other build is called
    #[arg(long, hide = true)]
    compare_name: Option<String>,
    /// What is measured; may be given several times. Without it: the main ones
    #[arg(long, value_enum)]
    scenario: Vec<Scenario>,
    /// Every scenario on both databases
    #[arg(long, conflicts_with_all = ["scenario", "database"])]
    all: bool,
    /// Which database; may be given several times
    #[arg(long, value_enum, default_value = "sqlite")]
    database: Vec<DatabaseKind>,
    /// Write the page of all figures to this file; with --all also the ratio that CI holds builds to
    #[arg(long)]
    report: Option<PathBuf>,
    /// Only see that the ratio isn't far below the committed one, as CI does
    #[arg(long, conflicts_with_all = ["all", "scenario", "database", "report", "compare_program"])]
    short: bool,
    /// Only find where the CPU time of a lead goes, as `cargo xtask profile` does
    #[arg(long, hide = true, conflicts_with_all = ["all", "scenario", "report", "short", "compare_program"])]
    profile: bool,
    /// How long each measurement under load takes
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How often everything is measured; the medians count
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Requests in flight under load
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    /// Attempts at a time for a destination, instead of the server's default
    #[arg(long)]
    lane: Option<usize>,
    /// Deliveries in the log before `history` measures
    #[arg(long, default_value_t = 10_000_000)]
    history: u64,
    /// Pending deliveries in the scenario `backlog`
    #[arg(long, default_value_t = 1_000_000)]
    pending: u64,
    /// Clients in the scenario `many-clients`
    #[arg(long, default_value_t = 100_000)]
    clients: usize,
}

/// A database to measure on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DatabaseKind {
    /// A file
    Sqlite,
    /// A private server with fsync
    Postgres,
}

impl DatabaseKind {
    /// As people write it.
    const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

impl Arguments {
    /// How long each measurement under load takes.
    fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// The bare limit is steady: half the time, twice.
    fn bare_time(&self) -> Duration {
        self.time().max(Duration::from_secs(2)) / 2
    }

    fn scenarios(&self) -> Vec<Scenario> {
        if self.all {
            Scenario::value_variants().to_vec()
        } else if self.scenario.is_empty() {
            Scenario::MAIN.to_vec()
        } else {
            self.scenario.clone()
        }
    }

    fn databases(&self) -> Vec<DatabaseKind> {
        if self.all {
            DatabaseKind::value_variants().to_vec()
        } else {
            self.database.clone()
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything that was to hold holds.
async fn run(arguments: &Arguments) -> Result<bool> {
    if arguments.short {
        return short::run(arguments).await;
    }
    if arguments.profile {
        return profile::run(arguments).await;
    }
    match (&arguments.compare_program, &arguments.compare_name) {
        (Some(program), Some(name)) => in_turn::run(arguments, program, name).await,
        _ => runner::run(arguments).await,
    }
}
