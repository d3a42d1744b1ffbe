//! `cargo xtask instructions`: counts what the pure parts of the hot path cost, and holds that to the committed counts.
//!
//! Instructions, not time: a busy neighbour doesn't change them, so a build that became dearer by a few percent is seen in seconds.
//!
//! The same everywhere, as far as that can be had. The compiler is pinned. Valgrind shows programs a processor of its own, the same
//! on each machine that has AVX2, and one without SHA extensions: SHA-256 is counted in plain code. glibc is told to take its
//! plain routines for memory and text, whatever the processor has. Its allocator is counted too, so that another release of glibc may
//! need counts of its own.

use std::fs;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Args;
use xtask::instructions::{self, Comparison, Count, FILE, Part, TOLERANCE_PERCENT};

use crate::Done;
use crate::cargo::{root, target};
use crate::release_tool::{self, LOAD};

/// What is committed is counted on this one.
const ARCHITECTURE: &str = "x86_64";
/// Operations of the shorter run. What the first ones need more is lost in so many.
const TIMES: u32 = 2_000;
/// Those for SSE2, which each x86-64 has (glibc's manual, "Hardware Capability Tunables"). By them parsing takes 0.5 % more.
const PLAIN_ROUTINES: &str = "glibc.cpu.hwcaps=-AVX2,-AVX_Fast_Unaligned_Load,-SSE4_2,-SSSE3,-ERMS";

#[derive(Debug, Default, Args)]
pub(crate) struct Arguments {
    /// Write the counts of this build to xtask/instructions.txt, to be committed
    #[arg(long)]
    write: bool,
}

/// Counts every part. A count that is off fails; where nothing can be counted, that is said loudly.
pub(crate) fn run(arguments: &Arguments) -> Done {
    let valgrind = match valgrind() {
        Ok(version) => version,
        Err(error) if arguments.write => return Err(error),
        Err(error) => {
            eprintln!("\n▶ SKIPPED: the instructions of the hot path are not counted: {error:#}");
            return Ok(ExitCode::SUCCESS);
        }
    };
    release_tool::build(&LOAD)?;
    eprintln!("\n▶ counting instructions ({valgrind})");
    let counted = Part::ALL.into_iter().map(count).collect::<Result<Vec<_>>>()?;
    if arguments.write {
        let text = instructions::text(&counted, &format!("{valgrind} on {ARCHITECTURE}"));
        fs::write(root().join(FILE), &text).with_context(|| format!("{FILE} can't be written"))?;
        println!("{FILE} is written:\n{text}");
        return Ok(ExitCode::SUCCESS);
    }
    check(&counted)
}

fn check(counted: &[Count]) -> Done {
    let text = fs::read_to_string(root().join(FILE)).with_context(|| format!("{FILE} can't be read"))?;
    let committed = instructions::read(&text).with_context(|| FILE.to_owned())?;
    let compare = |count: &Count| {
        Comparison::of(*count, &committed).with_context(|| format!("{FILE} has no {}", count.part.name()))
    };
    let comparisons = counted.iter().map(compare).collect::<Result<Vec<_>>>()?;
    for comparison in &comparisons {
        println!("{}", comparison.shown());
    }
    ensure!(
        comparisons.iter().all(Comparison::holds),
        "the hot path takes over {TOLERANCE_PERCENT} % more or fewer instructions than committed; \
         `cargo xtask instructions --write` writes {FILE} anew"
    );
    Ok(ExitCode::SUCCESS)
}

/// Its version, if instructions can be counted here.
fn valgrind() -> Result<String> {
    ensure!(
        std::env::consts::ARCH == ARCHITECTURE,
        "the committed counts are of {ARCHITECTURE}, this is {}",
        std::env::consts::ARCH
    );
    let output = Command::new("valgrind").arg("--version").output();
    let output = output.context("valgrind can't be run; is it installed?")?;
    ensure!(
        output.status.success(),
        "`valgrind --version` ended with {}",
        output.status
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn count(part: Part) -> Result<Count> {
    let instructions = instructions::each(TIMES, total(part, TIMES)?, total(part, 2 * TIMES)?);
    let instructions = instructions.with_context(|| format!("{} can't be counted", part.name()))?;
    Ok(Count { part, instructions })
}

/// All instructions of the program that does a part so many times.
fn total(part: Part, times: u32) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(target().join("release/hot-path"))
        .args([part.name(), &times.to_string()])
        .env("GLIBC_TUNABLES", PLAIN_ROUTINES)
        .output()
        .context("valgrind can't be run")?;
    let printed = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "hot-path {} ended with {}:\n{printed}",
        part.name(),
        output.status
    );
    instructions::collected(&printed)
}
