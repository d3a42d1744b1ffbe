//! `/v1/clients/{clientId}/stats`: how a client's deliveries stand, in numbers.

use axum::Json;
use axum::extract::State;
use sensei_domain::Timestamp;
use sensei_persistence::{ClientStats, Tally};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::ClientAccess;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::stats_window::{StatsQuery, WindowParameter, WindowView};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(read))
}

/// How a client's deliveries stand.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClientStats)]
struct StatsView {
    deliveries: TallyView,
    /// Since when the delivery is due that is due longest; null when none is. An attempt may be late when much is due at once, or
    /// while its receiver is away.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    oldest_due_at: Option<Timestamp>,
    /// Deliveries that are being attempted, or wait in memory for their turn.
    in_flight: u64,
    /// When this was so.
    #[schema(value_type = String, format = DateTime)]
    as_of: Timestamp,
    /// What happened over the time that was asked for; absent if none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<WindowView>,
}

/// Deliveries by state, exact.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryCounts)]
struct TallyView {
    /// Due at some time, or under way.
    pending: u64,
    /// Kept until their destination is active again.
    held: u64,
    /// The receiver has them.
    succeeded: u64,
    /// No attempt follows by itself.
    failed: u64,
    /// Their destination was deleted or their lead erased, or the lead didn't match the destination's filter.
    cancelled: u64,
}

impl From<ClientStats> for StatsView {
    fn from(stats: ClientStats) -> Self {
        let Tally {
            pending,
            held,
            succeeded,
            failed,
            cancelled,
        } = stats.deliveries;
        Self {
            deliveries: TallyView {
                pending,
                held,
                succeeded,
                failed,
                cancelled,
            },
            oldest_due_at: stats.oldest_due,
            in_flight: stats.in_flight,
            as_of: stats.as_of,
            window: None,
        }
    }
}

/// Read how a client's deliveries stand
///
/// As cheap with millions of deliveries as with one. Of what is kept: a delivery that is forgotten counts no more. What happened over a
/// `window` counts all the same, each delivery when it was done.
#[utoipa::path(get, path = "/v1/clients/{clientId}/stats", tag = "deliveries", operation_id = "readStats",
    params(("clientId" = Uuid, Path, description = "The client"), WindowParameter),
    responses((status = OK, description = "The numbers", body = StatsView)))]
async fn read(
    access: ClientAccess,
    StatsQuery(window): StatsQuery,
    State(state): State<ApiState>,
) -> Result<Json<StatsView>, Problem> {
    state.client(access.client_id).await?;
    let mut view = StatsView::from(state.store().client_stats(access.client_id).await?);
    if let Some(window) = window {
        let stats = state.store().window_stats(access.client_id, window.kind).await?;
        view.window = Some(WindowView::new(window.name, &stats));
    }
    Ok(Json(view))
}
