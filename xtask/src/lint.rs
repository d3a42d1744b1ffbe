//! `cargo xtask lint`: format and lints, of every crate and target.

use anyhow::{Context, Result};

use crate::cargo::{cargo, succeed};

/// Checks; changes nothing.
pub(crate) fn run() -> Result<()> {
    succeed(&mut cargo(&["fmt", "--all", "--check"])).context("the format isn't rustfmt's: run `cargo fmt --all`")?;
    let clippy = &[
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "--deny",
        "warnings",
    ];
    succeed(&mut cargo(clippy)).context("there are lints")
}
