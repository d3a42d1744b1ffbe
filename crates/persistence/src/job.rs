//! What the store and the engine pass each other: committed deliveries one way, outcomes the other.
//!
//! The store is below the engine, so it knows it only as [`Handover`]: somebody who has places
//! for deliveries. A place is asked for before the commit and filled after it, by the task that
//! committed: the caller who waits for the answer may be gone by then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sensei_domain::{ClientId, DeliveryId, DestinationId, EventId, Outcome, Standing, Timestamp, Trigger, Verdict};

use crate::checkpoints::Checkpoints;
use crate::records::Destination;

/// Who holds a delivery: drawn at random when it is leased, checked when an attempt is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease(i64);

impl Lease {
    /// Draws a token that nobody else holds.
    pub fn draw() -> Self {
        Self(rand::random())
    }

    pub(crate) const fn as_column(self) -> i64 {
        self.0
    }

    pub(crate) const fn from_column(lease: i64) -> Self {
        Self(lease)
    }
}

/// A committed delivery that this process holds, ready to be attempted.
#[derive(Debug)]
pub struct Job {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// The event it carries: the receiver's `webhook-id`.
    pub event_id: EventId,
    /// The token it is held by.
    pub lease: Lease,
    /// Until when, by this process's monotonic clock.
    pub leased_until: Instant,
    /// When the row and its destination were last read.
    pub read_at: Instant,
    /// Where it goes, as it was then.
    pub destination: Arc<Destination>,
    /// The event's body, byte for byte.
    pub body: Bytes,
    /// Why this attempt is made.
    pub trigger: Trigger,
    /// Attempts that were made before.
    pub attempts: i64,
    /// Where the delivery stands in its schedule.
    pub standing: Standing,
    /// Where is kept how far it has come ([`Job::reached`], [`Job::reach`]).
    pub checkpoints: Checkpoints,
}

impl Job {
    /// The delivery's row, as far as that is known: of one that is redelivered it isn't.
    pub fn known(&self) -> Option<KnownRow> {
        (self.trigger != Trigger::Manual).then(|| KnownRow {
            client_id: self.destination.client_id,
            destination_id: self.destination.id,
            attempts: self.attempts,
            standing: self.standing,
        })
    }
}

/// A delivery's row as it was when it was leased: pending, and so as long as the lease is on it.
#[derive(Debug, Clone, Copy)]
pub struct KnownRow {
    pub(crate) client_id: ClientId,
    pub(crate) destination_id: DestinationId,
    pub(crate) attempts: i64,
    pub(crate) standing: Standing,
}

/// Why the next attempt of a delivery is made that wasn't handed over at its birth.
pub(crate) const fn trigger(is_redelivered: bool, attempts: i64, is_replayed: bool) -> Trigger {
    match (is_redelivered, attempts, is_replayed) {
        (true, _, _) => Trigger::Manual,
        (false, 0, true) => Trigger::Replay,
        (false, 0, false) => Trigger::First,
        (false, _, _) => Trigger::Retry,
    }
}

/// Somebody who attempts deliveries in this process, as the store sees him. Called from the task that
/// commits, so no method may wait.
pub trait Handover: Send + Sync {
    /// A place for one delivery to this destination, with a body of so many bytes; `None` when there is no room now.
    fn reserve(&self, destination: &Arc<Destination>, bytes: usize) -> Option<Box<dyn Place>>;

    /// Deliveries to this destination were committed without a place: they wait in the database.
    fn left_behind(&self, destination: DestinationId);

    /// The destination, or deliveries to it, were changed, deleted or erased: jobs in memory are to be
    /// read again ([`Store::refresh`](crate::Store::refresh)) before their attempt.
    fn changed(&self, destination: DestinationId);

    /// The destination was resumed or has answered a test: its receiver may be there again.
    fn may_be_back(&self, destination: DestinationId);

    /// The destination has another config: what is known against its receiver was said of another.
    fn receiver_changed(&self, destination: DestinationId);
}

/// A reserved place. Dropped unfilled, it is given back.
pub trait Place: Send {
    /// Hands the delivery over.
    fn fill(self: Box<Self>, job: Job);
}

/// What is logged of an attempt.
#[derive(Debug, Clone)]
pub struct AttemptRecord {
    /// Why it was made.
    pub trigger: Trigger,
    /// The version of its destination that it was made with. Not logged.
    pub destination_version: i64,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// What came of it.
    pub outcome: Outcome,
    /// The receiver's HTTP status, if it answered.
    pub status_code: Option<u16>,
    /// What went wrong, in words.
    pub error: Option<String>,
    /// The beginning of the receiver's answer.
    pub response_snippet: Option<String>,
    /// Where it was sent, less what may be secret.
    pub request_url: Option<String>,
    /// There was nothing to send: it says nothing of the destination's health if it is delivered by that. Not logged.
    pub is_unsent: bool,
}

/// An attempt's outcome on its way to the log.
pub struct Recording {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// The token that it was attempted under.
    pub lease: Lease,
    /// Its row ([`Job::known`]). `None`: it is read.
    pub known: Option<KnownRow>,
    /// What is logged.
    pub attempt: AttemptRecord,
    /// What follows.
    pub verdict: Verdict,
    /// Kept until the outcome is stored, then dropped: the delivery's place in its lane.
    pub place: Box<dyn Send + Sync>,
}
