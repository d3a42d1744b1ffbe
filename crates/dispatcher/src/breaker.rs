//! The circuit breaker of one destination: whether attempts may start while its receiver is away.
//!
//! Promises that after enough failures nothing starts for a while, then exactly one attempt, the probe, and that this
//! one decides: the breaker closes, or stays open for longer. What began before the breaker opened or closed has no say
//! after it. No clock and no chance of its own. Leaves to others what waits meanwhile (`lanes`).

use std::time::{Duration, Instant};

use sensei_domain::Outcome;

use crate::transport::{Attempted, Strain};

/// So many failures in a row open it, however slowly they come.
const STREAK: u32 = 10;
/// Half of the results within [`WINDOW`] open it too, once there are this many.
const ENOUGH: u32 = 20;
const WINDOW: Duration = Duration::from_mins(1);
/// Results are counted in parts of the window, and forgotten part by part.
const PARTS: usize = 6;
const PART: Duration = Duration::from_secs(10);
/// The longest time that it stays open, in first ones.
const LONGEST: u32 = 12;
/// It stays open up to this much longer: receivers that went away together aren't tried together.
const SPREAD: f64 = 0.2;

/// What an attempt says of the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It works.
    Delivered,
    /// It is there, whatever it thinks of the delivery.
    Refuses,
    /// It is there, but held the attempt until its deadline, though it had answered.
    Dawdles,
    /// It failed, and maybe under our load.
    Away(Option<Strain>),
    /// Nothing: we failed before the request left, and may again.
    Ours,
    /// Nothing: the attempt didn't reach it, or there is none.
    Nothing,
}

impl Sign {
    pub(crate) const fn of(attempted: &Attempted) -> Self {
        match attempted.outcome {
            Outcome::Delivered | Outcome::Rejected if attempted.is_unsent => Self::Nothing,
            Outcome::Delivered | Outcome::Rejected if matches!(attempted.strain, Some(Strain::TimedOut)) => {
                Self::Dawdles
            }
            Outcome::Delivered => Self::Delivered,
            Outcome::Rejected => Self::Refuses,
            Outcome::Unavailable { .. } => Self::Away(attempted.strain),
            Outcome::Ours => Self::Ours,
            Outcome::Gone | Outcome::Blocked => Self::Nothing,
        }
    }
}

/// The time between two moves of a breaker: an attempt counts only in the one that it began in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Era(u32);

/// What a result changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    Opened,
    Closed,
}

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stand {
    Closed,
    /// Nothing starts before then.
    Open {
        until: Instant,
    },
    /// The next attempt is the probe.
    Ready,
    /// The probe is under way.
    Probing,
}

/// The breaker.
#[derive(Debug)]
pub(crate) struct Breaker {
    first_cool_down: Duration,
    state: State,
    /// Since when it isn't closed.
    opened: Option<Instant>,
    era: Era,
}

#[derive(Debug)]
enum State {
    Closed { streak: u32, results: Results },
    Open { until: Instant, cool_down: Duration },
    Probing { cool_down: Duration },
}

impl Breaker {
    pub(crate) const fn new(first_cool_down: Duration, now: Instant) -> Self {
        Self {
            first_cool_down,
            state: State::closed(now),
            opened: None,
            era: Era(0),
        }
    }

    pub(crate) fn stand(&self, now: Instant) -> Stand {
        match self.state {
            State::Closed { .. } => Stand::Closed,
            State::Open { until, .. } if until > now => Stand::Open { until },
            State::Open { .. } => Stand::Ready,
            State::Probing { .. } => Stand::Probing,
        }
    }

    /// Since when it isn't closed; `None` of one that is.
    pub(crate) const fn opened(&self) -> Option<Instant> {
        self.opened
    }

    /// An attempt starts, as it may.
    pub(crate) const fn start(&mut self) -> Era {
        if let State::Open { cool_down, .. } = self.state {
            self.state = State::Probing { cool_down };
        }
        self.era
    }

