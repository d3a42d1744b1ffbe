//! Forms as they are sent: only those of this session are read.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header;
use subtle::ConstantTimeEq as _;

use crate::failure::Failure;
use crate::session::Viewer;
use crate::state::ConsoleState;

/// The field that holds the session's token.
pub(crate) const TOKEN_FIELD: &str = "csrf";
/// The header that script sends it in.
const TOKEN_HEADER: &str = "x-csrf-token";

/// A form that the person who is signed in has sent from our pages.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) viewer: Viewer,
    fields: Vec<(String, String)>,
}

impl Form {
    /// What was typed in a field, trimmed; empty when there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        let field = self.fields.iter().find(|(field, _)| field == name);
        field.map_or("", |(_, value)| value.trim())
    }

    /// As [`Form::text`], but nothing typed is `None`.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// The list that a button asks another row of.
    pub(crate) fn more(&self) -> Option<&str> {
        self.given("more")
    }

    /// How many rows a list is to have that has these fields, and one more.
    pub(crate) fn rows_and_one(&self, fields: &str) -> usize {
        self.fields
            .iter()
            .filter(|(field, _)| field.starts_with(fields))
            .count()
            + 1
    }

    /// Whether a box is ticked.
    pub(crate) fn is_ticked(&self, name: &str) -> bool {
        self.given(name).is_some()
    }
}

impl FromRequest<ConsoleState> for Form {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &ConsoleState) -> Result<Self, Failure> {
        let (mut parts, body) = request.into_parts();
        let viewer = Viewer::from_request_parts(&mut parts, state).await?;
        if !is_from_here(&parts.headers) {
            return Err(Failure::Forged);
        }
        let request = Request::from_parts(parts.clone(), body);
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|error| Failure::BadForm(error.to_string()))?;
        let fields = url::form_urlencoded::parse(&body).into_owned().collect();
        let form = Self { viewer, fields };
        let header = parts.headers.get(TOKEN_HEADER).and_then(|token| token.to_str().ok());
        let token = header.unwrap_or_else(|| form.text(TOKEN_FIELD));
        if bool::from(token.as_bytes().ct_eq(form.viewer.csrf.as_bytes())) {
            Ok(form)
        } else {
            Err(Failure::Forged)
        }
    }
}

/// Whether the browser says nothing else: old ones say nothing.
pub(crate) fn is_from_here(headers: &axum::http::HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
    if !matches!(site, None | Some("same-origin" | "none")) {
        return false;
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match (text(header::ORIGIN), text(header::HOST)) {
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, origin)| origin == host),
        _ => true,
    }
}
