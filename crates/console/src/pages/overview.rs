//! `/admin/clients/{client}`: how a client does, what needs attention, and what to do first.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Redirect, Response};
use axum::routing::{get, post};
use sensei_domain::ClientId;
use serde_json::Value;

use crate::api::{Api, Refused};
use crate::asked::{Asked, Ids};
use crate::attention::{self, Attention};
use crate::chart::Chart;
use crate::delivery_filter::STATES;
use crate::failure::Failure;
use crate::form::Form;
use crate::live::Live;
use crate::moment::Moment;
use crate::numbers::{Numbers, WINDOWS};
use crate::page::{Frame, items, show, text};
use crate::session::Viewer;
use crate::shown::{Destinations, shown_name};
use crate::state::ConsoleState;

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new()
        .route("/clients/{client}", get(read))
        .route("/clients/{client}/test", post(test))
}

#[derive(Template)]
#[template(path = "overview.html", blocks = ["live"])]
struct OverviewPage {
    frame: Frame,
    /// Only as long as there is something to do first.
    live: Option<Live>,
    client: ClientId,
    guide: Option<Guide>,
    attention: Vec<Attention>,
    window: &'static str,
    numbers: Option<Numbers>,
    chart: Chart,
    /// How many deliveries are in each state, and where they are.
    counts: Vec<(&'static str, u64, String)>,
    oldest_due: Option<Moment>,
    in_flight: u64,
}

/// The steps of a new client.
#[derive(Debug)]
struct Guide {
    has_destination: bool,
    /// Which, if there is one.
    destination: String,
    has_delivered: bool,
    has_lead: bool,
}

async fn read(
    viewer: Viewer,
    Ids(client): Ids<ClientId>,
    asked: Asked,
    State(state): State<ConsoleState>,
) -> Result<Response, Failure> {
    let frame = Frame::of_client(&viewer, client, "").await?;
    let window = WINDOWS.iter().find(|(name, _)| *name == asked.text("window"));
    let window = window.map_or(WINDOWS[0].0, |(name, _)| name);
    let stats = stats(&viewer.api, client, window).await?;
    let destinations = Destinations::of(&viewer.api, client).await?;
    let guide = guide(&viewer.api, client, &destinations, &stats).await?;
    let now = state.now();
    let numbers = Numbers::of(&stats["window"]);
    let counts = STATES.iter().map(|(state, words)| {
        let path = format!("/admin/clients/{client}/deliveries?state={state}");
        (*words, count(&stats, state), path)
    });
    let page = OverviewPage {
        frame: frame.done(asked.given("done")).with_charts(),
        live: guide
            .as_ref()
            .map(|_| Live::new(client, "lead delivery", ("change", "changes"))),
        client,
        attention: attention::of(&viewer.api, client, &destinations, now).await,
        window,
        chart: Chart::of(numbers.as_ref().unwrap_or(&Numbers::default())),
        numbers,
        counts: counts.collect(),
        oldest_due: Moment::of(&stats["oldestDueAt"], now),
        in_flight: stats["inFlight"].as_u64().unwrap_or_default(),
        guide,
    };
    Ok(match asked.text("part") {
        "live" => show(&page.as_live()),
        _ => show(&page),
    })
}

/// With what happened in a window; without it where the API doesn't tell that.
async fn stats(api: &Api, client: ClientId, window: &str) -> Result<Value, Refused> {
    let path = format!("/v1/clients/{client}/stats");
    match api.get(&format!("{path}?window={window}")).await {
        Err(refused) if refused.status == StatusCode::BAD_REQUEST => api.get(&path).await,
        answered => answered,
    }
}

fn count(stats: &Value, state: &str) -> u64 {
    stats["deliveries"][state].as_u64().unwrap_or_default()
}

/// What is still to be done; `None` once all is.
async fn guide(
    api: &Api,
    client: ClientId,
    destinations: &Destinations,
    stats: &Value,
) -> Result<Option<Guide>, Refused> {
    let destination = destinations.items().first();
    let has_delivered = count(stats, "succeeded") > 0;
    let leads = api.get(&format!("/v1/clients/{client}/leads?limit=1")).await?;
    let has_lead = !items(&leads).is_empty();
    let guide = Guide {
        has_destination: destination.is_some(),
        destination: destination.map_or("", |it| shown_name(text(it, "name"))).to_owned(),
        has_delivered,
        has_lead,
    };
    let is_done = guide.has_destination && has_delivered && has_lead;
    Ok((!is_done).then_some(guide))
}

/// Sends a sample to the client's newest destination, and shows what came of it.
async fn test(Ids(client): Ids<ClientId>, form: Form) -> Result<Redirect, Failure> {
    let api = &form.viewer.api;
    let destinations = Destinations::of(api, client).await?;
    let Some(destination) = destinations.items().first() else {
        return Ok(Redirect::to(&format!("/admin/clients/{client}/settings")));
    };
    let id = text(destination, "id");
    let tested = api.act(&format!("/v1/clients/{client}/destinations/{id}/test")).await?;
    let delivery = text(&tested, "deliveryId");
    Ok(Redirect::to(&format!(
        "/admin/clients/{client}/deliveries/{delivery}?tab=response&done=tested"
    )))
}
