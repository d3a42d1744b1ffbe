//! What requests for recoveries hold, and how recoveries are shown.

use sensei_domain::{DeliveryState, DestinationId, RecoveryId, RecoveryKind, RecoveryState, Timestamp};
use sensei_persistence::{Recovery, RecoveryCriteria};
use serde::Serialize;
use utoipa::ToSchema;

use crate::schema;

/// Which deliveries to send again.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Redelivery)]
#[expect(dead_code, reason = "documents what `redeliver` reads field by field")]
pub(crate) struct RedeliveryBody {
    #[schema(schema_with = schema::redelivered_state)]
    state: DeliveryState,
    /// Only those to this destination; null: to any.
    #[schema(format = Uuid)]
    destination_id: Option<String>,
    /// Only those created at this time or later (RFC 3339).
    #[schema(format = DateTime)]
    since: Option<String>,
    /// Only those created before this time (RFC 3339).
    #[schema(format = DateTime)]
    until: Option<String>,
    /// Only those that ended, e.g. failed, at this time or later (RFC 3339).
    #[schema(format = DateTime)]
    completed_since: Option<String>,
}

/// Which leads to send.
#[derive(ToSchema)]
#[schema(as = Replay)]
#[expect(dead_code, reason = "documents what `replay` reads field by field")]
pub(crate) struct ReplayBody {
    /// Only those captured at this time or later (RFC 3339).
    #[schema(format = DateTime)]
    since: Option<String>,
    /// Only those captured before this time (RFC 3339).
    #[schema(format = DateTime)]
    until: Option<String>,
}

/// Nothing to choose.
#[derive(ToSchema)]
#[schema(as = Discard)]
pub(crate) struct DiscardBody {}

/// Work on many deliveries that somebody asked for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Recovery)]
pub(crate) struct RecoveryView {
    #[schema(value_type = String, format = Uuid)]
    id: RecoveryId,
    #[schema(schema_with = schema::recovery_kind)]
    kind: RecoveryKind,
    #[schema(schema_with = schema::recovery_state)]
    state: RecoveryState,
    criteria: CriteriaView,
    /// How many deliveries it has made due, or cancelled.
    done: u64,
    /// How many it had to leave as they were: of destinations that were deleted or aren't active, of erased leads, of
    /// leads that don't match the destination's filter.
    skipped: u64,
    /// Why it ended before its end, when nobody cancelled it.
    #[schema(required)]
    error: Option<String>,
    /// What came after this isn't touched.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it last came on.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    #[schema(required, value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
}

/// On which deliveries a recovery works; what is null doesn't matter.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecoveryCriteria)]
pub(crate) struct CriteriaView {
    /// In this state.
    #[schema(required, value_type = Option<String>, example = "failed")]
    state: Option<DeliveryState>,
    /// To this destination.
    #[schema(required, value_type = Option<String>, format = Uuid)]
    destination_id: Option<DestinationId>,
    /// Created, or of a replay captured, at this time or later.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Before this time.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Ended at this time or later.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    completed_since: Option<Timestamp>,
}

impl From<Recovery> for RecoveryView {
    fn from(recovery: Recovery) -> Self {
        let Recovery {
            id,
            kind,
            state,
            criteria,
            done,
            skipped,
            error,
            created_at,
            updated_at,
            finished_at,
            ..
        } = recovery;
        Self {
            id,
            kind,
            state,
            criteria: criteria.into(),
            done,
            skipped,
            error,
            created_at,
            updated_at,
            finished_at,
        }
    }
}

impl From<RecoveryCriteria> for CriteriaView {
    fn from(criteria: RecoveryCriteria) -> Self {
        let RecoveryCriteria {
            state,
            destination_id,
            since,
            until,
            completed_since,
        } = criteria;
        Self {
            state,
            destination_id,
            since,
            until,
            completed_since,
        }
    }
}
