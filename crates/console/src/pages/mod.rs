//! The pages, a file each.

use axum::Router;

use crate::state::ConsoleState;

pub(crate) mod below;
pub(crate) mod clients;
pub(crate) mod destinations;
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
}
