//! The pace of one destination: how many attempts run at once, and how fast they follow each other.
//!
//! A lane begins with few attempts at once, and goes up by one with each success; a timeout takes it down to one, a
//! connection that is refused or cut to a half. All else says nothing of what the receiver can bear. The rate is kept by
//! a bucket of tokens, of which every attempt takes one.

use std::time::{Duration, Instant};

use sensei_domain::RateLimit;
use sensei_persistence::Destination;

use crate::breaker::Sign;
use crate::lanes::Repute;
use crate::transport::Strain;

/// Attempts at once to a receiver that nothing is known of.
const START: usize = 4;
/// And to one that has just come back: it isn't hit by all that has waited for it.
const AFTER_AWAY: usize = 2;

/// Deliveries in memory for each attempt at once: a prompt receiver doesn't wait for the next ones to be fetched, one that may
/// hang is done with them within their lease.
const STOCK: usize = 16;
const STOCK_OF_SLOW: usize = 2;

/// Whoever asks for a longer rest is asked again after this.
const LONGEST_REST: Duration = Duration::from_mins(5);

/// What a destination asks of its lane.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Terms {
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) is_ordered: bool,
}

impl Terms {
    pub(crate) const fn of(destination: &Destination) -> Self {
        Self {
            rate_limit: destination.rate_limit,
            is_ordered: destination.ordered,
        }
    }
}

/// The pace.
#[derive(Debug)]
pub(crate) struct Pace {
    at_once: usize,
    most: usize,
    repute: Repute,
    /// Whether the bucket counts now.
    is_limited: bool,
    bucket: Option<Bucket>,
    /// The receiver wants nothing before then.
    rests_until: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            at_once: START.min(most),
            most,
            repute: Repute::Unknown,
            is_limited: false,
            bucket: None,
            rests_until: None,
        }
    }

    /// How many attempts may run at once.
    pub(crate) const fn at_once(&self) -> usize {
        self.at_once
    }

    /// What is known of the receiver. It is slow until it had as many successes as it takes to be where a lane begins.
    pub(crate) const fn repute(&self) -> Repute {
        self.repute
    }

    /// How many deliveries shall wait for their turn, where there are more in the database: what is fetched and can't be started
    /// in time was fetched in vain.
    pub(crate) const fn in_stock(&self) -> usize {
        match self.repute {
            Repute::Prompt => self.at_once * STOCK,
            Repute::Unknown | Repute::Slow => self.at_once * STOCK_OF_SLOW,
        }
    }

    pub(crate) fn learn(&mut self, sign: Sign) {
        match sign {
            Sign::Delivered => self.at_once = (self.at_once + 1).min(self.most),
            Sign::Dawdles | Sign::Away(Some(Strain::TimedOut)) => (self.at_once, self.repute) = (1, Repute::Slow),
            Sign::Away(Some(Strain::Cut)) => self.at_once = (self.at_once / 2).max(1),
            Sign::Away(None) | Sign::Refuses | Sign::Ours | Sign::Nothing => {}
        }
        let is_answer = matches!(
            sign,
            Sign::Delivered | Sign::Refuses | Sign::Away(None | Some(Strain::Cut))
        );
        let has_recovered = self.at_once >= START.min(self.most) && sign == Sign::Delivered;
        if has_recovered || is_answer && self.repute == Repute::Unknown {
            self.repute = Repute::Prompt;
        }
    }

    /// The receiver is back.
    pub(crate) fn came_back(&mut self) {
        self.at_once = AFTER_AWAY.min(self.most);
    }

    /// Keeps to this limit from now on.
    pub(crate) fn keep_to(&mut self, limit: Option<RateLimit>, now: Instant) {
        self.is_limited = limit.is_some();
        match (limit, &mut self.bucket) {
            (Some(limit), Some(bucket)) => bucket.keep_to(limit, now),
            (Some(limit), bucket) => *bucket = Some(Bucket { limit, full_at: now }),
            // What was taken counts, should the limit come back.
            (None, _) => {}
        }
    }

    /// The limit may be another by now; what was taken counts all the same.
    pub(crate) const fn forget_limit(&mut self) {
        self.is_limited = false;
    }

    /// When there will be a token; `None` if there is one, or none is needed.
    pub(crate) fn next_token(&mut self, limit: Option<RateLimit>, now: Instant) -> Option<Instant> {
        self.keep_to(limit, now);
        let bucket = self.bucket.as_ref().filter(|_| self.is_limited);
        let wait = bucket.map_or(Duration::ZERO, |bucket| {
            bucket.lacks(now).saturating_sub(bucket.tolerance())
        });
        let token = (!wait.is_zero()).then(|| now + wait);
        token.max(self.rests_until.filter(|&until| until > now))
    }

    /// Lets the receiver rest for so long from now.
    pub(crate) fn rest(&mut self, time: Duration, now: Instant) {
        let until = now + time.min(LONGEST_REST);
        self.rests_until = self.rests_until.max(Some(until));
    }

    /// The receiver is another: it has asked for no rest, and may be tried beside what is under way to the one before.
    pub(crate) fn receiver_changed(&mut self, running: usize) {
        self.rests_until = None;
        self.at_once = self.at_once.max((running + 1).min(self.most));
    }

    /// Takes the token that there is.
    pub(crate) fn take_token(&mut self, now: Instant) {
        if let Some(bucket) = self.bucket.as_mut().filter(|_| self.is_limited) {
            bucket.full_at = bucket.full_at.max(now) + bucket.limit.interval();
        }
    }

    /// How many attempts may start until then, one after the other.
    pub(crate) fn tokens_within(&self, time: Duration, now: Instant) -> usize {
        if self.rests_until.is_some_and(|until| until > now + time) {
            return 0;
        }
        let bucket = self.bucket.as_ref().filter(|_| self.is_limited);
        bucket.map_or(usize::MAX, |bucket| bucket.within(time, now))
    }

    pub(crate) const fn is_limited(&self) -> bool {
        self.is_limited
    }

    /// Whether a new one would let nothing through that this one doesn't.
    pub(crate) fn is_rested(&self, now: Instant) -> bool {
        self.rests_until.is_none_or(|until| until <= now)
            && self.bucket.as_ref().is_none_or(|bucket| bucket.is_full(now))
    }

    /// Whether a new one would do as well.
    pub(crate) fn is_ordinary(&self) -> bool {
        self.repute != Repute::Slow && self.at_once >= START.min(self.most)
    }
}

