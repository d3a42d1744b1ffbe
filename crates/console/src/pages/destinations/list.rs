//! All destinations of a client, each with how it does.

use std::collections::HashMap;
use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use sensei_domain::ClientId;
use serde::Deserialize;

use super::detail::before;
use super::health::{self, Lately};
use super::kinds::Kind;
use crate::asked::Ids;
use crate::failure::Failure;
use crate::page::{Frame, items, show, text};
use crate::session::Viewer;
use crate::shown::shown_name;
use crate::state::ConsoleState;

/// Of the log, to tell how destinations did lately.
const LATELY: Duration = Duration::from_hours(24);

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new().route("/clients/{client}/destinations", get(page))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Done {
    done: Option<String>,
}

struct Row {
    id: String,
    name: String,
    kind: String,
    aim: String,
    state: health::State,
    lately: Lately,
    is_active: bool,
}

#[derive(Template)]
#[template(path = "destinations.html")]
struct ListPage {
    frame: Frame,
    client: String,
    rows: Vec<Row>,
}

async fn page(
    viewer: Viewer,
    Ids(client): Ids<ClientId>,
    Query(Done { done }): Query<Done>,
    State(state): State<ConsoleState>,
) -> Result<Response, Failure> {
    let (frame, client) = Frame::below(&viewer, client, "destinations", "Destinations").await?;
    // A client has no more than 100.
    let path = format!("/v1/clients/{client}/destinations?limit=200");
    let (now, destinations) = (state.now(), viewer.api.get(&path).await?);
    let since = before(now, LATELY);
    let log = format!("/v1/clients/{client}/deliveries?limit=200&since={since}");
    let mut lately = Lately::of(&viewer.api.get(&log).await?, now);
    let kinds = Kind::all(&viewer).await?;
    let kinds = kinds.iter().map(|kind| (kind.id.as_str(), kind.name.as_str()));
    let kinds = kinds.collect::<HashMap<_, _>>();
    let rows = items(&destinations).iter().map(|destination| {
        let kind = text(destination, "kind");
        Row {
            id: text(destination, "id").to_owned(),
            name: shown_name(text(destination, "name")).to_owned(),
            kind: kinds.get(kind).map_or(kind, |name| *name).to_owned(),
            aim: health::aim(destination),
            state: health::State::of(destination, now),
            lately: lately.remove(text(destination, "id")).unwrap_or_default(),
            is_active: text(destination, "status") == "active",
        }
    });
    Ok(show(&ListPage {
        rows: rows.collect(),
        frame: frame.done(done.as_deref()),
        client,
    }))
}
