//! How a destination does, in words: what is wrong with it, since when, and what to do about it.

use sensei_dispatcher::BreakerState;
use sensei_domain::{DestinationStatus, Timestamp};
use sensei_persistence::{Destination, Health};
use serde::Serialize;
use utoipa::ToSchema;

/// How a destination does.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DestinationHealth)]
pub(crate) struct HealthView {
    state: HealthState,
    /// When the first attempt failed since the last success.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    failing_since: Option<Timestamp>,
    /// How many attempts have failed since.
    failed_attempts: u32,
    /// What went wrong last.
    #[schema(required)]
    last_error: Option<String>,
    /// When it will be disabled if nothing succeeds before.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    disables_at: Option<Timestamp>,
    /// What to do now, in words; null: nothing.
    #[schema(required)]
    next_step: Option<String>,
    /// The circuit breaker as it stands in the process that answers, each having its own; null if this one delivers nothing.
    #[schema(required)]
    breaker: Option<BreakerView>,
}

/// What the circuit breaker lets through.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DestinationBreaker)]
struct BreakerView {
    state: BreakerStateView,
    /// Of `open`: nothing is sent before.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// Where the circuit breaker stands.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BreakerState)]
enum BreakerStateView {
    /// Everything is sent.
    Closed,
    /// Nothing is sent: the receiver is away.
    Open,
    /// One attempt is made, which decides.
    HalfOpen,
}

/// Whether attempts succeed.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum HealthState {
    /// The last attempt succeeded, or there was none.
    Healthy,
    /// The last attempt failed.
    Failing,
    /// It has failed for long, or says that it is gone: its owner was warned.
    Warned,
}

impl HealthView {
    pub(crate) fn of(destination: &Destination, health: Option<&Health>, breaker: Option<BreakerState>) -> Self {
        let failing = health.map(|health| &health.failing);
        let is_active = destination.status == DestinationStatus::Active;
        let disables_at = failing
            .filter(|_| is_active && !destination.only_warns())
            .and_then(sensei_domain::Failing::disables_at);
        let state = match failing {
            None => HealthState::Healthy,
            Some(failing) if failing.warned_at.is_some() => HealthState::Warned,
            Some(_) => HealthState::Failing,
        };
        Self {
            state,
            failing_since: failing.map(|failing| failing.since),
            failed_attempts: failing.map_or(0, |failing| failing.attempts),
            last_error: health.and_then(|health| health.last_error.clone()),
            disables_at,
            next_step: next_step(destination.status, health, disables_at),
            breaker: breaker.map(BreakerView::of),
        }
    }
}

impl BreakerView {
    const fn of(state: BreakerState) -> Self {
        let (state, until) = match state {
            BreakerState::Closed => (BreakerStateView::Closed, None),
            BreakerState::Open { until } => (BreakerStateView::Open, Some(until)),
            BreakerState::HalfOpen => (BreakerStateView::HalfOpen, None),
        };
        Self { state, until }
    }
}

fn next_step(status: DestinationStatus, health: Option<&Health>, disables_at: Option<Timestamp>) -> Option<String> {
    let words = match (status, health) {
        (DestinationStatus::Paused, _) => "set the status to active: what is held is then sent".to_owned(),
        (DestinationStatus::Disabled, _) => {
            "mend the receiver or its URL, then set the status to active: what is held is then sent".to_owned()
        }
        (DestinationStatus::Active, None) => return None,
        (DestinationStatus::Active, Some(health)) if health.failing.is_gone => {
            "the receiver says that it is gone: give the destination the URL of another".to_owned()
        }
        (DestinationStatus::Active, Some(_)) => match disables_at {
            Some(at) => format!("mend the receiver before {at}: after that nothing more is sent to it"),
            None => "see the last error, and mend the receiver or its URL".to_owned(),
        },
    };
    Some(words)
}
