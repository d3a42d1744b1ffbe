//! `/v1/clients/{clientId}/deliveries`: the log of what was sent, where, and what came of it.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use sensei_domain::{DeliveryId, DeliveryState, DestinationId, EventId, LeadId, Timestamp, Trigger};
use sensei_persistence::{Attempt, Delivery, DeliveryFilter, KeyReused, RedeliverError};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::ClientAccess;
use crate::body::empty_fingerprint;
use crate::idempotency::{self, IdempotencyKey};
use crate::page::{List, Paging};
use crate::path_id::PathId;
use crate::problem::Problem;
use crate::problem_kind::ProblemKind;
use crate::query::{NoQuery, Parameters};
use crate::schema;
use crate::state::ApiState;

/// Named, because the documentation refers to it by a plain name.
type DeliveryList = List<DeliveryView>;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(redeliver))
}

/// One event bound for one destination.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Delivery)]
struct DeliveryView {
    #[schema(value_type = String, format = Uuid)]
    id: DeliveryId,
    /// The receiver sees it as `webhook-id`, the same at every attempt.
    #[schema(value_type = String, format = Uuid)]
    event_id: EventId,
    /// Null of a sample and of an operational event.
    #[schema(required, value_type = Option<String>, format = Uuid)]
    lead_id: Option<LeadId>,
    #[schema(value_type = String, format = Uuid)]
    destination_id: DestinationId,
    #[schema(schema_with = schema::delivery_state)]
    state: DeliveryState,
    /// How many attempts were logged.
    attempt_count: u32,
    /// When the next attempt is due; null while one is under way or none will follow.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    due_at: Option<Timestamp>,
    /// Why it failed, or, `cancelled` from the beginning, what of the destination's filter the lead doesn't match.
    #[schema(required)]
    failure_reason: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it reached a state that nothing follows by itself.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    completed_at: Option<Timestamp>,
}

/// A delivery with its attempts.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryWithAttempts)]
struct DeliveryWithAttemptsView {
    #[serde(flatten)]
    delivery: DeliveryView,
    /// In the order of their numbers.
    attempts: Vec<AttemptView>,
}

/// One try of a delivery.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Attempt)]
pub(crate) struct AttemptView {
    /// 1 for the first.
    #[schema(minimum = 1)]
    number: u32,
    /// Why it was made.
    #[schema(schema_with = schema::trigger)]
    trigger: Trigger,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    duration_ms: u64,
    /// What came of it.
    #[schema(example = "delivered")]
    outcome: String,
    /// The receiver's HTTP status; null if it didn't answer.
    #[schema(required)]
    status_code: Option<u16>,
    /// What went wrong, in words.
    #[schema(required)]
    error: Option<String>,
    /// The beginning of the receiver's answer.
    #[schema(required)]
    response_snippet: Option<String>,
    /// Where it was sent, less what may be secret.
    #[schema(required)]
    request_url: Option<String>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        let Delivery {
            id,
            event_id,
            lead_id,
            destination_id,
            state,
            attempt_count,
            due_at,
            failure_reason,
            created_at,
            completed_at,
            ..
        } = delivery;
        Self {
            id,
            event_id,
            lead_id,
            destination_id,
            state,
            attempt_count,
            due_at,
            failure_reason,
            created_at,
            completed_at,
        }
    }
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        let Attempt {
            number,
            trigger,
            started_at,
            duration_ms,
            outcome,
            status_code,
            error,
            response_snippet,
            request_url,
        } = attempt;
        Self {
            number,
            trigger,
            started_at,
            duration_ms,
            outcome,
            status_code,
            error,
            response_snippet,
            request_url,
        }
    }
}

/// Which deliveries are asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents what `DeliveriesQuery` reads")]
struct FilterParameters {
    /// Only those in this state.
    #[param(schema_with = schema::delivery_state, required = false)]
    state: Option<DeliveryState>,
    /// Only those to this destination.
    #[param(rename = "destinationId", value_type = Option<String>, format = Uuid)]
    destination_id: Option<DestinationId>,
    /// Only those of this lead.
    #[param(rename = "leadId", value_type = Option<String>, format = Uuid)]
    lead_id: Option<LeadId>,
    /// Only those created at this time or later (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Only those created before this time (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

struct DeliveriesQuery {
    filter: DeliveryFilter,
    paging: Paging,
}

impl<S: Sync> FromRequestParts<S> for DeliveriesQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut parameters = Parameters::of(&parts.uri)?;
        let filter = DeliveryFilter {
            state: parameters.parsed("state"),
            destination_id: parameters.parsed("destinationId"),
            lead_id: parameters.parsed("leadId"),
            since: parameters.parsed("since"),
            until: parameters.parsed("until"),
        };
        let paging = Paging::read(&mut parameters);
        parameters.finish()?;
        Ok(Self { filter, paging })
    }
}

