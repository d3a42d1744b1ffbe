//! Reading deliveries again that have waited, so that none is attempted that is no longer wanted, or not there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sensei_persistence::Refreshed;

use crate::engine::Engine;
use crate::place::Held;

/// Between tries to read again while the database is away.
const REREAD_PAUSE: Duration = Duration::from_millis(500);

impl Engine {
    /// Reads deliveries again that have waited: what is no longer ours is dropped, and what has waited too long for its
    /// lease is given back, all of it at once. So is what is to go in order from now on: the database knows the order.
    pub(crate) async fn reread(self: &Arc<Self>, stale: Vec<Held>) -> Vec<Held> {
        let (stale, late) = stale
            .into_iter()
            .partition::<Vec<_>, _>(|held| self.outlasts_an_attempt(held));
        self.give_up(late).await;
        let leases = stale
            .iter()
            .map(|held| (held.job.delivery_id, held.job.lease))
            .collect::<Vec<_>>();
        let read_at = Instant::now();
        match self.store.refresh(&leases).await {
            Ok(read) => {
                // However long it took: what takes long must come to an end as well.
                let known_at = Instant::now();
                let (mut fresh, mut unordered) = (Vec::with_capacity(stale.len()), Vec::new());
                for (mut held, refreshed) in stale.into_iter().zip(read) {
                    let Refreshed::Current(destination) = refreshed else {
                        continue;
                    };
                    let was_ordered = held.job.destination.ordered;
                    (held.job.destination, held.job.read_at, held.known_at) = (destination, read_at, known_at);
                    if held.job.destination.ordered && !was_ordered {
                        unordered.push(held);
                    } else {
                        fresh.push(held);
                    }
                }
                self.give_up(unordered).await;
                fresh
            }
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "waiting deliveries can't be read again yet"
                );
                tokio::select! {
                    () = tokio::time::sleep(REREAD_PAUSE) => {}
                    () = self.stopping.cancelled() => {}
                }
                // Still stale, so that they come here again, until they are read or too late.
                stale
            }
        }
    }
}
