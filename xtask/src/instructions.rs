//! The committed instruction counts of the hot path's pure parts: their file, what callgrind says, and whether a count is off.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

/// Where the counts are, from the workspace's root. `cargo xtask instructions --write` writes it.
pub const FILE: &str = "xtask/instructions.txt";
/// How far a count may be from the committed one, either way: what became cheaper is committed too, or it could be lost again unseen.
pub const TOLERANCE_PERCENT: u32 = 5;

/// A part of the hot path whose result depends on its input alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// A request's body becomes a valid lead
    Parse,
    /// A lead becomes the event's body
    Serialize,
    /// The event is judged by a destination's filter of two conditions
    Filter,
    /// The body becomes the header `webhook-signature`
    Sign,
    /// A receiver's answer becomes what is logged and what follows
    Judge,
}

impl Part {
    /// All, in the order of the way of a lead.
    pub const ALL: [Self; 5] = [Self::Parse, Self::Serialize, Self::Filter, Self::Sign, Self::Judge];

    /// Its name, in the file and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Serialize => "serialize",
            Self::Filter => "filter",
            Self::Sign => "sign",
            Self::Judge => "judge",
        }
    }
}

/// How many instructions one operation of a part takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The part.
    pub part: Part,
    /// Instructions an operation.
    pub instructions: u32,
}

/// What the file says.
pub fn text(counts: &[Count], counted_with: &str) -> String {
    let mut text = format!(
        "# Instructions of one operation, for each pure part of the hot path. Written by `cargo xtask instructions --write`.\n\
         # Counted with {counted_with}.\n"
    );
    for Count { part, instructions } in counts {
        writeln!(text, "{} {instructions}", part.name()).expect("a text takes all that is written to it");
    }
    text
}

/// The counts in the file: of every part, once.
pub fn read(text: &str) -> Result<Vec<Count>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let counts = lines.map(read_line).collect::<Result<Vec<_>>>()?;
    for part in Part::ALL {
        let lines = counts.iter().filter(|count| count.part == part).count();
        ensure!(lines == 1, "{} has {lines} lines, not one", part.name());
    }
    Ok(counts)
}

fn read_line(line: &str) -> Result<Count> {
    let (name, count) = line.split_once(' ').with_context(|| format!("no count in {line:?}"))?;
    let part = Part::ALL.into_iter().find(|part| part.name() == name);
    let part = part.with_context(|| format!("{name:?} is no part"))?;
    let instructions = count.parse().with_context(|| format!("no count in {line:?}"))?;
    ensure!(instructions > 0, "{name} can't take no instruction at all");
    Ok(Count { part, instructions })
}

/// All instructions of a program that callgrind ran, from what it printed.
pub fn collected(printed: &str) -> Result<u64> {
    let line = printed.lines().find_map(|line| line.split_once("Collected :"));
    let (_, total) = line.with_context(|| format!("callgrind printed no total:\n{printed}"))?;
    total.trim().parse().with_context(|| format!("{total:?} is no total"))
}

/// Instructions of one operation, from the totals of a run of so many and a run of twice as many: start and end of the
/// program cancel out.
pub fn each(times: u32, once: u64, twice: u64) -> Result<u32> {
    let difference = twice.checked_sub(once).context("twice as many operations took less")?;
    Ok(u32::try_from(difference / u64::from(times))?)
}

/// A part's committed count beside the one of this build.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    part: Part,
    committed: u32,
    counted: u32,
}

impl Comparison {
    /// Compares; `None` if the part has no committed count.
    pub fn of(counted: Count, committed: &[Count]) -> Option<Self> {
        let found = committed.iter().find(|count| count.part == counted.part)?;
        Some(Self {
            part: counted.part,
            committed: found.instructions,
            counted: counted.instructions,
        })
    }

    /// By how much the count is higher than the committed one.
    fn percent(&self) -> f64 {
        (f64::from(self.counted) / f64::from(self.committed) - 1.0) * 100.0
    }

