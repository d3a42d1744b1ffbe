//! Recoveries as they are listed and watched.

use sensei_domain::{ClientId, Timestamp};
use serde_json::Value;

use super::destination::shown_name;
use super::{Destinations, Label, sentence};
use crate::moment::Moment;
use crate::page::text;

/// Work on many deliveries.
#[derive(Debug, Clone)]
pub(crate) struct RecoveryShown {
    pub(crate) path: String,
    pub(crate) kind: String,
    /// What it does.
    pub(crate) what: &'static str,
    /// On which deliveries.
    pub(crate) of: String,
    pub(crate) label: Label,
    pub(crate) words: &'static str,
    pub(crate) is_running: bool,
    pub(crate) done: u64,
    pub(crate) skipped: u64,
    pub(crate) error: Option<String>,
    pub(crate) created: Option<Moment>,
    pub(crate) updated: Option<Moment>,
    pub(crate) finished: Option<Moment>,
}

impl RecoveryShown {
    pub(crate) fn of(recovery: &Value, client: ClientId, destinations: &Destinations, now: Timestamp) -> Self {
        let count = |name: &str| recovery[name].as_u64().unwrap_or_default();
        let state = text(recovery, "state");
        let error = recovery["error"].as_str().map(sentence);
        let (label, words) = match state {
            "running" => (
                Label::plain("↻", "Running"),
                "It goes on by itself, also when this page is closed.",
            ),
            "done" => (
                Label::good("Done"),
                "It has come to its end. What it made due is sent as receivers take it.",
            ),
            _ if error.is_some() => (
                Label::bad("Ended early"),
                "It couldn't go on. What it had done by then stays done.",
            ),
            "cancelled" => (
                Label::plain("–", "Stopped"),
                "It was stopped. What it had done by then stays done.",
            ),
            other => (Label::plain("?", other), ""),
        };
        Self {
            path: format!("/admin/clients/{client}/recoveries/{}", text(recovery, "id")),
            kind: text(recovery, "kind").to_owned(),
            what: match text(recovery, "kind") {
                "replay" => "Replay of earlier leads",
                "discard" => "Discarding of what is held",
                _ => "Redelivery of many",
            },
            of: criteria(&recovery["criteria"], destinations),
            label,
            words,
            is_running: state == "running",
            done: count("done"),
            skipped: count("skipped"),
            error,
            created: Moment::of(&recovery["createdAt"], now),
            updated: Moment::of(&recovery["updatedAt"], now),
            finished: Moment::of(&recovery["finishedAt"], now),
        }
    }
}

/// `failed, to CRM, since 2026-11-26 05:54:29 UTC`.
fn criteria(criteria: &Value, destinations: &Destinations) -> String {
    let mut parts = Vec::new();
    if let Some(state) = criteria["state"].as_str() {
        let words = crate::delivery_filter::STATES.iter().find(|(name, _)| *name == state);
        parts.push(words.map_or(state, |(_, words)| *words).to_owned());
    }
    if let Some(id) = criteria["destinationId"].as_str() {
        let name = destinations.by_id(id).map(|found| shown_name(text(found, "name")));
        parts.push(format!("to {}", name.unwrap_or("a deleted destination")));
    }
    for (name, word) in [
        ("since", "since"),
        ("until", "until"),
        ("completedSince", "ended since"),
    ] {
        if let Some(at) = criteria[name].as_str().and_then(|at| at.parse::<Timestamp>().ok()) {
            parts.push(format!("{word} {}", Moment::new(at, at).absolute));
        }
    }
    if parts.is_empty() {
        "All".to_owned()
    } else {
        parts.join(", ")
    }
}
