//! What is read from the database: one plain struct a thing, in the words of the domain.
//!
//! They hold what was stored and promise nothing about now: a delivery may have moved on
//! since it was read.

use std::fmt;

use sensei_domain::{
    ClientId, DeliveryId, DeliveryState, DestinationId, DestinationStatus, EventId, Filter, KeyId, LeadId, RateLimit,
    RecoveryId, RecoveryKind, RecoveryState, RetryPolicy, Signer, Timestamp, Trigger,
};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::destination_config::DestinationConfig;
use crate::destinations::LEAD_WEBHOOK;
use crate::keys::KeyKind;
use crate::suspected::Suspected;

/// A piece of a list, newest first.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// How many, at most.
    pub limit: u32,
    /// Only what is older than this id; `None` begins with the newest.
    pub before: Option<Uuid>,
}

/// A customer of Sensei.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The client's id, in every webhook as `data.clientId`.
    pub id: ClientId,
    /// The name shown and sent as `data.clientName`.
    pub name: String,
    /// Whether webhooks carry the lead's custom fields.
    pub include_custom_fields: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its name or settings last changed.
    pub updated_at: Timestamp,
}

/// What a visitor left. An erased lead keeps its id and times only.
#[derive(Debug, Clone, PartialEq)]
pub struct Lead {
    /// The lead's id.
    pub id: LeadId,
    /// Whose lead it is.
    pub client_id: ClientId,
    /// Full name.
    pub name: String,
    /// Email address.
    pub email: String,
    /// Phone number as typed.
    pub phone: Option<String>,
    /// What the visitor wrote.
    pub message: Option<String>,
    /// The chat session it came from.
    pub session_id: Option<String>,
    /// Further fields of the client's own form.
    pub custom: Option<Map<String, Value>>,
    /// When it was captured.
    pub created_at: Timestamp,
    /// When its personal data was erased.
    pub erased_at: Option<Timestamp>,
    /// Why it is kept back.
    pub suspected: Option<Suspected>,
}

/// Where a client wants events sent.
#[derive(Clone)]
pub struct Destination {
    /// The destination's id.
    pub id: DestinationId,
    /// Whose it is.
    pub client_id: ClientId,
    /// The kind's name, e.g. `webhook`.
    pub kind: String,
    /// Its name, unique among the client's living destinations.
    pub name: String,
    /// Whether events are sent to it now.
    pub status: DestinationStatus,
    /// Why it isn't active.
    pub status_reason: Option<String>,
    /// Since when it has this status.
    pub status_since: Timestamp,
    /// Grows with every change: what is built from a destination is kept by (id, version).
    pub version: i64,
    /// The kind's own settings.
    pub config: DestinationConfig,
    /// What of its requests templates fill, by the kind's slots; `None`: nothing.
    pub template: Option<Value>,
    /// What follows a failed attempt.
    pub retry: RetryPolicy,
    /// How fast attempts may follow each other.
    pub rate_limit: Option<RateLimit>,
    /// Whether deliveries go one at a time, in the order of their capture.
    pub ordered: bool,
    /// Which leads it gets; `None`: all of them.
    pub filter: Option<Filter>,
    /// What its webhooks are signed with.
    pub secret: Signer,
    /// What they were signed with before, and until when they still are as well.
    pub previous_secret: Option<(Signer, Timestamp)>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Destination {
    /// Whether it is never disabled for failing: the Lead Webhook's contract is that the next lead is sent.
    pub fn only_warns(&self) -> bool {
        self.name == LEAD_WEBHOOK && self.retry == RetryPolicy::None
    }

    /// Signs a webhook: the value of its header `webhook-signature`. While a secret is being replaced it holds
    /// two signatures, that of the new secret first.
    pub fn sign(&self, id: &str, at: Timestamp, body: &[u8]) -> String {
        let seconds = at.as_seconds();
        let mut signatures = self.secret.sign(id, seconds, body);
        if let Some((previous, _)) = self.previous_secret(at) {
            signatures.push(' ');
            signatures.push_str(&previous.sign(id, seconds, body));
        }
        signatures
    }

    /// The secret before the present one while it still counts, and until when that is.
    pub fn previous_secret(&self, at: Timestamp) -> Option<(&Signer, Timestamp)> {
        let (previous, until) = self.previous_secret.as_ref()?;
        (at < *until).then_some((previous, *until))
    }
}

/// Shows which destination it is, never how to reach it: URLs and tokens stay out of logs.
impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// One event bound for one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The delivery's id.
    pub id: DeliveryId,
    /// Whose it is.
    pub client_id: ClientId,
    /// The event it carries; the receiver sees it as `webhook-id`.
    pub event_id: EventId,
    /// The lead that the event announces; `None` of a sample and of an operational event.
    pub lead_id: Option<LeadId>,
    /// Where it goes.
    pub destination_id: DestinationId,
    /// Where it stands.
    pub state: DeliveryState,
    /// How many attempts were logged.
    pub attempt_count: u32,
    /// When the next attempt is due; `None` while an attempt is under way or none will follow.
    pub due_at: Option<Timestamp>,
    /// Why it failed, or wasn't made because of the destination's filter.
    pub failure_reason: Option<String>,
    /// When it was made: at the lead's capture, or by a replay.
    pub created_at: Timestamp,
    /// When it reached a state that nothing follows by itself.
    pub completed_at: Option<Timestamp>,
}

/// One try of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    /// Why it was made.
    pub trigger: Trigger,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The outcome's name.
    pub outcome: String,
    /// The receiver's HTTP status, if it answered.
    pub status_code: Option<u16>,
    /// What went wrong, in words.
    pub error: Option<String>,
    /// The beginning of the receiver's answer.
    pub response_snippet: Option<String>,
    /// Where it was sent, less what may be secret.
    pub request_url: Option<String>,
}

/// Work on many deliveries that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The recovery's id.
    pub id: RecoveryId,
    /// Whose deliveries.
    pub client_id: ClientId,
    /// What it does.
    pub kind: RecoveryKind,
    /// How far it is.
    pub state: RecoveryState,
    /// On which of them.
    pub criteria: RecoveryCriteria,
    /// How many deliveries it has sent on their way, made or cancelled.
    pub done: u64,
    /// How many it had to leave as they were.
    pub skipped: u64,
    /// Why it ended before its end, when nobody cancelled it.
    pub error: Option<String>,
    /// When it was asked for: what came later isn't touched.
    pub created_at: Timestamp,
    /// When it last came on.
    pub updated_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// Which deliveries a recovery is about; what is `None` doesn't matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecoveryCriteria {
    /// In this state.
    pub state: Option<DeliveryState>,
    /// To this destination.
    pub destination_id: Option<DestinationId>,
    /// Of a delivery or, for a replay, of a lead made then or later.
    pub since: Option<Timestamp>,
    /// Made before then.
    pub until: Option<Timestamp>,
    /// Ended then or later.
    pub completed_since: Option<Timestamp>,
}

/// An API key, less the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The key's id.
    pub id: KeyId,
    /// The one client it reaches; `None`: all of them.
    pub client_id: Option<ClientId>,
    /// What it may do.
    pub kind: KeyKind,
    /// What it is for, in its maker's words.
    pub name: String,
    /// How it begins, to recognise it by.
    pub prefix: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}
