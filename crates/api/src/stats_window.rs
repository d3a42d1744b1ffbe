//! What happened to a client's leads and deliveries over a day, a week or a month, for charts.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use sensei_domain::Timestamp;
use sensei_persistence::{StatsWindow, Sums, WindowStats};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;
use crate::query::Parameters;

/// Over which time.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents what `StatsQuery` reads")]
pub(crate) struct WindowParameter {
    /// Also what happened: over 24 hours by the hour, over 7 days by six hours, or over 30 days by the day.
    #[param(value_type = Option<String>, example = "24h")]
    window: Option<Window>,
}

/// The query of a client's numbers.
pub(crate) struct StatsQuery(pub(crate) Option<Window>);

/// A time that numbers can be had of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) name: &'static str,
    pub(crate) kind: StatsWindow,
}

impl FromStr for Window {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let (name, kind) = match text {
            "24h" => ("24h", StatsWindow::Day),
            "7d" => ("7d", StatsWindow::Week),
            "30d" => ("30d", StatsWindow::Month),
            _ => return Err("must be one of 24h, 7d, 30d"),
        };
        Ok(Self { name, kind })
    }
}

impl<S: Sync> FromRequestParts<S> for StatsQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut parameters = Parameters::of(&parts.uri)?;
        let window = parameters.parsed("window");
        parameters.finish()?;
        Ok(Self(window))
    }
}

/// What happened over some time.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StatsWindow)]
pub(crate) struct WindowView {
    #[schema(example = "24h")]
    name: &'static str,
    /// When it begins: whole hours or days, in UTC.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Leads captured.
    leads: u64,
    /// Deliveries that succeeded.
    succeeded: u64,
    /// Deliveries that failed.
    failed: u64,
    /// The attempts that those deliveries had.
    attempts: u64,
    /// The part of them that succeeded, from 0 to 1; null if none was done.
    #[schema(required)]
    success_rate: Option<f64>,
    /// How long half of their last attempts took at most, in milliseconds, about; null of none.
    #[schema(required)]
    p50_ms: Option<u64>,
    /// How long 95 of 100 took at most.
    #[schema(required)]
    p95_ms: Option<u64>,
    /// The same by hours, six hours or days; the last one goes on.
    buckets: Vec<BucketView>,
}

/// What happened over a part of the time.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StatsBucket)]
struct BucketView {
    /// When it begins.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    leads: u64,
    succeeded: u64,
    failed: u64,
    #[schema(required)]
    p50_ms: Option<u64>,
    #[schema(required)]
    p95_ms: Option<u64>,
}

impl WindowView {
    pub(crate) fn new(name: &'static str, stats: &WindowStats) -> Self {
        let total = stats.total;
        Self {
            name,
            since: stats.since,
            leads: total.leads,
            succeeded: total.succeeded,
            failed: total.failed,
            attempts: total.attempts,
            success_rate: total.success_rate(),
            p50_ms: half(&total),
            p95_ms: most(&total),
            buckets: stats
                .parts
                .iter()
                .map(|(at, sums)| BucketView::new(*at, sums))
                .collect(),
        }
    }
}

impl BucketView {
    fn new(at: Timestamp, sums: &Sums) -> Self {
        Self {
            at,
            leads: sums.leads,
            succeeded: sums.succeeded,
            failed: sums.failed,
            p50_ms: half(sums),
            p95_ms: most(sums),
        }
    }
}

fn half(sums: &Sums) -> Option<u64> {
    sums.took_millis(0.5)
}

fn most(sums: &Sums) -> Option<u64> {
    sums.took_millis(0.95)
}
