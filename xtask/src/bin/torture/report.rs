//! The result in words: for the terminal, and as docs/reliability.md.

use std::fmt::Write as _;

use crate::fault::counts;
use crate::reconcile::Found;
use crate::world::World;

/// The tables.
pub(crate) fn text(world: &World, found: &Found, seed: u64) -> String {
    let mut text = String::new();
    let acknowledged = found.tenants.iter().map(|tenant| tenant.acknowledged).sum::<usize>();
    let lost = found.tenants.iter().map(|tenant| tenant.lost).sum::<usize>();
    writeln!(
        text,
        "{} lives, seed {seed}: {acknowledged} leads acknowledged, {lost} lost. `PRAGMA integrity_check`: {}.\n",
        world.lives.len(),
        found.integrity
    )
    .expect("a String takes it");
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

/// The page.
pub(crate) fn page(text: &str) -> String {
    format!("{HEAD}{text}{FOOT}")
}

const HEAD: &str = "\
# Reliability

What `cargo xtask torture --report docs/reliability.md` found when it was last run: the release binary on real files, hurt from
outside in every way that we know, under load, to receivers of every bad kind. The seed makes the same plan again.

";

const FOOT: &str = "
## How it is counted

- A lead is *acknowledged* when its POST was answered 201. It is *lost* if it isn't in the database afterwards, or, where the
  receiver takes leads at least now and then, if it never came there.
- After the last life each receiver is mended and the rest is delivered. Then no delivery may be pending or held, each lead has one
  event and one delivery, attempts are numbered without a gap, and a delivery that succeeded has an attempt that did.
- A *repeat* is a request beyond the first for the same lead; all of a lead's requests must carry the same `webhook-id`. It is
  *unrecorded* if the log has fewer attempts than the receiver has requests: the process ended between the two.
- A destination whose receiver must get every lead retries each second (`custom`); the others have the published policy `none`.
- The full and the read-only disk are a small filesystem of the test's own; slow syncs and a wrong clock come from a library that is
  preloaded (`LD_PRELOAD`): the release binary has no hook for this. Where the machine lets us mount nothing, or has no C compiler, those
  faults are left out with a loud line.
- A database that can't be written at the start must be refused in words; when the disk was full, leads must be acknowledged
  again without a restart once there is room.
";
