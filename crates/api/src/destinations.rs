//! `/v1/clients/{clientId}/destinations`: where a client's events are sent.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use sensei_domain::{ClientId, DestinationId, DestinationStatus, RateLimit, RetryPolicy, Timestamp};
use sensei_persistence::{Destination, Health};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::ClientAccess;
use crate::body::JsonBody;
use crate::destination_fields;
use crate::destination_health::HealthView;
use crate::destination_preview::PreviewView;
use crate::destination_template;
use crate::dry_run::{self, DryRun};
use crate::filter_schema::FilterSchema;
use crate::idempotency::{self, IdempotencyKey};
use crate::page::{List, Paging};
use crate::path_id::PathId;
use crate::problem::{Problem, ProblemView};
use crate::query::NoQuery;
use crate::schema;
use crate::state::ApiState;

/// Named, because the documentation refers to it by a plain name.
type DestinationList = List<DestinationView>;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(read, change, delete))
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
    /// Whether attempts succeed, and what to do if they don't.
    health: HealthView,
    /// Grows with every change.
    #[schema(minimum = 1)]
    version: i64,
    /// The kind's own settings; of a webhook its `url` at least. A secret is shown as `********`.
    #[schema(value_type = Object, example = json!({"url": "https://hooks.acme.example/leads"}))]
    config: Value,
    /// Templates for the kind's slots; null: none, what is sent is the kind's own.
    #[schema(value_type = Option<Object>, required, example = json!({"title": "Lead: {{ data.name }}"}))]
    template: Option<Value>,
    #[schema(schema_with = schema::retry_policy)]
    retry: RetryPolicy,
    #[schema(schema_with = schema::rate_limit, required)]
    rate_limit: Option<RateLimit>,
    /// Whether deliveries go one at a time, in the order of their capture.
    ordered: bool,
    /// Which leads it gets; null: all of them.
    #[schema(value_type = Option<FilterSchema>, required)]
    filter: Option<Value>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// A destination to make.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewDestination)]
#[expect(dead_code, reason = "documents what `destination_fields` reads")]
struct NewDestinationBody {
    /// How events are sent: one of `/v1/destination-kinds`.
    #[schema(example = "webhook")]
    kind: String,
    /// Unique among the client's destinations; `lead-webhook` is taken.
    #[schema(min_length = 1, max_length = 100, example = "CRM")]
    name: String,
    /// The kind's own settings; of a webhook its `url`.
    #[schema(value_type = Object, example = json!({"url": "https://hooks.acme.example/crm"}))]
    config: Value,
    /// Templates for the kind's slots (`templateSlots` of the kind); what isn't among them is sent as without.
    #[schema(value_type = Option<Object>, required = false, example = json!({"title": "Lead: {{ data.name }}"}))]
    template: Value,
    /// `standard` if absent.
    #[schema(schema_with = schema::retry_policy, required = false)]
    retry: (),
    /// If absent, that of the kind, which is what its receiver allows.
    #[schema(schema_with = schema::rate_limit, required = false)]
    rate_limit: (),
    /// Whether deliveries go one at a time, in the order of their capture; a failing one holds up those behind it.
    #[schema(nullable = false, default = false)]
    ordered: Option<bool>,
    /// Which leads it gets; all of them if absent. Those that don't match are in the log, `cancelled`.
    filter: Option<FilterSchema>,
}

/// What changes; what is absent stays.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DestinationChange)]
#[expect(dead_code, reason = "documents what `destination_fields` reads")]
struct DestinationChangeBody {
    /// That of the Lead Webhook URL's destination can't be changed.
    #[schema(nullable = false, min_length = 1, max_length = 100, example = "CRM")]
    name: Option<String>,
    /// The kind's own settings, all of them; a secret that is `********`, or a secret field left out, stays as it is.
    #[schema(value_type = Object, required = false, example = json!({"url": "https://hooks.acme.example/crm"}))]
    config: Value,
    /// Templates for the kind's slots, all of them; null: none.
    #[schema(value_type = Option<Object>, required = false, example = json!({"title": "Lead: {{ data.name }}"}))]
    template: Value,
    #[schema(schema_with = schema::retry_policy, required = false)]
    retry: (),
    #[schema(schema_with = schema::rate_limit, required = false)]
    rate_limit: (),
    /// Whether deliveries go one at a time, in the order of their capture.
    #[schema(nullable = false)]
    ordered: Option<bool>,
    /// Which leads it gets from now on; null: all of them.
    filter: Option<FilterSchema>,
    /// `paused` holds events back; `active` sends them again, those held first.
    #[schema(nullable = false, pattern = "^(active|paused)$")]
    status: Option<String>,
}

impl DestinationView {
    fn of(destination: &Destination, health: Option<&Health>, state: &ApiState) -> Self {
        Self {
            id: destination.id,
            kind: destination.kind.clone(),
            name: destination.name.clone(),
            status: destination.status,
            status_reason: destination.status_reason.clone(),
            status_since: destination.status_since,
            health: HealthView::of(destination, health, state.breaker(destination.id)),
            version: destination.version,
            config: destination.config.shown(),
            template: destination.template.clone(),
            retry: destination.retry.clone(),
            rate_limit: destination.rate_limit,
            ordered: destination.ordered,
            filter: destination.filter.as_ref().map(|filter| filter.as_json().clone()),
            created_at: destination.created_at,
            updated_at: destination.updated_at,
        }
    }

