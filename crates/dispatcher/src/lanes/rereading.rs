//! Deliveries that are read again before they are attempted: what waited for long, and what was changed.

use std::time::Instant;

use sensei_domain::DestinationId;

use super::{Lanes, Waiting};
use crate::breaker::Stand;

impl<T: Waiting> Lanes<T> {
    /// Everything in this lane must be read again before it is attempted.
    pub(crate) fn changed(&mut self, destination: DestinationId, now: Instant) {
        if let Some(lane) = self.by_destination.get_mut(&destination) {
            lane.changed_at = Some(now);
            lane.pace.forget_limit();
            self.queue_up(destination);
        }
    }

    /// What was read again goes back to the front. Once closed, or while nothing starts, gives it back.
    pub(crate) fn reread(&mut self, destination: DestinationId, fresh: Vec<T>, now: Instant) -> Result<(), Vec<T>> {
        if self.closed {
            return Err(fresh);
        }
        let lane = self.lane(destination, now);
        lane.is_reading = false;
        let had_share = std::mem::take(&mut lane.reads_for_share);
        let (repute, had_turn) = (lane.pace.repute(), lane.has_turn);
        let refused = if let Stand::Open { .. } = lane.breaker.stand(now) {
            fresh
        } else {
            for waiting in fresh.into_iter().rev() {
                lane.waiting.push_front(waiting);
            }
            Vec::new()
        };
        let is_next = had_share && !had_turn && !lane.waiting.is_empty();
        lane.has_turn |= is_next;
        if had_share {
            self.shares.was_read(destination, repute, is_next);
        }
        self.queue_up(destination);
        // While it was read it was kept, though all of it may be gone.
        self.forget(destination, now);
        if refused.is_empty() { Ok(()) } else { Err(refused) }
    }
}
