//! Test sends: one attempt of a sample, made because somebody wants to see whether his destination works.
//!
//! Promises that the attempt goes the real way (the destination's transport, signer, egress guard and deadline), that few
//! run at once, and one to a destination. Needs no dispatcher, and tells none: no lane or rate limit hears of it.
//! Leaves to others the sample, and the log.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use sensei_domain::{Clock, DeliveryId, DestinationId, EventId, Standing, Timestamp, Trigger};
use sensei_persistence::{AttemptRecord, Checkpoints, Destination, Job, Lease};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::attempt;
use crate::bound::BoundTransports;
use crate::egress::Egress;
use crate::transports::Registry;

/// Test sends under way in this process: each may take as long as its deadline, and people press buttons twice.
const AT_ONCE: usize = 8;

/// Makes test sends. A cheap handle; clones share their bounds.
#[derive(Clone)]
pub struct Tester(Arc<Shared>);

struct Shared {
    egress: Egress,
    transports: BoundTransports,
    clock: Arc<dyn Clock>,
    under_way: Mutex<HashSet<DestinationId>>,
    given_up: CancellationToken,
    tasks: TaskTracker,
}

/// Leave for one test send. Given back when dropped.
#[derive(Debug)]
pub struct TestTurn {
    tester: Tester,
    destination: DestinationId,
}

/// What is sent, and where.
#[derive(Debug)]
pub struct Sample {
    /// The delivery it will be in the log.
    pub delivery_id: DeliveryId,
    /// The receiver's `webhook-id`.
    pub event_id: EventId,
    /// Where it goes, whatever its status.
    pub destination: Arc<Destination>,
    /// The event's body, byte for byte.
    pub body: Bytes,
}

/// Why there is no turn now. The texts are for whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooManyTests {
    /// One to the same destination.
    #[error("a test of this destination is under way: see first what comes of it")]
    OfDestination,
    /// As many as there may be.
    #[error("{AT_ONCE} tests are under way, and no more may be: try again in a moment")]
    OfAll,
}

impl Tester {
    /// Sends by this way out, to these kinds of destinations.
    pub fn new(egress: Egress, registry: Registry, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared {
            egress,
            transports: BoundTransports::new(registry),
            clock,
            under_way: Mutex::default(),
            given_up: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }))
    }

    /// Takes a turn, if there is one now: nobody waits for it.
    pub fn turn(&self, destination: DestinationId) -> Result<TestTurn, TooManyTests> {
        let mut under_way = self.under_way();
        if under_way.contains(&destination) {
            return Err(TooManyTests::OfDestination);
        }
        if under_way.len() >= AT_ONCE {
            return Err(TooManyTests::OfAll);
        }
        under_way.insert(destination);
        Ok(TestTurn {
            tester: self.clone(),
            destination,
        })
    }

    /// Runs what belongs to a test send to its end, though whoever asked for it may go away.
    pub fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.0.tasks.spawn(work)
    }

    /// Gives up the attempts under way, and waits for what was spawned. Attempts after this are given up at once.
    pub async fn shutdown(&self) {
        self.0.given_up.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    pub(crate) fn egress(&self) -> &Egress {
        &self.0.egress
    }

    pub(crate) fn registry(&self) -> &Registry {
        self.0.transports.registry()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn under_way(&self) -> MutexGuard<'_, HashSet<DestinationId>> {
        self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sample {
    /// The job of one attempt, which nobody else knows of.
    pub(crate) fn into_job(self) -> Job {
        let now = Instant::now();
        Job {
            delivery_id: self.delivery_id,
            event_id: self.event_id,
            // Nobody else knows of it.
            lease: Lease::draw(),
            leased_until: now,
            read_at: now,
            destination: self.destination,
            body: self.body,
            trigger: Trigger::Test,
            attempts: 0,
            standing: Standing {
                scheduled_attempt: 1,
                ours_since: None,
            },
            checkpoints: Checkpoints::in_memory(),
        }
    }
}

impl fmt::Debug for Tester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tester").finish_non_exhaustive()
    }
}

impl TestTurn {
    /// Makes the attempt; `None` when it was given up because the process ends.
    pub async fn attempt(&self, sample: Sample) -> Option<AttemptRecord> {
        let shared = &*self.tester.0;
        let job = sample.into_job();
        tokio::select! {
            biased;
            () = shared.given_up.cancelled() => None,
            (attempt, _said) = attempt::perform(&job, &shared.transports, &shared.egress, &*shared.clock) => Some(attempt),
        }
    }
}

impl Drop for TestTurn {
    fn drop(&mut self) {
        self.tester.under_way().remove(&self.destination);
    }
}
