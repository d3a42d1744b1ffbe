//! The load generator of `cargo xtask bench`: how many leads a second go from a POST to the receiver, end to
//! end, as a ratio to what this machine can do at all with the same client and the same receiver.
//!
//! Each run measures the bare limit, the release binary on a new database, and the bare limit again. A lead
//! counts when the receiver got it; afterwards each must be in the delivery log as succeeded, once.

mod api;
mod backlog;
mod client;
mod isolation;
mod measure;
mod process;
mod receiver;
mod report;
mod system;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use report::{Run, print_medians, print_run};

/// Measures the release binary, end to end, against the bare limit of this machine.
#[derive(Debug, Parser)]
struct Arguments {
    /// The release binary
    #[arg(long)]
    program: PathBuf,
    /// Where the database is made: a real disk, or a sync costs nothing
    #[arg(long)]
    directory: PathBuf,
    /// How long each measurement under load takes
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How often everything is measured; the medians count
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// What is measured
    #[arg(long, value_enum, default_value_t = Scenario::EndToEnd)]
    scenario: Scenario,
    /// Pending deliveries in the scenario `backlog`
    #[arg(long, default_value_t = 1_000_000)]
    pending: u32,
    /// Which database, in the scenario `end-to-end`
    #[arg(long, value_enum, default_value_t = DatabaseKind::Sqlite)]
    database: DatabaseKind,
    /// Requests in flight under load
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    /// Attempts at a time for the destination, instead of the server's default
    #[arg(long)]
    lane: Option<usize>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// How many leads a second, against the bare limit.
    EndToEnd,
    /// What receivers that hang cost those that answer.
    Isolation,
    /// What a million pending deliveries cost.
    Backlog,
}

/// A database to measure on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DatabaseKind {
    /// A file, in the directory.
    Sqlite,
    /// A private server with fsync, in the directory.
    Postgres,
}

impl Arguments {
    /// The bare limit is steady: half the time, twice.
    fn bare_time(&self) -> Duration {
        Duration::from_secs(self.seconds).max(Duration::from_secs(2)) / 2
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let held = match arguments.scenario {
        Scenario::EndToEnd => end_to_end(&arguments).await,
        Scenario::Isolation => isolation::run(&arguments).await,
        Scenario::Backlog => backlog::run(&arguments).await,
    };
    match held {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether no lead was lost or came twice.
async fn end_to_end(arguments: &Arguments) -> Result<bool> {
    let mut runs = Vec::new();
    for number in 1..=arguments.runs.max(1) {
        let run = measure_once(arguments).await?;
        print_run(number, &run);
        runs.push(run);
    }
    print_medians(&runs);
    Ok(runs.iter().all(Run::is_whole))
}

async fn measure_once(arguments: &Arguments) -> Result<Run> {
    let before = measure::bare(arguments.bare_time(), arguments.in_flight).await?;
    let system = system::measure(arguments).await?;
    let after = measure::bare(arguments.bare_time(), arguments.in_flight).await?;
    Ok(Run {
        bare_before: before,
        bare_after: after,
        system,
    })
}
