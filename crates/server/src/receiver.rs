//! A receiver of webhooks for trying things: takes any request, hands it on, answers one status.
//!
//! It is also the example of what a customer's receiver does: read the very bytes, verify the signature
//! over them, dedupe on `webhook-id`.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use sensei_domain::{Clock, SignatureHeaders, SigningSecret, SystemClock, Timestamp, verify};
use tokio::sync::mpsc;

/// Far above what Sensei sends.
const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// One request as it came.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    /// When its whole body had come.
    pub at: Timestamp,
    /// `POST` for a webhook.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// All its headers.
    pub headers: HeaderMap,
    /// The very bytes that were signed.
    pub body: Bytes,
}

impl ReceivedRequest {
    /// Checks the Standard Webhooks signature as any receiver would; why not, in words, if it isn't valid.
    pub fn verify(&self, secret: &SigningSecret) -> Result<(), String> {
        let header = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok());
        let required = |name: &str| header(name).ok_or_else(|| format!("the header {name} is missing"));
        let headers = SignatureHeaders {
            id: required("webhook-id")?,
            timestamp: required("webhook-timestamp")?,
            signature: required("webhook-signature")?,
        };
        verify(std::slice::from_ref(secret), &headers, &self.body, self.at).map_err(|error| error.to_string())
    }
}

/// As HTTP would write it, one header a line, safe for a terminal.
impl fmt::Display for ReceivedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.method, self.uri)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {}", printable(value.as_bytes()))?;
        }
        writeln!(f, "\n{}", printable(&self.body))
    }
}

/// A router that takes every request, hands it to `requests` and answers with `status`.
///
/// When nobody takes the requests any more they are answered 503.
pub fn receiver_router(status: StatusCode, requests: mpsc::Sender<ReceivedRequest>) -> Router {
    Router::new()
        .fallback(receive)
        .with_state(Arc::new(Receiver { status, requests }))
}

struct Receiver {
    status: StatusCode,
    requests: mpsc::Sender<ReceivedRequest>,
}

async fn receive(
    State(receiver): State<Arc<Receiver>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> StatusCode {
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        return StatusCode::BAD_REQUEST;
    };
    let request = ReceivedRequest {
        at: SystemClock.now(),
        method,
        uri,
        headers,
        body,
    };
    match receiver.requests.send(request).await {
        Ok(()) => receiver.status,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Text whose control characters are written out: a request must not steer the terminal.
fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '\n' | '\t' => text.push(c),
            c if c.is_control() => write!(text, "{}", c.escape_unicode()).expect("writing to a text can't fail"),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_cannot_steer_the_terminal() {
        assert_eq!(printable(b"a\x1b[2Jb\tc\nd\xff"), "a\\u{1b}[2Jb\tc\nd\u{fffd}");
    }
}
