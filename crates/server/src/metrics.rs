//! `/metrics`: what this server counts, as text in the format `OpenMetrics`.
//!
//! A scrape reads what the parts have counted, plain atomic numbers, and asks the database how many deliveries are in each
//! state. Nothing here is global: two servers in one process don't mix. No label tells of a client or a URL, so the number of
//! series is fixed.

use std::fmt;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use sensei_dispatcher::{DispatcherCounts, Watch};
use sensei_domain::{DeliveryState, Outcome, Timestamp};
use sensei_persistence::{Distribution, Store, StoreCounts, Tally};

const CONTENT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Who scrapes waits for ten seconds by default, and is to hear that the database doesn't answer.
const COUNTED_WITHIN: Duration = Duration::from_secs(2);

/// What is asked at a scrape.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) store: Store,
    pub(crate) dispatcher: Watch,
}

/// `/metrics`, and `/healthz` for who only reaches this address.
pub(crate) fn router(watched: Watched) -> Router {
    Router::new()
        .route("/metrics", get(scrape))
        .route("/healthz", get(|| async { "ok" }))
        .with_state(watched)
}

async fn scrape(State(Watched { store, dispatcher }): State<Watched>) -> Response {
    let Some(dispatcher) = dispatcher.counts() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let tally = match tokio::time::timeout(COUNTED_WITHIN, store.tally(None)).await {
        Ok(Ok(tally)) => Some(tally),
        Ok(Err(error)) => {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, "deliveries could not be counted");
            None
        }
        Err(_elapsed) => {
            tracing::debug!("deliveries were not counted in time");
            None
        }
    };
    let snapshot = Snapshot {
        store: store.counts(),
        dispatcher,
        tally,
        oldest_due: store.oldest_due(),
        now: store.now(),
    };
    let mut registry = Registry::with_prefix("sensei");
    registry.register_collector(Box::new(snapshot));
    let mut text = String::new();
    text::encode(&mut text, &registry).expect("a text takes all that is written to it");
    ([(CONTENT_TYPE, CONTENT)], text).into_response()
}

/// All that one scrape tells.
#[derive(Debug)]
struct Snapshot {
    store: StoreCounts,
    dispatcher: DispatcherCounts,
    /// `None` while the database doesn't answer.
    tally: Option<Tally>,
    oldest_due: Option<Timestamp>,
    now: Timestamp,
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        self.of_process(&mut out)?;
        self.of_leads(&mut out)?;
        self.of_deliveries(&mut out)?;
        self.of_attempts(&mut out)?;
        self.of_lanes(&mut out)?;
        self.of_commits(&mut out)
    }
}

impl Snapshot {
    fn of_process(&self, out: &mut Out<'_>) -> fmt::Result {
        let mut build = out
            .0
            .encode_descriptor("build", "The program", None, MetricType::Info)?;
        build.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        let help = "Whether the database answered this scrape";
        out.gauge("database_up", help, None, u64::from(self.tally.is_some()))
    }

    fn of_leads(&self, out: &mut Out<'_>) -> fmt::Result {
        let StoreCounts {
            leads_captured,
            leads_refused_overload,
            leads_refused_unavailable,
            leads_waiting,
            ..
        } = self.store;
        out.counter(
            "leads_captured",
            "Leads on disk, captured by this process",
            leads_captured,
        )?;
        let help = "Leads not captured by this process: too many waited, or the database could not be written";
        let mut refused = out
            .0
            .encode_descriptor("leads_refused", help, None, MetricType::Counter)?;
        for (reason, count) in [
            ("overload", leads_refused_overload),
            ("unavailable", leads_refused_unavailable),
        ] {
            count_one(refused.encode_family(&[("reason", reason)])?, count)?;
        }
        let help = "Leads that wait to be written, or are being written";
        out.gauge("leads_waiting", help, None, leads_waiting)
    }

    fn of_deliveries(&self, out: &mut Out<'_>) -> fmt::Result {
        if let Some(tally) = self.tally {
            let help = "Deliveries in the database, of all clients, by state";
            let mut deliveries = out.0.encode_descriptor("deliveries", help, None, MetricType::Gauge)?;
            for &state in DeliveryState::ALL {
                deliveries
                    .encode_family(&[("state", state.name())])?
                    .encode_gauge(&tally.of(state))?;
            }
        }
        let age = self.oldest_due.map(|due| self.now.since(due)).unwrap_or_default();
        let help = "Since when the delivery is due that is due longest, of all in the database; 0 when nothing is";
        out.gauge("oldest_due_age", help, Some(&Unit::Seconds), age.as_secs_f64())?;
        let help = "How long the last look over all that is due took";
        let round = self.dispatcher.last_round.as_secs_f64();
        out.gauge("sweep_round", help, Some(&Unit::Seconds), round)
    }

