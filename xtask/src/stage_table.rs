//! The table of stages in `docs/architecture.md`, and its place there.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};

use crate::samples::Sample;
use crate::stages::Stage;

/// Where the tables are, from the workspace's root. `cargo xtask profile` writes them.
pub const FILE: &str = "docs/architecture.md";

/// What was measured, on one database.
#[derive(Debug, Clone)]
pub struct Profile<'a> {
    /// Moments of the system under load.
    pub samples: &'a [Sample<'a>],
    /// CPU time a lead that the system has used, in microseconds.
    pub system_micros: f64,
    /// The same of the database's own processes, if it has any.
    pub database_micros: Option<f64>,
}

/// The table: a line a stage, whose figures add up to the system's, as they are shown.
pub fn table(profile: &Profile) -> String {
    let mut table = "| stage | | µs a lead | share |\n| --- | --- | ---: | ---: |\n".to_owned();
    let all = count(profile.samples.len());
    let mut until_now = 0.0;
    for stage in Stage::ALL {
        let samples = profile.samples.iter().filter(|sample| Stage::of(sample) == stage);
        let samples = count(samples.count());
        if samples == 0.0 && stage.is_of_sqlite() {
            continue;
        }
        let begin = until_now / all;
        until_now += samples;
        let end = until_now / all;
        let (name, about) = stage.about();
        // Differences of what is rounded add up to what is rounded.
        let micros = tenth(end * profile.system_micros) - tenth(begin * profile.system_micros);
        let percent = tenth(end * 100.0) - tenth(begin * 100.0);
        line(&mut table, name, about, micros, Some(percent));
    }
    line(&mut table, "**the system**", "", profile.system_micros, Some(100.0));
    if let Some(micros) = profile.database_micros {
        line(
            &mut table,
            "PostgreSQL",
            "its own processes, for commit and record",
            micros,
            None,
        );
    }
    table
}

fn line(table: &mut String, name: &str, about: &str, micros: f64, percent: Option<f64>) {
    let percent = percent.map(|percent| format!("{percent:.1} %")).unwrap_or_default();
    writeln!(table, "| {name} | {about} | {micros:.1} | {percent} |").expect("a text takes all that is written to it");
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The part of the samples that no stage is known of.
pub fn unknown(samples: &[Sample]) -> f64 {
    let unknown = samples.iter().filter(|sample| Stage::of(sample) == Stage::Others);
    count(unknown.count()) / count(samples.len())
}

fn count(samples: usize) -> f64 {
    f64::from(u32::try_from(samples).unwrap_or(u32::MAX))
}

/// A text with another one between the marks of a database.
pub fn replaced(text: &str, database: &str, table: &str) -> Result<String> {
    let begin = format!("<!-- stages on {database}: made by cargo xtask profile -->");
    let end = format!("<!-- end of stages on {database} -->");
    let (before, rest) = text
        .split_once(&begin)
        .with_context(|| format!("there is no {begin}"))?;
    let (_, after) = rest
        .split_once(&end)
        .with_context(|| format!("there is no {end} behind its begin"))?;
    ensure!(!after.contains(&begin), "{begin} is there twice");
    Ok(format!("{before}{begin}\n\n{}\n\n{end}{after}", table.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(function: &'static str) -> Sample<'static> {
        Sample {
            thread: "tokio-rt-worker",
            functions: vec![function],
            is_in_kernel: true,
        }
    }

    fn shown(table: &str, column: usize) -> Vec<f64> {
        let cells = table.lines().skip(2).filter_map(|line| line.split('|').nth(column));
        cells
            .filter_map(|cell| cell.trim().trim_end_matches(" %").parse().ok())
            .collect()
    }

    #[test]
    fn lines_add_up_to_what_the_system_has_used() {
        let samples = ["axum::serve", "reqwest::send", "tokio::run"].map(sample);
        let table = table(&Profile {
            samples: &samples,
            system_micros: 100.0,
            database_micros: Some(55.04),
        });
        assert!(
            table.contains("| receive | the HTTP server, the handler, the answer | 33.3 | 33.3 % |\n"),
            "{table}"
        );
        assert!(table.contains("| sign | the signature | 0.0 | 0.0 % |\n"), "{table}");
        assert!(table.contains("| **the system** |  | 100.0 | 100.0 % |\n"), "{table}");
        assert!(
            table.ends_with("| PostgreSQL | its own processes, for commit and record | 55.0 |  |\n"),
            "{table}"
        );
        assert!(!table.contains("SQLite"), "{table}");
        for (column, sum) in [(3, 2.0 * 100.0 + 55.0), (4, 2.0 * 100.0)] {
            let all: f64 = shown(&table, column).iter().sum();
            assert!((all - sum).abs() < 0.01, "{all}: {table}");
        }
    }

    #[test]
    fn what_no_stage_is_known_of_is_seen() {
        let samples = ["axum::serve", "reqwest::send", "tokio::run", "main"].map(sample);
        assert!((unknown(&samples) - 0.25).abs() < 1e-9);
    }

    #[test]
    fn a_table_takes_the_place_of_the_one_before() -> Result<()> {
        let page = |sqlite: &str, postgres: &str| {
            format!(
                "# Page\n\n<!-- stages on SQLite: made by cargo xtask profile -->{sqlite}<!-- end of stages on SQLite -->\n\n\
                 <!-- stages on PostgreSQL: made by cargo xtask profile -->{postgres}<!-- end of stages on PostgreSQL -->\nEnd.\n"
            )
        };
        let once = replaced(&page("\n", "\n\n| old |\n\n"), "PostgreSQL", "| new |\n")?;
        assert_eq!(once, page("\n", "\n\n| new |\n\n"));
        assert_eq!(replaced(&once, "PostgreSQL", "| new |\n")?, once);
        Ok(())
    }

    #[test]
    fn a_page_without_its_marks_is_refused() {
        let begin = "<!-- stages on SQLite: made by cargo xtask profile -->";
        let end = "<!-- end of stages on SQLite -->";
        for page in [
            String::new(),
            begin.to_owned(),
            format!("{end}{begin}"),
            format!("{begin}{end}{begin}{end}"),
        ] {
            assert!(replaced(&page, "SQLite", "| new |").is_err(), "{page}");
        }
    }
}
