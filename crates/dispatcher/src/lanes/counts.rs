//! How much is in the lanes, for whoever watches.

use std::time::Instant;

use sensei_domain::DestinationId;

use super::{Lanes, Waiting};
use crate::breaker::Stand;
use crate::lane::Lane;

/// How much is in the lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LaneCounts {
    pub(crate) running: usize,
    pub(crate) places: usize,
    pub(crate) bytes: usize,
    pub(crate) lanes: usize,
    pub(crate) open_breakers: usize,
}

impl<T: Waiting> Lanes<T> {
    /// How much is in the lanes. Looks at each of them.
    pub(crate) fn counts(&self, now: Instant) -> LaneCounts {
        let is_open = |lane: &&Lane<T>| lane.breaker.stand(now) != Stand::Closed;
        LaneCounts {
            running: self.running,
            places: self.places,
            bytes: self.bytes,
            lanes: self.by_destination.len(),
            open_breakers: self.by_destination.values().filter(is_open).count(),
        }
    }

    /// The destinations whose breakers aren't closed, at most so many, and since when.
    pub(crate) fn open_breakers(&self, most: usize) -> Vec<(DestinationId, Instant)> {
        let lanes = self.by_destination.iter();
        let open = lanes.filter_map(|(destination, lane)| Some((*destination, lane.breaker.opened()?)));
        open.take(most).collect()
    }
}