    fn of_attempts(&self, out: &mut Out<'_>) -> fmt::Result {
        let attempts = &self.dispatcher.attempts;
        let help = "Attempts that ended in this process";
        let mut encoder = out.0.encode_descriptor("attempts", help, None, MetricType::Counter)?;
        for attempt in attempts {
            let labels = [("outcome", attempt.outcome.name()), ("trigger", attempt.trigger.name())];
            count_one(encoder.encode_family(&labels)?, attempt.count)?;
        }
        let refused = attempts.iter().filter(|attempt| attempt.outcome == Outcome::Blocked);
        let help = "Attempts that the egress guard refused the address of";
        out.counter("egress_refused", help, refused.map(|attempt| attempt.count).sum())?;
        let help = "How long attempts took";
        let mut encoder =
            out.0
                .encode_descriptor("attempt_duration", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        distribute(&mut encoder, &self.dispatcher.attempt_millis, 1e-3)?;
        let help = "Outcomes of attempts that wait to be written";
        out.gauge("outcomes_waiting", help, None, self.store.outcomes_waiting)
    }

    fn of_lanes(&self, out: &mut Out<'_>) -> fmt::Result {
        let counts = &self.dispatcher;
        for (name, help, count) in [
            ("attempts_running", "Attempts under way", counts.running),
            (
                "lane_places",
                "Deliveries in memory: waiting, under way, or not yet recorded",
                counts.places,
            ),
            (
                "lanes",
                "Destinations of which something is known in memory",
                counts.lanes,
            ),
            (
                "breakers_open",
                "Destinations that nothing is sent to, or one attempt only, as they failed",
                counts.open_breakers,
            ),
        ] {
            out.gauge(name, help, None, u64::try_from(count).unwrap_or(u64::MAX))?;
        }
        let bytes = u64::try_from(counts.bytes).unwrap_or(u64::MAX);
        out.gauge("lane", "Bodies of the deliveries in memory", Some(&Unit::Bytes), bytes)
    }

    fn of_commits(&self, out: &mut Out<'_>) -> fmt::Result {
        let batches = [
            ("leads", &self.store.capture_batches),
            ("outcomes", &self.store.outcome_batches),
        ];
        let help = "How many leads, or outcomes of attempts, a transaction wrote";
        let mut encoder = out
            .0
            .encode_descriptor("commit_batch_size", help, None, MetricType::Histogram)?;
        for (of, counts) in batches {
            distribute(&mut encoder.encode_family(&[("of", of)])?, &counts.sizes, 1.0)?;
        }
        let help = "How long a transaction took that wrote them";
        let mut encoder =
            out.0
                .encode_descriptor("commit_duration", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (of, counts) in batches {
            distribute(&mut encoder.encode_family(&[("of", of)])?, &counts.micros, 1e-6)?;
        }
        Ok(())
    }
}

/// Where a scrape is written to.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn counter(&mut self, name: &str, help: &str, count: u64) -> fmt::Result {
        count_one(self.0.encode_descriptor(name, help, None, MetricType::Counter)?, count)
    }

    fn gauge<V: EncodeGaugeValue + Copy>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: V,
    ) -> fmt::Result {
        self.0
            .encode_descriptor(name, help, unit, MetricType::Gauge)?
            .encode_gauge(&value)
    }
}

fn count_one(mut encoder: MetricEncoder<'_>, count: u64) -> fmt::Result {
    encoder.encode_counter::<NoLabelSet, _, u64>(&count, None)
}

/// Writes a distribution, its values as so many times the unit.
#[expect(
    clippy::cast_precision_loss,
    reason = "bounds are small, and sums of large ones are rounded"
)]
fn distribute(encoder: &mut MetricEncoder<'_>, of: &Distribution, times: f64) -> fmt::Result {
    let bounds = of.bounds.iter().map(|&bound| bound as f64 * times);
    let bounds = bounds.chain([f64::INFINITY]);
    let buckets = bounds.zip(of.counts.iter().copied()).collect::<Vec<_>>();
    encoder.encode_histogram::<NoLabelSet>(of.sum as f64 * times, of.count(), &buckets, None)
}
