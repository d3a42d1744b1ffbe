//! What a process counts of itself, for whoever watches it: plain atomic numbers, added to where things happen.
//!
//! They begin at zero with the process. What is true of the database, whoever wrote it, is counted there (`tallies`).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::store::{LEADS_WAITING, Store};

/// Bounds of what a batch weighs: leads, or outcomes.
const SIZES: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512];
/// Bounds of how long a transaction takes, in microseconds.
const COMMIT_MICROS: &[u64] = &[
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000,
];

/// How often something was how large. Adding to it takes three atomic additions.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One more than there are bounds: what is larger than all.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// A histogram as it was at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// Upper bounds, each inclusive; the last count is that of what is larger.
    pub bounds: &'static [u64],
    /// How often it was up to each bound and above the one before, and above all.
    pub counts: Vec<u64>,
    /// All of it together.
    pub sum: u64,
}

impl Histogram {
    /// An empty one with these upper bounds, the smallest first.
    pub fn new(bounds: &'static [u64]) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts one.
    pub fn add(&self, value: u64) {
        let at = self.bounds.partition_point(|&bound| bound < value);
        self.counts[at].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    /// What was counted until now.
    pub fn read(&self) -> Distribution {
        Distribution {
            bounds: self.bounds,
            counts: self.counts.iter().map(|count| count.load(Relaxed)).collect(),
            sum: self.sum.load(Relaxed),
        }
    }
}

impl Distribution {
    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Of group commits of one sort.
#[derive(Debug)]
pub(crate) struct BatchMeter {
    sizes: Histogram,
    micros: Histogram,
}

impl BatchMeter {
    fn new() -> Self {
        Self {
            sizes: Histogram::new(SIZES),
            micros: Histogram::new(COMMIT_MICROS),
        }
    }

    pub(crate) fn add(&self, size: usize, took: Duration) {
        self.sizes.add(u64::try_from(size).unwrap_or(u64::MAX));
        self.micros.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    fn read(&self) -> BatchCounts {
        BatchCounts {
            sizes: self.sizes.read(),
            micros: self.micros.read(),
        }
    }
}

/// What a store counts.
#[derive(Debug)]
pub(crate) struct StoreMeters {
    captured: AtomicU64,
    refused_overload: AtomicU64,
    refused_unavailable: AtomicU64,
    outcomes_waiting: AtomicU64,
    pub(crate) capture_batches: BatchMeter,
    pub(crate) outcome_batches: BatchMeter,
}

impl StoreMeters {
    pub(crate) fn new() -> Self {
        Self {
            captured: AtomicU64::new(0),
            refused_overload: AtomicU64::new(0),
            refused_unavailable: AtomicU64::new(0),
            outcomes_waiting: AtomicU64::new(0),
            capture_batches: BatchMeter::new(),
            outcome_batches: BatchMeter::new(),
        }
    }

    pub(crate) fn captured(&self, leads: usize) {
        add(&self.captured, leads);
    }

    pub(crate) fn refused_overload(&self, leads: usize) {
        add(&self.refused_overload, leads);
    }

    pub(crate) fn refused_unavailable(&self, leads: usize) {
        add(&self.refused_unavailable, leads);
    }

    pub(crate) fn outcome_waits(&self) {
        add(&self.outcomes_waiting, 1);
    }

    pub(crate) fn outcomes_done(&self, outcomes: usize) {
        self.outcomes_waiting
            .fetch_sub(u64::try_from(outcomes).unwrap_or(0), Relaxed);
    }
}

fn add(counter: &AtomicU64, what: usize) {
    counter.fetch_add(u64::try_from(what).unwrap_or(0), Relaxed);
}

/// What a store has counted since it was opened, and what waits in it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreCounts {
    /// Leads that were captured here.
    pub leads_captured: u64,
    /// Leads that were refused because more waited than can be kept.
    pub leads_refused_overload: u64,
    /// Leads that were refused, or whose fate is unknown, because the database couldn't be written.
    pub leads_refused_unavailable: u64,
    /// Leads that wait to be written, or are being written.
    pub leads_waiting: u64,
    /// Outcomes of attempts that wait to be written.
    pub outcomes_waiting: u64,
    /// The transactions that wrote leads.
    pub capture_batches: BatchCounts,
    /// The transactions that wrote outcomes.
    pub outcome_batches: BatchCounts,
}

/// Group commits of one sort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchCounts {
    /// How many leads, or outcomes, each wrote.
    pub sizes: Distribution,
    /// How long each took, in microseconds.
    pub micros: Distribution,
}

impl Store {
    /// Leads that were captured here since it was opened.
    pub(crate) fn leads_captured(&self) -> u64 {
        self.shared().meters.captured.load(Relaxed)
    }

    /// What this store has counted. Asks nothing of the database.
    pub fn counts(&self) -> StoreCounts {
        let meters = &self.shared().meters;
        let waiting = LEADS_WAITING.saturating_sub(self.room_for_leads().available_permits());
        StoreCounts {
            leads_captured: self.leads_captured(),
            leads_refused_overload: meters.refused_overload.load(Relaxed),
            leads_refused_unavailable: meters.refused_unavailable.load(Relaxed),
            leads_waiting: u64::try_from(waiting).unwrap_or(u64::MAX),
            outcomes_waiting: meters.outcomes_waiting.load(Relaxed),
            capture_batches: meters.capture_batches.read(),
            outcome_batches: meters.outcome_batches.read(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_at_the_first_bound_that_holds_it() {
        let histogram = Histogram::new(&[1, 10, 100]);
        for value in [0, 1, 2, 10, 11, 100, 101, 1_000] {
            histogram.add(value);
        }
        let read = histogram.read();
        assert_eq!(read.counts, [2, 2, 2, 2]);
        assert_eq!((read.sum, read.count()), (1_225, 8));
    }
}
