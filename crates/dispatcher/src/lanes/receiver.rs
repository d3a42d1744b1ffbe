//! What a lane learns of its receiver otherwise than by how attempts end: that it wants a rest, that it may be back, that it is another.

use std::time::{Duration, Instant};

use sensei_domain::DestinationId;

use super::{Lanes, Turn, Waiting};
use crate::breaker::Sign;
use crate::lane::Lane;

impl<T: Waiting> Lanes<T> {
    /// A receiver wants nothing more for so long. Gives out what waits, if it can't start in time.
    pub(crate) fn pause(&mut self, turn: Turn, time: Duration, now: Instant) -> Vec<T> {
        let Some(lane) = self.by_destination.get_mut(&turn.destination) else {
            return Vec::new();
        };
        if turn.receiver != lane.receiver {
            return Vec::new();
        }
        lane.pace.rest(time, now);
        if time > self.patience / 2 {
            lane.waiting.drain(..).collect()
        } else {
            Vec::new()
        }
    }

    /// A receiver may be there again: if nothing starts for now, one attempt tries it.
    pub(crate) fn may_be_back(&mut self, destination: DestinationId, now: Instant) {
        if let Some(lane) = self.by_destination.get_mut(&destination) {
            lane.breaker.may_be_back(now);
            self.queue_up(destination);
        }
    }

    /// The receiver is another: what is known against the one before counts no more, nor what attempts say that are under way to it.
    pub(crate) fn receiver_changed(&mut self, destination: DestinationId, now: Instant) {
        if let Some(lane) = self.by_destination.get_mut(&destination) {
            lane.receiver = lane.receiver.wrapping_add(1);
            lane.pace.receiver_changed(lane.running);
        }
        self.may_be_back(destination, now);
    }
}

impl<T> Lane<T> {
    /// What an attempt says of the receiver that there is now.
    pub(super) fn heeded(&self, turn: Turn, sign: Sign) -> Sign {
        if turn.receiver == self.receiver {
            sign
        } else {
            Sign::Nothing
        }
    }
}
