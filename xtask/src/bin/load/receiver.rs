//! The receiver: takes webhooks, notes which lead came when and where, and answers as it is told to.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::client::lead_id_after;

/// What stands before the lead's id in the published payload.
const BEFORE_ID: &[u8] = br#""data":{"id":""#;

/// How a receiver answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    /// 200, at once.
    AtOnce,
    /// 200, after this time.
    After(Duration),
    /// 500 to each request whose number is a multiple of this; else 200.
    FailsEach(usize),
}

/// A lead that came and was answered 200.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) lead: u128,
    /// The number in the URL.
    pub(crate) destination: usize,
    pub(crate) at: Instant,
}

/// A receiver that listens until it is dropped.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    manner: Manner,
    requests: AtomicUsize,
    refused: AtomicUsize,
    arrivals: Mutex<Vec<Arrival>>,
}

impl Receiver {
    /// One that answers at once.
    pub(crate) async fn start() -> Result<Self> {
        Self::answering(Manner::AtOnce).await
    }

    /// On a free port of loopback.
    pub(crate) async fn answering(manner: Manner) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("loopback can be listened on")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            manner,
            requests: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            arrivals: Mutex::default(),
        });
        let router = Router::new()
            .route("/hook/{destination}", post(take))
            .with_state(Arc::clone(&shared));
        let listener = listener.tap_io(|stream| {
            stream.set_nodelay(true).ok();
        });
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.ok();
        });
        Ok(Self {
            address,
            shared,
            serving,
        })
    }

    /// A URL that leads here, with a number by which arrivals are told apart.
    pub(crate) fn url(&self, destination: usize) -> String {
        format!("http://{}/hook/{destination}", self.address)
    }

    /// How many leads came.
    pub(crate) fn count(&self) -> usize {
        self.shared
            .arrivals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// How many requests were answered 500.
    pub(crate) fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// Everything that came, in its order.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        let arrivals = self.shared.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.clone()
    }

    /// When each lead came first.
    pub(crate) fn first_arrivals(&self) -> HashMap<u128, Instant> {
        let mut first = HashMap::new();
        for arrival in self.arrivals() {
            first.entry(arrival.lead).or_insert(arrival.at);
        }
        first
    }

    /// Waits until so many leads came.
    pub(crate) async fn wait_for(&self, count: usize, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while self.count() < count {
            ensure!(Instant::now() < deadline, "{} of {count} webhooks came", self.count());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State(shared): State<Arc<Shared>>, Path(destination): Path<usize>, body: Bytes) -> StatusCode {
    let at = Instant::now();
    let Some(lead) = lead_id_after(BEFORE_ID, &body) else {
        return StatusCode::BAD_REQUEST;
    };
    match shared.manner {
        Manner::AtOnce => {}
        Manner::After(time) => tokio::time::sleep(time).await,
        Manner::FailsEach(number) => {
            let request = shared.requests.fetch_add(1, Ordering::Relaxed) + 1;
            if request.is_multiple_of(number) {
                shared.refused.fetch_add(1, Ordering::Relaxed);
                return StatusCode::INTERNAL_SERVER_ERROR;
            }
        }
    }
    let arrival = Arrival { lead, destination, at };
    let mut arrivals = shared.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
    arrivals.push(arrival);
    StatusCode::OK
}
