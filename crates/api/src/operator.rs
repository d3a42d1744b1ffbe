//! `/v1/operator`: how this server and all clients together stand, for whoever runs it.

use axum::Json;
use axum::extract::State;
use sensei_domain::{ClientId, DestinationId, DestinationStatus, Outcome, Timestamp};
use sensei_persistence::{BackgroundJob, DestinationOf, Recovery, Troubled};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::AdminAccess;
use crate::problem::Problem;
use crate::query::NoQuery;
use crate::recovery_views::RecoveryView;
use crate::state::ApiState;

/// Of each list, so many are shown.
const SHOWN: u32 = 100;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(read))
}

/// How everything stands. What is this process's own is null where it delivers nothing.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Operator)]
struct OperatorView {
    /// The program's version.
    version: &'static str,
    /// Since when this process serves.
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// `sqlite` or `postgres`.
    #[schema(example = "sqlite")]
    database: &'static str,
    /// Deliveries that are due at some time or under way, of all clients.
    pending: u64,
    /// Deliveries kept until their destination is active again.
    held: u64,
    /// For how long the delivery is due that is due longest, as the last look over all found; null when none is.
    #[schema(required)]
    oldest_due_seconds: Option<u64>,
    /// Attempts under way in this process.
    #[schema(required)]
    in_flight: Option<usize>,
    /// Destinations of which this process knows something.
    #[schema(required)]
    lanes: Option<usize>,
    /// Deliveries in its memory.
    #[schema(required)]
    lane_places: Option<usize>,
    /// Destinations that this process holds back from, as their receivers are away: a hundred at most.
    open_breakers: Vec<OpenBreakerView>,
    /// Attempts of this process that the egress guard refused the address of.
    #[schema(required)]
    egress_refused: Option<u64>,
    /// Leads that wait to be written by this process.
    leads_waiting: u64,
    /// Outcomes of attempts that do.
    outcomes_waiting: u64,
    /// Destinations that are disabled, and those that fail so that somebody was warned: a hundred at most of either.
    troubled: Vec<TroubledView>,
    /// Recoveries that run.
    recoveries: Vec<RecoveryOfView>,
    /// What this process does in the background.
    jobs: Vec<JobView>,
}

/// A destination, and whose it is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DestinationOf)]
struct DestinationOfView {
    #[schema(value_type = String, format = Uuid)]
    client_id: ClientId,
    client_name: String,
    #[schema(value_type = String, format = Uuid)]
    destination_id: DestinationId,
    destination_name: String,
}

/// A destination whose circuit breaker isn't closed.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenBreaker)]
struct OpenBreakerView {
    #[serde(flatten)]
    of: DestinationOfView,
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

/// A destination in trouble.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TroubledDestination)]
struct TroubledView {
    #[serde(flatten)]
    of: DestinationOfView,
    kind: String,
    #[schema(value_type = String, example = "disabled")]
    status: DestinationStatus,
    /// Why it is disabled, or what went wrong last.
    #[schema(required)]
    status_reason: Option<String>,
    /// Since when it is disabled, or fails.
    #[schema(value_type = String, format = DateTime)]
    status_since: Timestamp,
}

/// A recovery, and whose it is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecoveryOf)]
struct RecoveryOfView {
    #[schema(value_type = String, format = Uuid)]
    client_id: ClientId,
    client_name: String,
    #[serde(flatten)]
    recovery: RecoveryView,
}

/// Work in the background.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Job)]
struct JobView {
    /// `retention`, `charts` or `search`.
    #[schema(example = "retention")]
    name: &'static str,
    #[schema(value_type = String, format = DateTime)]
    last_run_at: Timestamp,
    took_ms: u64,
}

impl From<DestinationOf> for DestinationOfView {
    fn from(of: DestinationOf) -> Self {
        let DestinationOf {
            client_id,
            client_name,
            destination_id,
            destination_name,
        } = of;
        Self {
            client_id,
            client_name,
            destination_id,
            destination_name,
        }
    }
}

impl From<Troubled> for TroubledView {
    fn from(troubled: Troubled) -> Self {
        let Troubled {
            of,
            kind,
            status,
            reason,
            since,
        } = troubled;
        Self {
            of: of.into(),
            kind,
            status,
            status_reason: reason,
            status_since: since,
        }
    }
}

impl From<(Recovery, String)> for RecoveryOfView {
    fn from((recovery, client_name): (Recovery, String)) -> Self {
        Self {
            client_id: recovery.client_id,
            client_name,
            recovery: recovery.into(),
        }
    }
}

impl From<BackgroundJob> for JobView {
    fn from(job: BackgroundJob) -> Self {
        let BackgroundJob {
            name,
            last_run_at,
            took,
        } = job;
        Self {
            name,
            last_run_at,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Read how everything stands
///
/// Over all clients. Takes an admin's key.
#[utoipa::path(get, path = "/v1/operator", tag = "operator", operation_id = "readOperator",
    responses((status = OK, description = "How everything stands", body = OperatorView)))]
async fn read(_: AdminAccess, _: NoQuery, State(state): State<ApiState>) -> Result<Json<OperatorView>, Problem> {
    let store = state.store();
    let tally = store.tally(None).await?;
    let open = state.open_breakers(SHOWN as usize);
    let mut names = store.destinations_of(open.iter().map(|(id, _)| *id).collect()).await?;
    let open = open.into_iter().filter_map(|(id, since)| {
        let of = names.remove(&id)?.into();
        Some(OpenBreakerView { of, since })
    });
    let counts = store.counts();
    let dispatcher = state.dispatcher_counts();
    let of_dispatcher = dispatcher.as_ref();
    let refused = of_dispatcher.map(|counts| {
        let refused = counts
            .attempts
            .iter()
            .filter(|attempt| attempt.outcome == Outcome::Blocked);
        refused.map(|attempt| attempt.count).sum()
    });
    let troubled = store.troubled(SHOWN).await?;
    let recoveries = store.recoveries_under_way(SHOWN).await?;
    Ok(Json(OperatorView {
        version: env!("CARGO_PKG_VERSION"),
        started_at: state.started_at(),
        database: if store.is_shared() { "postgres" } else { "sqlite" },
        pending: tally.pending,
        held: tally.held,
        oldest_due_seconds: store.oldest_due().map(|due| state.now().since(due).as_secs()),
        in_flight: of_dispatcher.map(|counts| counts.running),
        lanes: of_dispatcher.map(|counts| counts.lanes),
        lane_places: of_dispatcher.map(|counts| counts.places),
        open_breakers: open.collect(),
        egress_refused: refused,
        leads_waiting: counts.leads_waiting,
        outcomes_waiting: counts.outcomes_waiting,
        troubled: troubled.into_iter().map(TroubledView::from).collect(),
        recoveries: recoveries.into_iter().map(RecoveryOfView::from).collect(),
        jobs: store.jobs().into_iter().map(JobView::from).collect(),
    }))
}
