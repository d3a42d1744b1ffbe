//! The receiver: takes a webhook, notes which lead came and when, answers 200.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::client::lead_id_after;

/// What stands before the lead's id in the published payload.
const BEFORE_ID: &[u8] = br#""data":{"id":""#;

/// A lead's arrival.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) lead: u128,
    pub(crate) at: Instant,
}

/// A receiver that listens until it is dropped.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    serving: JoinHandle<()>,
}

impl Receiver {
    /// On a free port of loopback.
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("loopback can be listened on")?;
        let address = listener.local_addr()?;
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new()
            .route("/hook", post(take))
            .with_state(Arc::clone(&arrivals));
        let listener = listener.tap_io(|stream| {
            stream.set_nodelay(true).ok();
        });
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.ok();
        });
        Ok(Self {
            address,
            arrivals,
            serving,
        })
    }

    /// A URL that leads here.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// How many webhooks came.
    pub(crate) fn count(&self) -> usize {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Everything that came, in its order.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When each lead came first.
    pub(crate) fn first_arrivals(&self) -> HashMap<u128, Instant> {
        let mut first = HashMap::new();
        for arrival in self.arrivals() {
            first.entry(arrival.lead).or_insert(arrival.at);
        }
        first
    }

    /// Waits until so many webhooks came.
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

async fn take(State(arrivals): State<Arc<Mutex<Vec<Arrival>>>>, body: Bytes) -> StatusCode {
    let Some(lead) = lead_id_after(BEFORE_ID, &body) else {
        return StatusCode::BAD_REQUEST;
    };
    let arrival = Arrival {
        lead,
        at: Instant::now(),
    };
    arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(arrival);
    StatusCode::OK
}
