//! The seam between the engine and the kinds of destinations.
//!
//! A [`Kind`] turns a config into a [`Transport`]; a transport makes exactly one attempt and says in the
//! receiver's terms what came of it. Retry, backoff, leases and the log belong to the engine, the network to
//! [`Egress`]. A new kind is one file in `transports/` and one line in its registry.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use sensei_domain::{Faults, Outcome, RateLimit, Timestamp};
use sensei_persistence::Job;
use serde_json::Value;

use crate::egress::{Answer, Egress, Failure};
use crate::template::{Slot, TemplateError, Templates};

/// A kind of destination: what it is called, what it needs, how a config becomes a transport.
pub trait Kind: Send + Sync + 'static {
    /// What there is to know about it.
    fn descriptor(&self) -> &Descriptor;

    /// Refuses a config that can never work. No IO, no DNS.
    fn bind(&self, config: &Value) -> Result<Box<dyn Transport>, ConfigError>;

    /// What of its requests templates may fill.
    fn slots(&self) -> &[Slot] {
        &[]
    }

    /// As [`Kind::bind`], with templates for its slots.
    fn bind_with(&self, config: &Value, templates: Templates) -> Result<Box<dyn Transport>, ConfigError> {
        let _ = templates;
        self.bind(config)
    }
}

/// Carries one event to one destination. Makes exactly one attempt. Safe to drop at any await.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// One attempt, begun at `now`. An answer of any status is an [`Outcome`], not an error.
    async fn deliver(&self, job: &Job, now: Timestamp, egress: &Egress) -> Attempted;
}

/// What there is to know about a kind of destination.
#[derive(Debug, Clone)]
pub struct Descriptor {
    /// Its name in the API and the database, e.g. `webhook`.
    pub kind: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub description: &'static str,
    /// JSON Schema (2020-12) of its config.
    pub config_schema: Value,
    /// The config's fields that are never shown again; `auth/password` is one within another, `secretHeaders/*` all within one.
    pub secret_fields: Vec<String>,
    /// A config that could be one, without real secrets.
    pub example: Value,
    /// How fast its receiver lets attempts follow each other; a destination has this limit unless it is given another.
    pub rate_limit: Option<RateLimit>,
    /// How to set the receiver up and where to find what the config asks for, in Markdown.
    pub setup_guide: &'static str,
    /// Where a receiver's author reads on.
    pub docs_url: &'static str,
}

/// A config that can never work. Shown to whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No such kind.
    #[error("there is no kind \"{kind}\"")]
    UnknownKind {
        /// The kind's name.
        kind: String,
    },
    /// Not this kind's config.
    #[error("the config doesn't fit the kind \"{kind}\": {faults}")]
    Invalid {
        /// The kind's name.
        kind: &'static str,
        /// All that is wrong, by pointers into the config.
        faults: Faults,
    },
}

/// What a failure says of the load that a receiver can bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strain {
    /// It didn't answer in time, or its name wasn't found in time.
    TimedOut,
    /// It refused the connection, or cut it off.
    Cut,
}

/// What came of an attempt, and the facts for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempted {
    /// In the receiver's terms.
    pub outcome: Outcome,
    /// The receiver's HTTP status, if it answered.
    pub status_code: Option<u16>,
    /// What went wrong, in words; or why nothing was sent, of what there was nothing to send of.
    pub error: Option<String>,
    /// The beginning of the receiver's answer, fit to be stored and shown.
    pub response_snippet: Option<String>,
    /// Where it was sent, less what may be secret.
    pub request_url: Option<String>,
    /// Whether the receiver may be under too much load.
    pub strain: Option<Strain>,
    /// For how long the receiver wants nothing more of this destination, whatever came of the attempt.
    pub pause: Option<Duration>,
    /// There was nothing to send: it says nothing of the receiver.
    pub is_unsent: bool,
}

impl Attempted {
    /// The receiver answered, and this kind makes that of it.
    pub fn answered(answer: &Answer, outcome: Outcome, error: Option<String>) -> Self {
        let pause = match outcome {
            Outcome::Unavailable { retry_after } if answer.status == 429 => retry_after.or_else(|| answer.pause()),
            _ => answer.pause(),
        };
        Self {
            outcome,
            status_code: Some(answer.status.as_u16()),
            error,
            response_snippet: answer.snippet(),
            request_url: None,
            strain: answer.ran_out.then_some(Strain::TimedOut),
            pause,
            is_unsent: false,
        }
    }

    /// There was no answer.
    pub fn unanswered(failure: &Failure) -> Self {
        Self {
            outcome: failure.outcome(),
            status_code: None,
            error: Some(failure.to_string()),
            response_snippet: None,
            request_url: None,
            strain: failure.strain(),
            pause: None,
            is_unsent: false,
        }
    }

    /// There was nothing to send, which these words explain.
    pub fn unsent(words: String) -> Self {
        Self {
            outcome: Outcome::Delivered,
            status_code: None,
            error: Some(words),
            response_snippet: None,
            request_url: None,
            strain: None,
            pause: None,
            is_unsent: true,
        }
    }

    /// A template makes nothing of the event: nothing was sent, and a repeat would change nothing, unless it is for us to mend.
    pub(crate) fn unrendered(error: &TemplateError) -> Self {
        let outcome = if error.is_ours {
            Outcome::Ours
        } else {
            Outcome::Rejected
        };
        Self {
            outcome,
            error: Some(error.to_string()),
            ..Self::unsent(String::new())
        }
    }

    /// Adds where it was sent. The caller has taken out what may be secret.
    #[must_use]
    pub fn sent_to(self, request_url: String) -> Self {
        Self {
            request_url: Some(request_url),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::StatusCode;
    use hyper::header::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn who_is_asked_too_often_is_left_alone_as_long_as_he_says_in_either_way() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let used_up = HeaderMap::from_iter(
            [
                ("ratelimit-remaining", HeaderValue::from_static("0")),
                ("ratelimit-reset", HeaderValue::from_static("7")),
            ]
            .map(|(name, value)| (HeaderName::from_static(name), value)),
        );
        let cases = [
            (429, seconds(3), used_up.clone(), seconds(3)),
            (429, None, used_up.clone(), seconds(7)),
            (429, seconds(3), HeaderMap::new(), seconds(3)),
            (429, None, HeaderMap::new(), None),
            (503, seconds(3), used_up, seconds(7)),
            (503, seconds(3), HeaderMap::new(), None),
        ];
        for (status, retry_after, headers, pause) in cases {
            let answer = Answer {
                status: StatusCode::from_u16(status).expect("a status"),
                headers,
                body: Bytes::new(),
                is_whole: true,
                ran_out: false,
            };
            let attempted = Attempted::answered(&answer, Outcome::Unavailable { retry_after }, None);
            assert_eq!(attempted.pause, pause, "{status} {retry_after:?} {:?}", answer.headers);
        }
    }
}
