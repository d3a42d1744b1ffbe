//! Durations, and what a part of them exceeds.

use std::time::Duration;

use xtask::figures::{Figure, Unit};

/// The median, and what one in a hundred and one in a thousand exceed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Percentiles {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) p999: Duration,
    pub(crate) most: Duration,
}

impl Percentiles {
    /// Of some durations; zero if there are none.
    pub(crate) fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        let at = |thousandths: usize| {
            durations
                .get(durations.len() * thousandths / 1_000)
                .copied()
                .unwrap_or_default()
        };
        Self {
            p50: at(500),
            p99: at(990),
            p999: at(999),
            most: durations.last().copied().unwrap_or_default(),
        }
    }

    /// Median and 99th percentile as figures.
    pub(crate) fn figures(&self, name: &str) -> [Figure; 2] {
        [
            milliseconds(format!("{name}, p50"), self.p50),
            milliseconds(format!("{name}, p99"), self.p99),
        ]
    }
}

/// A duration as a figure.
pub(crate) fn milliseconds(name: impl Into<String>, duration: Duration) -> Figure {
    Figure::new(name, duration.as_secs_f64() * 1_000.0, Unit::Milliseconds)
}

/// What the host of the machine took, in percent, as a figure.
pub(crate) fn stolen(name: impl Into<String>, share: f64) -> Figure {
    Figure::new(name, share, Unit::Percent)
}

/// A number of things as a figure.
pub(crate) fn count(name: impl Into<String>, count: usize) -> Figure {
    Figure::new(name, float(count), Unit::Count)
}

/// A count to calculate with. Beyond four billion, which nothing here reaches, the largest.
pub(crate) fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
