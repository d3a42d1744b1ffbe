//! `/v1/clients/{clientId}/destinations/{destinationId}/preview`: the request that a sample lead would be, without sending it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use sensei_dispatcher::{Preview, PreviewedRequest};
use sensei_domain::DestinationId;
use sensei_persistence::{Client, Destination};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::ClientAccess;
use crate::destination_test;
use crate::path_id::PathId;
use crate::problem::Problem;
use crate::query::NoQuery;
use crate::state::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(preview))
}

/// What a sample lead would be.
#[derive(Serialize, ToSchema)]
#[schema(as = DestinationPreview)]
pub(crate) struct PreviewView {
    /// The request, if there would be one; of several the first, since the others hang on its answer.
    #[schema(required)]
    request: Option<RequestView>,
    /// What the destination's templates make of the sample, by their slots: `title`, `fields/company_size`.
    rendered: BTreeMap<String, String>,
    /// Why there would be no request.
    #[schema(required)]
    error: Option<String>,
}

/// A request that wasn't sent.
#[derive(Serialize, ToSchema)]
#[schema(as = PreviewedRequest)]
struct RequestView {
    /// An HTTP method, or `SMTP`.
    #[schema(example = "POST")]
    method: String,
    /// Where to, less what may be secret.
    url: String,
    /// A secret is shown as `********`.
    headers: BTreeMap<String, String>,
    /// What is sent.
    body: String,
}

impl From<PreviewedRequest> for RequestView {
    fn from(request: PreviewedRequest) -> Self {
        Self {
            method: request.method,
            url: request.url,
            headers: request.headers.into_iter().collect(),
            body: request.body,
        }
    }
}

impl From<Preview> for PreviewView {
    fn from(preview: Preview) -> Self {
        Self {
            request: preview.request.map(RequestView::from),
            rendered: preview.rendered.into_iter().collect(),
            error: preview.error,
        }
    }
}

/// Preview a destination
///
/// Shows the request that a sample lead would be, as it would be sent now: by the destination's kind, config and template. Nothing is
/// sent, and nobody is asked anything.
#[utoipa::path(get, path = "/v1/clients/{clientId}/destinations/{destinationId}/preview", tag = "destinations",
    operation_id = "previewDestination",
    params(("clientId" = Uuid, Path, description = "Whose destination"),
        ("destinationId" = Uuid, Path, description = "The destination")),
    responses((status = OK, description = "The request", body = PreviewView)))]
async fn preview(
    access: ClientAccess,
    PathId(destination_id): PathId<DestinationId>,
    _: NoQuery,
    State(state): State<ApiState>,
) -> Result<Json<PreviewView>, Problem> {
    let client = state.client(access.client_id).await?;
    let destination = state.store().destination(access.client_id, destination_id).await?;
    let destination = destination.ok_or_else(|| Problem::not_found("destination"))?;
    Ok(Json(of(&state, &client, destination).await))
}

/// The request that a sample lead of this client would be.
pub(crate) async fn of(state: &ApiState, client: &Client, destination: impl Into<Arc<Destination>>) -> PreviewView {
    let sample = destination_test::sample(state, client, destination.into());
    let preview = match state.tester().preview(sample).await {
        Ok(preview) => preview,
        // Accepted once, and not any more.
        Err(error) => Preview {
            request: None,
            rendered: Vec::new(),
            error: Some(error.to_string()),
        },
    };
    preview.into()
}
