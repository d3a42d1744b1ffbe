//! Two builds in turn, in the same scenario on the same machine: what moves meanwhile moves both.

use std::path::Path;

use anyhow::Result;
use xtask::figures::{Figure, combined, compared};

use crate::Arguments;
use crate::scenario::{Scenario, Setup};

/// Whether both could be measured. Bars are for the page, not for here.
pub(crate) async fn run(arguments: &Arguments, other: &Path, name: &str) -> Result<bool> {
    // One scenario unless more are asked for: each takes twice its time.
    let scenarios = if arguments.scenario.is_empty() && !arguments.all {
        vec![Scenario::OneClient]
    } else {
        arguments.scenarios()
    };
    for scenario in scenarios {
        for database in arguments.databases() {
            if !scenario.is_for(database) {
                continue;
            }
            let [mut theirs, mut ours] = [Vec::new(), Vec::new()];
            for number in 1..=arguments.runs {
                for (runs, program) in [(&mut theirs, other), (&mut ours, arguments.program.as_path())] {
                    let setup = Setup {
                        arguments,
                        program,
                        database,
                    };
                    runs.push(scenario.measure(&setup).await?);
                }
                eprintln!(
                    "  {} on {}, run {number} of {}",
                    scenario.name(),
                    database.name(),
                    arguments.runs
                );
            }
            println!(
                "\n{} on {}, {} runs each",
                scenario.about().0,
                database.name(),
                arguments.runs
            );
            println!("  {:<58} {name:>14} {:>14}  quotient", "", "this build");
            print(&combined(theirs), &combined(ours));
        }
    }
    Ok(true)
}

fn print(theirs: &[Figure], ours: &[Figure]) {
    for figure in ours {
        let Some(other) = theirs.iter().find(|other| other.name == figure.name) else {
            continue;
        };
        println!(
            "  {:<58} {:>14} {:>14}  {}",
            figure.name,
            other.shown(),
            figure.shown(),
            compared(other.value, figure.value)
        );
    }
}
