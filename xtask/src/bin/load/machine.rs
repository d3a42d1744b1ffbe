//! Where figures come from: the machine, the commit, the date and the command line.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sensei_domain::{Clock as _, SystemClock};
use xtask::page::Origin;

use crate::Arguments;

/// All of it, as it is now.
pub(crate) fn origin(arguments: &Arguments) -> Result<Origin> {
    Ok(Origin {
        machine: machine(&arguments.directory)?,
        commit: commit()?,
        date: SystemClock
            .now()
            .to_string()
            .replace('T', " ")
            .chars()
            .take(16)
            .collect::<String>()
            + " UTC",
        command: command(std::env::args().skip(1)),
    })
}

/// What was called, without what `cargo xtask bench` adds.
fn command(arguments: impl Iterator<Item = String>) -> String {
    let mut arguments = arguments;
    let mut command = "cargo xtask bench".to_owned();
    while let Some(argument) = arguments.next() {
        if argument == "--program" || argument == "--directory" {
            arguments.next();
        } else {
            command.push(' ');
            command.push_str(&argument);
        }
    }
    command
}

fn machine(directory: &Path) -> Result<Vec<(String, String)>> {
    let cores = std::thread::available_parallelism()?;
    let info = fs::read_to_string("/proc/cpuinfo")?;
    let model = field(&info, "model name").unwrap_or("unknown processor");
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kib = field(&memory, "MemTotal").context("a machine has memory")?;
    let kib: u32 = kib.trim_end_matches(" kB").parse()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    // What follows the number names whoever built it.
    let kernel = kernel.trim().split('-').next().unwrap_or_default().to_owned();
    let facts = [
        (
            "processor",
            format!("{model}, {cores} cores for all: system, client, receiver"),
        ),
        ("memory", format!("{:.0} GiB", f64::from(kib) / 1024.0 / 1024.0)),
        ("disk", format!("{} file system", file_system(directory)?)),
        ("kernel", format!("Linux {kernel}")),
        (
            "PostgreSQL",
            postgres_version().unwrap_or_else(|| "not installed".to_owned()),
        ),
    ];
    Ok(facts.map(|(name, value)| (name.to_owned(), value)).to_vec())
}

/// The first value of a name in a file of `name: value` lines.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// The kind of file system that a directory is on: the mount whose place is the longest beginning of its path.
fn file_system(directory: &Path) -> Result<String> {
    let directory = directory.canonicalize()?;
    let mounts = fs::read_to_string("/proc/mounts")?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (place, kind) = (fields.next()?, fields.next()?);
        directory.starts_with(place).then_some((place.len(), kind))
    });
    let (_, kind) = mounts
        .max_by_key(|(length, _)| *length)
        .context("a directory is on a mount")?;
    Ok(kind.to_owned())
}

fn postgres_version() -> Option<String> {
    let output = Command::new("psql").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    // `psql (PostgreSQL) 16.4 (…)`.
    text.split_whitespace().nth(2).map(str::to_owned)
}

/// The commit that is built, and whether anything was changed since.
fn commit() -> Result<String> {
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--", ".", ":!docs", ":!xtask/bench-ratio.txt"])?;
    let state = if changes.is_empty() {
        "nothing changed since, but for docs"
    } else {
        "with changes that aren't committed"
    };
    Ok(format!("{commit}, {state}"))
}

fn git(arguments: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .args(arguments)
        .output()
        .context("git could not be run")?;
    ensure!(
        output.status.success(),
        "git {} ended with {}",
        arguments.join(" "),
        output.status
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
