//! Time: whole milliseconds UTC, and the clocks that tell it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The years 0000 to 9999, which RFC 3339 can write.
const WRITABLE_MILLIS: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

/// An instant, in milliseconds since 1970-01-01T00:00:00Z. Written as RFC 3339, UTC, e.g. `2024-11-24T10:30:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Takes milliseconds since 1970; beyond the years 0 to 9999 the nearest end.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(*WRITABLE_MILLIS.start(), *WRITABLE_MILLIS.end()))
    }

    /// Milliseconds since 1970.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// This instant and a duration later, to the millisecond.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self::from_millis(
            self.0
                .saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// How long ago an earlier instant was; zero if it wasn't earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = DateTime::<Utc>::from_timestamp_millis(self.0).unwrap_or_default();
        f.write_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

/// A text that is no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a time as in RFC 3339, e.g. 2024-11-24T10:30:00.000Z")]
pub struct TimestampError;

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let time = DateTime::parse_from_rfc3339(text).map_err(|_| TimestampError)?;
        Ok(Self::from_millis(time.timestamp_millis()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Tells the time. Passed to whoever needs it, so that tests choose it.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one home of the ambient clock")]
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(Utc::now().timestamp_millis())
    }
}

/// A clock that moves only when told to. Clones show the same time.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows this instant.
    pub fn at(instant: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(instant.as_millis())))
    }

    /// Moves the clock on.
    pub fn advance(&self, duration: Duration) {
        self.0.store(self.now().after(duration).as_millis(), Ordering::SeqCst);
    }

    /// Puts the clock back, as somebody may who finds it wrong.
    pub fn put_back(&self, duration: Duration) {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        self.0.fetch_sub(millis, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_in_milliseconds_utc() {
        for (text, written) in [
            ("2024-11-24T10:30:00.000Z", "2024-11-24T10:30:00.000Z"),
            ("2024-11-24T10:30:00Z", "2024-11-24T10:30:00.000Z"),
            ("2024-11-24T11:30:00.123987+01:00", "2024-11-24T10:30:00.123Z"),
            ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(text.parse::<Timestamp>().expect(text).to_string(), written);
        }
        for text in ["", "2024-11-24", "2024-11-24T10:30:00", "yesterday"] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimestampError), "{text}");
        }
    }

    #[test]
    fn durations_never_go_below_zero_nor_beyond_the_calendar() {
        let (early, late) = (Timestamp::from_millis(1_000), Timestamp::from_millis(3_500));
        assert_eq!(
            (late.since(early), early.since(late)),
            (Duration::from_millis(2_500), Duration::ZERO)
        );
        assert_eq!(early.after(Duration::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn manual_clock_moves_only_when_told() {
        let clock = ManualClock::at(Timestamp::from_millis(5));
        let same = clock.clone();
        clock.advance(Duration::from_millis(7));
        assert_eq!(same.now().as_millis(), 12);
    }
}
