//! Where PostgreSQL's programs are on this machine, and which user may run them.
//!
//! `postgres` and `initdb` refuse to run as root, so a root test runs them as the user that
//! the package made.

use std::env;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Debian keeps each version's server programs here, off the `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The programs of the newest PostgreSQL that is installed.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    /// The directory of `postgres` and `initdb`.
    pub(crate) server: PathBuf,
    pub(crate) psql: PathBuf,
}

impl Programs {
    pub(crate) fn find() -> Option<Self> {
        let server = Self::directories()
            .into_iter()
            .find(|d| d.join("postgres").is_file() && d.join("initdb").is_file())?;
        let beside = server.join("psql");
        let psql = if beside.is_file() {
            beside
        } else {
            PathBuf::from("psql")
        };
        Some(Self { server, psql })
    }

    fn directories() -> Vec<PathBuf> {
        let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(DEBIAN)
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let version = path.file_name()?.to_str()?.parse().ok()?;
                Some((version, path.join("bin")))
            })
            .collect();
        versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
        let on_path = env::var_os("PATH")
            .map(|path| env::split_paths(&path).collect::<Vec<_>>())
            .unwrap_or_default();
        versions.into_iter().map(|(_, path)| path).chain(on_path).collect()
    }
}

/// Who runs the server: the user `postgres` when we are root, else we ourselves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity(Option<(u32, u32)>);

impl Identity {
    pub(crate) fn for_server() -> Result<Self> {
        if id(&["-u"])? != 0 {
            return Ok(Self(None));
        }
        Ok(Self(Some((id(&["-u", "postgres"])?, id(&["-g", "postgres"])?))))
    }

    /// Gives a directory to that user.
    pub(crate) fn own(&self, directory: &Path) -> Result<()> {
        if let Self(Some((user, group))) = self {
            chown(directory, Some(*user), Some(*group))?;
        }
        Ok(())
    }

    /// Runs a command as that user.
    pub(crate) fn apply(&self, command: &mut Command) {
        if let Self(Some((user, group))) = self {
            command.uid(*user).gid(*group);
        }
    }
}

fn id(arguments: &[&str]) -> Result<u32> {
    let output = Command::new("id")
        .args(arguments)
        .output()
        .context("`id` could not be run")?;
    ensure!(
        output.status.success(),
        "`id {}` failed: does the user exist?",
        arguments.join(" ")
    );
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}
