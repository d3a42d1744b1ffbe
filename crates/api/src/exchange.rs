//! What surrounds every request: its id, its span in the log, its deadline, and the writing of problems.

use std::any::Any;
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use crate::problem::Problem;
use crate::problem_kind::ProblemKind;
use crate::request_id::{self, RequestId};
use crate::unread_body::UnreadBody;

/// How long a request may take. Beyond the database's own time-outs, below what proxies usually wait (60 s).
const DEADLINE: Duration = Duration::from_secs(30);

/// Runs a request. Nothing of its query or body is logged: they hold what visitors wrote.
pub(crate) async fn exchange(request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    // Of the highest level, so that an error's line names its request whatever the filter.
    let span =
        tracing::error_span!("request", request_id = %id, method = %request.method(), path = request.uri().path());
    async move {
        let began = Instant::now();
        let (request, unread) = UnreadBody::of(request);
        let mut response = match tokio::time::timeout(DEADLINE, next.run(request)).await {
            Ok(response) => {
                unread.read().await;
                response
            }
            // A capture that was sent to the store goes on.
            Err(_) => Problem::deadline_exceeded(DEADLINE.as_secs()).into_response(),
        };
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            // What others put on the answer stays, e.g. the methods that a path allows.
            let headers = std::mem::take(response.headers_mut());
            response = problem.render(&id);
            if let Some(allow) = headers.get(header::ALLOW) {
                response.headers_mut().insert(header::ALLOW, allow.clone());
            }
        }
        response.headers_mut().insert(request_id::HEADER, id.as_header());
        response
            .headers_mut()
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        tracing::debug!(
            status = response.status().as_u16(),
            duration_ms = began.elapsed().as_millis(),
            "answered"
        );
        response
    }
    .instrument(span)
    .await
}

/// A handler's panic fails its request only.
#[expect(clippy::needless_pass_by_value, reason = "the layer's signature")]
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = text, "a request panicked");
    Problem::internal().into_response()
}

pub(crate) async fn no_such_route() -> Problem {
    Problem::no_such_route()
}

pub(crate) async fn method_not_allowed() -> Problem {
    Problem::new(
        ProblemKind::MethodNotAllowed,
        "this path is served by other methods; the header `allow` lists them",
    )
}
