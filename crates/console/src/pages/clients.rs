//! `/admin/clients`: all clients, and a new one.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use sensei_persistence::Scope;
use serde::Deserialize;
use serde_json::json;

use crate::api::Refused;
use crate::failure::Failure;
use crate::form::Form;
use crate::moment::Moment;
use crate::page::{Frame, items, show, show_with, text};
use crate::session::Viewer;
use crate::state::ConsoleState;

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new()
        .route("/clients", get(list).post(create))
        .route("/clients/new", get(new))
}

/// `/admin`: all clients, or one's own.
pub(crate) async fn home(viewer: Viewer) -> Redirect {
    match viewer.access.scope {
        Scope::Admin => Redirect::to("/admin/clients"),
        Scope::Client(client) => Redirect::to(&format!("/admin/clients/{client}")),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ListQuery {
    cursor: String,
    done: Option<String>,
}

struct ClientRow {
    id: String,
    name: String,
    created: Option<Moment>,
}

#[derive(Template)]
#[template(path = "clients.html")]
struct ClientsPage {
    frame: Frame,
    clients: Vec<ClientRow>,
    next: Option<String>,
    is_first: bool,
}

#[derive(Template)]
#[template(path = "client_new.html")]
struct NewClientPage {
    frame: Frame,
    name: String,
    url: String,
    refused: Option<Refused>,
}

async fn list(
    viewer: Viewer,
    Query(query): Query<ListQuery>,
    State(state): State<ConsoleState>,
) -> Result<Response, Failure> {
    let path = url::form_urlencoded::Serializer::new("/v1/clients?".to_owned())
        .append_pair("limit", "50")
        .finish();
    let path = match query.cursor.as_str() {
        "" => path,
        cursor => format!("{path}&cursor={cursor}"),
    };
    let answer = viewer.api.get(&path).await?;
    let clients = items(&answer).iter().map(|client| ClientRow {
        id: text(client, "id").to_owned(),
        name: text(client, "name").to_owned(),
        created: Moment::of(&client["createdAt"], state.now()),
    });
    Ok(show(&ClientsPage {
        frame: Frame::new(&viewer, "Clients").done(query.done.as_deref()),
        clients: clients.collect(),
        next: answer["nextCursor"].as_str().map(str::to_owned),
        is_first: query.cursor.is_empty(),
    }))
}

async fn new(viewer: Viewer) -> Response {
    show(&NewClientPage {
        frame: Frame::new(&viewer, "New client"),
        name: String::new(),
        url: String::new(),
        refused: None,
    })
}

async fn create(form: Form) -> Result<Response, Failure> {
    let mut body = json!({"name": form.text("name")});
    if let Some(url) = form.given("leadWebhookUrl") {
        body["leadWebhookUrl"] = url.into();
    }
    match form.viewer.api.post("/v1/clients", &body).await {
        Ok(created) => {
            let to = format!("/admin/clients/{}?done=created", text(&created, "id"));
            Ok(Redirect::to(&to).into_response())
        }
        Err(refused) if refused.status == StatusCode::UNPROCESSABLE_ENTITY => Ok(show_with(
            refused.status,
            &NewClientPage {
                frame: Frame::new(&form.viewer, "New client"),
                name: form.text("name").to_owned(),
                url: form.text("leadWebhookUrl").to_owned(),
                refused: Some(refused),
            },
        )),
        Err(refused) => Err(refused.into()),
    }
}
