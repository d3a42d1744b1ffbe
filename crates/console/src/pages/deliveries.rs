//! `/admin/clients/{client}/deliveries`: the log, by filters, page by page.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use sensei_domain::ClientId;

use crate::asked::{Asked, Ids, with_query};
use crate::delivery_filter::DeliveryFilter;
use crate::failure::Failure;
use crate::live::Live;
use crate::page::{Frame, items, show, show_with};
use crate::session::Viewer;
use crate::shown::{DeliveryShown, Destinations};
use crate::state::ConsoleState;

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new().route("/clients/{client}/deliveries", get(list))
}

#[derive(Template)]
#[template(path = "deliveries.html", blocks = ["live"])]
struct DeliveriesPage {
    frame: Frame,
    live: Live,
    client: ClientId,
    filter: DeliveryFilter,
    destinations: Vec<(String, String)>,
    kinds: Vec<String>,
    deliveries: Vec<DeliveryShown>,
    /// What is wrong with the filter.
    refused: Option<String>,
    is_first: bool,
    newest: String,
    next: Option<String>,
    /// Where all of these are redelivered, or why they can't be.
    bulk: Result<String, &'static str>,
}

async fn list(
    viewer: Viewer,
    Ids(client): Ids<ClientId>,
    asked: Asked,
    State(state): State<ConsoleState>,
) -> Result<Response, Failure> {
    let frame = Frame::of_client(&viewer, client, "deliveries").await?;
    let destinations = Destinations::of(&viewer.api, client).await?;
    let filter = DeliveryFilter::read(&asked);
    let (now, cursor) = (state.now(), asked.text("cursor"));
    let parameters = filter.parameters(now);
    let parameters = parameters.iter().map(|(name, value)| (*name, value.as_str()));
    let path = format!("/v1/clients/{client}/deliveries");
    let path = with_query(&path, parameters.chain([("cursor", cursor), ("limit", "50")]));
    let (answer, refused) = match viewer.api.get(&path).await {
        Ok(answer) => (answer, None),
        Err(refused) if refused.status == StatusCode::BAD_REQUEST => (serde_json::Value::Null, Some(refused.detail)),
        Err(refused) => return Err(refused.into()),
    };
    let here = format!("/admin/clients/{client}/deliveries");
    let deliveries = items(&answer)
        .iter()
        .map(|delivery| DeliveryShown::of(delivery, client, &destinations, now));
    let next = answer["nextCursor"].as_str();
    let bulk = match filter.not_recoverable() {
        Some(why) => Err(why),
        None => Ok(with_query(&format!("{here}/redeliver"), filter.pairs())),
    };
    let page = DeliveriesPage {
        frame: frame.done(asked.given("done")),
        live: Live::deliveries(client),
        client,
        deliveries: deliveries.collect(),
        destinations: destinations.choices(),
        kinds: destinations.kinds(),
        is_first: cursor.is_empty(),
        newest: with_query(&here, filter.pairs()),
        next: next.map(|next| with_query(&here, filter.pairs().into_iter().chain([("cursor", next)]))),
        bulk,
        refused,
        filter,
    };
    if page.refused.is_some() {
        return Ok(show_with(StatusCode::BAD_REQUEST, &page));
    }
    Ok(match asked.text("part") {
        "live" => show(&page.as_live()),
        _ => show(&page),
    })
}
