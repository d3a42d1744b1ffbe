//! What a dispatcher would do, where a test has none: takes deliveries and tells what came of them.

use std::time::Duration;

use sensei_domain::{DestinationId, FailureReason, Outcome, Verdict};
use sensei_persistence::{AttemptRecord, Claim, Job, Recording};

use crate::app::TestApp;

/// Takes so many deliveries of a destination.
pub(crate) async fn claim(app: &TestApp, destination_id: DestinationId, room: usize) -> Vec<Job> {
    let claim = Claim { destination_id, room };
    let claimed = app.store.claim(&[claim], |_| false, |_, _| Some(())).await;
    let mut claimed = claimed.expect("claimed");
    claimed.remove(0).jobs.into_iter().map(|(job, ())| job).collect()
}

/// The receiver answered with this status: it took the delivery, or a repeat is useless.
pub(crate) async fn attempted(app: &TestApp, job: Job, status: u16) {
    let (outcome, verdict) = if status < 300 {
        (Outcome::Delivered, Verdict::Succeeded)
    } else {
        (Outcome::Rejected, Verdict::Failed(FailureReason::Rejected))
    };
    let (place, stored) = tokio::sync::oneshot::channel::<()>();
    app.store.record(Recording {
        delivery_id: job.delivery_id,
        lease: job.lease,
        known: job.known(),
        attempt: AttemptRecord {
            trigger: job.trigger,
            destination_version: job.destination.version,
            started_at: app.store.now(),
            duration: Duration::from_millis(3),
            outcome,
            status_code: Some(status),
            error: None,
            response_snippet: None,
            request_url: None,
            is_unsent: false,
        },
        verdict,
        place: Box::new(place),
    });
    stored.await.expect_err("a place is dropped, never answered");
}
