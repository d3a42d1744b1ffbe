//! `docs/benchmarks.md`, made of what was measured. Nothing in it is typed by hand.

use std::fmt::Write as _;

use crate::figures::Figure;

/// What was measured of one scenario on one database.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The scenario's name, as in `--scenario`.
    pub scenario: String,
    /// What it is about: a title and how it's measured.
    pub title: String,
    /// How it's measured, as Markdown.
    pub about: String,
    /// The database's name for people.
    pub database: String,
    /// How often it ran.
    pub runs: usize,
    /// The figures, or why there are none.
    pub figures: Result<Vec<Figure>, String>,
}

impl Measured {
    /// Whether it was measured and every bar is held.
    pub fn holds(&self) -> bool {
        self.figures
            .as_ref()
            .is_ok_and(|figures| figures.iter().all(Figure::holds))
    }
}

/// Where, when and by what a page was made.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Name and value of each fact about the machine.
    pub machine: Vec<(String, String)>,
    /// The commit that was built, and whether files were changed.
    pub commit: String,
    /// UTC.
    pub date: String,
    /// The command line that makes it again.
    pub command: String,
}

/// The whole page.
pub fn page(origin: &Origin, introduction: &str, measured: &[Measured]) -> String {
    let mut page = format!(
        "<!-- Made by `{}`. Don't edit: its words are in xtask/src/bin/load. -->\n\n# Benchmarks\n\n{introduction}\n\n",
        origin.command
    );
    page.push_str("## Where these figures are from\n\n| | |\n| --- | --- |\n");
    for (name, value) in &origin.machine {
        writeln!(page, "| {name} | {value} |").ok();
    }
    for (name, value) in [("commit", &origin.commit), ("date", &origin.date)] {
        writeln!(page, "| {name} | {value} |").ok();
    }
    writeln!(page, "| command | `{}` |\n", origin.command).ok();
    page.push_str(&verdict(measured));
    for group in groups(measured) {
        page.push_str(&section(group));
    }
    page
}

/// The scenarios in their order, each with its databases.
fn groups(measured: &[Measured]) -> impl Iterator<Item = &[Measured]> {
    measured.chunk_by(|one, next| one.scenario == next.scenario)
}

fn verdict(measured: &[Measured]) -> String {
    let missed: Vec<_> = measured
        .iter()
        .filter(|one| !one.holds())
        .map(|one| format!("{} on {}", one.title.to_lowercase(), one.database))
        .collect();
    if missed.is_empty() {
        "All bars are held.\n".to_owned()
    } else {
        format!("**Missed**, marked in its table: {}.\n", missed.join("; "))
    }
}

fn section(group: &[Measured]) -> String {
    let first = &group[0];
    let mut section = format!("\n## {}\n\n{}\n\n", first.title, first.about);
    let runs = match first.runs {
        1 => "One run".to_owned(),
        runs => format!("Medians of {runs} runs, with the lowest and the highest"),
    };
    writeln!(
        section,
        "{runs}; alone: `cargo xtask bench --scenario {}`.\n",
        first.scenario
    )
    .ok();
    let databases: Vec<_> = group.iter().map(|one| one.database.as_str()).collect();
    writeln!(section, "| | {} | bar |", databases.join(" | ")).ok();
    writeln!(section, "| --- |{} --- |", " ---: |".repeat(group.len())).ok();
    for (at, name) in names(group).into_iter().enumerate() {
        let mut bar = String::new();
        write!(section, "| {name} |").ok();
        for one in group {
            let cell = match &one.figures {
                Ok(figures) => figures.iter().find(|figure| figure.name == name).map(|figure| {
                    let own = figure.bar_shown();
                    if bar.is_empty() {
                        bar.clone_from(&own);
                    }
                    // A bar that was measured is another on each database.
                    let differs = if own == bar { String::new() } else { format!(" ({own})") };
                    cell(figure) + &differs
                }),
                Err(why) => (at == 0).then(|| format!("**failed**: {}", one_line(why))),
            };
            write!(section, " {} |", cell.unwrap_or_default()).ok();
        }
        writeln!(section, " {bar} |").ok();
    }
    section
}