    async fn with_health(destination: &Destination, state: &ApiState) -> Result<Self, Problem> {
        let health = state.store().health(&[destination.id]).await?;
        Ok(Self::of(destination, health.get(&destination.id), state))
    }
}

/// What a change answers.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = DestinationChanged)]
enum ChangedView {
    Changed(Box<DestinationView>),
    Preview(PreviewView),
}

/// The path that idempotency keys of new destinations are kept under.
fn path(client_id: ClientId) -> String {
    format!("/v1/clients/{client_id}/destinations")
}

/// Make a destination
///
/// What is captured from now on is sent there too. It signs with a secret of its own, see `…/secret`.
#[utoipa::path(post, path = "/v1/clients/{clientId}/destinations", tag = "destinations",
    operation_id = "createDestination",
    params(("clientId" = Uuid, Path, description = "Whose destination"), DryRun),
    request_body = NewDestinationBody,
    responses((status = CREATED, description = "The destination", body = DestinationView),
        (status = OK, description = "Of a dry run: what a sample lead would be", body = PreviewView),
        (status = CONFLICT, description = "Another destination of the client has this name, or it has as many as it may (100)", body = ProblemView,
            content_type = "application/problem+json")))]
async fn create(
    access: ClientAccess,
    DryRun { is_dry }: DryRun,
    key: IdempotencyKey,
    State(state): State<ApiState>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let new = destination_fields::new_destination(&body.value, &state)?;
    destination_template::check(&new.kind, new.template.as_ref(), &state).await?;
    if is_dry {
        let preview = dry_run::of_new(&state, access.client_id, new).await?;
        return Ok(Json(preview).into_response());
    }
    let request = key.request(path(access.client_id), || body.fingerprint());
    let answer =
        |made: &Destination| idempotency::answer(StatusCode::CREATED, &DestinationView::of(made, None, &state));
    let made = state
        .store()
        .create_destination(access.client_id, &new, request.as_ref(), answer, &access.actor())
        .await?;
    Ok(idempotency::respond(made))
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
    let destinations = state.store().destinations(access.client_id, paging.page()).await?;
    let ids = destinations
        .iter()
        .map(|destination| destination.id)
        .collect::<Vec<_>>();
    let health = state.store().health(&ids).await?;
    let views = destinations
        .iter()
        .map(|destination| DestinationView::of(destination, health.get(&destination.id), &state));
    Ok(Json(
        paging.list(views.collect(), |view: &DestinationView| view.id.as_uuid()),
    ))
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
    let destination = state.store().destination(access.client_id, destination_id).await?;
    let destination = destination.ok_or_else(|| Problem::not_found("destination"))?;
    Ok(Json(DestinationView::with_health(&destination, &state).await?))
}

/// Change a destination
///
/// In force from the next attempt on. The destination of the Lead Webhook URL can be changed here too, but for its
/// name; another URL is shown by the client's settings as well. Resuming (`active`) sends what was held meanwhile.
#[utoipa::path(patch, path = "/v1/clients/{clientId}/destinations/{destinationId}", tag = "destinations",
    operation_id = "changeDestination",
    params(("clientId" = Uuid, Path, description = "Whose destination"),
        ("destinationId" = Uuid, Path, description = "The destination"), DryRun),
    request_body = DestinationChangeBody,
    responses((status = OK, description = "The destination as it is now; of a dry run what a sample lead would be",
            body = ChangedView),
        (status = CONFLICT, description = "The name is another destination's, or can't be changed", body = ProblemView,
            content_type = "application/problem+json")))]
async fn change(
    access: ClientAccess,
    PathId(destination_id): PathId<DestinationId>,
    DryRun { is_dry }: DryRun,
    State(state): State<ApiState>,
    body: JsonBody,
) -> Result<Json<ChangedView>, Problem> {
    let destination = state.store().destination(access.client_id, destination_id).await?;
    let destination = destination.ok_or_else(|| Problem::not_found("destination"))?;
    let change = destination_fields::destination_change(&body.value, &destination, &state)?;
    let template = change.template.as_ref().and_then(Option::as_ref);
    destination_template::check(&destination.kind, template, &state).await?;
    if is_dry {
        let preview = dry_run::of_change(&state, &destination, change).await?;
        return Ok(Json(ChangedView::Preview(preview)));
    }
    let changed = state
        .store()
        .change_destination(access.client_id, destination_id, &change, &access.actor())
        .await?;
    let view = DestinationView::with_health(&changed, &state).await?;
    Ok(Json(ChangedView::Changed(Box::new(view))))
}

/// Delete a destination
///
/// What is pending or held for it is cancelled; the log of what was sent stays. Of the Lead Webhook URL's destination
/// this empties the URL.
#[utoipa::path(delete, path = "/v1/clients/{clientId}/destinations/{destinationId}", tag = "destinations",
    operation_id = "deleteDestination",
    params(("clientId" = Uuid, Path, description = "Whose destination"),
        ("destinationId" = Uuid, Path, description = "The destination")),
    responses((status = NO_CONTENT, description = "The destination is gone")))]
async fn delete(
    access: ClientAccess,
    PathId(destination_id): PathId<DestinationId>,
    _: NoQuery,
    State(state): State<ApiState>,
) -> Result<StatusCode, Problem> {
    let is_deleted = state
        .store()
        .delete_destination(access.client_id, destination_id, &access.actor())
        .await?;
    if is_deleted {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("destination"))
    }
}
