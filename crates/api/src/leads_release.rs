//! `/v1/clients/{clientId}/leads/{leadId}/release`: a lead that was kept back is a person's after all.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sensei_domain::LeadId;
use sensei_persistence::ReleaseError;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::ClientAccess;
use crate::idempotency::IdempotencyKey;
use crate::leads::LeadView;
use crate::path_id::PathId;
use crate::problem::Problem;
use crate::problem_kind::ProblemKind;
use crate::query::NoQuery;
use crate::state::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(release))
}

impl From<ReleaseError> for Problem {
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::Unknown => Self::not_found("lead"),
            ReleaseError::NeverSuspected | ReleaseError::Erased => Self::new(ProblemKind::Conflict, error.to_string()),
            ReleaseError::Store(error) => error.into(),
        }
    }
}

/// Release a suspected lead
///
/// It is delivered as if it were captured now, to where the client's leads go now. Once: releasing it again changes nothing and is answered
/// the same, with an `Idempotency-Key` or without.
#[utoipa::path(post, path = "/v1/clients/{clientId}/leads/{leadId}/release", tag = "leads", operation_id = "releaseLead",
    params(("clientId" = Uuid, Path, description = "Whose lead"), ("leadId" = Uuid, Path, description = "The lead")),
    responses((status = ACCEPTED, description = "The lead, on its way", body = LeadView),
        (status = CONFLICT, description = "The lead was never suspected, or is erased", body = crate::problem::ProblemView,
            content_type = "application/problem+json")))]
async fn release(
    access: ClientAccess,
    PathId(lead_id): PathId<LeadId>,
    _: NoQuery,
    _: IdempotencyKey,
    State(state): State<ApiState>,
) -> Result<(StatusCode, Json<LeadView>), Problem> {
    let lead = state
        .store()
        .release_lead(access.client_id, lead_id, &access.actor())
        .await?;
    Ok((StatusCode::ACCEPTED, Json(lead.into())))
}
