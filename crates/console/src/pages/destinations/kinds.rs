//! The kinds of destinations, as cards to choose from.

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use sensei_domain::ClientId;
use serde_json::Value;

use crate::asked::Ids;
use crate::failure::Failure;
use crate::page::{Frame, items, show, text};
use crate::prose::{self, Block};
use crate::session::Viewer;
use crate::state::ConsoleState;

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new().route("/clients/{client}/destinations/new", get(page))
}

/// A kind of destination.
pub(crate) struct Kind {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) docs_url: String,
    pub(crate) guide: Vec<Block>,
    /// As the API describes it.
    pub(crate) view: Value,
}

#[derive(Template)]
#[template(path = "destination_kinds.html")]
struct KindsPage {
    frame: Frame,
    client: String,
    kinds: Vec<Kind>,
}

impl Kind {
    fn of(view: &Value) -> Self {
        let text = |name: &str| text(view, name).to_owned();
        Self {
            id: text("kind"),
            name: text("name"),
            description: text("description"),
            // Only a link that is one.
            docs_url: Some(text("docsUrl"))
                .filter(|url| url.starts_with("https://"))
                .unwrap_or_default(),
            guide: prose::blocks(&text("setupGuide")),
            view: view.clone(),
        }
    }

    pub(crate) async fn all(viewer: &Viewer) -> Result<Vec<Self>, Failure> {
        let kinds = viewer.api.get("/v1/destination-kinds").await?;
        Ok(items(&kinds).iter().map(Self::of).collect())
    }

    pub(crate) async fn named(viewer: &Viewer, kind: &str) -> Result<Self, Failure> {
        let kinds = viewer.api.get("/v1/destination-kinds").await?;
        let found = items(&kinds).iter().find(|view| text(view, "kind") == kind);
        found.map(Self::of).ok_or(Failure::NotFound)
    }
}

async fn page(viewer: Viewer, Ids(client): Ids<ClientId>) -> Result<Response, Failure> {
    let (frame, client) = Frame::below(&viewer, client, "destinations", "New destination").await?;
    let kinds = Kind::all(&viewer).await?;
    Ok(show(&KindsPage { frame, client, kinds }))
}
