//! What a dispatcher counts of itself, for whoever watches it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use sensei_domain::{Outcome, Trigger};
use sensei_persistence::{Distribution, Histogram};

use crate::engine::{Dispatcher, Engine};

/// Bounds of how long an attempt takes, in milliseconds. Its deadline is 15 s.
const ATTEMPT_MILLIS: &[u64] = &[
    5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 15_000, 16_000,
];
const OUTCOMES: usize = 6;
const TRIGGERS: usize = Trigger::ALL.len();

/// What a dispatcher counts.
#[derive(Debug)]
pub(crate) struct Meters {
    attempts: [[AtomicU64; TRIGGERS]; OUTCOMES],
    attempt_millis: Histogram,
    last_round_micros: AtomicU64,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            attempts: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0))),
            attempt_millis: Histogram::new(ATTEMPT_MILLIS),
            last_round_micros: AtomicU64::new(0),
        }
    }

    /// An attempt has ended.
    pub(crate) fn attempted(&self, outcome: &Outcome, trigger: Trigger, took: Duration) {
        self.attempts[place(outcome)][trigger as usize].fetch_add(1, Relaxed);
        self.attempt_millis
            .add(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    }

    /// The sweeper has been through all that is due.
    pub(crate) fn round_ended(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.last_round_micros.store(micros, Relaxed);
    }
}

/// Every outcome once, at its [`place`].
const ALL: [Outcome; OUTCOMES] = [
    Outcome::Delivered,
    Outcome::Unavailable { retry_after: None },
    Outcome::Rejected,
    Outcome::Gone,
    Outcome::Blocked,
    Outcome::Ours,
];

const fn place(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Delivered => 0,
        Outcome::Unavailable { .. } => 1,
        Outcome::Rejected => 2,
        Outcome::Gone => 3,
        Outcome::Blocked => 4,
        Outcome::Ours => 5,
    }
}

/// What a dispatcher has counted since it was started, and what it holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispatcherCounts {
    /// Attempts that have ended, by outcome and trigger.
    pub attempts: Vec<AttemptCount>,
    /// How long they took, in milliseconds.
    pub attempt_millis: Distribution,
    /// How long the sweeper's last round over all destinations took, its rests included.
    pub last_round: Duration,
    /// Attempts under way.
    pub running: usize,
    /// Deliveries in memory: waiting, under way, or not yet recorded.
    pub places: usize,
    /// Bytes of their bodies.
    pub bytes: usize,
    /// Destinations of which something is known in memory.
    pub lanes: usize,
    /// Of these, with a breaker that lets nothing through, or one attempt only.
    pub open_breakers: usize,
}

/// Attempts of one outcome and trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptCount {
    /// What came of them.
    pub outcome: Outcome,
    /// Why they were made.
    pub trigger: Trigger,
    /// How many.
    pub count: u64,
}

/// Tells what a dispatcher counts, for as long as it is there. Doesn't keep it.
#[derive(Debug, Clone)]
pub struct Watch(Weak<Engine>);

impl Dispatcher {
    /// What tells of this dispatcher.
    pub fn watch(&self) -> Watch {
        Watch(Arc::downgrade(self.engine()))
    }
}

impl Watch {
    /// What the dispatcher has counted; `None` once it is gone. Asks nothing of the database.
    pub fn counts(&self) -> Option<DispatcherCounts> {
        let engine = self.0.upgrade()?;
        let meters = &engine.meters;
        let attempts = ALL.iter().flat_map(|outcome| {
            Trigger::ALL.iter().map(move |&trigger| AttemptCount {
                outcome: *outcome,
                trigger,
                count: meters.attempts[place(outcome)][trigger as usize].load(Relaxed),
            })
        });
        let lanes = engine.lane_counts();
        Some(DispatcherCounts {
            attempts: attempts.collect(),
            attempt_millis: meters.attempt_millis.read(),
            last_round: Duration::from_micros(meters.last_round_micros.load(Relaxed)),
            running: lanes.running,
            places: lanes.places,
            bytes: lanes.bytes,
            lanes: lanes.lanes,
            open_breakers: lanes.open_breakers,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_place_of_its_own() {
        for (index, outcome) in ALL.iter().enumerate() {
            assert_eq!(place(outcome), index, "{outcome:?}");
        }
        for (index, trigger) in Trigger::ALL.iter().enumerate() {
            assert_eq!(*trigger as usize, index);
        }
    }
}
