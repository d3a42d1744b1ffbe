//! `…/destinations/{id}/secret`: what a destination's webhooks are signed with, shown when it is asked for, and its rotation.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use sensei_domain::{ClientId, DestinationId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Refused;
use crate::asked::Ids;
use crate::failure::Failure;
use crate::form::Form;
use crate::moment::Moment;
use crate::page::{Frame, show, show_with};
use crate::pages::below;
use crate::session::Viewer;
use crate::state::ConsoleState;

/// The overlaps that can be chosen, and their names.
const OVERLAPS: [(&str, &str); 5] = [
    ("24h", "24 hours"),
    ("1h", "1 hour"),
    ("3d", "3 days"),
    ("7d", "7 days"),
    ("0s", "none: the secret before is worth nothing at once"),
];

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new().route(
        "/clients/{client}/destinations/{destination}/secret",
        get(page).post(rotate),
    )
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Done {
    done: Option<String>,
}

#[derive(Template)]
#[template(path = "destination_secret.html")]
struct SecretPage {
    frame: Frame,
    path: String,
    name: String,
    /// The secret, or the public key of a key pair.
    secret: String,
    is_public: bool,
    previous_until: Option<Moment>,
    overlaps: [(&'static str, &'static str); 5],
    refused: Option<Refused>,
}

impl SecretPage {
    async fn of(
        viewer: &Viewer,
        client: ClientId,
        destination: DestinationId,
        state: &ConsoleState,
    ) -> Result<Self, Failure> {
        let (frame, destination) = below::destination(viewer, client, destination, "Signing secret").await?;
        let secret = viewer.api.get(&format!("{}/secret", destination.api)).await?;
        let shown = |name: &str| secret.get(name).and_then(Value::as_str).map(str::to_owned);
        let is_public = shown("publicKey").is_some();
        Ok(Self {
            frame,
            name: destination.name(),
            path: destination.page,
            secret: shown("secret").or_else(|| shown("publicKey")).unwrap_or_default(),
            is_public,
            previous_until: Moment::of(&secret["previousSecretUntil"], state.now()),
            overlaps: OVERLAPS,
            refused: None,
        })
    }
}

async fn page(
    viewer: Viewer,
    Ids((client, destination)): Ids<(ClientId, DestinationId)>,
    Query(Done { done }): Query<Done>,
    State(state): State<ConsoleState>,
) -> Result<Response, Failure> {
    let mut page = SecretPage::of(&viewer, client, destination, &state).await?;
    page.frame = page.frame.done(done.as_deref());
    Ok(show(&page))
}

async fn rotate(
    Ids((client, destination)): Ids<(ClientId, DestinationId)>,
    State(state): State<ConsoleState>,
    form: Form,
) -> Result<Response, Failure> {
    let mut page = SecretPage::of(&form.viewer, client, destination, &state).await?;
    let api = page.path.replacen("/admin", "/v1", 1);
    let rotation = json!({"overlap": form.text("overlap"), "signature": form.text("signature")});
    match form.viewer.api.post(&format!("{api}/secret/rotate"), &rotation).await {
        Ok(_) => Ok(Redirect::to(&format!("{}/secret?done=rotated", page.path)).into_response()),
        Err(refused) if refused.status == StatusCode::UNPROCESSABLE_ENTITY => {
            page.refused = Some(refused);
            Ok(show_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
        Err(refused) => Err(refused.into()),
    }
}
