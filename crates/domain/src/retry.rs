//! When a failed delivery is tried again: a destination's retry policy.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::duration::{DurationError, format_duration, parse_duration};
use crate::faults::Faults;
use crate::fields::Fields;
use crate::text::TextRule;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// The example schedule of Standard Webhooks (section "Deliverability and reliability"): ten attempts in 75 hours.
pub const STANDARD_DELAYS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * MINUTE),
    Duration::from_secs(30 * MINUTE),
    Duration::from_secs(2 * HOUR),
    Duration::from_secs(5 * HOUR),
    Duration::from_secs(10 * HOUR),
    Duration::from_secs(14 * HOUR),
    Duration::from_secs(20 * HOUR),
    Duration::from_secs(24 * HOUR),
];

const MAX_DELAYS: usize = 20;
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(7 * 24 * HOUR);

/// What follows a failed attempt. In JSON: `{"policy":"none"}`, `{"policy":"standard"}` or
/// `{"policy":"custom","delays":["5s","5m"]}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryPolicy {
    /// Nothing: one attempt. The published contract of the Lead Webhook URL.
    None,
    /// [`STANDARD_DELAYS`].
    Standard,
    /// The client's own delays.
    Custom(Delays),
}

impl RetryPolicy {
    /// Reads a policy, and says what is wrong with it by the pointer of each field below `pointer`.
    pub fn from_json(value: &Value, pointer: &str) -> Result<Self, Faults> {
        let mut fields = Fields::at(value, pointer)?;
        let name = fields.required_text("policy", TextRule::line(usize::MAX));
        let delays = fields.value("delays");
        let policy = match name {
            Some("custom") => read_delays(&mut fields, delays).map(Self::Custom),
            Some("none") => Some(Self::None),
            Some("standard") => Some(Self::Standard),
            Some(_) => {
                fields.fault("policy", "must be one of none, standard, custom");
                None
            }
            None => None,
        };
        if delays.is_some() && matches!(policy, Some(Self::None | Self::Standard)) {
            fields.fault("delays", "belong to the policy custom only");
        }
        fields.finish()?;
        Ok(policy.expect("a policy that can't be read is a fault"))
    }

    /// The waits between attempts: the first follows the first attempt.
    pub fn delays(&self) -> &[Duration] {
        match self {
            Self::None => &[],
            Self::Standard => &STANDARD_DELAYS,
            Self::Custom(Delays(delays)) => delays,
        }
    }
}

fn read_delays(fields: &mut Fields<'_>, delays: Option<&Value>) -> Option<Delays> {
    let Some(Value::Array(given)) = delays else {
        let detail = delays.map_or(
            "is required for the policy custom",
            |_| "must be an array, e.g. [\"5s\", \"5m\"]",
        );
        fields.fault("delays", detail);
        return None;
    };
    let mut delays = Vec::with_capacity(given.len().min(MAX_DELAYS));
    for (index, delay) in given.iter().enumerate().take(MAX_DELAYS) {
        match delay.as_str().map_or(Err(DurationError), parse_duration) {
            Ok(delay) if (SHORTEST..=LONGEST).contains(&delay) => delays.push(delay),
            Ok(_) => fields.fault_below("delays", &index.to_string(), "must be from 1s to 7d"),
            Err(error) => fields.fault_below("delays", &index.to_string(), &error.to_string()),
        }
    }
    if given.is_empty() || given.len() > MAX_DELAYS {
        fields.fault("delays", DelaysError::Number { number: given.len() }.to_string());
    }
    delays.try_into().ok()
}

/// Waits between attempts: 1 to 20, each from a second to seven days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delays(Vec<Duration>);

impl TryFrom<Vec<Duration>> for Delays {
    type Error = DelaysError;

    fn try_from(delays: Vec<Duration>) -> Result<Self, DelaysError> {
        if delays.is_empty() || delays.len() > MAX_DELAYS {
            return Err(DelaysError::Number { number: delays.len() });
        }
        match delays
            .iter()
            .copied()
            .find(|delay| !(SHORTEST..=LONGEST).contains(delay))
        {
            Some(delay) => Err(DelaysError::Length {
                delay: format_duration(delay),
            }),
            None => Ok(Self(delays)),
        }
    }
}

