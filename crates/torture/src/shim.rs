//! A library that is preloaded into the program: slow syncs and a wrong clock, switched by files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sensei_test_support::Binary;

const SOURCE: &str = include_str!("shim.c");

/// The compiled library and its switches.
#[derive(Debug)]
pub(crate) struct Shim {
    library: PathBuf,
    slow_disk: PathBuf,
    clock: PathBuf,
}

impl Shim {
    /// Compiles it with the machine's C compiler.
    pub(crate) fn compile(directory: &Path) -> Result<Self> {
        let (source, library) = (directory.join("shim.c"), directory.join("shim.so"));
        fs::write(&source, SOURCE)?;
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .status()
            .context("a C compiler is needed (cc)")?;
        ensure!(compiled.success(), "the preloaded library can't be compiled");
        let shim = Self {
            library,
            slow_disk: directory.join("slow-disk"),
            clock: directory.join("clock"),
        };
        shim.calm()?;
        Ok(shim)
    }

    /// Preloads it.
    pub(crate) fn preload(&self, binary: Binary) -> Binary {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        binary
            .env("LD_PRELOAD", text(&self.library))
            .env("SLOW_DISK_FILE", text(&self.slow_disk))
            .env("CLOCK_FILE", text(&self.clock))
    }

    /// Lets each sync take up to so many microseconds.
    pub(crate) fn slow_disk(&self, longest: u32) -> Result<()> {
        replace(&self.slow_disk, i64::from(longest))
    }

    /// Puts the wall clock off by so many seconds.
    pub(crate) fn jump(&self, seconds: i64) -> Result<()> {
        replace(&self.clock, seconds)
    }

    /// Ends both.
    pub(crate) fn calm(&self) -> Result<()> {
        self.slow_disk(0)?;
        self.jump(0)
    }
}

/// At once: a half written number would be another fault.
fn replace(path: &Path, number: i64) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, number.to_string())?;
    Ok(fs::rename(new, path)?)
}
