//! Serving a router on a socket until the process is asked to end.

use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

/// How long requests in flight may take to be answered. A connection that is kept alive without one
/// would otherwise be waited for without end.
const REQUESTS_DEADLINE: Duration = Duration::from_secs(5);

/// Takes an address, or says in words why not.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("can't listen on {address}"))
}

/// Serves until `stop` is over, then takes no more connections and lets requests in flight end.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) -> Result<()> {
    // Small answers must not wait for the acknowledgement of the one before.
    let listener = listener.tap_io(|stream| {
        stream.set_nodelay(true).ok();
    });
    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(async {
        stopped.await.ok();
    });
    let mut serving = std::pin::pin!(serving.into_future());
    tokio::select! {
        ended = &mut serving => return ended.context("serving has failed"),
        () = stop => {}
    }
    drop(stopping);
    if let Ok(ended) = tokio::time::timeout(REQUESTS_DEADLINE, serving).await {
        return ended.context("serving has failed");
    }
    warn!("some connections are still open after {REQUESTS_DEADLINE:?}, they are cut");
    Ok(())
}

/// The wishes of others that this process end: SIGTERM, or SIGINT (Ctrl-C). They count from [`Signals::listen`] on.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen, instead of being ended at once.
    pub(crate) fn listen() -> Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("SIGTERM can't be listened for")?;
        let interrupt = signal(SignalKind::interrupt()).context("Ctrl-C can't be listened for")?;
        Ok(Self { terminate, interrupt })
    }

    /// Waits for the next one.
    pub(crate) async fn asked_to_end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => info!("asked to end by SIGTERM"),
            _ = self.interrupt.recv() => info!("asked to end by Ctrl-C"),
        }
    }
}