/// A bucket of tokens, kept as the time when it is full again (the generic cell rate algorithm, ITU-T I.371): one
/// number, exact, and nothing to count up.
#[derive(Debug)]
struct Bucket {
    limit: RateLimit,
    full_at: Instant,
}

impl Bucket {
    fn within(&self, time: Duration, now: Instant) -> usize {
        let Some(room) = (self.tolerance() + time).checked_sub(self.lacks(now)) else {
            return 0;
        };
        usize::try_from(room.as_nanos() / self.limit.interval().as_nanos() + 1).unwrap_or(usize::MAX)
    }

    /// Another limit: as many tokens are missing as before.
    fn keep_to(&mut self, limit: RateLimit, now: Instant) {
        if limit != self.limit {
            let missing = self.lacks(now).div_duration_f64(self.limit.interval());
            self.full_at = now + limit.interval().mul_f64(missing);
            self.limit = limit;
        }
    }

    /// The time until it is full.
    fn lacks(&self, now: Instant) -> Duration {
        self.full_at.saturating_duration_since(now)
    }

    /// It gives its last token when so much is missing.
    fn tolerance(&self) -> Duration {
        self.limit.interval() * (self.limit.burst() - 1)
    }

    fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn limit(requests: u32, per: &str, burst: u32) -> RateLimit {
        let json = json!({"requests": requests, "per": per, "burst": burst});
        RateLimit::from_json(&json, "").expect("a limit")
    }

    /// Takes a token, or says when there will be one.
    fn take(pace: &mut Pace, limit: Option<RateLimit>, now: Instant) -> Result<(), Instant> {
        if let Some(at) = pace.next_token(limit, now) {
            return Err(at);
        }
        pace.take_token(now);
        Ok(())
    }

