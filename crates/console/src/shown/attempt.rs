//! Attempts as a delivery's timeline shows them.

use sensei_domain::Timestamp;
use serde_json::Value;

use super::Label;
use crate::moment::Moment;
use crate::page::text;

/// One try of a delivery.
#[derive(Debug, Clone)]
pub(crate) struct AttemptShown {
    pub(crate) number: u64,
    /// Why it was made, in words.
    pub(crate) trigger: &'static str,
    pub(crate) outcome: String,
    pub(crate) label: Label,
    pub(crate) started: Option<Moment>,
    pub(crate) duration: String,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<String>,
    pub(crate) snippet: Option<String>,
    pub(crate) url: Option<String>,
}

impl AttemptShown {
    pub(crate) fn of(attempt: &Value, now: Timestamp) -> Self {
        let optional = |name: &str| attempt[name].as_str().map(str::to_owned);
        let outcome = text(attempt, "outcome").to_owned();
        Self {
            number: attempt["number"].as_u64().unwrap_or_default(),
            trigger: trigger(text(attempt, "trigger")),
            label: label(&outcome),
            outcome,
            started: Moment::of(&attempt["startedAt"], now),
            duration: attempt["durationMs"].as_u64().map_or_else(String::new, duration),
            status: status_code(attempt),
            error: optional("error"),
            snippet: optional("responseSnippet"),
            url: optional("requestUrl"),
        }
    }
}

/// The HTTP status of an attempt that was answered.
pub(crate) fn status_code(attempt: &Value) -> Option<u16> {
    attempt["statusCode"].as_u64().and_then(|code| code.try_into().ok())
}

/// `85 ms`, `1.2 s`.
pub(crate) fn duration(millis: u64) -> String {
    match millis {
        0 => "under 1 ms".to_owned(),
        1..1_000 => format!("{millis} ms"),
        _ => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
    }
}

fn trigger(name: &str) -> &'static str {
    match name {
        "first" => "First attempt",
        "retry" => "Automatic retry",
        "manual" => "Redelivery by hand",
        "test" => "Test",
        "replay" => "Replay of an earlier lead",
        _ => "Attempt",
    }
}

fn label(outcome: &str) -> Label {
    match outcome {
        "delivered" => Label::good("Delivered"),
        "unavailable" => Label::warn("Not taken"),
        "rejected" => Label::bad("Refused"),
        "gone" => Label::bad("Receiver is gone"),
        "blocked" => Label::bad("Address not allowed"),
        "ours" => Label::warn("Our own failure"),
        other => Label::plain("?", other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_in_the_unit_that_people_think_in() {
        for (millis, words) in [(0, "under 1 ms"), (999, "999 ms"), (1_000, "1.0 s"), (15_049, "15.0 s")] {
            assert_eq!(duration(millis), words);
        }
    }
}