    /// Whether it is near enough.
    pub fn holds(&self) -> bool {
        let distance = u64::from(self.counted.abs_diff(self.committed));
        distance * 100 <= u64::from(self.committed) * u64::from(TOLERANCE_PERCENT)
    }

    /// The comparison in words, with what to do if it doesn't hold.
    pub fn shown(&self) -> String {
        let Self {
            part,
            committed,
            counted,
        } = self;
        let advice = match (self.holds(), counted > committed) {
            (true, _) => "",
            (false, true) => ": TOO DEAR. If it is worth it, commit the new count",
            (false, false) => ": cheaper. Commit the new count, so that it stays so",
        };
        format!(
            "{:<9}  committed {committed:>6}  counted {counted:>6}  {:+.1} %{advice}",
            part.name(),
            self.percent()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(part: Part, instructions: u32) -> Count {
        Count { part, instructions }
    }

    #[test]
    fn the_file_is_read_as_it_is_written() -> Result<()> {
        let counts = Part::ALL.map(|part| count(part, 7));
        assert_eq!(read(&text(&counts, "these tools"))?, counts);
        for faulty in [
            "",
            "# only words\n",
            "parse 1\nserialize 1\nfilter 1\nsign 1\n",
            "parse 1\nserialize 1\nfilter 1\nsign 1\njudge 0\n",
            "parse 1\nserialize 1\nfilter 1\nsign 1\njudge 1\njudge 1\n",
            "parse 1\nserialize 1\nfilter 1\nsign 1\njudge 1\nguess 1\n",
            "parse 1\nserialize 1\nfilter 1\nsign 1\njudge many\n",
            "parse 1\nserialize 1\nfilter 1\nsign 1\njudge\n",
        ] {
            assert!(read(faulty).is_err(), "{faulty:?}");
        }
        Ok(())
    }

    #[test]
    fn the_committed_file_has_every_part() -> Result<()> {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("a root")?;
        read(&std::fs::read_to_string(root.join(FILE))?)?;
        Ok(())
    }

    #[test]
    fn a_part_is_called_the_same_on_the_command_line() {
        for part in Part::ALL {
            let called = part.to_possible_value().map(|value| value.get_name().to_owned());
            assert_eq!(called.as_deref(), Some(part.name()));
        }
        assert_eq!(Part::value_variants(), Part::ALL);
    }

    #[test]
    fn callgrinds_total_is_read() -> Result<()> {
        let printed = "==7== Callgrind, a call-graph generating cache profiler\n==7== \n==7== Events    : Ir\n\
                       ==7== Collected : 12345678\n==7== \n==7== I   refs:      12,345,678\n";
        assert_eq!(collected(printed)?, 12_345_678);
        for printed in ["", "==7== Collected :\n", "==7== Collected : some\n"] {
            assert!(collected(printed).is_err(), "{printed:?}");
        }
        Ok(())
    }

    #[test]
    fn the_programs_start_cancels_out() -> Result<()> {
        assert_eq!(each(10, 5_000_000 + 10 * 321, 5_000_000 + 20 * 321)?, 321);
        assert!(each(10, 2, 1).is_err());
        assert!(each(1, 0, u64::MAX).is_err());
        Ok(())
    }

    #[test]
    fn a_count_that_is_off_either_way_fails_and_says_what_to_do() {
        let committed = Part::ALL.map(|part| count(part, 1_000));
        for (counted, words) in [
            (1_000, "+0.0 %"),
            (1_050, "+5.0 %"),
            (950, "-5.0 %"),
            (1_051, "+5.1 %: TOO DEAR. If it is worth it, commit the new count"),
            (949, "-5.1 %: cheaper. Commit the new count, so that it stays so"),
        ] {
            let comparison = Comparison::of(count(Part::Sign, counted), &committed).expect("it is committed");
            assert_eq!(comparison.holds(), words.ends_with('%'), "{counted}");
            let shown = comparison.shown();
            assert!(shown.starts_with("sign ") && shown.ends_with(words), "{shown}");
        }
        assert_eq!(Comparison::of(count(Part::Sign, 1), &[]), None);
    }
}
