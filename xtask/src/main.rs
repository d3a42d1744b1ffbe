//! `cargo xtask …`: what a developer and CI run. Each task is a few calls of cargo.

mod bench;
mod cargo;
mod lint;
mod openapi;
mod postgres;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// The tasks of this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Check format and lints, then run every test, with PostgreSQL if it is installed
    Test(test::Arguments),
    /// Check format and lints
    Lint,
    /// Write docs/openapi.json anew
    Openapi,
    /// Measure the release build: end to end against the machine's bare limit
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Test(arguments) => test::run(&arguments),
        Task::Lint => lint::run().map(|()| ExitCode::SUCCESS),
        Task::Openapi => openapi::run().map(|()| ExitCode::SUCCESS),
        Task::Bench(arguments) => bench::run(&arguments),
    };
    match done {
        Ok(code) => code,
        Err(error) => report(&error),
    }
}

fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

/// What a task comes to.
type Done = Result<ExitCode>;
