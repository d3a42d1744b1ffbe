//! How much the dispatcher takes on at once.

/// Bounds of the dispatcher's memory and of its attempts under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Attempts to one destination at the same time.
    pub lane_concurrency: usize,
    /// Deliveries of one destination in memory: waiting, under way, or not yet recorded.
    pub lane_capacity: usize,
    /// Attempts at the same time, to all destinations.
    pub total_concurrency: usize,
    /// Deliveries in memory, of all destinations.
    pub total_capacity: usize,
}

impl Default for Limits {
    /// Measured with `cargo xtask bench`: see docs/benchmarks.md.
    fn default() -> Self {
        Self {
            lane_concurrency: 16,
            lane_capacity: 1_024,
            total_concurrency: 1_024,
            total_capacity: 16_384,
        }
    }
}
