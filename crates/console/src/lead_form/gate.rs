//! The API as the hosted form calls it: within the process, as the client's publishable key would, with what tells whose request it is.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use sensei_domain::{ClientId, KeyId, WebOrigin};
use sensei_persistence::{Access, KeyKind, Scope};
use serde_json::Value;
use tower::ServiceExt as _;
use uuid::Uuid;

/// Beyond what the API answers.
const LARGEST_ANSWER: usize = 1 << 20;
/// What of a visitor's request the gate looks at.
const LOOKED_AT: [HeaderName; 4] = [
    header::ORIGIN,
    header::HOST,
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("x-forwarded-for"),
];
/// Nothing but styles of ours; sent to ourselves.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors";
const HEADERS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    // Each form is good for one lead.
    (header::CACHE_CONTROL, "no-store"),
];

/// Tells the browser what a hosted form may do, where an answer doesn't say it itself.
pub(super) async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if !response.headers().contains_key(header::CONTENT_SECURITY_POLICY) {
        let policy = HeaderValue::try_from(format!("{POLICY} 'none'")).expect("the policy is plain text");
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Lets these frame a page of a form. There is nothing in it that a frame could mislead somebody to: nobody is signed in, and who sends it has
/// typed what is sent.
pub(super) fn allow_framing<'a>(response: &mut Response, ancestors: impl IntoIterator<Item = &'a WebOrigin>) {
    // An origin is plain text without spaces and semicolons.
    let ancestors = ancestors.into_iter().map(WebOrigin::as_str).collect::<Vec<_>>();
    if ancestors.is_empty() {
        return;
    }
    if let Ok(policy) = HeaderValue::try_from(format!("{POLICY} 'self' {}", ancestors.join(" "))) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
}

/// Reads a client's form; nothing if there is none.
pub(super) async fn form(api: Router, client: ClientId) -> Result<Option<Value>, StatusCode> {
    let request = Request::builder()
        .uri(format!("/v1/forms/{client}"))
        .body(Body::empty())
        .expect("an id is a path's part");
    let (status, form) = ask(api, request).await;
    match status {
        StatusCode::OK => Ok(Some(form)),
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => Ok(None),
        status => Err(status),
    }
}

/// Captures a lead as the visitor's own request would.
pub(super) async fn capture(
    api: Router,
    visitor: &Parts,
    client: ClientId,
    headers: &[(&'static str, &str)],
    lead: &Value,
) -> StatusCode {
    let mut request = Request::new(Body::from(lead.to_string()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = match format!("/v1/clients/{client}/leads").parse() {
        Ok(uri) => uri,
        Err(_) => return StatusCode::NOT_FOUND,
    };
    request.extensions_mut().insert(Access {
        // Nobody's: nothing is noted down of a capture's key.
        key_id: KeyId::from_uuid(Uuid::nil()),
        kind: KeyKind::Publishable,
        scope: Scope::Client(client),
    });
    if let Some(peer) = visitor.extensions.get::<ConnectInfo<SocketAddr>>() {
        request.extensions_mut().insert(*peer);
    }
    let own = request.headers_mut();
    own.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for name in LOOKED_AT {
        for value in visitor.headers.get_all(&name) {
            own.append(&name, value.clone());
        }
    }
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            own.insert(*name, value);
        }
    }
    ask(api, request).await.0
}

async fn ask(api: Router, request: Request) -> (StatusCode, Value) {
    let response = match api.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), LARGEST_ANSWER).await;
    let body = serde_json::from_slice(&body.unwrap_or_default());
    (status, body.unwrap_or(Value::Null))
}
