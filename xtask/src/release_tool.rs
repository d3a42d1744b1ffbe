//! Tools that work on the release binary: built in one call with it, run with its path.

use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};
use clap::Args;

use crate::Done;
use crate::cargo::{cargo, root, succeed, target};

/// All are the tool's; `-- --help` shows them.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Options of the tool, e.g. --seconds N of `bench`, --kills N of `torture`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Builds both and runs the tool; fails when it does.
pub(crate) fn run(tool: &str, arguments: &Arguments) -> Done {
    // In one call: what both are built of is then built once.
    let packages = [
        "--package",
        "sensei",
        "--package",
        "xtask",
        "--bin",
        "sensei",
        "--bin",
        tool,
    ];
    succeed(
        cargo(&["build", "--release"])
            .args(packages)
            .args(["--features", "xtask/load"]),
    )?;
    let release = target().join("release");
    let program = release.join("sensei");
    ensure!(program.exists(), "{} is not where cargo builds", program.display());
    let mut command = Command::new(release.join(tool));
    command
        .arg("--program")
        .arg(program)
        .arg("--directory")
        .arg(target())
        .args(&arguments.rest)
        .current_dir(root());
    let status = command.status().with_context(|| format!("{tool} could not be run"))?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
