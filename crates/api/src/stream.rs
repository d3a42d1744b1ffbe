//! `/v1/clients/{clientId}/stream`: a client's leads and deliveries as they happen, as server-sent events.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sensei_domain::{ClientId, KeyId};
use tokio::sync::broadcast;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::ClientAccess;
use crate::live::{self, Position};
use crate::problem::Problem;
use crate::query::NoQuery;
use crate::state::ApiState;

/// How often is looked whether the caller may still see this, so that a revoked key's streams end.
const LOOKED_AGAIN: Duration = Duration::from_secs(5);
/// After so long without anything else, a comment keeps the connection alive. At most: it is sent when it is looked.
const COMMENT_AFTER: Duration = Duration::from_secs(10);
/// A stream ends after this, and its reader comes again: so that nobody sees for longer what he may see no more.
const LONGEST: Duration = Duration::from_mins(30);
/// Browsers come again after so many milliseconds.
const RETRY: &str = "retry: 2000\n\n";

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(stream))
}

/// Watch a client
///
/// Server-sent events: `lead`, a lead just captured, as the list of leads shows it; and `delivery`, a delivery that is new or has changed, as the
/// log shows it. Each within a second or so, with an `id` that, sent as `Last-Event-ID` (browsers do), resumes without a gap. What was shown may be
/// shown again: go by the ids within. `reset` says that too much was missed: read the lists again. Who reads too slowly is cut off, and may
/// resume.
#[utoipa::path(get, path = "/v1/clients/{clientId}/stream", tag = "deliveries", operation_id = "streamClient",
    params(("clientId" = Uuid, Path, description = "Whom to watch"),
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that was received")),
    responses((status = OK, description = "Events, without end", body = String, content_type = "text/event-stream")))]
async fn stream(
    access: ClientAccess,
    _: NoQuery,
    headers: HeaderMap,
    State(state): State<ApiState>,
) -> Result<Response, Problem> {
    let client = access.client_id;
    state.client(client).await?;
    // Before what was missed is read: what happens meanwhile isn't lost.
    let receiver = state.live().listen(state.store(), client).await?;
    let first = match headers.get("last-event-id") {
        Some(token) => {
            let position = token.to_str().ok().and_then(Position::from_token);
            live::missed(state.store(), client, position).await?
        }
        None => live::begun(state.store(), client).await?,
    };
    let mut again = tokio::time::interval_at(Instant::now() + LOOKED_AGAIN, LOOKED_AGAIN);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let listener = Listener {
        state,
        client,
        key: access.key_id(),
        receiver,
        ready: VecDeque::from([Bytes::from_static(RETRY.as_bytes()), first]),
        again,
        began: Instant::now(),
        last: Instant::now(),
    };
    let events = futures_util::stream::unfold(listener, |mut listener| async {
        let piece = listener.next().await?;
        listener.last = Instant::now();
        Some((Ok::<_, std::convert::Infallible>(piece), listener))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        // Proxies that gather answers would keep events back.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(events)).into_response())
}

/// One stream.
struct Listener {
    state: ApiState,
    client: ClientId,
    key: KeyId,
    receiver: broadcast::Receiver<Bytes>,
    ready: VecDeque<Bytes>,
    again: Interval,
    began: Instant,
    last: Instant,
}

impl Listener {
    /// What is sent next; nothing ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(ready) = self.ready.pop_front() {
            return Some(ready);
        }
        let closing = self.state.live().closing().clone();
        loop {
            tokio::select! {
                biased;
                () = closing.cancelled() => return None,
                // Before what is there to be read: there may always be something for who reads slowly.
                _ = self.again.tick() => {
                    let may = self.state.store().may_still_see(self.key, self.client).await;
                    if self.began.elapsed() > LONGEST || !may.unwrap_or(false) {
                        return None;
                    }
                    if self.last.elapsed() >= COMMENT_AFTER {
                        return Some(Bytes::from_static(b": still here\n\n"));
                    }
                }
                // One that reads too slowly ends: what it missed it gets when it comes again.
                piece = self.receiver.recv() => return piece.ok(),
            }
        }
    }
}
