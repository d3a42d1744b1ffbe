//! A client's keys, on its Settings page: made, shown once, revoked. For admins.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use sensei_domain::{ClientId, KeyId, Timestamp};
use serde_json::{Value, json};

use super::lead_form::host;
use crate::api::Refused;
use crate::asked::Ids;
use crate::failure::Failure;
use crate::form::Form;
use crate::moment::Moment;
use crate::page::{Frame, items, show, show_with, text};
use crate::session::Viewer;
use crate::state::ConsoleState;

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new()
        .route("/clients/{client}/settings/keys", post(create))
        .route("/clients/{client}/settings/keys/{key}/revoke", get(ask).post(revoke))
}

/// A key as the list shows it.
pub(crate) struct KeyRow {
    pub(crate) id: String,
    pub(crate) name: String,
    /// What it may, in words.
    pub(crate) reach: &'static str,
    pub(crate) prefix: String,
    pub(crate) created: Option<Moment>,
    pub(crate) last_used: Option<Moment>,
}

/// A key to make, with what is wrong with it; or the key that was made.
#[derive(Template)]
#[template(path = "settings_key.html")]
struct KeyPage {
    frame: Frame,
    client: String,
    name: String,
    kind: String,
    made: Option<String>,
    /// Where the script of the form is.
    host: String,
    refused: Option<Refused>,
}

#[derive(Template)]
#[template(path = "settings_key_revoke.html")]
struct RevokePage {
    frame: Frame,
    client: String,
    key: KeyRow,
}

impl KeyRow {
    fn of(key: &Value, now: Timestamp) -> Self {
        Self {
            id: text(key, "id").to_owned(),
            name: text(key, "name").to_owned(),
            reach: match text(key, "kind") {
                "publishable" => "publishable: captures leads only",
                _ => "secret: everything of this client",
            },
            prefix: text(key, "prefix").to_owned(),
            created: Moment::of(&key["createdAt"], now),
            last_used: Moment::of(&key["lastUsedAt"], now),
        }
    }
}

/// The client's newest keys; none for whoever may not see keys.
pub(crate) async fn of_client(viewer: &Viewer, client: &str, now: Timestamp) -> Result<Vec<KeyRow>, Failure> {
    if !viewer.is_admin() {
        return Ok(Vec::new());
    }
    let path = format!("/v1/keys?clientId={client}&limit=200");
    let keys = viewer.api.get(&path).await?;
    Ok(items(&keys).iter().map(|key| KeyRow::of(key, now)).collect())
}

async fn create(Ids(client): Ids<ClientId>, headers: HeaderMap, form: Form) -> Result<Response, Failure> {
    let viewer = &form.viewer;
    let (frame, client) = Frame::below(viewer, client, "settings", "New key").await?;
    let (name, kind) = (form.text("name").to_owned(), form.text("kind").to_owned());
    let body = json!({"name": name, "kind": kind, "clientId": client});
    let page = |made: Option<String>, refused: Option<Refused>| KeyPage {
        frame,
        client,
        name,
        kind,
        made,
        host: host(&headers),
        refused,
    };
    match viewer.api.post("/v1/keys", &body).await {
        // Not by a redirect: it is shown now, and never again.
        Ok(made) => Ok(show(&page(Some(text(&made, "key").to_owned()), None))),
        Err(refused) if refused.status == StatusCode::UNPROCESSABLE_ENTITY => {
            Ok(show_with(refused.status, &page(None, Some(refused))))
        }
        Err(refused) => Err(refused.into()),
    }
}

async fn ask(
    viewer: Viewer,
    Ids((client, id)): Ids<(ClientId, KeyId)>,
    State(state): State<ConsoleState>,
) -> Result<Response, Failure> {
    let (frame, client) = Frame::below(&viewer, client, "settings", "Revoke a key").await?;
    let keys = of_client(&viewer, &client, state.now()).await?;
    let key = keys
        .into_iter()
        .find(|row| row.id == id.to_string())
        .ok_or(Failure::NotFound)?;
    Ok(show(&RevokePage { frame, client, key }))
}

async fn revoke(
    Ids((client, id)): Ids<(ClientId, KeyId)>,
    State(state): State<ConsoleState>,
    form: Form,
) -> Result<Response, Failure> {
    let viewer = &form.viewer;
    let (_, client) = Frame::below(viewer, client, "settings", "Revoke a key").await?;
    // One of this client's, whatever the path says.
    let keys = of_client(viewer, &client, state.now()).await?;
    let is_there = keys.iter().any(|row| row.id == id.to_string());
    if !is_there {
        return Err(Failure::NotFound);
    }
    viewer.api.delete(&format!("/v1/keys/{id}")).await?;
    Ok(Redirect::to(&format!("/admin/clients/{client}/settings?done=revoked#keys")).into_response())
}
