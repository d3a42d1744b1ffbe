//! `/admin/clients`: all clients, and a new one.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use sensei_persistence::Scope;
use serde_json::{Value, json};

use crate::api::{Api, Refused};
use crate::asked::{Asked, with_query};
use crate::failure::Failure;
use crate::form::Form;
use crate::moment::Moment;
use crate::page::{Frame, items, show, show_with, text};
use crate::session::Viewer;
use crate::shown::ClientHealth;
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

struct ClientRow {
    id: String,
    name: String,
    created: Option<Moment>,
    health: Option<ClientHealth>,
}

#[derive(Template)]
#[template(path = "clients.html")]
struct ClientsPage {
    frame: Frame,
    clients: Vec<ClientRow>,
    /// What was searched for.
    q: String,
    refused: Option<String>,
    has_health: bool,
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

async fn list(viewer: Viewer, asked: Asked, State(state): State<ConsoleState>) -> Result<Response, Failure> {
    let (q, cursor) = (asked.text("q"), asked.text("cursor"));
    let (answer, refused) = match found(&viewer.api, q, cursor).await {
        Ok(answer) => (answer, None),
        Err(refused) if refused.status == StatusCode::BAD_REQUEST => (Value::Null, Some(refused.detail)),
        Err(refused) => return Err(refused.into()),
    };
    let clients = items(&answer).iter().map(|client| ClientRow {
        id: text(client, "id").to_owned(),
        name: text(client, "name").to_owned(),
        created: Moment::of(&client["createdAt"], state.now()),
        health: ClientHealth::of(&client["health"]),
    });
    let clients = clients.collect::<Vec<_>>();
    let next = answer["nextCursor"].as_str();
    let status = if refused.is_some() {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    Ok(show_with(
        status,
        &ClientsPage {
            frame: Frame::new(&viewer, "Clients").done(asked.given("done")),
            has_health: clients.iter().any(|client| client.health.is_some()),
            clients,
            next: next.map(|next| with_query("/admin/clients", [("q", q), ("cursor", next)])),
            is_first: cursor.is_empty(),
            q: q.to_owned(),
            refused,
        },
    ))
}

/// With each client's health; without it where the API doesn't tell that.
async fn found(api: &Api, q: &str, cursor: &str) -> Result<Value, Refused> {
    let pairs = [("q", q), ("cursor", cursor), ("limit", "50")];
    let path = |more| with_query("/v1/clients", pairs.into_iter().chain([more]));
    match api.get(&path(("health", "true"))).await {
        Err(refused) if refused.detail.contains("health") => api.get(&path(("health", ""))).await,
        answered => answered,
    }
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
