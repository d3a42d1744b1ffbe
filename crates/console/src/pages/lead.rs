//! `/admin/clients/{client}/leads/{lead}`: what somebody has left, where it went, and its erasure.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use sensei_domain::{ClientId, LeadId};

use crate::asked::{Asked, Ids};
use crate::failure::Failure;
use crate::form::Form;
use crate::live::Live;
use crate::page::{Frame, items, show, show_with};
use crate::session::Viewer;
use crate::shown::{DeliveryShown, Destinations, LeadShown};
use crate::state::ConsoleState;

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new()
        .route("/clients/{client}/leads/{lead}", get(read))
        .route("/clients/{client}/leads/{lead}/erase", post(erase))
        .route("/clients/{client}/leads/{lead}/release", post(release))
}

#[derive(Template)]
#[template(path = "lead.html", blocks = ["live"])]
struct LeadPage {
    frame: Frame,
    live: Live,
    client: ClientId,
    lead: LeadShown,
    deliveries: Vec<DeliveryShown>,
    /// Where those are that the page has no room for.
    more: Option<String>,
    /// Why it wasn't erased.
    wrong: Option<&'static str>,
}

async fn read(
    viewer: Viewer,
    Ids((client, lead)): Ids<(ClientId, LeadId)>,
    asked: Asked,
    State(state): State<ConsoleState>,
) -> Result<Response, Failure> {
    let page = page(&viewer, client, lead, &state).await?;
    if asked.text("part") == "live" {
        return Ok(show(&page.as_live()));
    }
    let frame = page.frame.done(asked.given("done"));
    Ok(show(&LeadPage { frame, ..page }))
}

async fn page(viewer: &Viewer, client: ClientId, id: LeadId, state: &ConsoleState) -> Result<LeadPage, Failure> {
    let mut frame = Frame::of_client(viewer, client, "leads").await?;
    let lead = viewer.api.get(&format!("/v1/clients/{client}/leads/{id}")).await?;
    let destinations = Destinations::of(&viewer.api, client).await?;
    let deliveries = viewer
        .api
        .get(&format!("/v1/clients/{client}/deliveries?leadId={id}&limit=100"))
        .await?;
    let now = state.now();
    let shown = items(&deliveries)
        .iter()
        .map(|delivery| DeliveryShown::of(delivery, client, &destinations, now));
    let lead = LeadShown::of(&lead, client, now);
    frame.title = format!("{} · {}", lead.title(), frame.title);
    let more = deliveries["nextCursor"].as_str();
    Ok(LeadPage {
        frame,
        live: Live::of(client, id),
        client,
        lead,
        deliveries: shown.collect(),
        more: more.map(|_| format!("/admin/clients/{client}/deliveries?leadId={id}")),
        wrong: None,
    })
}

async fn erase(
    Ids((client, lead)): Ids<(ClientId, LeadId)>,
    State(state): State<ConsoleState>,
    form: Form,
) -> Result<Response, Failure> {
    if !form.is_ticked("sure") {
        let page = page(&form.viewer, client, lead, &state).await?;
        let wrong = Some("Tick the box: what is erased doesn't come back.");
        return Ok(show_with(StatusCode::UNPROCESSABLE_ENTITY, &LeadPage { wrong, ..page }));
    }
    form.viewer
        .api
        .delete(&format!("/v1/clients/{client}/leads/{lead}"))
        .await?;
    Ok(Redirect::to(&format!("/admin/clients/{client}/leads/{lead}?done=erased")).into_response())
}

async fn release(Ids((client, lead)): Ids<(ClientId, LeadId)>, form: Form) -> Result<Redirect, Failure> {
    let path = format!("/v1/clients/{client}/leads/{lead}/release");
    form.viewer.api.act(&path).await?;
    Ok(Redirect::to(&format!(
        "/admin/clients/{client}/leads/{lead}?done=released"
    )))
}
