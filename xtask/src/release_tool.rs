//! Tools that work on the release binary: built in one call with it, run with its path.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;

use crate::cargo::{cargo, root, succeed, target};
use crate::{Done, compare};

/// All are the tool's; `-- --help` shows them.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Options of the tool, e.g. --scenario NAME or --compare REV of `bench`, --database postgres of `profile`, --kills N of `torture`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

impl Arguments {
    /// These options.
    pub(crate) fn of(rest: &[&str]) -> Self {
        let rest = rest.iter().map(|&option| option.to_owned()).collect();
        Self { rest }
    }

    /// These behind another one.
    pub(crate) fn after(&self, first: &str) -> Self {
        let mut rest = self.rest.clone();
        rest.insert(0, first.to_owned());
        Self { rest }
    }
}

/// A tool and how it is built.
#[derive(Debug)]
pub(crate) struct Tool {
    name: &'static str,
    package: &'static str,
    /// Of its build.
    options: &'static [&'static str],
}

/// The load generator; also builds what `cargo xtask instructions` counts, so that it is of the same crates as the product.
pub(crate) const LOAD: Tool = Tool {
    name: "load",
    package: "xtask",
    options: &["--features", "xtask/load", "--bin", "hot-path"],
};

/// The fault test.
pub(crate) const TORTURE: Tool = Tool {
    name: "torture",
    package: "sensei-torture",
    options: &[],
};

/// Runs the load generator, with a second build where one is to be compared.
pub(crate) fn bench(arguments: &Arguments) -> Done {
    let mut rest = arguments.rest.clone();
    if let Some(other) = compare::take(&mut rest)? {
        let program = other.program.into_os_string().into_string();
        let program = program.map_err(|_| anyhow!("the target folder's path is no text"))?;
        rest.extend([
            "--compare-program".to_owned(),
            program,
            "--compare-name".to_owned(),
            other.name,
        ]);
    }
    run(&LOAD, &Arguments { rest })
}

/// Builds the release binary and the tool.
pub(crate) fn build(tool: &Tool) -> Result<()> {
    // In one call: what both are built of is then built once.
    let packages = ["--package", "sensei", "--bin", "sensei"];
    succeed(
        cargo(&["build", "--release"])
            .args(packages)
            .args(["--package", tool.package, "--bin", tool.name])
            .args(tool.options),
    )
}

/// Builds both and runs the tool; fails when it does.
pub(crate) fn run(tool: &Tool, arguments: &Arguments) -> Done {
    build(tool)?;
    let release = target().join("release");
    let program = release.join("sensei");
    ensure!(program.exists(), "{} is not where cargo builds", program.display());
    // A build that is made meanwhile isn't measured.
    let measured = Measured::of(&program)?;
    let mut command = Command::new(release.join(tool.name));
    command
        .arg("--program")
        .arg(&measured.0)
        .arg("--directory")
        .arg(target())
        .args(&arguments.rest)
        .current_dir(root());
    let status = command
        .status()
        .with_context(|| format!("{} could not be run", tool.name))?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A copy of the binary, for as long as the tool runs.
struct Measured(PathBuf);

impl Measured {
    fn of(program: &Path) -> Result<Self> {
        let copy = target().join(format!("measured-{}", std::process::id()));
        fs::copy(program, &copy).with_context(|| format!("{} can't be written", copy.display()))?;
        Ok(Self(copy))
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}
