//! `/v1/keys`: who may call. For admins only.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use sensei_domain::{ClientId, Faults, Fields, KeyId, TextRule, Timestamp};
use sensei_persistence::{ApiKey, ChangeError, CreatedKey, KeyKind, NewKey, Revocation, Scope};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::AdminAccess;
use crate::body::JsonBody;
use crate::idempotency::{self, IdempotencyKey};
use crate::page::{List, Paging};
use crate::path_id::PathId;
use crate::problem::Problem;
use crate::problem_kind::ProblemKind;
use crate::query::{NoQuery, Parameters};
use crate::state::ApiState;

const NAME_MAX: usize = 200;

/// Named, because the documentation refers to it by a plain name.
type KeyList = List<KeyView>;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(revoke))
}

/// A key to make.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewKey)]
#[expect(dead_code, reason = "documents what `create` reads field by field")]
struct NewKeyBody {
    /// What it is for.
    #[schema(min_length = 1, max_length = 200, example = "CRM import")]
    name: String,
    kind: KeyKindName,
    /// The one client it reaches; null: all of them, which only a secret key can.
    #[schema(format = Uuid)]
    client_id: Option<String>,
}

/// What a key may do: `secret` everything within its reach, `publishable` capture leads only.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = KeyKind)]
enum KeyKindName {
    Secret,
    Publishable,
}

/// An API key, less the key itself.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Key)]
struct KeyView {
    #[schema(value_type = String, format = Uuid)]
    id: KeyId,
    name: String,
    kind: KeyKindName,
    /// The one client it reaches; null: all of them.
    #[schema(required, value_type = Option<String>, format = Uuid)]
    client_id: Option<ClientId>,
    /// How it begins, to recognise it by.
    prefix: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last used, to the minute.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
}

/// A key just made.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedKey)]
struct CreatedKeyView {
    #[serde(flatten)]
    view: KeyView,
    /// The key itself. Shown only now.
    #[schema(example = "sk_…")]
    key: String,
}

impl From<KeyKind> for KeyKindName {
    fn from(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Secret => Self::Secret,
            KeyKind::Publishable => Self::Publishable,
        }
    }
}

impl From<CreatedKey> for CreatedKeyView {
    fn from(created: CreatedKey) -> Self {
        let CreatedKey { key, text } = created;
        Self {
            view: key.into(),
            key: text,
        }
    }
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        let ApiKey {
            id,
            client_id,
            kind,
            name,
            prefix,
            created_at,
            last_used_at,
        } = key;
        Self {
            id,
            name,
            kind: kind.into(),
            client_id,
            prefix,
            created_at,
            last_used_at,
        }
    }
}

/// Which keys are asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents what `KeysQuery` reads")]
struct FilterParameters {
    /// Only those that reach this client and no other.
    #[param(rename = "clientId", value_type = Option<String>, format = Uuid)]
    client_id: Option<ClientId>,
}

struct KeysQuery {
    client_id: Option<ClientId>,
    paging: Paging,
}

impl<S: Sync> FromRequestParts<S> for KeysQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut parameters = Parameters::of(&parts.uri)?;
        let client_id = parameters.parsed("clientId");
        let paging = Paging::read(&mut parameters);
        parameters.finish()?;
        Ok(Self { client_id, paging })
    }
}

/// Make a key
///
/// The key itself is shown only now. Takes an admin's key.
#[utoipa::path(post, path = "/v1/keys", tag = "keys", operation_id = "createKey",
    request_body = NewKeyBody,
    responses((status = CREATED, description = "The key", body = CreatedKeyView)))]
async fn create(
    access: AdminAccess,
    _: NoQuery,
    key: IdempotencyKey,
    State(state): State<ApiState>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let mut fields = Fields::new(&body.value)?;
    let name = fields
        .required_text("name", TextRule::line(NAME_MAX))
        .map(str::to_owned);
    let kind = fields
        .required_text("kind", TextRule::line(usize::MAX))
        .and_then(|kind| fields.parse("kind", kind));
    let client_id = fields.parsed_or_null::<ClientId>("clientId");
    if matches!(kind, Some(KeyKind::Publishable)) && client_id.is_none() {
        fields.fault("clientId", "is required for a publishable key");
    }
    fields.finish()?;
    let (name, kind) = name.zip(kind).expect("a body without faults has its required fields");

    let scope = client_id.map_or(Scope::Admin, Scope::Client);
    let request = key.request("/v1/keys".to_owned(), || body.fingerprint());
    let new = NewKey { kind, scope, name };
    let answer = |created: &CreatedKey| {
        let view = CreatedKeyView::from(created.clone());
        idempotency::secret_answer(StatusCode::CREATED, &view)
    };
    let created = state
        .store()
        .create_key_once(new, request.as_ref(), answer, &access.actor())
        .await;
    match created {
        // The client stands in the body here, not in the path.
        Err(ChangeError::UnknownClient) => Err(Faults::one("/clientId", "there is no such client").into()),
        created => Ok(idempotency::respond(created?)),
    }
}

/// List keys
///
/// Newest first, without the keys themselves. Takes an admin's key.
#[utoipa::path(get, path = "/v1/keys", tag = "keys", operation_id = "listKeys",
    params(FilterParameters, Paging),
    responses((status = OK, description = "A page of keys", body = KeyList)))]
async fn list(
    _: AdminAccess,
    KeysQuery { client_id, paging }: KeysQuery,
    State(state): State<ApiState>,
) -> Result<Json<KeyList>, Problem> {
    let keys = state.store().keys(client_id, paging.page()).await?;
    Ok(Json(paging.list(keys, |key| key.id.as_uuid())))
}

/// Revoke a key
///
/// It stops working within 30 seconds. A key can't revoke itself, so that there is always one left. Takes an admin's key.
#[utoipa::path(delete, path = "/v1/keys/{keyId}", tag = "keys", operation_id = "revokeKey",
    params(("keyId" = Uuid, Path, description = "The key")),
    responses((status = NO_CONTENT, description = "The key is revoked"),
        (status = CONFLICT, description = "It is the key of this very request", body = crate::problem::ProblemView,
            content_type = "application/problem+json")))]
async fn revoke(
    access: AdminAccess,
    PathId(key_id): PathId<KeyId>,
    _: NoQuery,
    State(state): State<ApiState>,
) -> Result<StatusCode, Problem> {
    if key_id == access.key_id {
        return Err(Problem::new(
            ProblemKind::Conflict,
            "a key can't revoke itself: use another admin's key",
        ));
    }
    match state.store().revoke_key(key_id, &access.actor()).await? {
        Revocation::Done => Ok(StatusCode::NO_CONTENT),
        Revocation::Unknown => Err(Problem::not_found("key")),
        Revocation::ByRevoked => Err(Problem::unauthorized(true)),
    }
}