    #[test]
    fn attempts_at_once_go_up_with_successes_and_down_with_what_strains() {
        let (good, timed_out, cut) = (
            Sign::Delivered,
            Sign::Away(Some(Strain::TimedOut)),
            Sign::Away(Some(Strain::Cut)),
        );
        let cases = [
            (vec![], 4, Repute::Unknown),
            (vec![Sign::Ours, Sign::Nothing], 4, Repute::Unknown),
            (vec![good; 3], 7, Repute::Prompt),
            (vec![good; 100], 16, Repute::Prompt),
            (vec![Sign::Away(None)], 4, Repute::Prompt),
            (vec![Sign::Refuses], 4, Repute::Prompt),
            (vec![cut], 2, Repute::Prompt),
            (vec![cut; 5], 1, Repute::Prompt),
            (vec![good, timed_out], 1, Repute::Slow),
            (vec![good, Sign::Dawdles], 1, Repute::Slow),
            (vec![timed_out, Sign::Away(None)], 1, Repute::Slow),
            (vec![timed_out, good, good], 3, Repute::Slow),
            (vec![timed_out, good, good, good], 4, Repute::Prompt),
        ];
        for (signs, at_once, repute) in cases {
            let mut pace = Pace::new(16);
            for &sign in &signs {
                pace.learn(sign);
            }
            assert_eq!((pace.at_once(), pace.repute()), (at_once, repute), "{signs:?}");
        }
        let mut small = Pace::new(2);
        small.learn(good);
        assert_eq!(small.at_once(), 2, "never more than the limit");
    }

    #[test]
    fn a_burst_after_a_rest_then_one_a_time() {
        let (limit, begin) = (limit(10, "second", 3), Instant::now());
        let mut pace = Pace::new(16);
        for _ in 0..3 {
            assert_eq!(take(&mut pace, Some(limit), begin), Ok(()));
        }
        let next = begin + Duration::from_millis(100);
        assert_eq!(take(&mut pace, Some(limit), begin), Err(next));
        assert_eq!(take(&mut pace, Some(limit), begin), Err(next), "asking takes nothing");
        assert_eq!(pace.tokens_within(Duration::ZERO, begin), 0);
        assert_eq!(pace.tokens_within(Duration::from_millis(350), begin), 3);
        assert_eq!(take(&mut pace, Some(limit), next), Ok(()));
        assert!(take(&mut pace, Some(limit), next).is_err());
        assert!(!pace.is_rested(next) && pace.is_rested(next + Duration::from_millis(300)));
    }

    #[test]
    fn another_limit_begins_where_the_old_one_was() {
        let (fast, slow, now) = (limit(10, "second", 10), limit(10, "minute", 10), Instant::now());
        let mut pace = Pace::new(16);
        for _ in 0..10 {
            assert_eq!(take(&mut pace, Some(fast), now), Ok(()));
        }
        assert_eq!(take(&mut pace, Some(slow), now), Err(now + Duration::from_secs(6)));
        assert_eq!(take(&mut pace, None, now), Ok(()), "not limited");
        assert_eq!(take(&mut pace, Some(fast), now), Err(now + Duration::from_millis(100)));
    }

    proptest! {
        /// In no stretch of time do more attempts start than the burst and the rate allow.
        #[test]
        fn the_rate_is_never_exceeded(
            requests in 1..50_u32,
            burst in 1..20_u32,
            pauses in proptest::collection::vec(0..200_u64, 1..300),
        ) {
            let limit = limit(requests, "second", burst);
            let (mut pace, mut now) = (Pace::new(16), Instant::now());
            let mut started = Vec::new();
            for pause in pauses {
                now += Duration::from_millis(pause);
                if take(&mut pace, Some(limit), now).is_ok() {
                    started.push(now);
                }
            }
            for (first, &from) in started.iter().enumerate() {
                for (more, &to) in started[first..].iter().enumerate() {
                    let rate = (to - from).as_nanos() / limit.interval().as_nanos();
                    prop_assert!((more as u128) < u128::from(burst) + rate);
                }
            }
        }
    }
}