/// List deliveries
///
/// The delivery log, newest first.
#[utoipa::path(get, path = "/v1/clients/{clientId}/deliveries", tag = "deliveries", operation_id = "listDeliveries",
    params(("clientId" = Uuid, Path, description = "Whose deliveries"), FilterParameters, Paging),
    responses((status = OK, description = "A page of deliveries", body = DeliveryList)))]
async fn list(
    access: ClientAccess,
    DeliveriesQuery { filter, paging }: DeliveriesQuery,
    State(state): State<ApiState>,
) -> Result<Json<DeliveryList>, Problem> {
    state.client(access.client_id).await?;
    let deliveries = state
        .store()
        .deliveries(access.client_id, filter, paging.page())
        .await?;
    Ok(Json(paging.list(deliveries, |delivery| delivery.id.as_uuid())))
}

/// Read a delivery
///
/// With its attempts.
#[utoipa::path(get, path = "/v1/clients/{clientId}/deliveries/{deliveryId}", tag = "deliveries",
    operation_id = "readDelivery",
    params(("clientId" = Uuid, Path, description = "Whose delivery"),
        ("deliveryId" = Uuid, Path, description = "The delivery")),
    responses((status = OK, description = "The delivery and its attempts", body = DeliveryWithAttemptsView)))]
async fn read(
    access: ClientAccess,
    PathId(delivery_id): PathId<DeliveryId>,
    _: NoQuery,
    State(state): State<ApiState>,
) -> Result<Json<DeliveryWithAttemptsView>, Problem> {
    let found = state.store().delivery(access.client_id, delivery_id).await?;
    let (delivery, attempts) = found.ok_or_else(|| Problem::not_found("delivery"))?;
    let attempts = attempts.into_iter().map(AttemptView::from).collect();
    Ok(Json(DeliveryWithAttemptsView {
        delivery: delivery.into(),
        attempts,
    }))
}

/// Redeliver a delivery
///
/// One attempt more, at once and outside the schedule, of a delivery that failed, succeeded, or waits for its next
/// attempt. Unless it is delivered, the delivery goes back to where it was: the retries that are left stay.
#[utoipa::path(post, path = "/v1/clients/{clientId}/deliveries/{deliveryId}/redeliver", tag = "deliveries",
    operation_id = "redeliverDelivery",
    params(("clientId" = Uuid, Path, description = "Whose delivery"),
        ("deliveryId" = Uuid, Path, description = "The delivery")),
    responses((status = ACCEPTED, description = "The delivery, due now", body = DeliveryView),
        (status = CONFLICT, description = "It can't be redelivered as things are: an attempt is under way, it is being \
            redelivered already, it is held or cancelled, its lead was erased, or its destination isn't active",
            body = crate::problem::ProblemView, content_type = "application/problem+json")))]
async fn redeliver(
    access: ClientAccess,
    PathId(delivery_id): PathId<DeliveryId>,
    _: NoQuery,
    key: IdempotencyKey,
    State(state): State<ApiState>,
) -> Result<Response, Problem> {
    let client_id = access.client_id;
    let path = format!("/v1/clients/{client_id}/deliveries/{delivery_id}/redeliver");
    let request = key.request(path, empty_fingerprint);
    let answer = |delivery: &Delivery| idempotency::answer(StatusCode::ACCEPTED, &DeliveryView::from(delivery.clone()));
    let once = state
        .store()
        .redeliver_once(client_id, delivery_id, request.as_ref(), answer, &access.actor())
        .await?;
    Ok(idempotency::respond(once))
}

impl From<RedeliverError> for Problem {
    fn from(error: RedeliverError) -> Self {
        match error {
            RedeliverError::Unknown => Self::not_found("delivery"),
            RedeliverError::Refused(why) => Self::new(ProblemKind::Conflict, why.to_string()),
            RedeliverError::KeyReused(KeyReused) => Self::key_reused(),
            RedeliverError::Store(error) => error.into(),
        }
    }
}
