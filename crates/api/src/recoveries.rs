//! `/v1/clients/{clientId}/recoveries`: work on many deliveries in the background, and the requests that start it.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use sensei_domain::{ClientId, DeliveryState, DestinationId, Faults, Fields, RecoveryId, TextRule, Timestamp};
use sensei_persistence::{KeyReused, KeyedRequest, NewRecovery, Recovery, RecoveryError};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::ClientAccess;
use crate::body::{JsonBody, empty_fingerprint};
use crate::idempotency::{self, IdempotencyKey};
use crate::page::{List, Paging};
use crate::path_id::PathId;
use crate::problem::Problem;
use crate::problem_kind::ProblemKind;
use crate::query::NoQuery;
use crate::recovery_views::{DiscardBody, RecoveryView, RedeliveryBody, ReplayBody};
use crate::state::ApiState;

/// Named, because the documentation refers to it by a plain name.
type RecoveryList = List<RecoveryView>;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(redeliver))
        .routes(routes!(replay))
        .routes(routes!(discard))
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(cancel))
}

impl From<RecoveryError> for Problem {
    fn from(error: RecoveryError) -> Self {
        match error {
            RecoveryError::UnknownClient => Self::unknown_client(),
            RecoveryError::UnknownDestination => Self::not_found("destination"),
            RecoveryError::Unknown => Self::not_found("recovery"),
            RecoveryError::Inactive(_) | RecoveryError::Running(_) | RecoveryError::Ended(_) => {
                Self::new(ProblemKind::Conflict, error.to_string())
            }
            RecoveryError::KeyReused(KeyReused) => Self::key_reused(),
            RecoveryError::Store(error) => error.into(),
        }
    }
}

/// Redeliver many
///
/// Sends deliveries again that failed, or that succeeded, as one recovery in the background: each gets one attempt
/// outside its schedule. New leads go first. Those of destinations that aren't active are skipped.
#[utoipa::path(post, path = "/v1/clients/{clientId}/deliveries/redeliver", tag = "recoveries",
    operation_id = "redeliverDeliveries",
    params(("clientId" = Uuid, Path, description = "Whose deliveries")),
    request_body = RedeliveryBody,
    responses((status = ACCEPTED, description = "The recovery, which goes on by itself", body = RecoveryView,
            headers(("location" = String, description = "Where to see how far it is"))),
        (status = CONFLICT, description = "The destination isn't active, or such a recovery is running",
            body = crate::problem::ProblemView, content_type = "application/problem+json")))]
async fn redeliver(
    access: ClientAccess,
    _: NoQuery,
    key: IdempotencyKey,
    State(state): State<ApiState>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let mut fields = Fields::new(&body.value)?;
    let from = fields
        .required_text("state", TextRule::line(usize::MAX))
        .and_then(|state| redelivered_state(&mut fields, state));
    let destination_id = fields.parsed_or_null::<DestinationId>("destinationId");
    let (since, until) = span(&mut fields);
    let completed_since = fields.parsed_or_null("completedSince");
    fields.finish()?;
    let new = NewRecovery::Redeliver {
        state: from.expect("a body without faults has its required fields"),
        destination_id,
        since,
        until,
        completed_since,
    };
    let path = format!("/v1/clients/{}/deliveries/redeliver", access.client_id);
    let request = key.request(path, || body.fingerprint());
    match start(&access, &state, new, request).await {
        Err(RecoveryError::UnknownDestination) => {
            Err(Faults::one("/destinationId", "there is no such destination").into())
        }
        started => Ok(started?),
    }
}

/// Replay leads
///
/// Sends a destination the leads that were captured before it existed, as one recovery in the background; erased leads
/// and those it has a delivery of already aren't among them. New leads go first.
#[utoipa::path(post, path = "/v1/clients/{clientId}/destinations/{destinationId}/replay", tag = "recoveries",
    operation_id = "replayLeads",
    params(("clientId" = Uuid, Path, description = "Whose leads"),
        ("destinationId" = Uuid, Path, description = "Where they are sent")),
    request_body = ReplayBody,
    responses((status = ACCEPTED, description = "The recovery, which goes on by itself", body = RecoveryView,
            headers(("location" = String, description = "Where to see how far it is"))),
        (status = CONFLICT, description = "A replay to this destination is running",
            body = crate::problem::ProblemView, content_type = "application/problem+json")))]
async fn replay(
    access: ClientAccess,
    PathId(destination_id): PathId<DestinationId>,
    _: NoQuery,
    key: IdempotencyKey,
    State(state): State<ApiState>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let mut fields = Fields::new(&body.value)?;
    let (since, until) = span(&mut fields);
    fields.finish()?;
    let new = NewRecovery::Replay {
        destination_id,
        since,
        until,
    };
    let request = key.request(access.destination_path(destination_id, "replay"), || body.fingerprint());
    Ok(start(&access, &state, new, request).await?)
}

/// Discard what is held
///
/// Cancels the deliveries that are held for a destination now, as one recovery in the background. Takes `{}`.
#[utoipa::path(post, path = "/v1/clients/{clientId}/destinations/{destinationId}/discard", tag = "recoveries",
    operation_id = "discardHeld",
    params(("clientId" = Uuid, Path, description = "Whose deliveries"),
        ("destinationId" = Uuid, Path, description = "What they are held for")),
    request_body = DiscardBody,
    responses((status = ACCEPTED, description = "The recovery, which goes on by itself", body = RecoveryView,
            headers(("location" = String, description = "Where to see how far it is"))),
        (status = CONFLICT, description = "What is held for this destination is being discarded",
            body = crate::problem::ProblemView, content_type = "application/problem+json")))]
