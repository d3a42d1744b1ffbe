//! The faults there are, and the plan of a run: which life has which, drawn from a seed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// What happens to the process while it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Fault {
    /// Nothing but its end.
    None,
    /// It is stopped (SIGSTOP) for a while, and goes on.
    Stopped,
    /// No more can be written to its disk for a while.
    FullDisk,
    /// Each sync takes up to 50 ms.
    SlowDisk,
    /// Its wall clock jumps by up to two hours, forwards and back.
    ClockJump,
    /// Its database can't be written when it starts: it refuses, and starts when it can.
    ReadOnly,
    /// PostgreSQL is stopped at once for a while (SIGQUIT).
    DatabaseStopped,
    /// PostgreSQL is killed (SIGKILL), and away for a while.
    DatabaseKilled,
    /// PostgreSQL cuts every connection.
    ConnectionsCut,
}

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// SIGKILL.
    Killed,
    /// SIGTERM: it stops by itself.
    Terminated,
}

/// A life of the process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) fault: Fault,
    pub(crate) end: End,
    /// From the start to the fault, and from there to the end.
    pub(crate) times: [Duration; 2],
    /// For how long the fault lasts, where it does.
    pub(crate) lasts: Duration,
    /// Chance for whatever else needs some.
    pub(crate) drawn: u64,
}

impl Fault {
    pub(crate) const ALL: [Self; 9] = [
        Self::None,
        Self::Stopped,
        Self::FullDisk,
        Self::SlowDisk,
        Self::ClockJump,
        Self::ReadOnly,
        Self::DatabaseStopped,
        Self::DatabaseKilled,
        Self::ConnectionsCut,
    ];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none but its end",
            Self::Stopped => "stopped for a while (SIGSTOP)",
            Self::FullDisk => "the disk is full for a while",
            Self::SlowDisk => "each sync takes up to 50 ms",
            Self::ClockJump => "the clock jumps by up to two hours",
            Self::ReadOnly => "the database can't be written at the start",
            Self::DatabaseStopped => "PostgreSQL is stopped for a while (SIGQUIT)",
            Self::DatabaseKilled => "PostgreSQL is killed (SIGKILL), and away for a while",
            Self::ConnectionsCut => "PostgreSQL cuts every connection",
        })
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Killed => "killed (SIGKILL)",
            Self::Terminated => "asked to end (SIGTERM)",
        })
    }
}

/// The lives of a run, in random order: so many ends by SIGKILL, and each fault that this machine has the means
/// for so many times.
pub(crate) fn plan(seed: u64, kills: usize, each: usize, means: &[Fault]) -> Vec<Plan> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut faults = means
        .iter()
        .flat_map(|&fault| std::iter::repeat_n(fault, each))
        .collect::<Vec<_>>();
    faults.resize(faults.len().max(kills + each), Fault::None);
    let mut ends = vec![End::Terminated; each];
    ends.resize(faults.len(), End::Killed);
    faults.shuffle(&mut random);
    ends.shuffle(&mut random);
    let mut between = |least: u64, most: u64| Duration::from_millis(random.random_range(least..most));
    let lives = faults.into_iter().zip(ends).map(|(fault, end)| Plan {
        fault,
        end,
        times: [between(20, 600), between(0, 400)],
        lasts: between(100, 1_500),
        drawn: 0,
    });
    let mut lives = lives.collect::<Vec<_>>();
    for life in &mut lives {
        life.drawn = random.random();
    }
    lives
}

/// How often each thing happened.
pub(crate) fn counts<T: Ord>(things: impl IntoIterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for thing in things {
        *counts.entry(thing).or_default() += 1;
    }
    counts
}
