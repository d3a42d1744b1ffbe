//! The circuit breakers of this process as others see them.

use std::sync::{Arc, Weak};
use std::time::Instant;

use sensei_domain::{DestinationId, Timestamp};

use crate::breaker::Stand;
use crate::engine::Engine;

/// What a destination's circuit breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything.
    Closed,
    /// Nothing: the receiver is away.
    Open {
        /// Until when.
        until: Timestamp,
    },
    /// One attempt, which decides.
    HalfOpen,
}

impl BreakerState {
    /// As it stands at this time, by the monotonic clock and by the other one.
    pub(crate) fn of(stand: Stand, now: Instant, at: Timestamp) -> Self {
        match stand {
            Stand::Closed => Self::Closed,
            Stand::Open { until } => Self::Open {
                until: at.after(until.saturating_duration_since(now)),
            },
            Stand::Ready | Stand::Probing => Self::HalfOpen,
        }
    }
}

/// Looks at the circuit breakers of a dispatcher, and doesn't keep it alive. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Breakers(Weak<Engine>);

impl Breakers {
    pub(crate) fn of(engine: &Arc<Engine>) -> Self {
        Self(Arc::downgrade(engine))
    }

    /// What this destination's circuit breaker lets through in this process; `None` when the dispatcher is gone.
    pub fn state(&self, destination: DestinationId) -> Option<BreakerState> {
        Some(self.0.upgrade()?.breaker(destination))
    }

    /// The destinations that this process holds back from, as their breakers aren't closed: at most so many, each with since when.
    pub fn open(&self, most: usize) -> Vec<(DestinationId, Timestamp)> {
        let Some(engine) = self.0.upgrade() else {
            return Vec::new();
        };
        let (now, at) = (Instant::now(), engine.clock.now());
        let open = engine.lanes().open_breakers(most);
        let since = |opened: Instant| {
            let millis = i64::try_from(now.saturating_duration_since(opened).as_millis()).unwrap_or(0);
            Timestamp::from_millis(at.as_millis() - millis)
        };
        open.into_iter()
            .map(|(destination, opened)| (destination, since(opened)))
            .collect()
    }
}
