//! What the engine knows of deliveries that are due in the database and have no place in a lane.

use std::sync::Arc;
use std::time::Instant;

use sensei_domain::DestinationId;

use crate::engine::Engine;

impl Engine {
    /// Deliveries are due that have no place; the sweeper is told.
    pub(crate) fn fell_behind(&self, destination: DestinationId) {
        self.note_behind(destination);
        self.lanes().wants(destination);
        self.fetch.notify_one();
    }

    /// Deliveries are due that have no place, as the sweeper knows.
    pub(crate) fn note_behind(&self, destination: DestinationId) {
        self.lanes().fell_behind(destination, Instant::now());
    }

    /// More is due in the database, and there may be room for it.
    pub(crate) fn want(&self, destination: DestinationId) {
        self.lanes().wants(destination);
    }

    /// A receiver may be there again: it is tried at once.
    pub(crate) fn may_be_back(self: &Arc<Self>, destination: DestinationId) {
        self.lanes().may_be_back(destination, Instant::now());
        self.try_at_once(destination);
    }

    /// The receiver is another: it is tried at once.
    pub(crate) fn receiver_changed(self: &Arc<Self>, destination: DestinationId) {
        self.lanes().receiver_changed(destination, Instant::now());
        self.try_at_once(destination);
    }

    fn try_at_once(self: &Arc<Self>, destination: DestinationId) {
        self.want(destination);
        self.fetch.notify_one();
        self.begin();
    }

    pub(crate) fn caught_up(&self, destination: DestinationId) {
        self.lanes().caught_up(destination, Instant::now());
    }

    /// All destinations were looked through for what is due since then.
    pub(crate) fn round_ended(&self, began: Instant) {
        self.lanes().round_ended(began, Instant::now());
        self.meters.round_ended(began.elapsed());
    }

    /// Takes out destinations for which it is worth to fetch more at once, so many at most.
    pub(crate) fn wanting(&self, at_most: usize) -> Vec<DestinationId> {
        self.lanes().wanting(at_most)
    }
}
