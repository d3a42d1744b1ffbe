//! The pages, a file each.

use axum::Router;

use crate::state::ConsoleState;

mod audit;
pub(crate) mod below;
pub(crate) mod clients;
mod deliveries;
mod delivery;
pub(crate) mod destinations;
mod lead;
mod leads;
mod operator;
mod overview;
mod recoveries;
mod redeliver_many;
pub(crate) mod retry;
pub(crate) mod secret;
pub(crate) mod settings;
pub(crate) mod test_send;

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new()
        .merge(clients::routes())
        .merge(settings::routes())
        .merge(destinations::routes())
        .merge(secret::routes())
        .merge(test_send::routes())
        .merge(log_routes())
}

/// Of the delivery log.
fn log_routes() -> Router<ConsoleState> {
    Router::new()
        .merge(overview::routes())
        .merge(leads::routes())
        .merge(lead::routes())
        .merge(deliveries::routes())
        .merge(delivery::routes())
        .merge(redeliver_many::routes())
        .merge(recoveries::routes())
        .merge(operator::routes())
        .merge(audit::routes())
        .merge(crate::live::routes())
}
