//! The one timer of all rate limits: lets lanes go on when their next token is there.

use std::sync::Arc;

use crate::engine::Engine;

/// Runs until the dispatcher stops.
pub(crate) async fn run(engine: Arc<Engine>) {
    loop {
        // Looked up after the last wake-up: one that comes meanwhile is kept.
        let next = engine.next_token();
        let token = async {
            match next {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = token => engine.begin(),
            () = engine.waits_for_token.notified() => {}
            () = engine.stopping.cancelled() => return,
        }
    }
}