async fn discard(
    access: ClientAccess,
    PathId(destination_id): PathId<DestinationId>,
    _: NoQuery,
    key: IdempotencyKey,
    State(state): State<ApiState>,
    body: JsonBody,
) -> Result<Response, Problem> {
    Fields::new(&body.value)?.finish()?;
    let request = key.request(access.destination_path(destination_id, "discard"), || {
        body.fingerprint()
    });
    Ok(start(&access, &state, NewRecovery::Discard { destination_id }, request).await?)
}

/// List recoveries
///
/// Newest first.
#[utoipa::path(get, path = "/v1/clients/{clientId}/recoveries", tag = "recoveries", operation_id = "listRecoveries",
    params(("clientId" = Uuid, Path, description = "Whose recoveries"), Paging),
    responses((status = OK, description = "A page of recoveries", body = RecoveryList)))]
async fn list(
    access: ClientAccess,
    paging: Paging,
    State(state): State<ApiState>,
) -> Result<Json<RecoveryList>, Problem> {
    state.client(access.client_id).await?;
    let recoveries = state.store().recoveries(access.client_id, paging.page()).await?;
    Ok(Json(paging.list(recoveries, |recovery| recovery.id.as_uuid())))
}

/// Read a recovery
///
/// How far it has come.
#[utoipa::path(get, path = "/v1/clients/{clientId}/recoveries/{recoveryId}", tag = "recoveries",
    operation_id = "readRecovery",
    params(("clientId" = Uuid, Path, description = "Whose recovery"),
        ("recoveryId" = Uuid, Path, description = "The recovery")),
    responses((status = OK, description = "The recovery", body = RecoveryView)))]
async fn read(
    access: ClientAccess,
    PathId(recovery_id): PathId<RecoveryId>,
    _: NoQuery,
    State(state): State<ApiState>,
) -> Result<Json<RecoveryView>, Problem> {
    let recovery = state.store().recovery(access.client_id, recovery_id).await?;
    recovery
        .map(|recovery| Json(recovery.into()))
        .ok_or_else(|| Problem::not_found("recovery"))
}

/// Cancel a recovery
///
/// What it has done stays done: deliveries that are due already are sent.
#[utoipa::path(post, path = "/v1/clients/{clientId}/recoveries/{recoveryId}/cancel", tag = "recoveries",
    operation_id = "cancelRecovery",
    params(("clientId" = Uuid, Path, description = "Whose recovery"),
        ("recoveryId" = Uuid, Path, description = "The recovery")),
    responses((status = OK, description = "The recovery, cancelled", body = RecoveryView),
        (status = CONFLICT, description = "It has ended already", body = crate::problem::ProblemView,
            content_type = "application/problem+json")))]
async fn cancel(
    access: ClientAccess,
    PathId(recovery_id): PathId<RecoveryId>,
    _: NoQuery,
    key: IdempotencyKey,
    State(state): State<ApiState>,
) -> Result<Response, Problem> {
    let path = format!("{}/cancel", path(access.client_id, recovery_id));
    let request = key.request(path, empty_fingerprint);
    let answer = |recovery: &Recovery| idempotency::answer(StatusCode::OK, &RecoveryView::from(recovery.clone()));
    let once = state
        .store()
        .cancel_recovery_once(access.client_id, recovery_id, request.as_ref(), answer, &access.actor())
        .await?;
    Ok(idempotency::respond(once))
}

async fn start(
    access: &ClientAccess,
    state: &ApiState,
    new: NewRecovery,
    request: Option<KeyedRequest>,
) -> Result<Response, RecoveryError> {
    let answer = |recovery: &Recovery| idempotency::answer(StatusCode::ACCEPTED, &RecoveryView::from(recovery.clone()));
    let once = state
        .store()
        .start_recovery_once(access.client_id, new, request.as_ref(), answer, &access.actor())
        .await?;
    // An equal request is told of the same one.
    let started = serde_json::from_slice::<Started>(&once.answer.body).ok();
    let mut response = idempotency::respond(once);
    let place = started.and_then(|started| HeaderValue::try_from(path(access.client_id, started.id)).ok());
    if let Some(place) = place {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// What is read of an answer that may be an earlier one's.
#[derive(Deserialize)]
struct Started {
    id: RecoveryId,
}

fn path(client_id: ClientId, id: RecoveryId) -> String {
    format!("/v1/clients/{client_id}/recoveries/{id}")
}

fn redelivered_state(fields: &mut Fields<'_>, text: &str) -> Option<DeliveryState> {
    let is_taken = |state: &DeliveryState| matches!(state, DeliveryState::Failed | DeliveryState::Succeeded);
    let state = text.parse().ok().filter(is_taken);
    if state.is_none() {
        fields.fault("state", "must be one of failed, succeeded");
    }
    state
}

/// From when to when.
fn span(fields: &mut Fields<'_>) -> (Option<Timestamp>, Option<Timestamp>) {
    let since = fields.parsed_or_null::<Timestamp>("since");
    let until = fields.parsed_or_null("until");
    if since.zip(until).is_some_and(|(since, until)| since >= until) {
        fields.fault("until", "must be later than since");
    }
    (since, until)
}
