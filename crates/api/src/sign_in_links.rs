//! Links that sign somebody in to the console, for as long as they say: to everything, or to one client's own view.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sensei_domain::{Fields, KeyId, TextRule, Timestamp, parse_duration};
use sensei_persistence::{Actor, Scope};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{AdminAccess, ClientAccess};
use crate::body::JsonBody;
use crate::idempotency::{self, IdempotencyKey};
use crate::problem::Problem;
use crate::query::NoQuery;
use crate::state::ApiState;

/// Whoever gets a link opens it at once.
const VALID_DEFAULT: Duration = Duration::from_mins(5);
const VALID_MAX: Duration = Duration::from_hours(1);
const VALID_MIN: Duration = Duration::from_secs(1);

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(of_admin))
        .routes(routes!(of_client))
}

/// A link to make.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewSignInLink)]
#[expect(dead_code, reason = "documents what `make` reads field by field")]
struct NewLinkBody {
    /// For how long it opens: `1s` to `1h`. The session that it begins lasts 12 hours, or until its key is revoked.
    #[schema(default = "5m", example = "5m")]
    expires_in: Option<String>,
}

/// A link that signs in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SignInLink)]
struct LinkView {
    /// Below the console's host. `?next=/admin/…` leads to a page of it.
    #[schema(example = "/admin/sign-in/…")]
    path: String,
    /// Until when it opens.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Make a link that signs an admin in
///
/// Takes `{}`. Whoever opens it within its time is signed in to the console as an admin, until the key that made the link is revoked or
/// the session ends. Takes an admin's key.
#[utoipa::path(post, path = "/v1/sign-in-links", tag = "keys", operation_id = "createSignInLink",
    request_body = NewLinkBody,
    responses((status = CREATED, description = "The link", body = LinkView)))]
async fn of_admin(
    access: AdminAccess,
    _: NoQuery,
    key: IdempotencyKey,
    State(state): State<ApiState>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let path = "/v1/sign-in-links".to_owned();
    make(&state, access.key_id, Scope::Admin, key, path, &body).await
}

/// Make a link to a client's own view
///
/// Takes `{}`. Whoever opens it within its time is signed in to this client's pages of the console, and to nothing else. With
/// `frameAncestors` of the client's settings the view can be embedded in pages of yours.
#[utoipa::path(post, path = "/v1/clients/{clientId}/sign-in-links", tag = "keys", operation_id = "createClientSignInLink",
    params(("clientId" = Uuid, Path, description = "Whose view")),
    request_body = NewLinkBody,
    responses((status = CREATED, description = "The link", body = LinkView)))]
async fn of_client(
    access: ClientAccess,
    _: NoQuery,
    key: IdempotencyKey,
    State(state): State<ApiState>,
    body: JsonBody,
) -> Result<Response, Problem> {
    state.client(access.client_id).await?;
    let path = format!("/v1/clients/{}/sign-in-links", access.client_id);
    let Actor::Key(key_id) = access.actor() else {
        return Err(Problem::internal());
    };
    make(&state, key_id, Scope::Client(access.client_id), key, path, &body).await
}

async fn make(
    state: &ApiState,
    key_id: KeyId,
    scope: Scope,
    key: IdempotencyKey,
    path: String,
    body: &JsonBody,
) -> Result<Response, Problem> {
    let mut fields = Fields::new(&body.value)?;
    let valid_for = valid_for(&mut fields);
    fields.finish()?;
    let valid_for = valid_for.unwrap_or(VALID_DEFAULT);
    let expires_at = state.now().after(valid_for);
    let request = key.request(path, || body.fingerprint());
    let answer = |token: &String| {
        let view = LinkView {
            path: format!("/admin/sign-in/{token}"),
            expires_at,
        };
        idempotency::secret_answer(StatusCode::CREATED, &view)
    };
    let made = state
        .store()
        .sign_in_link_once(key_id, scope, valid_for, request.as_ref(), answer)
        .await?;
    Ok(idempotency::respond(made))
}

fn valid_for(fields: &mut Fields<'_>) -> Option<Duration> {
    let text = fields.optional_text("expiresIn", TextRule::line(usize::MAX))?;
    let wrong = match parse_duration(text) {
        Ok(valid) if (VALID_MIN..=VALID_MAX).contains(&valid) => return Some(valid),
        Ok(_) => "must be from 1s to 1h".to_owned(),
        Err(error) => error.to_string(),
    };
    fields.fault("expiresIn", wrong);
    None
}
