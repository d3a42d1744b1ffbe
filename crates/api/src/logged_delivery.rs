//! A delivery as the log shows it: with the names of its destination and lead, its last attempt and what it carries.

use sensei_domain::{EventId, LeadId, Timestamp, Trigger};
use sensei_persistence::{Attempt, LoggedDelivery, NamedDestination, NamedLead, StoredEvent};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::deliveries::DeliveryView;
use crate::schema;

/// A delivery as the log shows it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LoggedDelivery)]
pub(crate) struct LoggedDeliveryView {
    #[serde(flatten)]
    delivery: DeliveryView,
    /// What its destination is called. A deleted one keeps its name.
    #[schema(required, example = "lead-webhook")]
    destination_name: Option<String>,
    #[schema(required, example = "webhook")]
    destination_kind: Option<String>,
    /// Null of a sample and of an operational event, and once the lead is erased.
    #[schema(required)]
    lead: Option<LeadHeadView>,
    /// Null before the first attempt is over, and once the attempts are forgotten.
    #[schema(required)]
    last_attempt: Option<LastAttemptView>,
}

/// Whose lead it is.
#[derive(Serialize, ToSchema)]
#[schema(as = LeadHead)]
struct LeadHeadView {
    #[schema(value_type = String, format = Uuid)]
    id: LeadId,
    #[schema(example = "John Doe")]
    name: String,
    #[schema(example = "john@example.com")]
    email: String,
}

/// What came of the attempt that was made last.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LastAttempt)]
struct LastAttemptView {
    /// 1 for the first.
    #[schema(minimum = 1)]
    number: u32,
    /// Why it was made: `test` of a test send.
    #[schema(schema_with = schema::trigger)]
    trigger: Trigger,
    /// What came of it.
    #[schema(example = "delivered")]
    outcome: String,
    /// The receiver's HTTP status; null if it didn't answer.
    #[schema(required)]
    status_code: Option<u16>,
    /// What went wrong, in words.
    #[schema(required)]
    error: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    duration_ms: u64,
}

/// What a delivery carries.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventView {
    #[schema(value_type = String, format = Uuid)]
    id: EventId,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(rename = "type", example = "lead.created")]
    event_type: String,
    /// The very JSON that is sent, unless the destination's template or content makes another body of it. Null once the lead is erased.
    #[schema(required, value_type = Option<Object>)]
    body: Option<Box<RawValue>>,
}

impl From<LoggedDelivery> for LoggedDeliveryView {
    fn from(logged: LoggedDelivery) -> Self {
        let LoggedDelivery {
            delivery,
            destination,
            lead,
            last_attempt,
        } = logged;
        let (destination_name, destination_kind) = match destination {
            Some(NamedDestination { name, kind }) => (Some(name), Some(kind)),
            None => (None, None),
        };
        Self {
            delivery: delivery.into(),
            destination_name,
            destination_kind,
            lead: lead.map(|NamedLead { id, name, email }| LeadHeadView { id, name, email }),
            last_attempt: last_attempt.map(LastAttemptView::from),
        }
    }
}

impl From<Attempt> for LastAttemptView {
    fn from(attempt: Attempt) -> Self {
        let Attempt {
            number,
            trigger,
            outcome,
            status_code,
            error,
            started_at,
            duration_ms,
            ..
        } = attempt;
        Self {
            number,
            trigger,
            outcome,
            status_code,
            error,
            started_at,
            duration_ms,
        }
    }
}

impl From<StoredEvent> for EventView {
    fn from(event: StoredEvent) -> Self {
        let StoredEvent { id, event_type, body } = event;
        // An erased lead's body is empty, and so no JSON.
        let body = String::from_utf8(body).ok();
        Self {
            id,
            event_type,
            body: body.and_then(|body| RawValue::from_string(body).ok()),
        }
    }
}
