//! `/v1/audit-log`: who changed what.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use sensei_domain::{AuditId, ClientId, Timestamp};
use sensei_persistence::AuditEntry;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::AdminAccess;
use crate::page::{List, Paging};
use crate::problem::Problem;
use crate::query::Parameters;
use crate::state::ApiState;

/// Named, because the documentation refers to it by a plain name.
type AuditLog = List<AuditEntryView>;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Who changed something.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditEntry)]
struct AuditEntryView {
    #[schema(value_type = String, format = Uuid)]
    id: AuditId,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// `key:` and the id of an API key, or `system`.
    #[schema(example = "key:0193a2b5-3c1f-7a2e-8f00-5d9c1b2a3e4f")]
    actor: String,
    /// What was done.
    #[schema(example = "client.renamed")]
    action: String,
    /// The client that it is about, which may be gone; null when it is none.
    #[schema(required, value_type = Option<String>, format = Uuid)]
    client_id: Option<ClientId>,
    /// The id of what it was done to.
    subject: String,
}

impl From<AuditEntry> for AuditEntryView {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry {
            id,
            at,
            actor,
            action,
            client_id,
            subject,
        } = entry;
        Self {
            id,
            at,
            actor,
            action,
            client_id,
            subject,
        }
    }
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents what `AuditQuery` reads")]
struct AuditParameters {
    /// Only what is about this client.
    #[param(rename = "clientId", value_type = Option<String>, format = Uuid)]
    client_id: Option<ClientId>,
}

struct AuditQuery {
    client: Option<ClientId>,
    paging: Paging,
}

impl<S: Sync> FromRequestParts<S> for AuditQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut parameters = Parameters::of(&parts.uri)?;
        let client = parameters.parsed("clientId");
        let paging = Paging::read(&mut parameters);
        parameters.finish()?;
        Ok(Self { client, paging })
    }
}

/// List who changed what
///
/// Newest first. Takes an admin's key.
#[utoipa::path(get, path = "/v1/audit-log", tag = "operator", operation_id = "listAuditLog",
    params(AuditParameters, Paging),
    responses((status = OK, description = "A page of the audit log", body = AuditLog)))]
async fn list(
    _: AdminAccess,
    AuditQuery { client, paging }: AuditQuery,
    State(state): State<ApiState>,
) -> Result<Json<AuditLog>, Problem> {
    let entries = state.store().audit_log(client, paging.page()).await?;
    Ok(Json(paging.list(entries, |entry| entry.id.as_uuid())))
}
