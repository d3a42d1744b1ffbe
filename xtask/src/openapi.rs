//! `cargo xtask openapi`: writes the API's description anew, generated from its handlers.

use anyhow::{Context, Result, ensure};

use crate::cargo::{cargo, root};

const FILE: &str = "docs/openapi.json";

/// Writes the file. A test of the API's crate compares it.
pub(crate) fn run() -> Result<()> {
    let output = cargo(&["run", "--quiet", "--package", "sensei", "--", "openapi"])
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cargo could not be run")?;
    ensure!(output.status.success(), "`sensei openapi` ended with {}", output.status);
    std::fs::write(root().join(FILE), output.stdout).with_context(|| format!("{FILE} can't be written"))?;
    eprintln!("{FILE} is written");
    Ok(())
}
