//! Deliveries as they are listed and read.

use sensei_domain::{ClientId, Timestamp};
use serde_json::Value;

use super::attempt::{duration, status_code};
use super::destination::DestinationRef;
use super::{Destinations, Label};
use crate::moment::Moment;
use crate::page::text;

/// A delivery.
#[derive(Debug, Clone)]
pub(crate) struct DeliveryShown {
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) event_id: String,
    /// As the API names it.
    pub(crate) state: String,
    pub(crate) label: Label,
    /// Why it stands so, in words; empty when the label says it all.
    pub(crate) why: String,
    pub(crate) destination: DestinationRef,
    pub(crate) lead: Option<LeadRef>,
    /// What came of the last attempt.
    pub(crate) last: String,
    pub(crate) attempts: u64,
    pub(crate) created: Option<Moment>,
    pub(crate) due: Option<Moment>,
    pub(crate) completed: Option<Moment>,
}

/// Whose delivery it is.
#[derive(Debug, Clone)]
pub(crate) struct LeadRef {
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) email: String,
}

impl DeliveryShown {
    pub(crate) fn of(delivery: &Value, client: ClientId, destinations: &Destinations, now: Timestamp) -> Self {
        let id = text(delivery, "id").to_owned();
        let due = Moment::of(&delivery["dueAt"], now);
        let attempts = delivery["attemptCount"].as_u64().unwrap_or_default();
        let state = text(delivery, "state").to_owned();
        Self {
            path: format!("/admin/clients/{client}/deliveries/{id}"),
            id,
            event_id: text(delivery, "eventId").to_owned(),
            label: label(&state, due.as_ref(), attempts),
            why: why(delivery, &state, due.as_ref(), attempts),
            state,
            destination: destinations.of_delivery(delivery),
            lead: lead(delivery, client),
            last: last(&delivery["lastAttempt"]),
            attempts,
            created: Moment::of(&delivery["createdAt"], now),
            due,
            completed: Moment::of(&delivery["completedAt"], now),
        }
    }
}

/// Whether a listed delivery is a test send: those count for nothing, and aren't redelivered.
pub(crate) fn is_test(delivery: &Value) -> bool {
    text(&delivery["lastAttempt"], "trigger") == "test"
}

/// How a delivery stands.
fn label(state: &str, due: Option<&Moment>, attempts: u64) -> Label {
    match (state, due) {
        ("succeeded", _) => Label::good("Delivered"),
        ("failed", _) => Label::bad("Failed"),
        ("held", _) => Label::new("warn", "❚❚", "Held"),
        ("cancelled", _) => Label::plain("–", "Cancelled"),
        ("pending", None) => Label::plain("↻", "Under way"),
        ("pending", Some(due)) if attempts > 0 && due.relative.starts_with("in ") => {
            Label::warn(format!("Retry {}", due.relative))
        }
        ("pending", Some(_)) if attempts > 0 => Label::warn("Retry is due"),
        ("pending", Some(due)) if due.relative.starts_with("in ") => Label::plain("…", format!("Due {}", due.relative)),
        ("pending", Some(_)) => Label::plain("…", "Waiting for its turn"),
        (other, _) => Label::plain("?", other),
    }
}

fn why(delivery: &Value, state: &str, due: Option<&Moment>, attempts: u64) -> String {
    let reason = text(delivery, "failureReason");
    match (state, due) {
        ("succeeded", _) => "The receiver has it.".to_owned(),
        ("failed", _) => format!("{} No further attempt is made by itself.", failure(reason))
            .trim()
            .to_owned(),
        ("held", _) => {
            "Its destination is paused or disabled. It is kept, and sent once the destination is active again."
                .to_owned()
        }
        ("cancelled", _) if reason.is_empty() => {
            "Its destination was deleted, or its lead was erased, before it was sent.".to_owned()
        }
        ("cancelled", _) => sentence(reason),
        ("pending", None) => "An attempt is being made now.".to_owned(),
        ("pending", Some(_)) if attempts > 0 => "The last attempt failed. The next one is made by itself.".to_owned(),
        ("pending", Some(_)) => "It is sent as soon as its destination takes it.".to_owned(),
        _ => String::new(),
    }
}

