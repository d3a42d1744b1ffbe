//! A run from its beginning to its result.

use std::path::PathBuf;

use anyhow::Result;

use crate::database::DatabaseKind;
use crate::fault::{Fault, plan};
use crate::world::World;
use crate::{life, reconcile, report};

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Options {
    /// The binary, by an absolute path.
    pub program: PathBuf,
    /// Where its data is made, in a folder that is removed afterwards.
    pub directory: PathBuf,
    /// Which database it works on.
    pub database: DatabaseKind,
    /// How many times it is killed.
    pub kills: usize,
    /// How many times each other fault happens, at least.
    pub each: usize,
    /// Only this fault, beside the kills.
    pub only: Option<Fault>,
    /// What chance is drawn from.
    pub seed: u64,
    /// The size in bytes of the disk that can be full.
    pub room: u64,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Run {
    /// The result in words, with its tables.
    pub text: String,
    /// Whether nothing was lost and everything is explained. Also so if the database isn't there to run on.
    pub adds_up: bool,
}

/// Hurts the binary, and counts.
///
/// # Errors
/// If it couldn't be hurt as planned, or didn't live as it must: it doesn't start, doesn't serve again once a fault
/// is over, or doesn't end when it is asked to.
pub async fn run(options: &Options) -> Result<Run> {
    let Some(mut world) = World::new(options)? else {
        return Ok(Run {
            text: report::not_run(options.database),
            adds_up: true,
        });
    };
    let mut means = world.means();
    means.retain(|fault| options.only.is_none_or(|only| only == *fault));
    let lives = plan(options.seed, options.kills, options.each, &means);
    for (number, plan) in lives.into_iter().enumerate() {
        life::live(&mut world, number, &plan).await?;
    }
    let found = reconcile::reconcile(&mut world).await?;
    Ok(Run {
        text: report::text(&world, &found, options),
        adds_up: found.adds_up(),
    })
}
