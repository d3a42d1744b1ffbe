//! The benchmark that CI runs: one client on SQLite for a few seconds, held to a part of the committed ratio. A ratio, never a time.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use xtask::figures::Unit;
use xtask::ratio;

use crate::runner::ratio_of;
use crate::scenario::Setup;
use crate::scenarios::one_client;
use crate::{Arguments, DatabaseKind};

/// Of each measurement under load.
const TIME: Duration = Duration::from_secs(5);

/// Whether the ratio is reached in one of the tries, with no lead lost in any.
pub(crate) async fn run(arguments: &Arguments) -> Result<bool> {
    let text = fs::read_to_string(ratio::FILE);
    let text = text.with_context(|| format!("{} can't be read", ratio::FILE))?;
    let committed = ratio::read(&text).with_context(|| ratio::FILE.to_owned())?;
    let setup = Setup {
        arguments,
        program: &arguments.program,
        database: DatabaseKind::Sqlite,
    };
    let mut tries = Vec::new();
    while tries.len() < ratio::TRIES && !ratio::is_reached(&tries, committed) {
        let figures = Box::pin(one_client::measure_shortly(&setup, TIME)).await?;
        let wrong = figures
            .iter()
            .find(|figure| figure.unit == Unit::Count && !figure.holds());
        if let Some(wrong) = wrong {
            eprintln!("{}: {}, {}", wrong.name, wrong.shown(), wrong.bar_shown());
            return Ok(false);
        }
        tries.push(ratio_of(&figures)?);
        println!(
            "try {}: ratio {:.3}; committed {committed:.3}, at least {:.3}",
            tries.len(),
            tries[tries.len() - 1],
            ratio::least(committed)
        );
    }
    Ok(ratio::is_reached(&tries, committed))
}