/// The figures' names in their order, those that one database alone has behind the one before them there; of a scenario
/// that failed on each database there is one row that says so.
fn names(group: &[Measured]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for figures in group.iter().flat_map(|one| &one.figures) {
        let mut place = 0;
        for figure in figures {
            let known = names.iter().position(|name| *name == figure.name);
            if known.is_none() {
                names.insert(place, figure.name.clone());
            }
            place = known.unwrap_or(place) + 1;
        }
    }
    if names.is_empty() {
        names.push("(not measured)".to_owned());
    }
    names
}

fn cell(figure: &Figure) -> String {
    let mut cell = figure.shown();
    let spread = figure.spread_shown();
    if !spread.is_empty() {
        write!(cell, " ({spread})").ok();
    }
    if figure.holds() {
        cell
    } else {
        format!("**{cell} missed**")
    }
}

/// For a table's cell.
fn one_line(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace('|', "/").chars().take(200).collect()
}

/// The same for a terminal.
pub fn printed(measured: &Measured) -> String {
    let runs = if measured.runs == 1 { "run" } else { "runs" };
    let mut text = format!(
        "\n{} on {}, {} {runs}\n",
        measured.title, measured.database, measured.runs
    );
    match &measured.figures {
        Ok(figures) => text.extend(figures.iter().map(line)),
        Err(why) => text.extend(["  failed: ", why, "\n"]),
    }
    text
}

fn line(figure: &Figure) -> String {
    let line = format!(
        "  {:<58} {:>14}  {:<22} {}{}",
        figure.name,
        figure.shown(),
        figure.spread_shown(),
        figure.bar_shown(),
        if figure.holds() { "" } else { "  MISSED" }
    );
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Unit;

    fn measured(database: &str, figures: Result<Vec<Figure>, String>) -> Measured {
        Measured {
            scenario: "one-client".to_owned(),
            title: "One client".to_owned(),
            about: "A closed loop.".to_owned(),
            database: database.to_owned(),
            runs: 1,
            figures,
        }
    }

    fn made(measured: &[Measured]) -> String {
        let origin = Origin {
            machine: vec![("processor".to_owned(), "2 cores".to_owned())],
            commit: "0123abc".to_owned(),
            date: "2026-11-25".to_owned(),
            command: "cargo xtask bench --all".to_owned(),
        };
        page(&origin, "What is measured.", measured)
    }

    #[test]
    fn each_scenario_is_a_table_with_a_column_a_database() {
        let ratio = |value| Ok(vec![Figure::new("ratio", value, Unit::Ratio).at_least(0.12)]);
        let page = made(&[measured("SQLite", ratio(0.15)), measured("PostgreSQL", ratio(0.1))]);
        assert!(
            page.contains("| | SQLite | PostgreSQL | bar |\n| --- | ---: | ---: | --- |\n"),
            "{page}"
        );
        assert!(
            page.contains("| ratio | 0.150 | **0.100 missed** | at least 0.120 |\n"),
            "{page}"
        );
        assert!(
            page.contains("**Missed**, marked in its table: one client on PostgreSQL."),
            "{page}"
        );
        assert!(page.contains("| command | `cargo xtask bench --all` |"), "{page}");
        assert!(made(&[measured("SQLite", ratio(0.15))]).contains("All bars are held."));
    }

    #[test]
    fn what_one_database_alone_has_is_in_its_place() {
        let figure = |name: &str, most| Figure::new(name, 1.0, Unit::Count).at_most(most);
        let page = made(&[
            measured("SQLite", Ok(vec![figure("a", 3.0), figure("d", 3.0)])),
            measured(
                "PostgreSQL",
                Ok(vec![
                    figure("a", 4.0),
                    figure("b", 3.0),
                    figure("c", 3.0),
                    figure("d", 3.0),
                ]),
            ),
        ]);
        let rows = "| a | 1 | 1 (at most 4) | at most 3 |\n| b |  | 1 | at most 3 |\n| c |  | 1 | at most 3 |\n| d | 1 | 1 | at most 3 |\n";
        assert!(page.contains(rows), "{page}");
    }

    #[test]
    fn what_failed_is_on_the_page_too() {
        let page = made(&[
            measured("SQLite", Ok(vec![Figure::new("rate", 1.0, Unit::PerSecond)])),
            measured("PostgreSQL", Err("no\nserver | here".to_owned())),
        ]);
        assert!(
            page.contains("| rate | 1/s | **failed**: no server / here |  |\n"),
            "{page}"
        );
        let page = made(&[measured("SQLite", Err("gone".to_owned()))]);
        assert!(page.contains("| (not measured) | **failed**: gone |  |\n"), "{page}");
    }
}
