//! How fast attempts to a destination may follow each other.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::faults::Faults;
use crate::fields::Fields;
use crate::named::named;
use crate::text::TextRule;

/// So many requests a unit of time, and so many at once after a rest. In JSON:
/// `{"requests":10,"per":"second","burst":20}`; without `burst` it is as large as `requests`. Each process keeps
/// to it by itself: two that send to the same destination send up to twice as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value")]
pub struct RateLimit {
    requests: u32,
    per: RateUnit,
    burst: u32,
}

/// What a rate is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateUnit {
    /// Requests a second.
    Second,
    /// Requests a minute.
    Minute,
}

named!(RateUnit { Second = "second", Minute = "minute" });

impl RateLimit {
    const LARGEST: u32 = 10_000;

    /// A limit that is known beforehand. Panics unless both numbers are from 1 to 10,000.
    pub const fn new(requests: u32, per: RateUnit, burst: u32) -> Self {
        assert!(
            requests >= 1 && requests <= Self::LARGEST,
            "requests are from 1 to 10,000"
        );
        assert!(burst >= 1 && burst <= Self::LARGEST, "a burst is from 1 to 10,000");
        Self { requests, per, burst }
    }

    /// Reads a limit, and says what is wrong with it by the pointer of each field below `pointer`.
    pub fn from_json(value: &Value, pointer: &str) -> Result<Self, Faults> {
        let mut fields = Fields::at(value, pointer)?;
        let requests = fields.required_number("requests", 1..=Self::LARGEST);
        let per = fields.required_text("per", TextRule::line(usize::MAX));
        let per = per.and_then(|per| fields.parse("per", per));
        let burst = fields.optional_number("burst", 1..=Self::LARGEST);
        fields.finish()?;
        let (Some(requests), Some(per)) = (requests, per) else {
            unreachable!("what is missing is a fault");
        };
        Ok(Self {
            requests,
            per,
            burst: burst.unwrap_or(requests),
        })
    }

    /// How many attempts may start at once after a rest.
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// The time between two attempts that follow each other for long.
    pub fn interval(&self) -> Duration {
        let unit = match self.per {
            RateUnit::Second => Duration::from_secs(1),
            RateUnit::Minute => Duration::from_mins(1),
        };
        unit / self.requests
    }
}

impl TryFrom<Value> for RateLimit {
    type Error = Faults;

    fn try_from(value: Value) -> Result<Self, Faults> {
        Self::from_json(&value, "")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_limit_is_read_back_as_it_was_written() {
        let limit = RateLimit::from_json(&json!({"requests": 30, "per": "minute"}), "/rateLimit").expect("a limit");
        assert_eq!((limit.interval(), limit.burst()), (Duration::from_secs(2), 30));
        let written = serde_json::to_value(limit).expect("JSON");
        assert_eq!(written, json!({"requests": 30, "per": "minute", "burst": 30}));
        assert_eq!(serde_json::from_value::<RateLimit>(written).expect("a limit"), limit);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            (json!(7), "/rateLimit"),
            (json!({"per": "second"}), "/rateLimit/requests"),
            (json!({"requests": 0, "per": "second"}), "/rateLimit/requests"),
            (json!({"requests": 10_001, "per": "second"}), "/rateLimit/requests"),
            (json!({"requests": 1.5, "per": "second"}), "/rateLimit/requests"),
            (json!({"requests": 1}), "/rateLimit/per"),
            (json!({"requests": 1, "per": "hour"}), "/rateLimit/per"),
            (json!({"requests": 1, "per": null}), "/rateLimit/per"),
            (json!({"requests": 1, "per": " "}), "/rateLimit/per"),
            (
                json!({"requests": 1, "per": "second", "burst": "2"}),
                "/rateLimit/burst",
            ),
            (
                json!({"requests": 1, "per": "second", "bursts": 2}),
                "/rateLimit/bursts",
            ),
        ];
        for (value, pointer) in cases {
            let faults = RateLimit::from_json(&value, "/rateLimit").expect_err("refused");
            assert_eq!(
                faults.iter().map(|fault| &*fault.pointer).collect::<Vec<_>>(),
                [pointer],
                "{value}"
            );
        }
    }
}
