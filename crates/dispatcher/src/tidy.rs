//! Housekeeping that isn't a sweeper's: what is due about failing destinations, and what has outlived its time.
//!
//! In a task of its own: however much there is to do, a retry is never later for it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use sensei_persistence::StoreError;

use crate::engine::Engine;

/// Between two looks.
const INTERVAL: Duration = Duration::from_mins(1);

/// Tidies until the dispatcher stops, whatever happens.
pub(crate) async fn run(engine: Arc<Engine>) {
    let rounds = async {
        loop {
            tokio::time::sleep(INTERVAL).await;
            if AssertUnwindSafe(tidy(&engine)).catch_unwind().await.is_err() {
                tracing::error!("housekeeping panicked; it is tried again in a minute");
            }
        }
    };
    // Each statement is whole by itself: one that is under way may be dropped.
    engine.stopping.run_until_cancelled(rounds).await;
}

async fn tidy(engine: &Engine) {
    let store = &engine.store;
    let what = "failing destinations could not be looked at";
    to_its_end(what, || store.keep_health()).await;
    // They hold personal data.
    let what = "old idempotency keys could not be removed";
    to_its_end(what, || store.sweep_idempotency_keys()).await;
    let what = "signing secrets that were replaced could not be removed";
    to_its_end(what, || store.forget_expired_secrets()).await;
}

/// Goes on with a task while there is more of it.
async fn to_its_end<T: Future<Output = Result<bool, StoreError>>>(trouble: &str, mut task: impl FnMut() -> T) {
    loop {
        match task().await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "{trouble}");
                return;
            }
        }
    }
}
