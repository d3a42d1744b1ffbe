//! `cargo xtask e2e` and `pictures`: the tests that need a real browser, alone. `cargo xtask test` runs them too.

use std::process::ExitCode;

use clap::Args;

use crate::Done;
use crate::cargo::{self, cargo, root, target};
use crate::test::has_nextest;

/// Tells the test that makes pictures where to put them; else they are left among the artefacts.
const PICTURES_VARIABLE: &str = "SENSEI_PICTURES";
const PICTURES: &str = "docs/pictures";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Passed to the test runner, e.g. a test's name
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Runs them. Asked for by name, they aren't skipped where the browser is missing.
pub(crate) fn run(arguments: &Arguments) -> Done {
    let mut tests = browser_tests();
    tests.env("CI", "true").args(&arguments.rest);
    let passed = cargo::run(&mut tests)?.success();
    eprintln!("pictures of the pages are in {}", target().join("e2e").display());
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes the pictures by the test that also holds them to their size.
pub(crate) fn pictures() -> Done {
    let mut tests = browser_tests();
    tests.env("CI", "true").env(PICTURES_VARIABLE, root().join(PICTURES));
    let passed = cargo::run(tests.arg("pictures::"))?.success();
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Of the whole workspace: with a part of it selected, cargo would build with other features, and everything anew.
fn browser_tests() -> std::process::Command {
    let runner: &[&str] = if has_nextest() {
        &["nextest", "run", "--no-fail-fast"]
    } else {
        &["test"]
    };
    let mut tests = cargo(runner);
    tests.args(["--workspace", "--test", "browser"]);
    tests
}
