//! A destination: how it does and why, what can be done with it, and what a sample lead would be.

use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use sensei_domain::{ClientId, DestinationId, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::health::{self, Lately};
use super::kinds::Kind;
use crate::asked::Ids;
use crate::failure::Failure;
use crate::moment::Moment;
use crate::page::{Frame, show, text};
use crate::pages::below;
use crate::pages::retry::RetryFields;
use crate::session::Viewer;
use crate::shown::{LEAD_WEBHOOK, sentence};
use crate::state::ConsoleState;

/// Of the log, to tell how it did lately.
const LATELY: Duration = Duration::from_hours(24);

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new()
        .route("/clients/{client}/destinations/{destination}", get(page))
        .route("/clients/{client}/destinations/{destination}/preview", get(preview))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Done {
    done: Option<String>,
}

/// The request that a sample lead would be.
pub(crate) struct Preview {
    pub(super) request: Option<Request>,
    /// By the slots.
    pub(super) rendered: Vec<(String, String)>,
    pub(super) error: Option<String>,
}

/// Its parts, secrets masked.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

#[derive(Template)]
#[template(path = "destination.html")]
struct DetailPage {
    frame: Frame,
    client: String,
    id: String,
    path: String,
    name: String,
    kind: Kind,
    aim: String,
    state: health::State,
    status: String,
    next_step: Option<String>,
    disables_at: Option<Moment>,
    lately: Lately,
    retry: String,
    rate: String,
    ordered: bool,
    has_filter: bool,
    has_template: bool,
    /// What else its deletion does.
    deletion: &'static str,
    updated: Option<Moment>,
}

/// The preview on a page of its own.
#[derive(Template)]
#[template(path = "destination_preview.html")]
struct PreviewPage {
    frame: Frame,
    path: String,
    name: String,
    preview: Preview,
}

/// The preview within a page.
#[derive(Template)]
#[template(path = "preview.html")]
struct PreviewPart {
    preview: Preview,
}

impl Preview {
    /// As the API answers it.
    pub(crate) fn of(preview: &Value) -> Self {
        let pairs = |pairs: &Value| {
            let pairs = pairs.as_object().into_iter().flatten();
            let pairs = pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
            pairs.collect::<Vec<_>>()
        };
        let request = &preview["request"];
        Self {
            request: request.is_object().then(|| Request {
                method: text(request, "method").to_owned(),
                url: text(request, "url").to_owned(),
                headers: pairs(&request["headers"]),
                body: readable(text(request, "body")),
            }),
            rendered: pairs(&preview["rendered"]),
            error: preview["error"].as_str().map(str::to_owned),
        }
    }
}

/// JSON with its lines broken; anything else as it is.
fn readable(body: &str) -> String {
    let value = serde_json::from_str::<Value>(body).ok();
    let pretty = value.and_then(|value| serde_json::to_string_pretty(&value).ok());
    pretty.unwrap_or_else(|| body.to_owned())
}

/// So long before.
pub(super) fn before(now: Timestamp, time: Duration) -> Timestamp {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_sub(millis))
}

async fn page(
    viewer: Viewer,
    Ids((client, destination)): Ids<(ClientId, DestinationId)>,
    Query(Done { done }): Query<Done>,
    State(state): State<ConsoleState>,
) -> Result<Response, Failure> {
    let (mut frame, destination) = below::destination(&viewer, client, destination, "Destination").await?;
    let view = &destination.view;
    let name = destination.name();
    let client = frame
        .client
        .as_ref()
        .map_or_else(String::new, |client| client.id.clone());
    if let Some(client) = &frame.client {
        frame.title = format!("{name} · {}", client.name);
    }
    let (id, now) = (text(view, "id").to_owned(), state.now());
    let since = before(now, LATELY);
    let log = format!("/v1/clients/{client}/deliveries?limit=200&since={since}&destinationId={id}");
    let log = viewer.api.get(&log).await?;
    let lately = Lately::of(&log, now).remove(&id);
    let kind = Kind::named(&viewer, text(view, "kind")).await?;
    let retry = RetryFields::of(&view["retry"]);
    let rate = &view["rateLimit"];
    let health = &view["health"];
    Ok(show(&DetailPage {
        state: health::State::of(view, now),
        status: text(view, "status").to_owned(),
        aim: health::aim(view),
        next_step: next_step(view),
        disables_at: Moment::of(&health["disablesAt"], now),
        lately: Lately {
            is_part: !log["nextCursor"].is_null(),
            ..lately.unwrap_or_default()
        },
        retry: match retry.policy.as_str() {
            "none" => "none: one attempt".to_owned(),
            "standard" => format!("standard: after {}", retry.standard()),
            _ => format!("after {}", retry.delays),
        },
        rate: if rate.is_null() {
            "none".to_owned()
        } else {
            format!(
                "{} a {}, {} at once",
                rate["requests"],
                text(rate, "per"),
                rate["burst"]
            )
        },
        ordered: view["ordered"].as_bool().unwrap_or_default(),
        has_filter: !view["filter"].is_null(),
        has_template: !view["template"].is_null(),
        deletion: if text(view, "name") == LEAD_WEBHOOK {
            "This empties the Lead Webhook URL of the settings."
        } else {
            ""
        },
        updated: Moment::of(&view["updatedAt"], now),
        frame: frame.done(done.as_deref()),
        path: destination.page.clone(),
        client,
        id,
        name,
        kind,
    }))
}

/// What somebody can do about its state; a console has a button where the API has a status.
fn next_step(view: &Value) -> Option<String> {
    match text(view, "status") {
        "paused" => Some("Press Resume: what is held is then sent.".to_owned()),
        "disabled" => {
            Some("Mend the receiver or its URL, then press Enable again: what is held is then sent.".to_owned())
        }
        _ => view["health"]["nextStep"].as_str().map(sentence),
    }
}

async fn preview(
    viewer: Viewer,
    Ids((client, destination)): Ids<(ClientId, DestinationId)>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let (frame, destination) = below::destination(&viewer, client, destination, "Preview").await?;
    let preview = viewer.api.get(&format!("{}/preview", destination.api)).await?;
    let preview = Preview::of(&preview);
    if headers.contains_key("hx-request") {
        return Ok(show(&PreviewPart { preview }));
    }
    Ok(show(&PreviewPage {
        frame,
        name: destination.name(),
        path: destination.page,
        preview,
    }))
}
