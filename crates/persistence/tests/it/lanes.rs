//! Lanes for tests: they have as much room as a test says, and keep what they are given.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sensei_domain::{DestinationId, FailureReason, Outcome, Timestamp, Verdict};
use sensei_persistence::{AttemptRecord, Claim, Destination, Handover, Job, Place, Recording, Store};
use tokio::sync::{mpsc, oneshot};

use crate::fixtures::soon;

pub(crate) struct Lanes {
    room: Arc<AtomicUsize>,
    jobs: mpsc::UnboundedSender<Job>,
    pub(crate) left_behind: Mutex<Vec<DestinationId>>,
    pub(crate) changed: Mutex<Vec<DestinationId>>,
    pub(crate) may_be_back: Mutex<Vec<DestinationId>>,
    pub(crate) receiver_changed: Mutex<Vec<DestinationId>>,
}

struct Reserved {
    room: Arc<AtomicUsize>,
    jobs: mpsc::UnboundedSender<Job>,
    is_filled: bool,
}

impl Lanes {
    /// Lanes with this much room, on a store.
    pub(crate) fn with_room(room: usize, store: &Store) -> (Arc<Self>, mpsc::UnboundedReceiver<Job>) {
        let (jobs, handed_over) = mpsc::unbounded_channel();
        let lanes = Arc::new(Self {
            room: Arc::new(AtomicUsize::new(room)),
            jobs,
            left_behind: Mutex::default(),
            changed: Mutex::default(),
            may_be_back: Mutex::default(),
            receiver_changed: Mutex::default(),
        });
        store.set_handover(Arc::clone(&lanes) as Arc<dyn Handover>);
        (lanes, handed_over)
    }

    pub(crate) fn room(&self) -> usize {
        self.room.load(Ordering::SeqCst)
    }
}

impl Handover for Lanes {
    fn reserve(&self, _: &Arc<Destination>, _: usize) -> Option<Box<dyn Place>> {
        self.room
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |room| room.checked_sub(1))
            .ok()?;
        Some(Box::new(Reserved {
            room: Arc::clone(&self.room),
            jobs: self.jobs.clone(),
            is_filled: false,
        }))
    }

    fn left_behind(&self, destination: DestinationId) {
        self.left_behind.lock().expect("no test panics here").push(destination);
    }

    fn changed(&self, destination: DestinationId) {
        self.changed.lock().expect("no test panics here").push(destination);
    }

    fn may_be_back(&self, destination: DestinationId) {
        self.may_be_back.lock().expect("no test panics here").push(destination);
    }

    fn receiver_changed(&self, destination: DestinationId) {
        let mut changed = self.receiver_changed.lock().expect("no test panics here");
        changed.push(destination);
    }
}

impl Place for Reserved {
    fn fill(mut self: Box<Self>, job: Job) {
        self.is_filled = true;
        // A test that doesn't look at the jobs has dropped the receiver.
        self.jobs.send(job).ok();
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.is_filled {
            self.room.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Claims up to `room` of what is due for a destination.
pub(crate) async fn claim(store: &Store, destination_id: DestinationId, room: usize) -> Vec<Job> {
    let mut claimed = soon(store.claim(&[Claim { destination_id, room }], |_| false, |_, _| Some(())))
        .await
        .expect("it can be claimed");
    assert_eq!(claimed.len(), 1);
    claimed.remove(0).jobs.into_iter().map(|(job, ())| job).collect()
}

/// Claims all that is due, of whatever destination.
pub(crate) async fn claim_all(store: &Store) -> Vec<Job> {
    let mut jobs = Vec::new();
    for destination in store.due_destinations().await.expect("it can be read").destinations {
        jobs.extend(claim(store, destination, 1_000).await);
    }
    jobs
}

pub(crate) const DELIVERED: (Outcome, Verdict) = (Outcome::Delivered, Verdict::Succeeded);
pub(crate) const REFUSED: (Outcome, Verdict) = (
    Outcome::Unavailable { retry_after: None },
    Verdict::Failed(FailureReason::Exhausted),
);

pub(crate) fn retry(at: Timestamp) -> (Outcome, Verdict) {
    (Outcome::Unavailable { retry_after: None }, Verdict::Retry { at })
}

/// An attempt that a job had, and what resolves once it is stored (or given up).
pub(crate) fn recording(
    store: &Store,
    job: &Job,
    (outcome, verdict): (Outcome, Verdict),
) -> (Recording, oneshot::Receiver<()>) {
    let (place, stored) = oneshot::channel();
    let attempt = AttemptRecord {
        trigger: job.trigger,
        destination_version: job.destination.version,
        started_at: store.now(),
        duration: Duration::from_millis(12),
        outcome,
        status_code: Some(200),
        error: None,
        response_snippet: Some("thanks".to_owned()),
        request_url: Some("https://example.com/hook".to_owned()),
        is_unsent: false,
    };
    let recording = Recording {
        delivery_id: job.delivery_id,
        lease: job.lease,
        known: job.known(),
        attempt,
        verdict,
        place: Box::new(place),
    };
    (recording, stored)
}

/// Records what came of a job, and waits until it is stored.
pub(crate) async fn record(store: &Store, job: &Job, what: (Outcome, Verdict)) {
    let (recording, stored) = recording(store, job, what);
    store.record(recording);
    soon(stored).await.expect_err("a place is dropped, never answered");
}
