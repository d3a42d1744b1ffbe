//! How clients are doing, at a glance: what the list of clients shows when it is asked to.

use std::collections::HashMap;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use sensei_dispatcher::BreakerState;
use sensei_domain::ClientId;
use sensei_persistence::Sums;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::page::Paging;
use crate::problem::Problem;
use crate::query::{Parameters, SearchText};
use crate::state::ApiState;

/// A day with a smaller part of successes is a bad one.
const GOOD_RATE: f64 = 0.9;

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents what `ClientsQuery` reads")]
pub(crate) struct ClientsParameters {
    /// Only those with this text in their names, whatever its case.
    #[param(value_type = Option<String>, max_length = 200)]
    q: Option<SearchText>,
    /// Also how each is doing.
    #[param(value_type = Option<bool>, default = false)]
    health: Option<Truth>,
}

/// Which clients are asked for.
pub(crate) struct ClientsQuery {
    pub(crate) text: Option<String>,
    pub(crate) with_health: bool,
    pub(crate) paging: Paging,
}

impl<S: Sync> FromRequestParts<S> for ClientsQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut parameters = Parameters::of(&parts.uri)?;
        let text = parameters.parsed("q").map(|SearchText(text)| text);
        let with_health = parameters.parsed("health").is_some_and(|Truth(health)| health);
        let paging = Paging::read(&mut parameters);
        parameters.finish()?;
        Ok(Self {
            text,
            with_health,
            paging,
        })
    }
}

/// `true` or `false`.
struct Truth(bool);

impl FromStr for Truth {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        text.parse().map(Self).map_err(|_| "must be true or false")
    }
}

/// How a client is doing.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClientHealth)]
pub(crate) struct ClientHealthView {
    state: HealthState,
    /// Leads of the last 24 hours; these numbers are right to within five minutes at the day's beginning.
    #[serde(rename = "leads24h")]
    #[schema(rename = "leads24h")]
    leads: u64,
    /// Deliveries that failed in them.
    #[serde(rename = "failed24h")]
    #[schema(rename = "failed24h")]
    failed: u64,
    /// The part of deliveries that succeeded, from 0 to 1; null if none was done.
    #[serde(rename = "successRate24h")]
    #[schema(rename = "successRate24h", required)]
    success_rate: Option<f64>,
    /// Destinations that are disabled, of which somebody was warned, or whose receivers are away.
    troubled_destinations: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum HealthState {
    /// Leads arrive, and nearly all deliveries succeed.
    Ok,
    /// A destination is in trouble, or more than one delivery in ten failed in the last 24 hours.
    Failing,
    /// No lead in the last 24 hours.
    Idle,
    /// All of its destinations are paused.
    Paused,
}

/// What is known of a client's destinations.
#[derive(Debug, Clone, Copy, Default)]
struct Destinations {
    all: u64,
    paused: u64,
    troubled: u64,
}

/// How each of these clients is doing, by one read a table.
pub(crate) async fn of_clients(
    state: &ApiState,
    clients: &[ClientId],
) -> Result<HashMap<ClientId, ClientHealthView>, Problem> {
    let days = state.store().days_of(clients).await?;
    let mut destinations = HashMap::<ClientId, Destinations>::new();
    for standing in state.store().standings_of(clients).await? {
        let is_away = matches!(
            state.breaker(standing.id),
            Some(BreakerState::Open { .. } | BreakerState::HalfOpen)
        );
        let of = destinations.entry(standing.client_id).or_default();
        of.all += 1;
        of.paused += u64::from(standing.is_paused);
        of.troubled += u64::from(standing.is_troubled || is_away);
    }
    let health = days.iter().map(|(client, day)| {
        let destinations = destinations.get(client).copied().unwrap_or_default();
        (*client, judge(day, destinations))
    });
    Ok(health.collect())
}

fn judge(day: &Sums, destinations: Destinations) -> ClientHealthView {
    let success_rate = day.success_rate();
    let state = if destinations.all > 0 && destinations.paused == destinations.all {
        HealthState::Paused
    } else if destinations.troubled > 0 || success_rate.is_some_and(|rate| rate < GOOD_RATE) {
        HealthState::Failing
    } else if day.leads == 0 {
        HealthState::Idle
    } else {
        HealthState::Ok
    };
    ClientHealthView {
        state,
        leads: day.leads,
        failed: day.failed,
        success_rate,
        troubled_destinations: destinations.troubled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_judged_by_its_worst() {
        let day = |leads, succeeded, failed| {
            let mut sums = Sums::default();
            (sums.leads, sums.succeeded, sums.failed) = (leads, succeeded, failed);
            sums
        };
        let destinations = |all, paused, troubled| Destinations { all, paused, troubled };
        for (day, destinations, expected) in [
            (day(0, 0, 0), destinations(0, 0, 0), HealthState::Idle),
            (day(5, 0, 0), destinations(0, 0, 0), HealthState::Ok),
            (day(5, 9, 1), destinations(1, 0, 0), HealthState::Ok),
            (day(5, 8, 1), destinations(1, 0, 0), HealthState::Failing),
            (day(5, 9, 0), destinations(2, 1, 0), HealthState::Ok),
            (day(5, 9, 0), destinations(2, 0, 1), HealthState::Failing),
            (day(0, 0, 0), destinations(2, 0, 1), HealthState::Failing),
            (day(5, 0, 9), destinations(2, 2, 0), HealthState::Paused),
        ] {
            assert_eq!(judge(&day, destinations).state, expected, "{day:?} {destinations:?}");
        }
    }
}
