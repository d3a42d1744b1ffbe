//! `/admin/clients/{client}/recoveries`: work on many deliveries, how far it is, and its end.

use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use sensei_domain::{ClientId, DestinationId, RecoveryId};
use serde_json::{Value, json};

use crate::asked::{Asked, Ids, with_query};
use crate::delivery_filter::{before, instant};
use crate::failure::Failure;
use crate::form::Form;
use crate::page::{Frame, items, show, show_with, text};
use crate::session::Viewer;
use crate::shown::{Destinations, RecoveryShown, sentence};
use crate::state::ConsoleState;

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new()
        .route("/clients/{client}/recoveries", get(list))
        .route("/clients/{client}/recoveries/replay", post(replay))
        .route("/clients/{client}/recoveries/{recovery}", get(read))
        .route("/clients/{client}/recoveries/{recovery}/cancel", post(cancel))
}

#[derive(Template)]
#[template(path = "recoveries.html")]
struct RecoveriesPage {
    frame: Frame,
    client: ClientId,
    destinations: Vec<(String, String)>,
    recoveries: Vec<RecoveryShown>,
    week_ago: String,
    /// As it was typed for a replay.
    since: String,
    refused: Option<String>,
    is_first: bool,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "recovery.html", blocks = ["live"])]
struct RecoveryPage {
    frame: Frame,
    client: ClientId,
    it: RecoveryShown,
    /// How many there are, if that is known.
    total: Option<u64>,
}

async fn list(
    viewer: Viewer,
    Ids(client): Ids<ClientId>,
    asked: Asked,
    State(state): State<ConsoleState>,
) -> Result<Response, Failure> {
    let page = list_page(&viewer, client, asked.text("cursor"), &state).await?;
    Ok(show(&page))
}

async fn list_page(
    viewer: &Viewer,
    client: ClientId,
    cursor: &str,
    state: &ConsoleState,
) -> Result<RecoveriesPage, Failure> {
    let mut frame = Frame::of_client(viewer, client, "deliveries").await?;
    frame.title = format!("Recoveries · {}", frame.title);
    let destinations = Destinations::of(&viewer.api, client).await?;
    let path = format!("/v1/clients/{client}/recoveries");
    let answer = viewer.api.get(&with_query(&path, [("cursor", cursor)])).await?;
    let now = state.now();
    let recoveries = items(&answer)
        .iter()
        .map(|recovery| RecoveryShown::of(recovery, client, &destinations, now));
    let here = format!("/admin/clients/{client}/recoveries");
    Ok(RecoveriesPage {
        frame,
        client,
        recoveries: recoveries.collect(),
        destinations: destinations.choices(),
        week_ago: before(now, Duration::from_hours(7 * 24)).to_string(),
        since: String::new(),
        refused: None,
        is_first: cursor.is_empty(),
        next: answer["nextCursor"]
            .as_str()
            .map(|next| with_query(&here, [("cursor", next)])),
    })
}

async fn read(
    viewer: Viewer,
    Ids((client, recovery)): Ids<(ClientId, RecoveryId)>,
    asked: Asked,
    State(state): State<ConsoleState>,
) -> Result<Response, Failure> {
    let mut frame = Frame::of_client(&viewer, client, "deliveries").await?;
    let recovery = viewer
        .api
        .get(&format!("/v1/clients/{client}/recoveries/{recovery}"))
        .await?;
    let destinations = Destinations::of(&viewer.api, client).await?;
    let it = RecoveryShown::of(&recovery, client, &destinations, state.now());
    frame.title = format!("{} · {}", it.what, frame.title);
    let page = RecoveryPage {
        frame: frame.done(asked.given("done")),
        client,
        it,
        total: recovery["total"].as_u64(),
    };
    Ok(match asked.text("part") {
        "live" => show(&page.as_live()),
        _ => show(&page),
    })
}

async fn replay(
    Ids(client): Ids<ClientId>,
    State(state): State<ConsoleState>,
    form: Form,
) -> Result<Response, Failure> {
    let destination = form.text("destinationId").parse::<DestinationId>();
    let (status, words) = match destination {
        Err(_) => (StatusCode::UNPROCESSABLE_ENTITY, "Choose a destination.".to_owned()),
        Ok(_) if !form.is_ticked("sure") => {
            let words = "Tick the box: leads that were captured long ago are sent.".to_owned();
            (StatusCode::UNPROCESSABLE_ENTITY, words)
        }
        Ok(destination) => {
            let since = instant(form.text("since"));
            let since = if since.is_empty() { Value::Null } else { since.into() };
            let path = format!("/v1/clients/{client}/destinations/{destination}/replay");
            match form.viewer.api.post(&path, &json!({"since": since})).await {
                Ok(begun) => {
                    let id = text(&begun, "id");
                    let to = format!("/admin/clients/{client}/recoveries/{id}?done=recovering");
                    return Ok(Redirect::to(&to).into_response());
                }
                Err(found) if matches!(found.status, StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY) => {
                    (found.status, sentence(&found.detail))
                }
                Err(found) => return Err(found.into()),
            }
        }
    };
    let page = list_page(&form.viewer, client, "", &state).await?;
    let page = RecoveriesPage {
        refused: Some(words),
        since: crate::delivery_filter::typed(form.text("since")).to_owned(),
        ..page
    };
    Ok(show_with(status, &page))
}

async fn cancel(Ids((client, recovery)): Ids<(ClientId, RecoveryId)>, form: Form) -> Result<Redirect, Failure> {
    let path = format!("/v1/clients/{client}/recoveries/{recovery}");
    let here = format!("/admin/clients/{client}/recoveries/{recovery}");
    match form.viewer.api.act(&format!("{path}/cancel")).await {
        Ok(_) => Ok(Redirect::to(&format!("{here}?done=stopped"))),
        // It has ended meanwhile, which its page says.
        Err(refused) if refused.status == StatusCode::CONFLICT => Ok(Redirect::to(&here)),
        Err(refused) => Err(refused.into()),
    }
}