/// Why a delivery failed, of the API's reason.
fn failure(reason: &str) -> String {
    match reason {
        "exhausted" => "As many attempts as the destination's retry policy has were made.".to_owned(),
        "rejected" => "The receiver refuses this, and would again.".to_owned(),
        "destination_gone" => "The receiver says that it is gone.".to_owned(),
        "blocked" => "The address isn't allowed, so nothing was sent.".to_owned(),
        "ours" => "The fault was ours, for a day.".to_owned(),
        other => sentence(other),
    }
}

/// Words that begin and end as a sentence does.
pub(crate) fn sentence(words: &str) -> String {
    let mut characters = words.trim().chars();
    let Some(first) = characters.next() else {
        return String::new();
    };
    let mut sentence = first.to_uppercase().collect::<String>() + characters.as_str();
    if !sentence.ends_with(['.', '!', '?', '…']) {
        sentence.push('.');
    }
    sentence
}

fn lead(delivery: &Value, client: ClientId) -> Option<LeadRef> {
    let lead = &delivery["lead"];
    let id = lead["id"].as_str().or_else(|| delivery["leadId"].as_str())?;
    Some(LeadRef {
        path: format!("/admin/clients/{client}/leads/{id}"),
        name: match text(lead, "name").trim() {
            "" => format!("Lead {}", id.get(..8).unwrap_or(id)),
            name => name.to_owned(),
        },
        email: text(lead, "email").to_owned(),
    })
}

/// `200 in 85 ms`, or what went wrong.
fn last(attempt: &Value) -> String {
    if attempt.is_null() {
        return String::new();
    }
    let took = attempt["durationMs"].as_u64().map(duration).unwrap_or_default();
    match (attempt["error"].as_str(), status_code(attempt)) {
        (Some(error), _) => sentence(error),
        (None, Some(status)) => format!("{status} in {took}"),
        (None, None) => took,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn state_is_told_in_words_with_the_time_that_matters() {
        let now: Timestamp = "2026-11-26T05:54:29.000Z".parse().expect("a time");
        let past = "2026-11-26T05:54:28.000Z";
        let soon = "2026-11-26T05:58:29.000Z";
        for (state, due, attempts, words) in [
            ("succeeded", None, 1, "Delivered"),
            ("failed", None, 1, "Failed"),
            ("held", None, 0, "Held"),
            ("cancelled", None, 0, "Cancelled"),
            ("pending", None, 0, "Under way"),
            ("pending", Some(past), 0, "Waiting for its turn"),
            ("pending", Some(past), 2, "Retry is due"),
            ("pending", Some(soon), 2, "Retry in 4 minutes"),
            ("pending", Some(soon), 0, "Due in 4 minutes"),
            ("new-one", None, 0, "new-one"),
        ] {
            let due = Moment::of(&json!(due), now);
            assert_eq!(label(state, due.as_ref(), attempts).words, words, "{state}");
        }
    }

    #[test]
    fn why_a_delivery_failed_is_told_in_words() {
        for reason in ["exhausted", "rejected", "destination_gone", "blocked", "ours"] {
            let words = why(&json!({"failureReason": reason}), "failed", None, 1);
            assert!(!words.contains(reason) || reason == "ours", "{words}");
            assert!(words.ends_with("No further attempt is made by itself."), "{words}");
        }
        let words = why(&json!({"failureReason": "new"}), "failed", None, 1);
        assert_eq!(words, "New. No further attempt is made by itself.");
    }

    #[test]
    fn reason_becomes_a_sentence() {
        for (words, whole) in [("", ""), ("it failed", "It failed."), ("Éa.", "Éa."), (" ß ", "SS.")] {
            assert_eq!(sentence(words), whole);
        }
    }
}
