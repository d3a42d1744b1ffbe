//! What can be done with a destination: paused, resumed (and what failed since sent again), what is held discarded, deleted.

use askama::Template;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use sensei_domain::{ClientId, DestinationId};
use serde_json::json;

use crate::asked::Ids;
use crate::failure::Failure;
use crate::form::Form;
use crate::page::{Frame, show, text};
use crate::pages::below;
use crate::session::Viewer;
use crate::state::ConsoleState;

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new()
        .route("/clients/{client}/destinations/{destination}/pause", post(pause))
        .route("/clients/{client}/destinations/{destination}/resume", post(resume))
        .route(
            "/clients/{client}/destinations/{destination}/discard",
            get(ask_to_discard).post(discard),
        )
        .route(
            "/clients/{client}/destinations/{destination}/delete",
            get(ask_to_delete).post(delete),
        )
}

/// Something that can't be undone, to be confirmed.
#[derive(Template)]
#[template(path = "destination_confirm.html")]
struct ConfirmPage {
    frame: Frame,
    title: String,
    words: &'static str,
    /// Of the button.
    verb: &'static str,
    to: String,
    back: String,
}

async fn pause(Ids((client, destination)): Ids<(ClientId, DestinationId)>, form: Form) -> Result<Response, Failure> {
    let (_, destination) = below::destination(&form.viewer, client, destination, "Pause").await?;
    form.viewer
        .api
        .patch(&destination.api, &json!({"status": "paused"}))
        .await?;
    Ok(Redirect::to(&format!("{}?done=paused", destination.page)).into_response())
}

async fn resume(Ids((client, destination)): Ids<(ClientId, DestinationId)>, form: Form) -> Result<Response, Failure> {
    let api = &form.viewer.api;
    let (frame, destination) = below::destination(&form.viewer, client, destination, "Resume").await?;
    // Once it is active again nobody knows since when it failed.
    let view = &destination.view;
    let since = [&view["health"]["failingSince"], &view["statusSince"]];
    let since = since.into_iter().find_map(|since| since.as_str()).map(str::to_owned);
    api.patch(&destination.api, &json!({"status": "active"})).await?;
    let mut done = "resumed";
    if form.is_ticked("redeliver") {
        let client = frame.client.as_ref().map_or("", |client| &client.id);
        let failed = json!({"state": "failed", "destinationId": text(view, "id"), "completedSince": since});
        let path = format!("/v1/clients/{client}/deliveries/redeliver");
        done = match api.post(&path, &failed).await {
            Ok(_) => "redelivering",
            Err(refused) if refused.status == StatusCode::CONFLICT => "not-redelivering",
            Err(refused) => return Err(refused.into()),
        };
    }
    Ok(Redirect::to(&format!("{}?done={done}", destination.page)).into_response())
}

async fn ask_to_discard(
    viewer: Viewer,
    Ids((client, destination)): Ids<(ClientId, DestinationId)>,
) -> Result<Response, Failure> {
    let (frame, destination) = below::destination(&viewer, client, destination, "Discard").await?;
    Ok(show(&ConfirmPage {
        frame,
        title: format!("Discard what is held for {}?", destination.name()),
        words: "The deliveries that are held for it now are cancelled: they are not sent when it is resumed. The leads themselves stay, and \
                other destinations get them regardless.",
        verb: "Discard what is held",
        to: format!("{}/discard", destination.page),
        back: destination.page,
    }))
}

async fn discard(Ids((client, destination)): Ids<(ClientId, DestinationId)>, form: Form) -> Result<Response, Failure> {
    let (_, destination) = below::destination(&form.viewer, client, destination, "Discard").await?;
    form.viewer
        .api
        .post(&format!("{}/discard", destination.api), &json!({}))
        .await?;
    Ok(Redirect::to(&format!("{}?done=discarding", destination.page)).into_response())
}

async fn ask_to_delete(
    viewer: Viewer,
    Ids((client, destination)): Ids<(ClientId, DestinationId)>,
) -> Result<Response, Failure> {
    let (frame, destination) = below::destination(&viewer, client, destination, "Delete").await?;
    Ok(show(&ConfirmPage {
        frame,
        title: format!("Delete {}?", destination.name()),
        words: "What is pending or held for it is cancelled, and no further lead is sent to it. The log of what was sent stays. Its signing \
                secret is gone for good.",
        verb: "Delete the destination",
        to: format!("{}/delete", destination.page),
        back: destination.page,
    }))
}

async fn delete(Ids((client, destination)): Ids<(ClientId, DestinationId)>, form: Form) -> Result<Response, Failure> {
    let (frame, destination) = below::destination(&form.viewer, client, destination, "Delete").await?;
    form.viewer.api.delete(&destination.api).await?;
    let client = frame.client.as_ref().map_or("", |client| &client.id);
    Ok(Redirect::to(&format!("/admin/clients/{client}/destinations?done=deleted")).into_response())
}
