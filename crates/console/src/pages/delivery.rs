//! `/admin/clients/{client}/deliveries/{delivery}`: each attempt, what was sent, what was answered, and what is to be done.

mod request;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use sensei_domain::{ClientId, DeliveryId};
use serde_json::Value;

use self::request::RequestShown;
use crate::asked::{Asked, Ids};
use crate::failure::Failure;
use crate::form::Form;
use crate::live::Live;
use crate::mend::{self, Mend};
use crate::moment::exactly;
use crate::page::{Frame, show, show_with, text};
use crate::session::Viewer;
use crate::shown::{AttemptShown, DeliveryShown, Destinations, LEAD_WEBHOOK};
use crate::state::ConsoleState;

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new()
        .route("/clients/{client}/deliveries/{delivery}", get(read))
        .route("/clients/{client}/deliveries/{delivery}/redeliver", post(redeliver))
}

#[derive(Template)]
#[template(path = "delivery.html", blocks = ["live"])]
struct DeliveryPage {
    frame: Frame,
    live: Live,
    it: DeliveryShown,
    attempts: Vec<AttemptShown>,
    /// The attempt that the tabs are of, if its log is kept.
    shown: Option<AttemptShown>,
    /// Its number.
    chosen: u64,
    tab: &'static str,
    request: RequestShown,
    mend: Option<Mend>,
    /// Where the destination is changed.
    mend_path: Option<String>,
    /// For how long attempts are.
    kept: Option<String>,
    /// Why it isn't redelivered.
    conflict: Option<String>,
}

async fn read(
    viewer: Viewer,
    Ids((client, delivery)): Ids<(ClientId, DeliveryId)>,
    asked: Asked,
    State(state): State<ConsoleState>,
) -> Result<Response, Failure> {
    let page = page(&viewer, client, delivery, &asked, &state).await?;
    if asked.text("part") == "live" {
        return Ok(show(&page.as_live()));
    }
    let frame = page.frame.done(asked.given("done"));
    Ok(show(&DeliveryPage { frame, ..page }))
}

async fn page(
    viewer: &Viewer,
    client: ClientId,
    id: DeliveryId,
    asked: &Asked,
    state: &ConsoleState,
) -> Result<DeliveryPage, Failure> {
    let mut frame = Frame::of_client(viewer, client, "deliveries").await?;
    frame.title = format!("Delivery · {}", frame.title);
    let path = format!("/v1/clients/{client}/deliveries/{id}");
    let answer = viewer.api.get_text(&path).await?;
    let delivery = serde_json::from_str::<Value>(&answer).unwrap_or_default();
    let destinations = Destinations::of(&viewer.api, client).await?;
    let now = state.now();
    let it = DeliveryShown::of(&delivery, client, &destinations, now);
    let attempts = delivery["attempts"].as_array().into_iter().flatten();
    let attempts = attempts
        .map(|attempt| AttemptShown::of(attempt, now))
        .collect::<Vec<_>>();
    let asked_for = asked.text("attempt").parse().ok();
    let shown = attempts
        .iter()
        .find(|attempt| Some(attempt.number) == asked_for)
        .or_else(|| attempts.last())
        .cloned();
    let destination = destinations.by_id(text(&delivery, "destinationId"));
    let mend = attempts
        .last()
        .and_then(|last| mend::of_attempt(&it.destination.kind, last));
    Ok(DeliveryPage {
        frame,
        live: Live::of(client, id),
        tab: if asked.text("tab") == "response" {
            "response"
        } else {
            "request"
        },
        request: RequestShown::of(
            &delivery,
            request::sent(&answer).as_deref(),
            shown.as_ref(),
            destination,
        ),
        mend_path: destination.map(|destination| change_path(client, destination)),
        mend,
        chosen: shown.as_ref().map_or(0, |attempt| attempt.number),
        kept: state.retention().and_then(|kept| kept.attempts).map(exactly),
        conflict: None,
        shown,
        attempts,
        it,
    })
}

/// The Lead Webhook URL is changed in the settings, any other destination on its own page.
fn change_path(client: ClientId, destination: &Value) -> String {
    if text(destination, "name") == LEAD_WEBHOOK {
        format!("/admin/clients/{client}/settings")
    } else {
        format!("/admin/clients/{client}/destinations/{}", text(destination, "id"))
    }
}

async fn redeliver(
    Ids((client, delivery)): Ids<(ClientId, DeliveryId)>,
    State(state): State<ConsoleState>,
    form: Form,
) -> Result<Response, Failure> {
    let path = format!("/v1/clients/{client}/deliveries/{delivery}/redeliver");
    match form.viewer.api.act(&path).await {
        Ok(_) => {
            let to = format!("/admin/clients/{client}/deliveries/{delivery}?done=redelivered");
            Ok(Redirect::to(&to).into_response())
        }
        Err(refused) if refused.status == StatusCode::CONFLICT => {
            let page = page(&form.viewer, client, delivery, &Asked::default(), &state).await?;
            let conflict = Some(crate::shown::sentence(&refused.detail));
            Ok(show_with(StatusCode::CONFLICT, &DeliveryPage { conflict, ..page }))
        }
        Err(refused) => Err(refused.into()),
    }
}
