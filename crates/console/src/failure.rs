//! Pages that say that there is no page, and why.

use askama::Template;
use axum::http::{HeaderName, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};

use crate::api::Refused;
use crate::assets;

/// Why a page can't be shown.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody is signed in. Where to go afterwards.
    SignedOut { next: String },
    /// There is no such thing, or it is another client's.
    NotFound,
    /// It takes other rights.
    Forbidden(String),
    /// The form wasn't of this session: it is old, or somebody else's.
    Forged,
    /// What was sent can't be read as a form.
    BadForm(String),
    /// The API couldn't.
    Refused(Refused),
    /// We couldn't, and have logged why.
    Ours,
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage<'a> {
    style: &'static str,
    title: &'a str,
    words: &'a str,
    request_id: &'a str,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused.status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::FORBIDDEN => Self::Forbidden(refused.detail),
            _ => Self::Refused(refused),
        }
    }
}

impl From<sensei_persistence::StoreError> for Failure {
    fn from(error: sensei_persistence::StoreError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "a page failed in the store");
        Self::Ours
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, title, words, request_id) = match &self {
            Self::SignedOut { next } => {
                let to = format!(
                    "/admin/sign-in?{}",
                    url::form_urlencoded::Serializer::new(String::new())
                        .append_pair("next", next)
                        .finish()
                );
                // Script that fetches a part of a page is to go there with the whole page.
                let header = [(HeaderName::from_static("hx-redirect"), to.clone())];
                return (header, Redirect::to(&to)).into_response();
            }
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "Nothing here",
                "There is no such page, or what it showed has been deleted.",
                "",
            ),
            Self::Forbidden(words) => (StatusCode::FORBIDDEN, "Not yours to see", words.as_str(), ""),
            Self::Forged => (
                StatusCode::FORBIDDEN,
                "Please try again",
                "This form was opened before you signed in, or isn't from this console. Nothing was changed. Go back, reload the page, and send it again.",
                "",
            ),
            Self::BadForm(words) => (StatusCode::BAD_REQUEST, "This can't be read", words.as_str(), ""),
            Self::Refused(refused) => {
                let title = if refused.status.is_server_error() {
                    "Not just now"
                } else {
                    "That can't be done"
                };
                (
                    refused.status,
                    title,
                    refused.detail.as_str(),
                    refused.request_id.as_str(),
                )
            }
            Self::Ours => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Not just now",
                "The console couldn't do this. Nothing is lost: leads are taken and delivered regardless. Try again in a moment.",
                "",
            ),
        };
        let page = FailurePage {
            style: assets::style(),
            title,
            words,
            request_id,
        };
        (status, Html(page.render().unwrap_or_default())).into_response()
    }
}
