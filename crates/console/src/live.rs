//! What makes a page live: the stream of a client's events, passed through to whoever is signed in.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::StreamExt as _;
use sensei_domain::ClientId;

use crate::asked::Ids;
use crate::failure::Failure;
use crate::session::Viewer;
use crate::state::ConsoleState;

/// A stream ends after this, and the browser opens it anew: who has signed out meanwhile doesn't go on listening.
const LONGEST_STREAM: Duration = Duration::from_mins(5);

/// What a page listens for, read by `console.js`.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    /// Where the stream is.
    pub(crate) stream: String,
    /// The events that matter, e.g. `delivery`, separated by spaces.
    pub(crate) on: &'static str,
    /// What an event must name to matter; empty: any does.
    pub(crate) of: String,
    /// What has changed, in the singular and the plural, for who doesn't see it.
    pub(crate) words: (&'static str, &'static str),
}

impl Live {
    pub(crate) fn deliveries(client: ClientId) -> Self {
        Self::new(client, "delivery", ("delivery", "deliveries"))
    }

    pub(crate) fn leads(client: ClientId) -> Self {
        Self::new(client, "lead", ("lead", "leads"))
    }

    /// Only what concerns this delivery or lead.
    pub(crate) fn of(client: ClientId, id: impl std::fmt::Display) -> Self {
        Self {
            of: id.to_string(),
            ..Self::new(client, "delivery lead", ("change", "changes"))
        }
    }

    pub(crate) fn new(client: ClientId, on: &'static str, words: (&'static str, &'static str)) -> Self {
        Self {
            stream: format!("/admin/clients/{client}/stream"),
            on,
            of: String::new(),
            words,
        }
    }
}

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new().route("/clients/{client}/stream", get(stream))
}

/// The API's stream as it comes.
async fn stream(
    viewer: Viewer,
    Ids(client): Ids<ClientId>,
    headers: HeaderMap,
    State(_): State<ConsoleState>,
) -> Result<Response, Failure> {
    let path = format!("/v1/clients/{client}/stream");
    let resumed = headers.get("last-event-id").cloned();
    let answer = viewer.api.stream(&path, resumed).await?;
    let body = answer.into_body().into_data_stream();
    let body = body.take_until(tokio::time::sleep(LONGEST_STREAM));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // A proxy that gathers an answer would make it late.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}
