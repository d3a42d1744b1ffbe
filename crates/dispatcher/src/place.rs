//! Places in lanes, and the store's way to them.
//!
//! Promises that a place is given back however its holder ends, and that a delivery which has one is known as held
//! by this process until then, so that it isn't fetched a second time.

use std::sync::{Arc, Weak};
use std::time::Instant;

use sensei_domain::{DeliveryId, DestinationId};
use sensei_persistence::{Destination, Handover, Job, Place};

use crate::engine::Engine;
use crate::lanes::Waiting;
use crate::pace::Terms;

/// A place in a lane, given back when dropped.
pub(crate) struct Taken {
    engine: Arc<Engine>,
    destination: DestinationId,
    bytes: usize,
    has_begun: bool,
    delivery: Option<DeliveryId>,
}

/// A delivery that this process holds, with its place in the lane.
pub(crate) struct Held {
    pub(crate) job: Job,
    /// When it was known how it stood when it was last read: later than [`Job::read_at`] by as long as reading took.
    pub(crate) known_at: Instant,
    pub(crate) place: Taken,
}

impl Taken {
    /// For a place that was taken in the engine's lanes.
    pub(crate) const fn new(engine: Arc<Engine>, destination: DestinationId, bytes: usize) -> Self {
        Self {
            engine,
            destination,
            bytes,
            has_begun: false,
            delivery: None,
        }
    }

    /// Its delivery's attempt begins.
    pub(crate) const fn begin(&mut self) {
        self.has_begun = true;
    }

    /// Fills the place.
    pub(crate) fn hold(mut self, job: Job) -> Held {
        self.engine.held().insert(job.delivery_id);
        self.delivery = Some(job.delivery_id);
        Held {
            job,
            known_at: Instant::now(),
            place: self,
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(delivery) = self.delivery {
            self.engine.held().remove(&delivery);
        }
        self.engine.give_back(self.destination, self.bytes, self.has_begun);
    }
}

impl Waiting for Held {
    fn read_at(&self) -> Instant {
        self.job.read_at
    }

    fn known_at(&self) -> Instant {
        self.known_at
    }

    fn terms(&self) -> Terms {
        Terms::of(&self.job.destination)
    }
}

/// The engine as the store sees it. The store doesn't keep a dispatcher alive that its owner has dropped.
pub(crate) struct EngineHandover(pub(crate) Weak<Engine>);

impl Handover for EngineHandover {
    fn reserve(&self, destination: &Arc<Destination>, bytes: usize) -> Option<Box<dyn Place>> {
        let place = self.0.upgrade()?.take_new_place(destination, bytes)?;
        Some(Box::new(place))
    }

    fn left_behind(&self, destination: DestinationId) {
        if let Some(engine) = self.0.upgrade() {
            engine.fell_behind(destination);
        }
    }

    fn changed(&self, destination: DestinationId) {
        if let Some(engine) = self.0.upgrade() {
            engine.changed(destination);
        }
    }

    fn may_be_back(&self, destination: DestinationId) {
        if let Some(engine) = self.0.upgrade() {
            engine.may_be_back(destination);
        }
    }

    fn receiver_changed(&self, destination: DestinationId) {
        if let Some(engine) = self.0.upgrade() {
            engine.receiver_changed(destination);
        }
    }
}

impl Place for Taken {
    fn fill(self: Box<Self>, job: Job) {
        let engine = Arc::clone(&self.engine);
        engine.offer(self.hold(job));
    }
}
