//! `/v1/clients/{clientId}/destinations`: where a client's events are sent, and what signs them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use sensei_domain::{DestinationId, DestinationStatus, RetryPolicy, Timestamp};
use sensei_persistence::Destination;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::ClientAccess;
use crate::page::{List, Paging};
use crate::path_id::PathId;
use crate::problem::Problem;
use crate::query::NoQuery;
use crate::schema;
use crate::state::ApiState;

/// Named, because the documentation refers to it by a plain name.
type DestinationList = List<DestinationView>;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(secret))
}

/// Where a client wants events sent.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Destination)]
struct DestinationView {
    #[schema(value_type = String, format = Uuid)]
    id: DestinationId,
    /// How events are sent, e.g. `webhook`.
    #[schema(example = "webhook")]
    kind: String,
    /// Unique among the client's destinations; `lead-webhook` is the one of the Lead Webhook URL.
    #[schema(example = "lead-webhook")]
    name: String,
    /// Whether events are sent to it now.
    #[schema(schema_with = schema::destination_status)]
    status: DestinationStatus,
    /// Why it isn't active, in words.
    #[schema(required)]
    status_reason: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    status_since: Timestamp,
    /// Grows with every change.
    #[schema(minimum = 1)]
    version: i64,
    /// The kind's own settings; of a webhook its `url`.
    #[schema(value_type = Object, example = json!({"url": "https://hooks.acme.example/leads"}))]
    config: Value,
    #[schema(schema_with = schema::retry_policy)]
    retry: RetryPolicy,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// What a destination's webhooks are signed with (Standard Webhooks).
#[derive(Serialize, ToSchema)]
#[schema(as = SigningSecret)]
struct SecretView {
    #[schema(example = "whsec_…")]
    secret: String,
}

impl From<Arc<Destination>> for DestinationView {
    fn from(destination: Arc<Destination>) -> Self {
        Self {
            id: destination.id,
            kind: destination.kind.clone(),
            name: destination.name.clone(),
            status: destination.status,
            status_reason: destination.status_reason.clone(),
            status_since: destination.status_since,
            version: destination.version,
            config: destination.config.clone(),
            retry: destination.retry.clone(),
            created_at: destination.created_at,
            updated_at: destination.updated_at,
        }
    }
}

/// List destinations
///
/// Newest first; deleted ones aren't shown.
#[utoipa::path(get, path = "/v1/clients/{clientId}/destinations", tag = "destinations", operation_id = "listDestinations",
    params(("clientId" = Uuid, Path, description = "Whose destinations"), Paging),
    responses((status = OK, description = "A page of destinations", body = DestinationList)))]
async fn list(
    access: ClientAccess,
    paging: Paging,
    State(state): State<ApiState>,
) -> Result<Json<DestinationList>, Problem> {
    state.client(access.client_id).await?;
    let destinations = state.store.destinations(access.client_id, paging.page()).await?;
    Ok(Json(paging.list(destinations, |destination| destination.id.as_uuid())))
}

/// Read a destination
#[utoipa::path(get, path = "/v1/clients/{clientId}/destinations/{destinationId}", tag = "destinations",
    operation_id = "readDestination",
    params(("clientId" = Uuid, Path, description = "Whose destination"),
        ("destinationId" = Uuid, Path, description = "The destination")),
    responses((status = OK, description = "The destination", body = DestinationView)))]
async fn read(
    access: ClientAccess,
    PathId(destination_id): PathId<DestinationId>,
    _: NoQuery,
    State(state): State<ApiState>,
) -> Result<Json<DestinationView>, Problem> {
    let destination = state.store.destination(access.client_id, destination_id).await?;
    destination
        .map(|destination| Json(destination.into()))
        .ok_or_else(|| Problem::not_found("destination"))
}

/// Read a destination's signing secret
///
/// With it the receiver checks the header `webhook-signature`.
#[utoipa::path(get, path = "/v1/clients/{clientId}/destinations/{destinationId}/secret", tag = "destinations",
    operation_id = "readDestinationSecret",
    params(("clientId" = Uuid, Path, description = "Whose destination"),
        ("destinationId" = Uuid, Path, description = "The destination")),
    responses((status = OK, description = "The secret", body = SecretView)))]
async fn secret(
    access: ClientAccess,
    PathId(destination_id): PathId<DestinationId>,
    _: NoQuery,
    State(state): State<ApiState>,
) -> Result<Json<SecretView>, Problem> {
    let destination = state.store.destination(access.client_id, destination_id).await?;
    let destination = destination.ok_or_else(|| Problem::not_found("destination"))?;
    Ok(Json(SecretView {
        secret: destination.secret.expose().to_string(),
    }))
}
