//! What every page has around its own: who is signed in, where in the console it is, and what was just done.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use sensei_domain::ClientId;
use serde_json::Value;

use crate::assets;
use crate::failure::Failure;
use crate::session::Viewer;

/// The parts of a client's pages, in their order.
pub(crate) const TABS: [(&str, &str); 5] = [
    ("", "Overview"),
    ("leads", "Leads"),
    ("deliveries", "Deliveries"),
    ("destinations", "Destinations"),
    ("settings", "Settings"),
];

/// What `layout.html` shows around a page.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) title: String,
    pub(crate) style: &'static str,
    pub(crate) script: &'static str,
    /// Only on pages with charts.
    pub(crate) charts: Option<&'static str>,
    pub(crate) csrf: String,
    pub(crate) is_admin: bool,
    /// On the pages of a client.
    pub(crate) client: Option<ClientHead>,
    /// What was just done, in words.
    pub(crate) done: Option<&'static str>,
}

/// Which client a page is of, and which of its parts.
#[derive(Debug, Clone)]
pub(crate) struct ClientHead {
    pub(crate) id: String,
    pub(crate) name: String,
    /// The path's last part, one of [`TABS`].
    pub(crate) tab: &'static str,
}

impl Frame {
    /// Of a page that is nobody's in particular.
    pub(crate) fn new(viewer: &Viewer, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            style: assets::style(),
            script: assets::script(),
            charts: None,
            csrf: viewer.csrf.clone(),
            is_admin: viewer.is_admin(),
            client: None,
            done: None,
        }
    }

    /// Of a page of a client, which is read for its name.
    pub(crate) async fn of_client(viewer: &Viewer, id: ClientId, tab: &'static str) -> Result<Self, Failure> {
        let client = viewer.api.get(&format!("/v1/clients/{id}")).await?;
        let name = text(&client, "name").to_owned();
        let title = TABS
            .iter()
            .find(|(path, _)| *path == tab)
            .map_or("", |(_, title)| title);
        let mut frame = Self::new(viewer, format!("{title} · {name}"));
        frame.client = Some(ClientHead {
            id: text(&client, "id").to_owned(),
            name,
            tab,
        });
        Ok(frame)
    }

    /// Says what was done, as the query's `done` names it.
    #[must_use]
    pub(crate) fn done(mut self, done: Option<&str>) -> Self {
        self.done = done
            .and_then(|done| DONE.iter().find(|(name, _)| *name == done))
            .map(|(_, words)| *words);
        self
    }

    #[must_use]
    pub(crate) fn with_charts(mut self) -> Self {
        self.charts = Some(assets::charts());
        self
    }
}

/// What can be said after a redirect, by its name in the query: nothing of an address is ever shown.
const DONE: &[(&str, &str)] = &[
    ("saved", "Saved."),
    ("created", "Created."),
    ("redelivered", "It is sent again, now."),
    ("erased", "The lead's personal data is erased."),
    ("released", "Released: it is on its way."),
    ("recovering", "It has begun, and goes on by itself."),
    ("stopped", "Stopped. What was sent stays sent."),
    ("tested", "The test lead was sent."),
    ("deleted", "Deleted."),
    ("revoked", "The key is revoked: it stops working within 30 seconds."),
    (
        "rotated",
        "The secret is replaced. Teach it to the receiver before the overlap ends.",
    ),
    ("paused", "Paused: events are held back until it is resumed."),
    ("resumed", "Resumed: what was held is sent first."),
    (
        "redelivering",
        "Resumed. What failed since is being sent again, in the background.",
    ),
    (
        "not-redelivering",
        "Resumed. What failed since can't be sent again just now: see Deliveries.",
    ),
    ("discarding", "What is held is being discarded, in the background."),
];

/// A page as an answer.
pub(crate) fn show(template: &impl Template) -> Response {
    show_with(StatusCode::OK, template)
}

/// A page as an answer of another status, e.g. a form with what is wrong in it.
pub(crate) fn show_with(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(page) => (status, Html(page)).into_response(),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a page can't be made");
            Failure::Ours.into_response()
        }
    }
}

/// A text of an answer of the API; empty when it isn't one.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// What is in a list of the API's.
pub(crate) fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map(Vec::as_slice).unwrap_or_default()
}
