//! `/admin/operator/audit`: who has changed what.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::Value;

use crate::asked::{Asked, with_query};
use crate::failure::Failure;
use crate::moment::Moment;
use crate::page::{Frame, items, show, show_with, text};
use crate::session::Viewer;
use crate::state::ConsoleState;

const HERE: &str = "/admin/operator/audit";

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new().route("/operator/audit", get(list))
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    client_id: String,
    entries: Vec<Entry>,
    refused: Option<String>,
    next: Option<String>,
}

#[derive(Debug)]
struct Entry {
    at: Option<Moment>,
    actor: String,
    action: String,
    subject: String,
    client: String,
}

async fn list(viewer: Viewer, asked: Asked, State(state): State<ConsoleState>) -> Result<Response, Failure> {
    let client_id = asked.text("clientId");
    let pairs = [
        ("clientId", client_id),
        ("cursor", asked.text("cursor")),
        ("limit", "50"),
    ];
    let (answer, refused) = match viewer.api.get(&with_query("/v1/audit-log", pairs)).await {
        Ok(answer) => (answer, None),
        Err(refused) if refused.status == StatusCode::BAD_REQUEST => (Value::Null, Some(refused.detail)),
        Err(refused) => return Err(refused.into()),
    };
    let entries = items(&answer).iter().map(|entry| Entry {
        at: Moment::of(&entry["at"], state.now()),
        actor: words(&entry["actor"]),
        action: words(&entry["action"]),
        subject: words(&entry["subject"]),
        client: text(entry, "clientId").to_owned(),
    });
    let next = answer["nextCursor"].as_str();
    let page = AuditPage {
        frame: Frame::new(&viewer, "Audit log"),
        entries: entries.collect(),
        next: next.map(|next| with_query(HERE, [("clientId", client_id), ("cursor", next)])),
        client_id: client_id.to_owned(),
        refused,
    };
    Ok(if page.refused.is_some() {
        show_with(StatusCode::BAD_REQUEST, &page)
    } else {
        show(&page)
    })
}

/// A text as it is, nothing as nothing, anything else as JSON.
fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
