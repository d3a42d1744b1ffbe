//! `cargo xtask profile`: where the CPU time of a lead goes, by `perf`, written into docs/architecture.md.
//!
//! The load generator does it (`load --profile`), since it alone knows the process and when the load is steady.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::Done;
use crate::release_tool::{self, Arguments, LOAD};

/// Fails where there is no `perf`: before the build, which takes minutes.
pub(crate) fn run(arguments: &Arguments) -> Done {
    is_perf_here()?;
    release_tool::run(&LOAD, &arguments.after("--profile"))
}

fn is_perf_here() -> Result<()> {
    let version = Command::new("perf")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match version {
        Ok(status) if status.success() => Ok(()),
        _ => bail!(
            "`perf --version` fails: install perf (the package linux-perf on Debian, linux-tools-$(uname -r) on Ubuntu, perf elsewhere)"
        ),
    }
}
