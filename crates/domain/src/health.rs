//! A destination's health: when its owner is warned, and when we stop sending.
//!
//! Healthy until an attempt fails, and again with the next that succeeds. A receiver that says it is gone is
//! taken at its word; one that fails is given days, and its owner a warning with the date. A Lead Webhook under
//! policy `none` is never disabled: its contract is that the next lead is sent, so it only warns.

use std::time::Duration;

use crate::named::named;
use crate::time::Timestamp;

/// For how long an unbroken failure is borne.
const BORNE_FOR: Duration = Duration::from_hours(5 * 24);
/// From this part of that time on, the owner is warned.
const WARNED_AFTER: Duration = Duration::from_hours(24);
/// He has this long to mend it, however late the warning came.
const NOTICE: Duration = Duration::from_hours(24);
/// Fewer failed attempts than these prove little.
const ATTEMPTS: u32 = 10;
/// From so many on a warning is worth its reading.
const ATTEMPTS_TO_WARN: u32 = 5;
/// When too few attempts were made to decide, the next look is so much later.
const NEXT_LOOK: Duration = Duration::from_mins(10);

/// What is known of a destination whose last attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failing {
    /// When the first attempt failed since the last success.
    pub since: Timestamp,
    /// How many have failed since.
    pub attempts: u32,
    /// Whether the receiver said that it is gone for good (410 and its equals).
    pub is_gone: bool,
    /// When the owner was warned.
    pub warned_at: Option<Timestamp>,
}

/// What follows for a destination that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthStep {
    /// Nothing yet.
    Look {
        /// When to look again; `None`: at its next failure.
        at: Option<Timestamp>,
    },
    /// The owner is to be told.
    Warn {
        /// When the destination will be disabled if nothing succeeds before; `None`: never.
        disables_at: Option<Timestamp>,
    },
    /// Nothing more is sent.
    Disable(DisableReason),
}

/// Why we stopped sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisableReason {
    /// The receiver says that it is gone.
    Gone,
    /// Every attempt has failed, for days.
    Failing,
}

named!(DisableReason { Gone = "gone", Failing = "failing" });

impl Failing {
    /// When the health of a destination that just began to fail must be looked at.
    pub fn first_look(since: Timestamp) -> Timestamp {
        since.after(WARNED_AFTER)
    }

    /// When it will be disabled if nothing succeeds before and attempts go on.
    pub fn disables_at(&self) -> Option<Timestamp> {
        let noticed = self.warned_at?.after(NOTICE);
        Some(noticed.max(self.since.after(BORNE_FOR)))
    }

    /// What follows now. `only_warns` is true of a Lead Webhook under policy `none`.
    pub fn next_step(&self, only_warns: bool, now: Timestamp) -> HealthStep {
        if only_warns {
            return self.next_warning(now);
        }
        if self.is_gone {
            return HealthStep::Disable(DisableReason::Gone);
        }
        match self.disables_at() {
            Some(at) if at > now => HealthStep::Look { at: Some(at) },
            Some(_) if self.attempts >= ATTEMPTS => HealthStep::Disable(DisableReason::Failing),
            Some(_) => HealthStep::Look {
                at: Some(now.after(NEXT_LOOK)),
            },
            None => self.warning(now, Self::disables_at),
        }
    }

    fn next_warning(&self, now: Timestamp) -> HealthStep {
        if self.warned_at.is_some() {
            HealthStep::Look { at: None }
        } else if self.is_gone {
            HealthStep::Warn { disables_at: None }
        } else {
            self.warning(now, |_| None)
        }
    }

    fn warning(&self, now: Timestamp, disables_at: impl FnOnce(&Self) -> Option<Timestamp>) -> HealthStep {
        let first_look = Self::first_look(self.since);
        if now < first_look {
            HealthStep::Look { at: Some(first_look) }
        } else if self.attempts < ATTEMPTS_TO_WARN {
            HealthStep::Look {
                at: Some(now.after(NEXT_LOOK)),
            }
        } else {
            let warned = Self {
                warned_at: Some(now),
                ..*self
            };
            HealthStep::Warn {
                disables_at: disables_at(&warned),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 60 * 60 * 1000;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + hours * HOUR)
    }

    fn failing(attempts: u32, warned_at: Option<i64>) -> Failing {
        Failing {
            since: at(0),
            attempts,
            is_gone: false,
            warned_at: warned_at.map(at),
        }
    }

    fn gone(warned_at: Option<i64>) -> Failing {
        Failing {
            is_gone: true,
            ..failing(1, warned_at)
        }
    }

    fn look(hours: i64) -> HealthStep {
        HealthStep::Look { at: Some(at(hours)) }
    }

    fn soon(hours: i64) -> HealthStep {
        HealthStep::Look {
            at: Some(at(hours).after(NEXT_LOOK)),
        }
    }

    fn warn(hours: i64) -> HealthStep {
        HealthStep::Warn {
            disables_at: Some(at(hours)),
        }
    }

    #[test]
    fn a_long_failure_is_warned_of_and_then_disables() {
        let cases = [
            (failing(100, None), 1, look(24)),
            (failing(4, None), 24, soon(24)),
            (failing(5, None), 24, warn(120)),
            (failing(9, None), 118, warn(142)),
            (failing(100, None), 500, warn(524)),
            (failing(9, Some(24)), 119, look(120)),
            (failing(9, Some(24)), 120, soon(120)),
            (failing(10, Some(24)), 120, HealthStep::Disable(DisableReason::Failing)),
            (failing(10, Some(118)), 120, look(142)),
            (gone(None), 0, HealthStep::Disable(DisableReason::Gone)),
        ];
        for (failing, now, step) in cases {
            assert_eq!(failing.next_step(false, at(now)), step, "{failing:?} at {now} h");
        }
    }

    #[test]
    fn a_lead_webhook_under_policy_none_only_warns_and_once() {
        let never = HealthStep::Warn { disables_at: None };
        let done = HealthStep::Look { at: None };
        let cases = [
            (gone(None), 0, never),
            (gone(Some(0)), 200, done),
            (failing(5, None), 23, look(24)),
            (failing(4, None), 30, soon(30)),
            (failing(5, None), 30, never),
            (failing(500, Some(30)), 500, done),
        ];
        for (failing, now, step) in cases {
            assert_eq!(failing.next_step(true, at(now)), step, "{failing:?} at {now} h");
        }
    }
}
