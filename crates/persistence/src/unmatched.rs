//! Deliveries that a destination's filter keeps from being attempted: they are born cancelled, with the reason, for the log.
//!
//! They have no lease, no due time and no place in a lane, and are written by a statement of their own, so that leads of
//! destinations without a filter go as if there were none.

use sea_orm::Value;
use sensei_domain::{ClientId, DeliveryId, DeliveryState, DestinationId, EventId, Filter, LeadId, Mismatch, Timestamp};

use crate::error::StoreError;
use crate::multi_row::Table;

/// The rows of such deliveries.
pub(crate) const UNMATCHED: Table<11> = Table {
    name: "deliveries",
    columns: [
        "id",
        "client_id",
        "event_id",
        "lead_id",
        "destination_id",
        "state",
        "attempt_count",
        "scheduled_attempts",
        "failure_reason",
        "created_at",
        "completed_at",
    ],
    constants: &[],
};

/// Why an event that was stored doesn't match.
pub(crate) fn why(filter: &Filter, body: &[u8]) -> Result<Option<Mismatch>, StoreError> {
    let event = serde_json::from_slice(body).map_err(|_| StoreError::Unreadable { what: "event" })?;
    Ok(filter.judge(&event).err())
}

/// The row of one.
pub(crate) fn row(
    client: ClientId,
    event: EventId,
    lead: LeadId,
    destination: DestinationId,
    why: &Mismatch,
    now: Timestamp,
) -> [Value; 11] {
    [
        DeliveryId::new(now).as_uuid().into(),
        client.as_uuid().into(),
        event.as_uuid().into(),
        lead.as_uuid().into(),
        destination.as_uuid().into(),
        DeliveryState::Cancelled.name().into(),
        0_i64.into(),
        0_i64.into(),
        why.to_string().into(),
        now.as_millis().into(),
        now.as_millis().into(),
    ]
}
