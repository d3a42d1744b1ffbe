//! What lets a web page of another origin call us (CORS): capture a lead and read a form's definition, and nothing else.
//!
//! The origin is named as it came, never `*`, and no page may send cookies.

use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sensei_domain::ClientId;

use crate::gate;
use crate::path_id::PathId;
use crate::problem::Problem;
use crate::problem_kind::ProblemKind;
use crate::state::ApiState;

/// What a page may send along.
const REQUEST_HEADERS: &str = "authorization, content-type, idempotency-key, sensei-form-token, sensei-form-trap";
/// What a page may read of an answer.
const ANSWER_HEADERS: &str = "idempotency-replayed, retry-after, x-request-id";
/// How long a browser needn't ask again, in seconds. A change of the allowed origins counts at once for all else.
const MAX_AGE: &str = "600";

/// Answers a browser that asks whether a page may make a request.
pub(crate) async fn preflight(
    PathId(client): PathId<ClientId>,
    State(state): State<ApiState>,
    parts: Parts,
) -> Result<Response, Problem> {
    let asked = parts.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD).is_some();
    let Some(origin) = gate::origin_of(&parts).filter(|_| asked) else {
        let detail =
            "this is for browsers, which ask here by Origin and Access-Control-Request-Method before they send a lead";
        return Err(Problem::new(ProblemKind::InvalidRequest, detail));
    };
    gate::allowed(&parts, &state, client).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    let more: [(HeaderName, &str); 3] = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ];
    let headers = response.headers_mut();
    headers.extend(more.map(|(name, value)| (name, HeaderValue::from_static(value))));
    readable(headers, Some(origin));
    Ok(response)
}

/// Lets a page of this origin read an answer.
pub(crate) fn readable(headers: &mut HeaderMap, origin: Option<&HeaderValue>) {
    // Whether or not there is an origin: a cache must not give one page's answer to another.
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(ANSWER_HEADERS),
        );
    }
}
