//! How a destination does, for people: a state by icon and words, what was seen of it lately, and where it sends to.

use std::collections::HashMap;

use sensei_domain::Timestamp;
use serde_json::Value;

use crate::moment::Moment;
use crate::page::{items, text};
use crate::shown::sentence;

/// A destination's state.
pub(crate) struct State {
    /// A class of the stylesheet.
    pub(crate) tone: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) words: &'static str,
    /// Why.
    pub(crate) reason: Option<String>,
    pub(crate) since: Option<Moment>,
}

impl State {
    pub(crate) fn of(destination: &Value, now: Timestamp) -> Self {
        let health = &destination["health"];
        let breaker = text(&health["breaker"], "state");
        let (tone, icon, words) = match (text(destination, "status"), text(health, "state")) {
            ("disabled", _) => ("bad", "✕", "Disabled"),
            ("paused", _) => ("warn", "❚❚", "Paused"),
            (_, "warned") => ("bad", "!", "Failing for long"),
            (_, "failing") if breaker == "open" => ("bad", "!", "Failing, resting"),
            (_, "failing") => ("warn", "!", "Failing"),
            _ => ("good", "✓", "Active"),
        };
        let is_failing = words.starts_with("Failing");
        let (reason, since) = if is_failing {
            (health["lastError"].as_str(), &health["failingSince"])
        } else {
            (destination["statusReason"].as_str(), &destination["statusSince"])
        };
        Self {
            tone,
            icon,
            words,
            reason: reason.map(sentence),
            since: Moment::of(since, now),
        }
    }
}

/// What the log's newest page tells of a destination.
#[derive(Default)]
pub(crate) struct Lately {
    pub(crate) succeeded: u32,
    pub(crate) failed: u32,
    /// Pending or held.
    pub(crate) waiting: u32,
    pub(crate) last_success: Option<Moment>,
    pub(crate) next_retry: Option<Moment>,
    /// Of a page of the log, behind which there may be more of this time.
    pub(crate) is_part: bool,
}

impl Lately {
    /// By destination; of a page of the log, newest first.
    pub(crate) fn of(log: &Value, now: Timestamp) -> HashMap<String, Self> {
        let mut lately = HashMap::<String, Self>::new();
        let mut next = HashMap::<String, Timestamp>::new();
        for delivery in items(log) {
            let destination = text(delivery, "destinationId").to_owned();
            if let Some(due) = delivery["dueAt"].as_str().and_then(|due| due.parse::<Timestamp>().ok()) {
                let earliest = next.entry(destination.clone()).or_insert(due);
                *earliest = due.min(*earliest);
            }
            let seen = lately.entry(destination).or_default();
            match text(delivery, "state") {
                "succeeded" => {
                    seen.succeeded += 1;
                    if seen.last_success.is_none() {
                        seen.last_success = Moment::of(&delivery["completedAt"], now);
                    }
                }
                "failed" => seen.failed += 1,
                "pending" | "held" => seen.waiting += 1,
                _ => {}
            }
        }
        for (destination, due) in next {
            if let Some(seen) = lately.get_mut(&destination) {
                seen.next_retry = Some(Moment::new(due, now));
            }
        }
        lately
    }

    /// `12 of 13 arrived, 2 waiting`.
    pub(crate) fn words(&self) -> String {
        match (self.succeeded + self.failed, self.waiting) {
            (0, 0) => "nothing sent".to_owned(),
            (0, waiting) => format!("{waiting} waiting"),
            (done, 0) => format!("{} of {done} arrived", self.succeeded),
            (done, waiting) => format!("{} of {done} arrived, {waiting} waiting", self.succeeded),
        }
    }
}

/// Where a destination sends to, less what may be secret.
pub(crate) fn aim(destination: &Value) -> String {
    let config = &destination["config"];
    let Some(aim) = ["url", "host", "instance", "site", "listId", "projectId", "audienceId"]
        .iter()
        .find_map(|field| config[*field].as_str())
    else {
        return String::new();
    };
    match aim.split_once('?') {
        Some((address, _)) => format!("{address}?…"),
        None => aim.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_query_of_a_url_is_not_shown() {
        let of = |config: Value| aim(&json!({"config": config}));
        assert_eq!(
            of(json!({"url": "https://a.example/x?token=1"})),
            "https://a.example/x?…"
        );
        assert_eq!(of(json!({"host": "smtp.a.example", "to": ["b"]})), "smtp.a.example");
        assert_eq!(of(json!({"token": "********"})), "");
    }

    #[test]
    fn the_log_tells_what_was_lately() {
        let now: Timestamp = "2026-11-26T05:54:29.000Z".parse().expect("a time");
        let at = |state: &str, done: Value, due: Value| json!({"destinationId": "a", "state": state, "completedAt": done, "dueAt": due});
        let log = json!({"items": [
            at("pending", json!(null), json!("2026-11-26T06:00:00.000Z")),
            at("pending", json!(null), json!("2026-11-26T05:59:29.000Z")),
            at("failed", json!("2026-11-26T05:50:00.000Z"), json!(null)),
            at("succeeded", json!("2026-11-26T05:44:29.000Z"), json!(null)),
            at("succeeded", json!("2026-11-26T04:44:29.000Z"), json!(null)),
        ]});
        let lately = Lately::of(&log, now).remove("a").expect("the destination");
        assert_eq!(lately.words(), "2 of 3 arrived, 2 waiting");
        assert_eq!(Lately::default().words(), "nothing sent");
        assert_eq!(lately.last_success.expect("one").relative, "10 minutes ago");
        assert_eq!(lately.next_retry.expect("one").relative, "in 5 minutes");
    }
}
