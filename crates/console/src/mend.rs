//! What is wrong with a receiver, and how it is mended: an attempt's error in words that its owner can act on.
//!
//! Pure: from what the log knows of an attempt. A vendor's own words, where they say what to do, are taken apart and not replaced.

mod network;
mod status;

use crate::shown::AttemptShown;

/// What is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mend {
    pub(crate) wrong: String,
    pub(crate) remedy: String,
    pub(crate) place: Place,
}

/// Where it is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the destination's own settings here.
    Destination,
    /// At the receiver, by whoever runs it.
    Receiver,
    /// By whoever runs this server.
    Operator,
}

impl Mend {
    fn new(place: Place, wrong: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            wrong: wrong.into(),
            remedy: remedy.into(),
            place,
        }
    }

    /// Whether it is mended where the destination is changed.
    pub(crate) fn is_here(&self) -> bool {
        self.place == Place::Destination
    }
}

/// What is known of an attempt that failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failed<'a> {
    /// The destination's kind; empty if it isn't known any more.
    pub(crate) kind: &'a str,
    pub(crate) outcome: &'a str,
    pub(crate) status: Option<u16>,
    pub(crate) error: &'a str,
}

/// Of the attempt; `None` if it delivered.
pub(crate) fn of_attempt(kind: &str, attempt: &AttemptShown) -> Option<Mend> {
    mend(Failed {
        kind,
        outcome: &attempt.outcome,
        status: attempt.status,
        error: attempt.error.as_deref().unwrap_or_default(),
    })
}

/// Of a failure; `None` if it is none.
pub(crate) fn mend(failed: Failed<'_>) -> Option<Mend> {
    if failed.outcome == "delivered" {
        return None;
    }
    let known = match failed.outcome {
        "blocked" => network::blocked(failed.error),
        "ours" => network::ours(failed.error),
        _ => None,
    };
    let known = known.or_else(|| of_vendor(failed));
    let known = known.or_else(|| failed.status.map(|status| status::mend(failed, status)));
    let known = known.or_else(|| network::mend(failed.error));
    Some(known.unwrap_or_else(|| unknown(failed)))
}

/// What a kind's own words say after its answer: what is wrong, and after a semicolon what to do.
fn of_vendor(failed: Failed<'_>) -> Option<Mend> {
    if matches!(failed.kind, "webhook" | "") || failed.status.is_none() {
        return None;
    }
    let (_, words) = failed.error.split_once(": ")?;
    let (wrong, what_to_do) = words.split_once("; ").or_else(|| words.split_once(": "))?;
    let is_ours_to_say = [
        "save ", "make ", "check ", "give ", "set ", "ask ", "only ", "if ", "choose ", "update ",
    ]
    .iter()
    .any(|verb| what_to_do.starts_with(verb));
    if !is_ours_to_say {
        return None;
    }
    let place = if what_to_do.starts_with("ask ") || what_to_do.starts_with("only ") {
        Place::Receiver
    } else {
        Place::Destination
    };
    Some(Mend::new(place, capital(wrong) + ".", capital(what_to_do) + "."))
}

fn unknown(failed: Failed<'_>) -> Mend {
    let wrong = if failed.error.is_empty() {
        "The attempt failed, and nothing is known of why.".to_owned()
    } else {
        capital(failed.error) + "."
    };
    Mend::new(
        Place::Receiver,
        wrong,
        "See what the receiver says of it in its own log at this time. When it is mended, redeliver.",
    )
}

/// With a capital letter, and without an end.
fn capital(words: &str) -> String {
    let mut characters = words.trim().trim_end_matches('.').chars();
    match characters.next() {
        Some(first) => first.to_uppercase().collect::<String>() + characters.as_str(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests;
