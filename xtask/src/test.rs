//! `cargo xtask test`: everything that must hold, ending with the test runner's own summary.

use std::process::{Command, ExitCode, Stdio};

use anyhow::ensure;
use clap::Args;

use crate::cargo::{self, cargo, succeed};
use crate::postgres::{Postgres, SERVER_VARIABLE};
use crate::{Done, callgrind, lint, release_tool};

/// What the tests are run by.
const TARGETS: [&str; 4] = ["--lib", "--bins", "--tests", "--examples"];

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only the tests, no format and lints
    #[arg(long)]
    no_lint: bool,
    /// Passed to the test runner, e.g. a test's name
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Runs it all. The first step that fails ends it.
pub(crate) fn run(arguments: &Arguments) -> Done {
    if !arguments.no_lint {
        lint::run()?;
    }
    let runner: &[&str] = if has_nextest() { &["nextest", "run"] } else { &["test"] };
    let tests = || {
        let mut command = cargo(runner);
        command.arg("--workspace").args(TARGETS);
        command
    };
    succeed(tests().arg("--no-run"))?;
    if std::env::var("CI").is_ok_and(|ci| ci == "true") {
        // A release build takes minutes: contributors don't wait for it. Alone on the machine, and before the tests, whose
        // summary comes last.
        let bench = release_tool::bench(&release_tool::Arguments::of(&["--short"]))?;
        ensure!(
            bench == ExitCode::SUCCESS,
            "the benchmark's ratio is too low, or leads were lost"
        );
        // Of the same build.
        callgrind::run(&callgrind::Arguments::default())?;
    }
    let server = Postgres::start()?;
    let with_server = |command: &mut Command| {
        if let Some(server) = &server {
            command.env(SERVER_VARIABLE, server.url());
        }
    };
    // First, so that the last lines are the runner's summary.
    let mut doctests = cargo(&["test", "--workspace", "--doc", "--quiet"]);
    with_server(&mut doctests);
    succeed(&mut doctests)?;
    let mut tests = tests();
    tests.arg("--no-fail-fast").args(&arguments.rest);
    with_server(&mut tests);
    // The runner has said what failed; nothing is printed after it.
    let passed = cargo::run(&mut tests)?.success();
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether tests can be run by cargo-nextest.
pub(crate) fn has_nextest() -> bool {
    let version = cargo(&["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}
