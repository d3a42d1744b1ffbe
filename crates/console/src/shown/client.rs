//! How a client does, at a glance.

use serde_json::Value;

use super::Label;
use crate::numbers::percent;
use crate::page::text;

/// How a client does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientHealth {
    pub(crate) label: Label,
    /// What is wrong, if anything.
    pub(crate) words: String,
    pub(crate) leads: u64,
    pub(crate) success: String,
}

impl ClientHealth {
    /// Of a client's `health`; `None` if the answer has none.
    pub(crate) fn of(health: &Value) -> Option<Self> {
        let state = health["state"].as_str()?;
        let count = |name: &str| health[name].as_u64().unwrap_or_default();
        let (troubled, failed) = (count("troubledDestinations"), count("failed24h"));
        let mut words = Vec::new();
        if troubled > 0 {
            words.push(format!(
                "{troubled} {} in trouble",
                many(troubled, "destination", "destinations")
            ));
        }
        if failed > 0 {
            words.push(format!("{failed} {} in 24 h", many(failed, "failure", "failures")));
        }
        Some(Self {
            label: match state {
                "ok" => Label::good("Fine"),
                "failing" => Label::bad("Failing"),
                "idle" => Label::plain("–", "Quiet"),
                "paused" => Label::new("warn", "❚❚", "Paused"),
                _ => Label::plain("?", text(health, "state")),
            },
            words: words.join(", "),
            leads: count("leads24h"),
            success: health["successRate24h"]
                .as_f64()
                .map_or_else(|| "–".to_owned(), percent),
        })
    }
}

fn many(count: u64, one: &'static str, many: &'static str) -> &'static str {
    if count == 1 { one } else { many }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn health_is_told_with_what_is_wrong() {
        for (state, troubled, failed, label, words) in [
            ("ok", 0, 0, "Fine", ""),
            (
                "failing",
                1,
                2,
                "Failing",
                "1 destination in trouble, 2 failures in 24 h",
            ),
            ("idle", 0, 0, "Quiet", ""),
            ("paused", 2, 1, "Paused", "2 destinations in trouble, 1 failure in 24 h"),
            ("other", 0, 0, "other", ""),
        ] {
            let health =
                json!({"state": state, "troubledDestinations": troubled, "failed24h": failed, "successRate24h": null});
            let health = ClientHealth::of(&health).expect("health");
            assert_eq!(
                (&*health.label.words, &*health.words, &*health.success),
                (label, words, "–"),
                "{state}"
            );
        }
        assert_eq!(ClientHealth::of(&Value::Null), None);
    }
}