/// Why some durations can't be the waits of a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DelaysError {
    /// None or too many.
    #[error("must be 1 to {MAX_DELAYS} delays, not {number}")]
    Number {
        /// How many there are.
        number: usize,
    },
    /// Too short or too long.
    #[error("each delay must be from 1s to 7d, not {delay}")]
    Length {
        /// The first such delay.
        delay: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "policy", rename_all = "lowercase", deny_unknown_fields)]
enum Written {
    None {},
    Standard {},
    Custom { delays: Vec<String> },
}

impl Serialize for RetryPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = match self {
            Self::None => Written::None {},
            Self::Standard => Written::Standard {},
            Self::Custom(Delays(delays)) => Written::Custom {
                delays: delays.iter().copied().map(format_duration).collect(),
            },
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RetryPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::None {} => Self::None,
            Written::Standard {} => Self::Standard,
            Written::Custom { delays } => {
                let delays = delays
                    .iter()
                    .map(|text| parse_duration(text))
                    .collect::<Result<Vec<_>, DurationError>>();
                Self::Custom(
                    delays
                        .map_err(serde::de::Error::custom)?
                        .try_into()
                        .map_err(serde::de::Error::custom)?,
                )
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_written_as_the_api_shows_them() {
        for text in [
            r#"{"policy":"none"}"#,
            r#"{"policy":"standard"}"#,
            r#"{"policy":"custom","delays":["5s","5m","1d"]}"#,
        ] {
            let policy = serde_json::from_str::<RetryPolicy>(text).expect(text);
            assert_eq!(serde_json::to_string(&policy).expect("JSON"), text);
        }
        for (text, error) in [
            (r#"{"policy":"never"}"#, "unknown variant"),
            (r#"{"policy":"none","delays":[]}"#, "unknown field"),
            (r#"{"policy":"custom"}"#, "missing field"),
            (r#"{"policy":"custom","delays":[]}"#, "must be 1 to 20 delays, not 0"),
            (
                r#"{"policy":"custom","delays":["5 s"]}"#,
                "must be a whole number and a unit",
            ),
            (
                r#"{"policy":"custom","delays":["8d"]}"#,
                "each delay must be from 1s to 7d, not 8d",
            ),
            (
                r#"{"policy":"custom","delays":["0s"]}"#,
                "each delay must be from 1s to 7d, not 0s",
            ),
        ] {
            let said = serde_json::from_str::<RetryPolicy>(text).expect_err(text).to_string();
            assert!(said.contains(error), "{text}: {said}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_policy_is_named_by_its_pointer() {
        let good = serde_json::json!({"policy": "custom", "delays": ["5s", "7d"]});
        let policy = RetryPolicy::from_json(&good, "/retry").expect("a policy");
        assert_eq!(serde_json::to_value(&policy).expect("JSON"), good);
        for (text, pointers) in [
            (r#""none""#, &["/retry"][..]),
            ("{}", &["/retry/policy"]),
            (r#"{"policy":7}"#, &["/retry/policy"]),
            (r#"{"policy":"never"}"#, &["/retry/policy"]),
            (r#"{"policy":"none","delays":["5s"]}"#, &["/retry/delays"]),
            (r#"{"policy":"standard","delay":1}"#, &["/retry/delay"]),
            (r#"{"policy":"custom"}"#, &["/retry/delays"]),
            (r#"{"policy":"custom","delays":"5s"}"#, &["/retry/delays"]),
            (r#"{"policy":"custom","delays":[]}"#, &["/retry/delays"]),
            (
                r#"{"policy":"custom","delays":["5s","5 s",7,"0s","8d"]}"#,
                &[
                    "/retry/delays/1",
                    "/retry/delays/2",
                    "/retry/delays/3",
                    "/retry/delays/4",
                ],
            ),
        ] {
            let value = serde_json::from_str(text).expect("JSON");
            let faults = RetryPolicy::from_json(&value, "/retry").expect_err(text);
            let found = faults.iter().map(|fault| &*fault.pointer).collect::<Vec<_>>();
            assert_eq!(found, pointers, "{text}");
        }
        let many = serde_json::json!({"policy": "custom", "delays": vec!["5s"; 21]});
        let faults = RetryPolicy::from_json(&many, "").expect_err("too many");
        assert_eq!(faults.to_string(), "/delays must be 1 to 20 delays, not 21");
    }
}
