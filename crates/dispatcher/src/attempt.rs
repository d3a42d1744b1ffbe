//! One attempt: from a delivery that is held to an outcome that is judged.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use sensei_domain::{Clock, Jitter, Outcome, Timestamp, judge};
use sensei_persistence::{AttemptRecord, Job, Recording};

use crate::bound::BoundTransports;
use crate::breaker::Sign;
use crate::egress::{Egress, Failure};
use crate::engine::Engine;
use crate::place::Held;
use crate::transport::Attempted;

/// The transport keeps the deadline itself and knows better what it waited for; this one is for a transport that fails to. What it does before
/// its request, such as to wait for templates, isn't of its receiver's time. Below the margin of a lease.
const GRACE: Duration = Duration::from_secs(4);

/// What an attempt says of the receiver, and for how long that wants nothing more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said {
    pub(crate) sign: Sign,
    pub(crate) pause: Option<Duration>,
}

impl Said {
    pub(crate) const NOTHING: Self = Self {
        sign: Sign::Nothing,
        pause: None,
    };
}

/// Makes one attempt and judges it; also tells what it says of the receiver.
pub(crate) async fn make(engine: &Engine, held: Held) -> (Recording, Said) {
    let Held { job, place, .. } = held;
    let (attempt, said) = perform(&job, &engine.transports, &engine.egress, &*engine.clock).await;
    engine.meters.attempted(&attempt.outcome, job.trigger, attempt.duration);
    let verdict = judge(
        &attempt.outcome,
        &job.standing,
        &job.destination.retry,
        engine.clock.now(),
        Jitter::new(rand::random()),
    );
    let recording = Recording {
        delivery_id: job.delivery_id,
        lease: job.lease,
        known: job.known(),
        attempt,
        verdict,
        place: Box::new(place),
    };
    (recording, said)
}

/// Makes one attempt, of whatever kind and for whatever reason: it ends within its deadline, and a panic ends it alone.
pub(crate) async fn perform(
    job: &Job,
    transports: &BoundTransports,
    egress: &Egress,
    clock: &dyn Clock,
) -> (AttemptRecord, Said) {
    let (started_at, begun) = (clock.now(), Instant::now());
    let delivery = async {
        match transports.of(&job.destination) {
            Ok(transport) => transport.deliver(job, started_at, egress).await,
            Err(error) => {
                tracing::error!(destination = %job.destination.id, %error, "a stored destination can't be used");
                ours(&error.to_string())
            }
        }
    };
    let delivery = AssertUnwindSafe(delivery).catch_unwind();
    let attempted = match tokio::time::timeout(egress.deadline() + GRACE, delivery).await {
        Ok(Ok(attempted)) => attempted,
        Ok(Err(_panic)) => {
            tracing::error!(delivery = %job.delivery_id, kind = job.destination.kind, "an attempt panicked");
            ours("an internal error ended it")
        }
        Err(_elapsed) => Attempted::unanswered(&Failure::Timeout {
            after: egress.deadline(),
        }),
    };
    let duration = begun.elapsed();
    log(&job.delivery_id, started_at, &attempted);
    let said = Said {
        sign: Sign::of(&attempted),
        pause: attempted.pause,
    };
    let attempt = AttemptRecord {
        trigger: job.trigger,
        destination_version: job.destination.version,
        started_at,
        duration,
        outcome: attempted.outcome,
        status_code: attempted.status_code,
        error: attempted.error,
        response_snippet: attempted.response_snippet,
        request_url: attempted.request_url,
        is_unsent: attempted.is_unsent,
    };
    (attempt, said)
}

fn ours(why: &str) -> Attempted {
    Attempted::unanswered(&Failure::Ours(why.to_owned()))
}

fn log(delivery: &sensei_domain::DeliveryId, started_at: Timestamp, attempted: &Attempted) {
    let (outcome, status) = (attempted.outcome.name(), attempted.status_code);
    if attempted.outcome == Outcome::Ours {
        tracing::warn!(%delivery, %started_at, error = attempted.error, "an attempt failed before its request left");
    } else {
        tracing::debug!(%delivery, %started_at, outcome, status, error = attempted.error, "an attempt ended");
    }
}
