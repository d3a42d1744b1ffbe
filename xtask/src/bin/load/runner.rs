//! Runs scenarios, prints what they yield, and writes the page and the ratio that CI holds builds to.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use xtask::figures::{Figure, combined};
use xtask::page::{self, Measured};
use xtask::ratio;

use crate::percentiles::stolen;
use crate::process::Processors;
use crate::scenario::{Scenario, Setup};
use crate::scenarios::one_client;
use crate::{Arguments, DatabaseKind, machine};

/// What the page says first.
const INTRODUCTION: &str = "What is measured is the release binary, run as a process on real files: each lead is on the disk (fsync) before it is \
acknowledged. Client and receiver are one process that runs beside the system and takes its share of the processors. The lead is \
the documented payload, about 400 bytes delivered. Databases lie under `target/`, on the disk that the workspace is on: on a file system in \
memory a sync costs nothing, and the figures mean nothing.\n\n\
The figure to compare is the **ratio to the bare limit**: the same client posting the same bytes straight to the same receiver, just \
before and just after, on the same machine. Absolute figures move by a factor of two between machines and hours, ratios by about a tenth; below a \
tenth, two builds aren't different. \
Percentiles of latencies under a steady load are taken from when a lead should have been sent, so that a system that stands still is \
seen to (coordinated omission).\n\n\
A virtual machine's host may run others on its processors: *taken by the machine's host* is the part of the time in which something here was ready to run and \
didn't get to, as the kernel counts it (steal time), over the whole scenario. The more it is, the less do times in milliseconds tell of the system; bars stay as they are.\n\n\
Every acknowledged lead must arrive, once, and be in the log as succeeded: leads that were lost, came twice or aren't in the log are \
counted in each scenario whose table has these rows; in the others nothing goes on until all have arrived. A bar that is missed is marked in its table, and the command ends with failure. Other ways to call it:\n\n\
```sh\n\
cargo xtask bench                                   # the main scenarios on SQLite, three runs of 10 s\n\
cargo xtask bench --database postgres               # a private PostgreSQL with fsync\n\
cargo xtask bench --scenario slow --lane 64         # one scenario; another limit of attempts at a time\n\
cargo xtask bench --compare REV                     # this build and another commit's in turn\n\
cargo xtask bench --short                           # what CI does: is the ratio still 0.7 of the committed one?\n\
cargo xtask bench --all --report docs/benchmarks.md # this page\n\
```\n\n\
The short one takes the best of up to three tries, since a busy neighbour can make the system slow but not fast. `cargo xtask test` runs \
it where `CI` is set only: it needs a release build, which takes some minutes.\n\n\
A few percent can't be seen in times, but in instructions: `cargo xtask instructions` counts by callgrind what the pure parts of the \
hot path take (parsing a lead, serializing its event, judging it by a filter, signing it, judging an answer), and fails where one is over \
5 % from the count in `xtask/instructions.txt`, either way; `--write` writes that file anew. CI does this too; without valgrind it is skipped, and says so.";

/// Runs what was asked for. Whether all bars are held.
pub(crate) async fn run(arguments: &Arguments) -> Result<bool> {
    // As it is now: the page itself will be a change.
    let origin = arguments
        .report
        .is_some()
        .then(|| machine::origin(arguments))
        .transpose()?;
    let mut all = Vec::new();
    for scenario in arguments.scenarios() {
        for database in arguments.databases() {
            if !scenario.is_for(database) {
                continue;
            }
            let setup = Setup {
                arguments,
                program: &arguments.program,
                database,
            };
            let measured = measure(scenario, &setup).await;
            print!("{}", page::printed(&measured));
            all.push(measured);
        }
    }
    ensure!(!all.is_empty(), "the scenario isn't for that database");
    if let (Some(file), Some(origin)) = (&arguments.report, &origin) {
        write(file, &page::page(origin, INTRODUCTION, &all))?;
        if arguments.all {
            write_ratio(&all, &origin.commit)?;
        }
    }
    Ok(all.iter().all(Measured::holds))
}

async fn measure(scenario: Scenario, setup: &Setup<'_>) -> Measured {
    let runs = if scenario.runs_once() { 1 } else { setup.arguments.runs };
    let (title, about) = scenario.about();
    let begun = Instant::now();
    eprintln!("\n▶ {} on {}", scenario.name(), setup.database.name());
    let mut measured = Vec::new();
    let mut failed = None;
    for number in 1..=runs {
        match with_what_was_stolen(scenario.measure(setup)).await {
            Ok(figures) => measured.push(figures),
            Err(error) => {
                failed = Some(format!("{error:#}"));
                break;
            }
        }
        eprintln!("  run {number} of {runs}: {:.0} s", begun.elapsed().as_secs_f64());
    }
    Measured {
        scenario: scenario.name(),
        title: title.to_owned(),
        about: about.to_owned(),
        database: setup.database.name().to_owned(),
        runs: runs.into(),
        figures: failed.map_or_else(|| Ok(combined(measured)), Err),
    }
}

/// With how much of the time the host of the machine took meanwhile.
async fn with_what_was_stolen(measure: impl Future<Output = Result<Vec<Figure>>>) -> Result<Vec<Figure>> {
    let before = Processors::now()?;
    let mut figures = measure.await?;
    let share = Processors::now()?.stolen_since(before);
    figures.push(stolen("taken by the machine's host", share));
    Ok(figures)
}

fn write_ratio(all: &[Measured], commit: &str) -> Result<()> {
    let measured = all
        .iter()
        .find(|one| one.scenario == Scenario::OneClient.name() && one.database == DatabaseKind::Sqlite.name());
    // Where it failed, the one that was committed stays.
    let Some(Ok(figures)) = measured.map(|measured| &measured.figures) else {
        return Ok(());
    };
    let figure = ratio_of(figures)?;
    write(Path::new(ratio::FILE), &ratio::text(figure, commit))
}

/// The ratio among the figures of one client.
pub(crate) fn ratio_of(figures: &[Figure]) -> Result<f64> {
    let figure = figures.iter().find(|figure| figure.name == one_client::RATIO);
    Ok(figure.context("one client has a ratio")?.value)
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("{} can't be written", file.display()))?;
    eprintln!("{} is written", file.display());
    Ok(())
}