    /// An attempt has ended. `chance` was drawn from 0 to 1.
    pub(crate) fn end(&mut self, era: Era, sign: Sign, now: Instant, chance: f64) -> Change {
        if era != self.era {
            return Change::None;
        }
        match &mut self.state {
            State::Closed { streak, results } => {
                let is_away = match sign {
                    Sign::Ours | Sign::Nothing => return Change::None,
                    Sign::Delivered | Sign::Refuses | Sign::Dawdles => false,
                    Sign::Away(_) => true,
                };
                *streak = if is_away { *streak + 1 } else { 0 };
                results.count(is_away, now);
                if *streak >= STREAK || (is_away && results.are_bad()) {
                    self.open(self.first_cool_down, now, chance);
                    return Change::Opened;
                }
                Change::None
            }
            State::Probing { cool_down } => {
                let cool_down = *cool_down;
                match sign {
                    Sign::Delivered | Sign::Refuses | Sign::Dawdles => {
                        self.enter(State::closed(now));
                        Change::Closed
                    }
                    Sign::Away(_) => {
                        let longer = (cool_down * 2).min(self.first_cool_down * LONGEST);
                        self.open(longer, now, chance);
                        Change::Opened
                    }
                    // The next probe would most likely end as this one did; the receiver isn't blamed for it.
                    Sign::Ours => {
                        let until = now + spread(self.first_cool_down, chance);
                        self.enter(State::Open { until, cool_down });
                        Change::Opened
                    }
                    Sign::Nothing => {
                        self.enter(State::Open { until: now, cool_down });
                        Change::None
                    }
                }
            }
            // What began before it opened belongs to another era.
            State::Open { .. } => Change::None,
        }
    }

    /// The receiver may be there again: if it isn't closed, the next attempt is a probe. What is under way has no say.
    pub(crate) fn may_be_back(&mut self, now: Instant) {
        self.enter(match self.state {
            State::Closed { .. } => State::closed(now),
            State::Open { .. } | State::Probing { .. } => State::Open {
                until: now,
                cool_down: self.first_cool_down,
            },
        });
    }

    /// Whether a new one would do as well.
    pub(crate) fn is_ordinary(&self, now: Instant) -> bool {
        match &self.state {
            State::Closed { streak, results } => *streak == 0 && results.are_good(now),
            State::Open { .. } | State::Probing { .. } => false,
        }
    }

    fn open(&mut self, cool_down: Duration, now: Instant, chance: f64) {
        let until = now + spread(cool_down, chance);
        self.opened.get_or_insert(now);
        self.enter(State::Open { until, cool_down });
    }

    fn enter(&mut self, state: State) {
        if matches!(state, State::Closed { .. }) {
            self.opened = None;
        }
        self.state = state;
        self.era = Era(self.era.0.wrapping_add(1));
    }
}

fn spread(cool_down: Duration, chance: f64) -> Duration {
    cool_down.mul_f64(SPREAD.mul_add(chance.clamp(0.0, 1.0), 1.0))
}

impl State {
    const fn closed(now: Instant) -> Self {
        Self::Closed {
            streak: 0,
            results: Results {
                began: now,
                parts: [Part { all: 0, away: 0 }; PARTS],
            },
        }
    }
}

/// The results of the last minute.
#[derive(Debug)]
struct Results {
    /// When the newest part began.
    began: Instant,
    /// The newest first.
    parts: [Part; PARTS],
}

#[derive(Debug, Clone, Copy, Default)]
struct Part {
    all: u32,
    away: u32,
}

impl Results {
    fn count(&mut self, is_away: bool, now: Instant) {
        let elapsed = now.saturating_duration_since(self.began);
        if elapsed >= WINDOW {
            (self.began, self.parts) = (now, [Part::default(); PARTS]);
        } else {
            let mut left = elapsed;
            while left >= PART {
                left -= PART;
                self.began += PART;
                self.parts.rotate_right(1);
                self.parts[0] = Part::default();
            }
        }
        let newest = &mut self.parts[0];
        newest.all = newest.all.saturating_add(1);
        newest.away = newest.away.saturating_add(u32::from(is_away));
    }

    fn are_bad(&self) -> bool {
        let all = self.parts.iter().map(|part| u64::from(part.all)).sum::<u64>();
        let away = self.parts.iter().map(|part| u64::from(part.away)).sum::<u64>();
        all >= u64::from(ENOUGH) && away * 2 >= all
    }

    fn are_good(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= WINDOW || self.parts.iter().all(|part| part.away == 0)
    }
}

#[cfg(test)]
mod tests;
