//! Calling cargo: the one that called us, in the workspace's root.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result, ensure};

/// The workspace's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |target| root().join(target))
}

/// A call of cargo, not yet started.
///
/// It isn't told what the cargo that runs us says of our package: build scripts look at that (ring's does), and would run
/// again, with all that is built on them, whenever cargo is called by us after it was called by hand.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command.args(arguments).current_dir(root());
    command
}

/// Says what is run, and runs it to its end.
pub(crate) fn run(command: &mut Command) -> Result<ExitStatus> {
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    eprintln!("\n▶ cargo {}", arguments.join(" "));
    command.status().context("cargo could not be run")
}

/// As [`run`], and an error unless it succeeds.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = run(command)?;
    ensure!(status.success(), "cargo ended with {status}");
    Ok(())
}
