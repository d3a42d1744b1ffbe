//! A connection to a receiver: one request at a time, moved on by whoever sends it.
//!
//! hyper speaks the protocol. Its connection is a future; elsewhere it is a task of its own, and each request and each piece of an answer is
//! handed from task to task. Here the attempt that waits for the answer polls it, so that nothing is handed over. Nobody polls one that is
//! idle: whether it has been closed meanwhile is found when it is taken.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

/// A longer head of an answer is a failure. hyper's own limit is six times this, for each attempt that there is.
const HEAD_LIMIT: usize = 64 * 1024;

/// Plain, or encrypted.
pub(super) type Socket = Either<TcpStream, Box<TlsStream<TcpStream>>>;
type Driver = http1::Connection<TokioIo<Socket>, Full<Bytes>>;

/// A connection to a receiver.
pub(super) struct Connection {
    requests: http1::SendRequest<Full<Bytes>>,
    /// `None` once it has ended.
    driver: Option<Pin<Box<Driver>>>,
}

/// A request wasn't answered.
pub(super) struct Unanswered {
    pub(super) error: hyper::Error,
    /// The request, if nothing of it was sent.
    pub(super) unsent: Option<Request<Full<Bytes>>>,
}

impl Connection {
    pub(super) async fn over(socket: Socket) -> Result<Self, hyper::Error> {
        let handshake = http1::Builder::new()
            .max_buf_size(HEAD_LIMIT)
            .handshake(TokioIo::new(socket));
        let (requests, driver) = handshake.await?;
        Ok(Self {
            requests,
            driver: Some(Box::pin(driver)),
        })
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Unanswered> {
        let mut answered = pin!(self.requests.try_send_request(request));
        let driver = &mut self.driver;
        let answered = poll_fn(|context| {
            drive(driver, context);
            answered.as_mut().poll(context)
        });
        answered.await.map_err(|mut unsent| Unanswered {
            unsent: unsent.take_message(),
            error: unsent.into_error(),
        })
    }

    /// The next piece of an answer's body; `None` at its end.
    pub(super) async fn piece(&mut self, body: &mut Incoming) -> Option<Result<Bytes, hyper::Error>> {
        poll_fn(|context| {
            loop {
                drive(&mut self.driver, context);
                match Pin::new(&mut *body).poll_frame(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(None) => return Poll::Ready(None),
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                    // Trailers are read over.
                    Poll::Ready(Some(Ok(frame))) => {
                        if let Ok(piece) = frame.into_data() {
                            return Poll::Ready(Some(Ok(piece)));
                        }
                    }
                }
            }
        })
        .await
    }

    /// Whether another request can be sent, as far as is known here.
    pub(super) async fn is_ready(&mut self) -> bool {
        poll_fn(|context| {
            drive(&mut self.driver, context);
            Poll::Ready(self.driver.is_some() && self.requests.is_ready())
        })
        .await
    }
}

/// Moves a connection on. Once it has ended it goes, so that who waits for something of it is told.
fn drive(driver: &mut Option<Pin<Box<Driver>>>, context: &mut Context<'_>) {
    if let Some(running) = driver
        && running.as_mut().poll(context).is_ready()
    {
        *driver = None;
    }
}
