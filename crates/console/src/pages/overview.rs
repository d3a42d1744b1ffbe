//! `/admin/clients/{client}`: how a client does, and what needs attention.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use sensei_domain::ClientId;

use crate::asked::{Asked, Ids};
use crate::delivery_filter::STATES;
use crate::failure::Failure;
use crate::page::{Frame, show};
use crate::session::Viewer;
use crate::state::ConsoleState;

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new().route("/clients/{client_id}", get(read))
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    /// How many deliveries are in each state, and where they are.
    counts: Vec<(&'static str, u64, String)>,
}

async fn read(
    viewer: Viewer,
    Ids(client): Ids<ClientId>,
    asked: Asked,
    State(_): State<ConsoleState>,
) -> Result<Response, Failure> {
    let frame = Frame::of_client(&viewer, &client.to_string(), "").await?;
    let stats = viewer.api.get(&format!("/v1/clients/{client}/stats")).await?;
    let counts = STATES.iter().map(|(state, words)| {
        let count = stats["deliveries"][*state].as_u64().unwrap_or_default();
        (
            *words,
            count,
            format!("/admin/clients/{client}/deliveries?state={state}"),
        )
    });
    Ok(show(&OverviewPage {
        frame: frame.done(asked.given("done")),
        counts: counts.collect(),
    }))
}
