//! `cargo xtask torture`: hurts the release binary, and writes what was found as a page of the documentation.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum as _};
use sensei_torture::{DatabaseKind, Fault, Options, page, run};

/// Hurts the release binary and looks for every acknowledged lead.
#[derive(Debug, Parser)]
struct Arguments {
    /// The release binary
    #[arg(long)]
    program: PathBuf,
    /// Where the data is made: a real disk
    #[arg(long)]
    directory: PathBuf,
    /// On which database; on each of them by default
    #[arg(long, value_enum)]
    database: Option<DatabaseKind>,
    /// How many times the process is killed
    #[arg(long, default_value_t = 200)]
    kills: usize,
    /// How many times each other fault happens, at least
    #[arg(long, default_value_t = 10)]
    each: usize,
    /// Only this fault, beside the kills
    #[arg(long, value_enum)]
    only: Option<Fault>,
    /// What chance is drawn from; printed, so that a run can be made again
    #[arg(long)]
    seed: Option<u64>,
    /// Writes the result there, as a page of the documentation
    #[arg(long)]
    report: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match hurt(&Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing was lost and everything adds up, on each database.
async fn hurt(arguments: &Arguments) -> Result<bool> {
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let databases = arguments
        .database
        .map_or_else(|| DatabaseKind::value_variants().to_vec(), |only| vec![only]);
    let (mut adds_up, mut sections) = (true, String::new());
    for database in databases {
        println!("{database}, seed {seed}");
        let options = Options {
            program: arguments.program.clone(),
            directory: arguments.directory.clone(),
            database,
            kills: arguments.kills,
            each: arguments.each,
            only: arguments.only,
            seed,
            room: 512 << 20,
        };
        let run = Box::pin(run(&options)).await?;
        println!("{}", run.text);
        adds_up &= run.adds_up;
        sections.push_str(&run.text);
        sections.push('\n');
    }
    if let Some(path) = &arguments.report {
        std::fs::write(path, page(&sections))?;
    }
    Ok(adds_up)
}
