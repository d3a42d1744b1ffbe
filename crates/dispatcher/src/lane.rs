//! The lane of one destination: what waits, what runs, and what is known of its receiver.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::breaker::{Breaker, Stand};
use crate::lanes::Repute;
use crate::limits::Limits;
use crate::pace::Pace;

/// After so long without an attempt, what was known of a receiver is worth nothing.
const KNOWN_FOR: Duration = Duration::from_hours(1);

#[derive(Debug)]
pub(crate) struct Lane<T> {
    pub(crate) waiting: VecDeque<T>,
    pub(crate) running: usize,
    pub(crate) places: usize,
    /// Places whose attempt has begun, or is over and not yet recorded.
    pub(crate) begun: usize,
    /// Of the bodies in these places.
    pub(crate) bytes: usize,
    /// More deliveries are due in the database, as was last known then: until they were fetched, nothing new comes in past
    /// them.
    pub(crate) behind_since: Option<Instant>,
    pub(crate) has_turn: bool,
    /// Some of it is being read again; nothing starts meanwhile.
    pub(crate) is_reading: bool,
    /// A share of all attempts is kept for it meanwhile.
    pub(crate) reads_for_share: bool,
    /// Grows when the receiver is another.
    pub(crate) receiver: u32,
    /// When somebody changed the destination.
    pub(crate) changed_at: Option<Instant>,
    pub(crate) pace: Pace,
    pub(crate) breaker: Breaker,
    /// When something last happened.
    pub(crate) used_at: Instant,
}

impl<T> Lane<T> {
    pub(crate) fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            waiting: VecDeque::new(),
            running: 0,
            places: 0,
            begun: 0,
            bytes: 0,
            behind_since: None,
            has_turn: false,
            is_reading: false,
            reads_for_share: false,
            receiver: 0,
            changed_at: None,
            pace: Pace::new(limits.lane_concurrency),
            breaker: Breaker::new(limits.cool_down, now),
            used_at: now,
        }
    }

    /// How many more may come in, so that each can start within this time.
    pub(crate) fn startable(&self, time: Duration, now: Instant) -> usize {
        let not_begun = self.places.saturating_sub(self.begun);
        let startable = match self.breaker.stand(now) {
            Stand::Closed => self.pace.tokens_within(time, now),
            Stand::Ready => self.pace.tokens_within(time, now).min(1),
            Stand::Open { .. } | Stand::Probing => 0,
        };
        startable.saturating_sub(not_begun)
    }

    /// Whether it is behind and has room again for a good part of what waits.
    pub(crate) fn wants_more(&self, limits: &Limits, now: Instant) -> bool {
        let at_hand = self.places.saturating_sub(self.begun);
        let has_room = if self.pace.is_limited() {
            at_hand == 0
        } else {
            self.places <= limits.lane_capacity / 2 && at_hand <= self.pace.in_stock() / 2
        };
        self.behind_since.is_some() && has_room && matches!(self.breaker.stand(now), Stand::Closed | Stand::Ready)
    }

    /// Whether nothing of it is in memory, and nothing is being read for it.
    pub(crate) const fn is_idle(&self) -> bool {
        self.places == 0 && self.running == 0 && !self.is_reading && self.behind_since.is_none()
    }

    /// Whether nothing is in it and nothing of worth is known of its receiver.
    pub(crate) fn is_forgettable(&self, now: Instant) -> bool {
        let is_long_ago = now.saturating_duration_since(self.used_at) >= KNOWN_FOR;
        let is_unknown = self.pace.repute() == Repute::Unknown && self.is_ordinary(now);
        self.is_idle() && self.pace.is_rested(now) && (is_long_ago || is_unknown)
    }

    /// Whether a new lane would nearly do as well.
    pub(crate) fn is_ordinary(&self, now: Instant) -> bool {
        self.is_idle() && self.pace.is_rested(now) && self.pace.is_ordinary() && self.breaker.is_ordinary(now)
    }
}
