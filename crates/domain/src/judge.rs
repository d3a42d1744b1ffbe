//! What follows an attempt: one pure function, and what it speaks of.

use std::time::Duration;

use crate::named::named;
use crate::outcome::Outcome;
use crate::retry::RetryPolicy;
use crate::time::Timestamp;

/// For how long our own failures are mended by waiting, before the delivery fails with their reason.
pub const OURS_GIVEN_UP_AFTER: Duration = Duration::from_hours(24);

/// A retry comes up to this much later than its delay: receivers that failed together aren't hit together.
const SPREAD: f64 = 0.2;
const OURS_SHORTEST: Duration = Duration::from_secs(1);
const OURS_LONGEST: Duration = Duration::from_mins(5);

/// Where a delivery stands in its schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Which attempt of the schedule this is: 1 for the first. Manual ones aren't counted.
    pub scheduled_attempt: u32,
    /// Since when we fail before the request leaves, without an attempt that counted since.
    pub ours_since: Option<Timestamp>,
}

/// Chance, drawn by the caller: from 0 (exactly the delay) to 1 (as late as may be).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter(f64);

impl Jitter {
    /// None: exactly the delay.
    pub const NONE: Self = Self(0.0);

    /// Takes a number that was drawn from 0 to 1.
    pub const fn new(drawn: f64) -> Self {
        Self(drawn.clamp(0.0, 1.0))
    }
}

/// What follows an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it.
    Succeeded,
    /// Another attempt.
    Retry {
        /// When it is due.
        at: Timestamp,
    },
    /// No attempt follows by itself.
    Failed(FailureReason),
    /// Another attempt; this one doesn't count, since it was our own failure.
    NotCounted {
        /// When it is due.
        at: Timestamp,
    },
}

/// Why a delivery failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// The policy has no attempts left.
    Exhausted,
    /// The receiver refuses it, and would again.
    Rejected,
    /// There is no such receiver any more.
    DestinationGone,
    /// The egress guard refused the address.
    Blocked,
    /// We failed before the request left, for a day.
    Ours,
}

named!(FailureReason {
    Exhausted = "exhausted",
    Rejected = "rejected",
    DestinationGone = "destination_gone",
    Blocked = "blocked",
    Ours = "ours",
});

/// Decides what follows an attempt. Pure: no clock, no database.
pub fn judge(outcome: &Outcome, standing: &Standing, policy: &RetryPolicy, now: Timestamp, jitter: Jitter) -> Verdict {
    match outcome {
        Outcome::Delivered => Verdict::Succeeded,
        Outcome::Rejected => Verdict::Failed(FailureReason::Rejected),
        Outcome::Gone => Verdict::Failed(FailureReason::DestinationGone),
        Outcome::Blocked => Verdict::Failed(FailureReason::Blocked),
        Outcome::Unavailable { retry_after } => after_unavailable(*retry_after, standing, policy, now, jitter),
        Outcome::Ours => after_ours(standing, now),
    }
}

/// Why an attempt that no other follows has failed, or `None`: the receiver has it. Our own failure counts here too.
pub const fn judge_alone(outcome: &Outcome) -> Option<FailureReason> {
    Some(match outcome {
        Outcome::Delivered => return None,
        Outcome::Rejected => FailureReason::Rejected,
        Outcome::Gone => FailureReason::DestinationGone,
        Outcome::Blocked => FailureReason::Blocked,
        Outcome::Unavailable { .. } => FailureReason::Exhausted,
        Outcome::Ours => FailureReason::Ours,
    })
}

fn after_unavailable(
    retry_after: Option<Duration>,
    standing: &Standing,
    policy: &RetryPolicy,
    now: Timestamp,
    Jitter(jitter): Jitter,
) -> Verdict {
    let delays = policy.delays();
    let done = usize::try_from(standing.scheduled_attempt)
        .unwrap_or(usize::MAX)
        .saturating_sub(1);
    let (Some(delay), Some(last)) = (delays.get(done), delays.last()) else {
        return Verdict::Failed(FailureReason::Exhausted);
    };
    let delay = delay.mul_f64(1.0 + SPREAD * jitter);
    let asked = retry_after.unwrap_or_default().min(*last);
    Verdict::Retry {
        at: now.after(delay.max(asked)),
    }
}

