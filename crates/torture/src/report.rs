//! The result in words: for the terminal, and as docs/reliability.md.

use std::fmt::Write as _;

use crate::database::DatabaseKind;
use crate::fault::counts;
use crate::reconcile::{Found, TenantFound};
use crate::run::Options;
use crate::world::World;

/// A section: the tables.
pub(crate) fn text(world: &World, found: &Found, options: &Options) -> String {
    let mut text = format!("## On {}\n\n", options.database);
    let sum = |of: fn(&TenantFound) -> usize| found.tenants.iter().map(of).sum::<usize>();
    let (acknowledged, lost) = (sum(|tenant| tenant.acknowledged), sum(|tenant| tenant.lost));
    write!(
        text,
        "{} lives, seed {}: {acknowledged} leads acknowledged, {lost} lost. {} requests aren't in the log, each cut off by the \
         kill that ended its life.",
        world.lives.len(),
        options.seed,
        sum(|tenant| tenant.unrecorded)
    )
    .expect("a String takes it");
    if let Some(integrity) = &found.integrity {
        write!(text, " `PRAGMA integrity_check`: {integrity}.").expect("a String takes it");
    }
    text.push_str("\n\n");
    text.push_str("| what happened | times |\n| --- | ---: |\n");
    for (end, times) in counts(world.lives.iter().map(|(_, end)| *end)) {
        writeln!(text, "| {end} | {times} |").expect("a String takes it");
    }
    for (fault, times) in counts(world.lives.iter().map(|(fault, _)| *fault)) {
        writeln!(text, "| {fault} | {times} |").expect("a String takes it");
    }
    text.push_str("\n| the receiver | acknowledged | lost | succeeded | failed | requests | repeats | unrecorded |\n");
    text.push_str("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for tenant in &found.tenants {
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            tenant.words,
            tenant.acknowledged,
            tenant.lost,
            tenant.succeeded,
            tenant.failed,
            tenant.requests,
            tenant.repeats,
            tenant.unrecorded
        )
        .expect("a String takes it");
    }
    text.push_str("\n| answers that weren't 201 | times |\n| --- | ---: |\n");
    for ((status, problem), times) in &world.refused {
        writeln!(text, "| {status} `{problem}` | {times} |").expect("a String takes it");
    }
    writeln!(text, "| none: the connection was cut | {} |", world.cut).expect("a String takes it");
    if found.wrong.is_empty() {
        text.push_str("\nEverything adds up.\n");
    } else {
        text.push_str("\nWhat is wrong:\n\n");
        for wrong in &found.wrong {
            writeln!(text, "- {wrong}").expect("a String takes it");
        }
    }
    text
}

/// The section of a database that isn't there.
pub(crate) fn not_run(database: DatabaseKind) -> String {
    format!("## On {database}\n\nNot run: it wasn't installed.\n")
}

/// The page with its sections.
pub fn page(sections: &str) -> String {
    format!("{HEAD}{sections}{FOOT}")
}

const HEAD: &str = "\
# Reliability

What `cargo xtask torture --report docs/reliability.md` found when it was last run: the release binary on real files, hurt from
outside in every way that we know, under load, to receivers of every bad kind. The seed makes the same plan again.

";

const FOOT: &str = "## How it is counted

- A lead is *acknowledged* when its POST was answered 201. It is *lost* if it isn't in the database afterwards, or, where the
  receiver takes leads at least now and then, if it never came there.
- After the last life each receiver is mended and the rest is delivered. Then no delivery may be pending or held, each lead has one
  event and one delivery, attempts are numbered without a gap, and a delivery that succeeded has an attempt that did.
- A *repeat* is a request beyond the first for the same lead; all of a lead's requests must carry the same `webhook-id`.
- After each life, while the process is dead, its requests are taken from the receivers and its attempts from the log, so that each
  belongs to one life. A request is *unrecorded* if its life has fewer attempts than requests of that lead. That is so for one at
  most, in a life that ended by SIGKILL: the attempt under way when it was killed. Two, or one in a life that ended by
  SIGTERM, are a failure; so is an attempt that had an answer and no request. (A receiver may see a dead process's connection close
  before it has read the last request, which then counts nowhere.)
- A destination whose receiver must get every lead retries each second (`custom`); the others have the published policy `none`.
- The full and the read-only disk are a small filesystem of the test's own; slow syncs and a wrong clock come from a library that is
  preloaded (`LD_PRELOAD`): the release binary has no hook for this. Where the machine lets us mount nothing, or has no C compiler, those
  faults are left out with a loud line.
- A database that can't be written at the start must be refused in words; when the disk was full or PostgreSQL away, leads must be
  acknowledged again, without a restart of the process, once that is over.
- PostgreSQL is a server of the test's own that waits for the disk at each commit.
";
