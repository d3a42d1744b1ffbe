//! A receiver of webhooks: an HTTP server on loopback that records what it is sent and answers as told.
//!
//! Runs on a thread and a runtime of its own, so that it answers even while the test blocks, and
//! serves tests with and without a runtime. For answers that break HTTP itself see the fault server.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use tokio::sync::{oneshot, watch};

use crate::open_connections::{Open, Watched};

/// Far above what we send, so that nothing is refused by accident.
const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// `POST`, unless something is wrong.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// All headers.
    pub headers: HeaderMap,
    /// The very bytes.
    pub body: Bytes,
    /// When the whole body had come.
    pub at: Instant,
}

impl Received {
    /// A header's text, if it is there once or more (the first counts).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The header `webhook-id`.
    ///
    /// # Panics
    /// If it is missing.
    pub fn webhook_id(&self) -> &str {
        self.header("webhook-id").expect("every webhook has its webhook-id")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it isn't.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a webhook's body is JSON")
    }
}

/// A receiver that listens until it is stopped or dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    count: watch::Receiver<usize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    answer: Mutex<Answer>,
    received: Mutex<Vec<Received>>,
    count: watch::Sender<usize>,
    open: Open,
}

#[derive(Debug, Clone)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    delay: Duration,
}

impl Receiver {
    /// A receiver on a free port of 127.0.0.1 that answers 200 at once.
    pub fn start() -> Self {
        Self::start_on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port of 127.0.0.1 is free")
    }

    /// A receiver on an address: the one that another had before, or one of IPv6.
    pub fn start_on(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).with_context(|| format!("can't listen on {address}"))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (counter, count) = watch::channel(0);
        let answer = Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            delay: Duration::ZERO,
        };
        let shared = Arc::new(Shared {
            answer: Mutex::new(answer),
            received: Mutex::new(Vec::new()),
            count: counter,
            open: Open::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let state = Arc::clone(&shared);
        let thread = std::thread::spawn(move || serve(listener, state, stopped));
        Ok(Self {
            address,
            shared,
            count,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL that leads here.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Answers the requests to come with this status.
    ///
    /// # Panics
    /// If it isn't one (100 to 999).
    pub fn set_status(&self, status: u16) {
        let status = StatusCode::from_u16(status).expect("a status has three digits");
        self.change(|answer| answer.status = status);
    }

    /// Adds a header to the answers to come.
    ///
    /// # Panics
    /// If name or value aren't fit for a header.
    pub fn set_header(&self, name: &str, value: &str) {
        let name: HeaderName = name.parse().expect("a header's name");
        let value: HeaderValue = value.parse().expect("a header's value");
        self.change(|answer| {
            answer.headers.insert(name, value);
        });
    }

    /// Answers the requests to come with this body.
    pub fn set_body(&self, body: impl Into<Bytes>) {
        let body = body.into();
        self.change(|answer| answer.body = body);
    }

    /// Waits this long before each answer to come. The request is recorded before.
    pub fn set_delay(&self, delay: Duration) {
        self.change(|answer| answer.delay = delay);
    }

    fn change(&self, change: impl FnOnce(&mut Answer)) {
        change(&mut self.shared.answer.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// How many requests came since the start, those taken included.
    pub fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// The requests that came, in their order, but for those taken.
    pub fn received(&self) -> Vec<Received> {
        self.shared
            .received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// As [`Receiver::received`], and forgets them: a long run needn't keep every body.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.shared.received.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until this many requests have come since the start, then returns [`Receiver::received`].
    ///
    /// # Errors
    /// If they haven't when the time is over.
    pub async fn wait_for(&self, wanted: usize, limit: Duration) -> Result<Vec<Received>> {
        let mut count = self.count.clone();
        let enough = count.wait_for(|count| *count >= wanted);
        match tokio::time::timeout(limit, enough).await {
            Ok(Ok(_)) => Ok(self.received()),
            Ok(Err(_)) => bail!("the receiver has ended with {} of {wanted} requests", self.count()),
            Err(_) => bail!("{} of {wanted} requests came within {limit:?}", self.count()),
        }
    }

    /// Waits until nothing that was sent before this call is still on its way: the connections that senders have made are
    /// read to their ends. For senders that are dead; one that lives and keeps its connection is waited for.
    /// What a sender sent just before it died may count or not, but not later.
    ///
    /// # Errors
    /// If there are open connections when the time is over.
    pub async fn settled(&self, limit: Duration) -> Result<()> {
        // Connections are taken in their order: once this one is, all before it were.
        let last = tokio::net::TcpStream::connect(self.address).await?;
        let own = last.local_addr()?;
        let mut open = self.shared.open.subscribe();
        let waiting = async {
            open.wait_for(|open| open.contains(&own)).await?;
            drop(last);
            open.wait_for(BTreeSet::is_empty).await.map(|_| ())
        };
        match tokio::time::timeout(limit, waiting).await {
            Ok(ended) => Ok(ended?),
            Err(_) => bail!(
                "connections are still open after {limit:?}: {:?}",
                self.shared.open.borrow()
            ),
        }
    }

    /// Stops listening and cuts all connections; what came can still be asked.
    pub fn stop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(listener: TcpListener, shared: Arc<Shared>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime of one thread can be made");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).expect("the listener is a non-blocking one");
        let listener = Watched::new(listener, shared.open.clone());
        let app = Router::new().fallback(record).with_state(shared);
        tokio::select! {
            served = axum::serve(listener, app) => served.expect("serving ends only by being stopped"),
            // An error is the sender's drop: the other way to stop.
            _ = stopped => {}
        }
    });
    // The connections are tasks of this runtime and end with it.
}

async fn record(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    // A body that never ends properly was not received.
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        let mut cut = Response::new(Body::empty());
        *cut.status_mut() = StatusCode::BAD_REQUEST;
        return cut;
    };
    let answer = shared.answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let request = Received {
        method,
        uri,
        headers,
        body,
        at: Instant::now(),
    };
    shared
        .received
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(request);
    shared.count.send_modify(|count| *count += 1);
    if !answer.delay.is_zero() {
        tokio::time::sleep(answer.delay).await;
    }
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}
