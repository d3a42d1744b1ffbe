//! `/v1/clients/{clientId}/deliveries`: the log of what was sent, where, and what came of it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sensei_domain::{DeliveryId, DeliveryState, DestinationId, EventId, LeadId, Timestamp, Trigger};
use sensei_persistence::{Attempt, Delivery, KeyReused, RedeliverError};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::ClientAccess;
use crate::body::empty_fingerprint;
use crate::idempotency::{self, IdempotencyKey};
use crate::log_query::{FilterParameters, LogQuery};
use crate::logged_delivery::{EventView, LoggedDeliveryView};
use crate::page::{List, Paging};
use crate::path_id::PathId;
use crate::problem::{Problem, ProblemError};
use crate::problem_kind::ProblemKind;
use crate::query::NoQuery;
use crate::schema;
use crate::state::ApiState;

/// Named, because the documentation refers to it by a plain name.
type DeliveryList = List<LoggedDeliveryView>;

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
pub(crate) struct DeliveryView {
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
    delivery: LoggedDeliveryView,
    /// What it carries; null once that is forgotten.
    #[schema(required)]
    event: Option<EventView>,
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

/// List deliveries
///
/// The delivery log, newest first. Filters that few deliveries match are looked for for a bounded time: a page may have fewer items than
/// asked for, or none, and a cursor with which to go on.
#[utoipa::path(get, path = "/v1/clients/{clientId}/deliveries", tag = "deliveries", operation_id = "listDeliveries",
    params(("clientId" = Uuid, Path, description = "Whose deliveries"), FilterParameters, Paging),
    responses((status = OK, description = "A page of deliveries", body = DeliveryList)))]
async fn list(
    access: ClientAccess,
    LogQuery { filter, paging }: LogQuery,
    State(state): State<ApiState>,
) -> Result<Json<DeliveryList>, Problem> {
    state.client(access.client_id).await?;
    if filter
        .kind
        .as_deref()
        .is_some_and(|kind| state.descriptor(kind).is_none())
    {
        let known = state.kinds().map(|kind| kind.kind).collect::<Vec<_>>().join(", ");
        let detail = format!("is no kind of destination (known: {known})");
        return Err(Problem::invalid_request(vec![ProblemError::of_parameter(
            "kind", detail,
        )]));
    }
    let page = state.store().log(access.client_id, &filter, paging.shown()).await?;
    Ok(Json(List::new(page.deliveries, page.next)))
}

/// Read a delivery
///
/// With its attempts, and what it carries.
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
    let found = state.store().delivery_in_full(access.client_id, delivery_id).await?;
    let found = found.ok_or_else(|| Problem::not_found("delivery"))?;
    Ok(Json(DeliveryWithAttemptsView {
        delivery: found.logged.into(),
        event: found.event.map(EventView::from),
        attempts: found.attempts.into_iter().map(AttemptView::from).collect(),
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
