//! What attempts make of a delivery.

use sensei_domain::{DeliveryState, Timestamp, Verdict};

use crate::job::{KnownRow, Lease, Recording};

/// A delivery isn't done by more than this before that is stored, in milliseconds: charts count what was done until some time ago, and
/// an outcome that had to wait to be stored must still come after that.
const STORED_WITHIN: i64 = 5_000;

/// What attempts change of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) state: DeliveryState,
    pub(crate) due_at: Option<i64>,
    pub(crate) lease: Option<i64>,
    pub(crate) attempt_count: i64,
    pub(crate) scheduled_attempts: i64,
    pub(crate) ours_since: Option<i64>,
    /// Set while somebody's wish to redeliver it is carried out: where it goes back to unless that succeeds.
    pub(crate) prior_state: Option<DeliveryState>,
    pub(crate) prior_due_at: Option<i64>,
    pub(crate) failure_reason: Option<String>,
    pub(crate) completed_at: Option<i64>,
}

impl Progress {
    /// A row that was handed over under this lease, as long as the lease is on it.
    pub(crate) fn of_known(known: &KnownRow, lease: Lease) -> Self {
        Self {
            state: DeliveryState::Pending,
            due_at: None,
            lease: Some(lease.as_column()),
            attempt_count: known.attempts,
            scheduled_attempts: i64::from(known.standing.scheduled_attempt) - 1,
            ours_since: known.standing.ours_since.map(Timestamp::as_millis),
            prior_state: None,
            prior_due_at: None,
            failure_reason: None,
            completed_at: None,
        }
    }

    /// Counts an attempt that is stored `now`, and lets its verdict follow if it holds the lease.
    pub(crate) fn apply(
        &mut self,
        Recording {
            lease,
            attempt,
            verdict,
            ..
        }: &Recording,
        now: Timestamp,
    ) {
        self.attempt_count += 1;
        let holds = self.lease == Some(lease.as_column());
        let to = match verdict {
            Verdict::Succeeded => DeliveryState::Succeeded,
            Verdict::Failed(_) => DeliveryState::Failed,
            Verdict::Retry { .. } | Verdict::NotCounted { .. } => DeliveryState::Pending,
        };
        // An attempt begins at pending; what it comes to moves nothing that has left that meanwhile.
        let may = self.state == DeliveryState::Pending && self.state.may_become(to);
        if !may || !(holds || to == DeliveryState::Succeeded) {
            return;
        }
        let ended_at = attempt.started_at.after(attempt.duration).as_millis();
        let done_at = ended_at.max(now.as_millis() - STORED_WITHIN);
        self.lease = None;
        let is_over = matches!(verdict, Verdict::Failed(_) | Verdict::Retry { .. });
        if is_over && let Some(prior) = self.prior_state.take() {
            (self.state, self.due_at, self.ours_since) = (prior, self.prior_due_at.take(), None);
            return;
        }
        self.state = to;
        match verdict {
            Verdict::Succeeded => {
                (self.due_at, self.completed_at, self.failure_reason) = (None, Some(done_at), None);
                (self.prior_state, self.prior_due_at) = (None, None);
            }
            Verdict::Failed(reason) => {
                (self.due_at, self.completed_at) = (None, Some(done_at));
                self.failure_reason = Some(reason.name().to_owned());
            }
            Verdict::Retry { at } => {
                (self.due_at, self.ours_since) = (Some(at.as_millis()), None);
                self.scheduled_attempts += 1;
            }
            Verdict::NotCounted { at } => {
                self.due_at = Some(at.as_millis());
                self.ours_since.get_or_insert(attempt.started_at.as_millis());
            }
        }
    }
}
