//! Lanes that are behind: deliveries are due in the database that have no place in them.
//!
//! A lane that is behind takes nothing new past what waits there. It has caught up once nothing more is due for it, as the sweeper found
//! when it fetched, or as a whole round over all destinations found that began after it fell behind.

use std::time::Instant;

use sensei_domain::DestinationId;

use super::{Lanes, Waiting};

impl<T: Waiting> Lanes<T> {
    /// Deliveries are due in the database that have no place here.
    pub(crate) fn fell_behind(&mut self, destination: DestinationId, now: Instant) {
        if !self.closed {
            self.lane(destination, now).behind_since = Some(now);
        }
    }

    /// Everything was looked through for what is due since this round began. Of lanes that were behind before, and of which
    /// nothing was heard in it, the database has nothing more: it was taken by others, or cancelled.
    pub(crate) fn round_ended(&mut self, began: Instant, now: Instant) {
        self.by_destination.retain(|_, lane| {
            lane.behind_since = lane.behind_since.filter(|&since| since >= began);
            !lane.is_forgettable(now)
        });
    }

    /// Something is due at once for this destination, wherever the round of looks is.
    pub(crate) fn wants(&mut self, destination: DestinationId) {
        if !self.closed {
            self.wanting.insert(destination);
        }
    }

    /// Takes out lanes for which it is worth to fetch more at once, so many at most.
    pub(crate) fn wanting(&mut self, at_most: usize) -> Vec<DestinationId> {
        std::iter::from_fn(|| self.wanting.pop_first()).take(at_most).collect()
    }

    /// The database has nothing more that is due for this destination.
    pub(crate) fn caught_up(&mut self, destination: DestinationId, now: Instant) {
        if let Some(lane) = self.by_destination.get_mut(&destination) {
            lane.behind_since = None;
            self.forget(destination, now);
        }
    }
}
