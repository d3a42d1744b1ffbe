//! The published fault test (`cargo xtask torture`): the release binary on real files, hurt in every way that we
//! know, under load, to receivers of every bad kind; then every acknowledged lead is looked for.
//!
//! A run is a number of lives of the process, each with a fault of its own and an end: killed, or asked to stop.
//! What happens when is drawn from a seed that is printed, so that a run can be made again. The binary has no
//! hook for this: the faults come from outside.

mod fault;
mod life;
mod reconcile;
mod report;
mod shim;
mod volume;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// Hurts the release binary and looks for every acknowledged lead.
#[derive(Debug, Parser)]
struct Arguments {
    /// The release binary
    #[arg(long)]
    program: PathBuf,
    /// Where the data is made: a real disk
    #[arg(long)]
    directory: PathBuf,
    /// How many times the process is killed
    #[arg(long, default_value_t = 200)]
    kills: usize,
    /// How many times each other fault happens, at least
    #[arg(long, default_value_t = 10)]
    each: usize,
    /// Only this fault, beside the kills
    #[arg(long, value_enum)]
    only: Option<fault::Fault>,
    /// What chance is drawn from; printed, so that a run can be made again
    #[arg(long)]
    seed: Option<u64>,
    /// Writes the result there, as a page of the documentation
    #[arg(long)]
    report: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing was lost and everything adds up.
async fn run(arguments: &Arguments) -> Result<bool> {
    let seed = arguments.seed.unwrap_or_else(rand::random);
    println!("seed {seed}");
    let mut world = world::World::new(&arguments.program, &arguments.directory)?;
    let mut means = world.means();
    means.retain(|fault| arguments.only.is_none_or(|only| only == *fault));
    for (number, plan) in fault::plan(seed, arguments.kills, arguments.each, &means)
        .into_iter()
        .enumerate()
    {
        life::live(&mut world, number, &plan).await?;
    }
    let found = reconcile::reconcile(&mut world).await?;
    let text = report::text(&world, &found, seed);
    println!("{text}");
    if let Some(path) = &arguments.report {
        std::fs::write(path, report::page(&text))?;
    }
    Ok(found.adds_up())
}
