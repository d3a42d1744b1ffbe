//! `cargo xtask bench`: builds the release binary and the load generator, and lets the latter measure the former.

use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};
use clap::Args;

use crate::Done;
use crate::cargo::{cargo, root, succeed, target};

/// All are the load generator's; see `--help` of `load`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Options of the measurement: --seconds N, --runs N, --database sqlite|postgres, --lane N, …
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Measures. Fails when a lead was lost or delivered twice.
pub(crate) fn run(arguments: &Arguments) -> Done {
    // In one call: what both are built of is then built once.
    let packages = [
        "--package",
        "sensei",
        "--package",
        "xtask",
        "--bin",
        "sensei",
        "--bin",
        "load",
    ];
    succeed(
        cargo(&["build", "--release"])
            .args(packages)
            .args(["--features", "xtask/load"]),
    )?;
    let release = target().join("release");
    let program = release.join("sensei");
    ensure!(program.exists(), "{} is not where cargo builds", program.display());
    let mut load = Command::new(release.join("load"));
    load.arg("--program")
        .arg(program)
        .arg("--directory")
        .arg(target())
        .args(&arguments.rest)
        .current_dir(root());
    let status = load.status().context("the load generator could not be run")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
