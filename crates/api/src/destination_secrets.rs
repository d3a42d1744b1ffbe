//! `/v1/clients/{clientId}/destinations/{destinationId}/secret`: what signs a destination's webhooks, and its rotation.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sensei_domain::{DestinationId, Fields, SignatureVersion, Signer, TextRule, Timestamp, parse_duration};
use sensei_persistence::{Destination, Rotation};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::ClientAccess;
use crate::body::JsonBody;
use crate::idempotency::{self, IdempotencyKey};
use crate::path_id::PathId;
use crate::problem::Problem;
use crate::query::NoQuery;
use crate::schema;
use crate::state::ApiState;

const OVERLAP_DEFAULT: Duration = Duration::from_hours(24);
const OVERLAP_MAX: Duration = Duration::from_hours(7 * 24);

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(read)).routes(routes!(rotate))
}

/// How a secret is replaced.
#[derive(ToSchema)]
#[schema(as = SecretRotation)]
#[expect(dead_code, reason = "documents what `rotate` reads field by field")]
struct RotationBody {
    /// For how long webhooks are signed with the secret before as well: `0s` to `7d`.
    #[schema(default = "24h", example = "24h")]
    overlap: Option<String>,
    #[schema(schema_with = schema::signature_version, required = false, default = "v1")]
    signature: (),
}

/// What a receiver checks the header `webhook-signature` with (Standard Webhooks).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SigningSecret)]
struct SecretView {
    /// Of `v1`: the secret, known to both sides.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "whsec_…")]
    secret: Option<String>,
    /// Of `v1a`: the public key. The private one is never shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "whpk_…")]
    public_key: Option<String>,
    #[schema(schema_with = schema::signature_version)]
    signature: SignatureVersion,
    /// Until when webhooks are signed with the secret before as well; null: they aren't.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    previous_secret_until: Option<Timestamp>,
}

impl SecretView {
    fn of(destination: &Destination, now: Timestamp) -> Self {
        let (secret, public_key) = match &destination.secret {
            Signer::Symmetric(secret) => (Some(secret.expose().to_string()), None),
            Signer::KeyPair(key) => (None, Some(key.verifying_key().to_string())),
        };
        Self {
            secret,
            public_key,
            signature: destination.secret.version(),
            previous_secret_until: destination.previous_secret(now).map(|(_, until)| until),
        }
    }
}

/// Read a destination's signing secret
///
/// With it the receiver checks the header `webhook-signature`. Of a key pair, the public key.
#[utoipa::path(get, path = "/v1/clients/{clientId}/destinations/{destinationId}/secret", tag = "destinations",
    operation_id = "readDestinationSecret",
    params(("clientId" = Uuid, Path, description = "Whose destination"),
        ("destinationId" = Uuid, Path, description = "The destination")),
    responses((status = OK, description = "The secret", body = SecretView)))]
async fn read(
    access: ClientAccess,
    PathId(destination_id): PathId<DestinationId>,
    _: NoQuery,
    State(state): State<ApiState>,
) -> Result<Json<SecretView>, Problem> {
    let destination = state.store().destination(access.client_id, destination_id).await?;
    let destination = destination.ok_or_else(|| Problem::not_found("destination"))?;
    Ok(Json(SecretView::of(&destination, state.now())))
}

/// Replace a destination's signing secret
///
/// The new one signs from the next attempt on. Until the overlap ends the header `webhook-signature` holds two
/// signatures, the new one's first; so teach the receiver the new secret within it, and no webhook is refused. A
/// second rotation within an overlap ends it for all but the latest secret before.
#[utoipa::path(post, path = "/v1/clients/{clientId}/destinations/{destinationId}/secret/rotate", tag = "destinations",
    operation_id = "rotateDestinationSecret",
    params(("clientId" = Uuid, Path, description = "Whose destination"),
        ("destinationId" = Uuid, Path, description = "The destination")),
    request_body = RotationBody,
    responses((status = OK, description = "The new secret", body = SecretView)))]
async fn rotate(
    access: ClientAccess,
    PathId(destination_id): PathId<DestinationId>,
    _: NoQuery,
    key: IdempotencyKey,
    State(state): State<ApiState>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let mut fields = Fields::new(&body.value)?;
    let overlap = overlap(&mut fields);
    let version = fields.parsed("signature");
    fields.finish()?;

    let rotation = Rotation {
        overlap: overlap.unwrap_or(OVERLAP_DEFAULT),
        version: version.unwrap_or(SignatureVersion::V1),
    };
    let request = key.request(access.destination_path(destination_id, "secret/rotate"), || {
        body.fingerprint()
    });
    let now = state.now();
    let answer =
        |destination: &Destination| idempotency::secret_answer(StatusCode::OK, &SecretView::of(destination, now));
    let rotated = state
        .store()
        .rotate_secret(
            access.client_id,
            destination_id,
            rotation,
            request.as_ref(),
            answer,
            &access.actor(),
        )
        .await?;
    Ok(idempotency::respond(rotated))
}

fn overlap(fields: &mut Fields<'_>) -> Option<Duration> {
    let text = fields.optional_text("overlap", TextRule::line(usize::MAX))?;
    let wrong = match parse_duration(text) {
        Ok(overlap) if overlap <= OVERLAP_MAX => return Some(overlap),
        Ok(_) => "must be at most 7d".to_owned(),
        Err(error) => error.to_string(),
    };
    fields.fault("overlap", wrong);
    None
}
