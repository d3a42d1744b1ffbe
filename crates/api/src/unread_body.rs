//! What nobody has read of a request's body. The connection of a caller who is still sending is cut off when he is answered, often before he has
//! read the answer; so a refusal waits until he has sent it, unless that takes long.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody as _};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::oneshot;

use crate::body::BATCH_LIMIT;

/// How much more is read: the largest body that the API takes.
const MOST: usize = BATCH_LIMIT;
/// And for how long.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where a body comes back to that isn't read to its end.
pub(crate) struct UnreadBody(Option<oneshot::Receiver<BodyDataStream>>);

/// A body that comes back.
struct Lent {
    body: Option<BodyDataStream>,
    back: Option<oneshot::Sender<BodyDataStream>>,
}

impl UnreadBody {
    /// Lends the request's body to whoever answers it.
    pub(crate) fn of(request: Request) -> (Request, Self) {
        let (parts, body) = request.into_parts();
        let declared = parts
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        // Who asks first whether to send doesn't send what isn't wanted.
        if body.is_end_stream() || parts.headers.contains_key(EXPECT) || declared.is_some_and(|length| length > MOST) {
            return (Request::from_parts(parts, body), Self(None));
        }
        let (back, unread) = oneshot::channel();
        let lent = Lent {
            body: Some(body.into_data_stream()),
            back: Some(back),
        };
        (Request::from_parts(parts, Body::from_stream(lent)), Self(Some(unread)))
    }

    /// Reads the rest, within bounds; at once if there is none.
    pub(crate) async fn read(self) {
        let Some(Ok(mut rest)) = self.0.map(|mut unread| unread.try_recv()) else {
            return;
        };
        let reading = async {
            let mut read = 0;
            while let Some(Ok(chunk)) = rest.next().await {
                read += chunk.len();
                if read > MOST {
                    break;
                }
            }
        };
        // What is left then is the caller's to lose.
        let _ = tokio::time::timeout(PATIENCE, reading).await;
    }
}

impl Stream for Lent {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let polled = body.poll_next_unpin(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(back)) = (self.body.take(), self.back.take()) {
            // Nobody waits for it if the request took too long.
            let _ = back.send(body);
        }
    }
}
