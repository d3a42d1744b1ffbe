//! How much the dispatcher takes on at once.

use std::time::Duration;

/// Bounds of the dispatcher's memory and of its attempts under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Attempts to one destination at the same time, at most: each begins with few, and goes up with its successes.
    pub lane_concurrency: usize,
    /// Deliveries of one destination in memory: waiting, under way, or not yet recorded.
    pub lane_capacity: usize,
    /// Attempts at the same time, to all destinations.
    pub total_concurrency: usize,
    /// Deliveries in memory, of all destinations.
    pub total_capacity: usize,
    /// Bytes of the bodies in memory, of all destinations. A larger body has a place when it is alone.
    pub total_bytes: usize,
    /// How long nothing is sent to a receiver that went away, until one attempt tries whether it is back. Doubled while
    /// it isn't, up to twelve times this.
    pub cool_down: Duration,
}

impl Default for Limits {
    /// Measured with `cargo xtask bench`: see docs/benchmarks.md.
    fn default() -> Self {
        Self {
            lane_concurrency: 16,
            lane_capacity: 1_024,
            total_concurrency: 1_024,
            total_capacity: 16_384,
            total_bytes: 64 * 1024 * 1024,
            cool_down: Duration::from_secs(5),
        }
    }
}
