//! `cargo xtask …`: what a developer and CI run. Each task is a few calls of cargo.

mod callgrind;
mod cargo;
mod compare;
mod e2e;
mod lint;
mod openapi;
mod postgres;
mod profile;
mod release_tool;
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
    /// Run the console and the form in a real browser, and keep pictures of every page in target/e2e
    E2e(e2e::Arguments),
    /// Make the README's pictures of the console anew, in docs/pictures
    Pictures,
    /// Write docs/openapi.json anew
    Openapi,
    /// Measure the release build: end to end against the machine's bare limit
    Bench(release_tool::Arguments),
    /// Find by perf where the CPU time of a lead goes, and write it into docs/architecture.md
    Profile(release_tool::Arguments),
    /// Count by callgrind what the hot path's pure parts cost, against the committed counts
    Instructions(callgrind::Arguments),
    /// Hurt the release build in every way we know, and look for every acknowledged lead
    Torture(release_tool::Arguments),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Test(arguments) => test::run(&arguments),
        Task::Lint => lint::run().map(|()| ExitCode::SUCCESS),
        Task::E2e(arguments) => e2e::run(&arguments),
        Task::Pictures => e2e::pictures(),
        Task::Openapi => openapi::run().map(|()| ExitCode::SUCCESS),
        Task::Bench(arguments) => release_tool::bench(&arguments),
        Task::Profile(arguments) => profile::run(&arguments),
        Task::Instructions(arguments) => callgrind::run(&arguments),
        Task::Torture(arguments) => release_tool::run(&release_tool::TORTURE, &arguments),
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
