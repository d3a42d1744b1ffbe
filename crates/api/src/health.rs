//! `/healthz` and `/readyz`: whether the process lives, and whether it can serve.

use std::error::Error;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::{Problem, ProblemView};
use crate::query::NoQuery;
use crate::state::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz))
}

/// How the service is.
#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
struct HealthView {
    /// `ok` or `ready`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Is the process alive?
///
/// Asks nothing of anybody else: restart the process only when this fails.
#[utoipa::path(get, path = "/healthz", tag = "health", operation_id = "healthz", security(()),
    responses((status = OK, description = "It is", body = HealthView)))]
async fn healthz(_: NoQuery) -> Json<HealthView> {
    Json(HealthView { status: "ok" })
}

/// Can requests be served?
#[utoipa::path(get, path = "/readyz", tag = "health", operation_id = "readyz", security(()),
    responses((status = OK, description = "They can", body = HealthView),
        (status = SERVICE_UNAVAILABLE, description = "Not now, and why", body = ProblemView,
            content_type = "application/problem+json")))]
async fn readyz(_: NoQuery, State(state): State<ApiState>) -> Result<Json<HealthView>, Problem> {
    match state.store().check().await {
        Ok(()) => Ok(Json(HealthView { status: "ready" })),
        Err(unready) => {
            tracing::warn!(error = &unready as &dyn Error, "not ready");
            Err(Problem::not_ready(unready.to_string()))
        }
    }
}