/// Waits as long again as the trouble has lasted, within bounds.
fn after_ours(standing: &Standing, now: Timestamp) -> Verdict {
    let lasted = standing.ours_since.map_or(Duration::ZERO, |since| now.since(since));
    if lasted >= OURS_GIVEN_UP_AFTER {
        return Verdict::Failed(FailureReason::Ours);
    }
    Verdict::NotCounted {
        at: now.after(lasted.clamp(OURS_SHORTEST, OURS_LONGEST)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duration::parse_duration;
    use crate::outcome::Outcome::{Blocked, Delivered, Gone, Ours, Rejected, Unavailable};
    use crate::retry::STANDARD_DELAYS;

    fn now() -> Timestamp {
        Timestamp::from_millis(1_732_444_200_000)
    }

    fn after(text: &str) -> Timestamp {
        now().after(parse_duration(text).expect("a duration"))
    }

    fn nth(scheduled_attempt: u32) -> Standing {
        Standing {
            scheduled_attempt,
            ours_since: None,
        }
    }

    fn ours_for(text: &str) -> Standing {
        let lasted = i64::try_from(parse_duration(text).expect("a duration").as_millis()).expect("small");
        Standing {
            scheduled_attempt: 1,
            ours_since: Some(Timestamp::from_millis(now().as_millis() - lasted)),
        }
    }

    fn unavailable(retry_after: &str) -> Outcome {
        Unavailable {
            retry_after: Some(parse_duration(retry_after).expect("a duration")),
        }
    }

    #[test]
    fn what_follows_an_attempt() {
        use RetryPolicy::{None as Once, Standard};
        let custom: RetryPolicy =
            serde_json::from_str(r#"{"policy":"custom","delays":["5s","1m"]}"#).expect("a policy");
        let silent = Unavailable { retry_after: None };
        let cases = [
            (Once, nth(1), Delivered, Verdict::Succeeded),
            (Once, nth(1), silent, Verdict::Failed(FailureReason::Exhausted)),
            (
                Once,
                nth(1),
                unavailable("1s"),
                Verdict::Failed(FailureReason::Exhausted),
            ),
            (Standard, nth(1), silent, Verdict::Retry { at: after("5s") }),
            (Standard, nth(2), silent, Verdict::Retry { at: after("5m") }),
            (Standard, nth(9), silent, Verdict::Retry { at: after("24h") }),
            (Standard, nth(10), silent, Verdict::Failed(FailureReason::Exhausted)),
            (
                Standard,
                nth(u32::MAX),
                silent,
                Verdict::Failed(FailureReason::Exhausted),
            ),
            (
                Standard,
                nth(1),
                unavailable("60s"),
                Verdict::Retry { at: after("60s") },
            ),
            (
                Standard,
                nth(3),
                unavailable("60s"),
                Verdict::Retry { at: after("30m") },
            ),
            (
                Standard,
                nth(1),
                unavailable("48h"),
                Verdict::Retry { at: after("24h") },
            ),
            (custom.clone(), nth(1), silent, Verdict::Retry { at: after("5s") }),
            (custom.clone(), nth(2), silent, Verdict::Retry { at: after("1m") }),
            (
                custom.clone(),
                nth(3),
                silent,
                Verdict::Failed(FailureReason::Exhausted),
            ),
            (custom, nth(1), unavailable("1h"), Verdict::Retry { at: after("1m") }),
            (Standard, nth(1), Rejected, Verdict::Failed(FailureReason::Rejected)),
            (Standard, nth(1), Gone, Verdict::Failed(FailureReason::DestinationGone)),
            (Standard, nth(1), Blocked, Verdict::Failed(FailureReason::Blocked)),
            (Once, nth(1), Ours, Verdict::NotCounted { at: after("1s") }),
            (Once, ours_for("8s"), Ours, Verdict::NotCounted { at: after("8s") }),
            (Once, ours_for("3h"), Ours, Verdict::NotCounted { at: after("5m") }),
            (Once, ours_for("24h"), Ours, Verdict::Failed(FailureReason::Ours)),
        ];
        for (policy, standing, outcome, verdict) in cases {
            let judged = judge(&outcome, &standing, &policy, now(), Jitter::NONE);
            assert_eq!(judged, verdict, "{policy:?} {standing:?} {outcome:?}");
        }
    }

    #[test]
    fn an_attempt_alone_is_judged_as_under_the_policy_none_and_never_followed() {
        let nobody = Unavailable { retry_after: None };
        for outcome in [Delivered, Rejected, Gone, Blocked, nobody, unavailable("1h"), Ours] {
            let alone = judge_alone(&outcome).map_or(Verdict::Succeeded, Verdict::Failed);
            let expected = match judge(&outcome, &nth(1), &RetryPolicy::None, now(), Jitter::NONE) {
                Verdict::NotCounted { .. } => Verdict::Failed(FailureReason::Ours),
                verdict => verdict,
            };
            assert_eq!(alone, expected, "{outcome:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_retry_is_never_early_and_never_much_late(attempt in 1_u32..12, asked in 0_u64..200_000, drawn in 0.0..1.0) {
            let outcome = Unavailable { retry_after: Some(Duration::from_secs(asked)) };
            match judge(&outcome, &nth(attempt), &RetryPolicy::Standard, now(), Jitter::new(drawn)) {
                Verdict::Retry { at } => {
                    let wait = at.since(now());
                    let delay = STANDARD_DELAYS[attempt as usize - 1];
                    proptest::prop_assert!(wait >= delay);
                    proptest::prop_assert!(wait <= delay.mul_f64(1.2).max(Duration::from_secs(asked)));
                }
                verdict => proptest::prop_assert!(attempt >= 10 && verdict == Verdict::Failed(FailureReason::Exhausted)),
            }
        }
    }
}
