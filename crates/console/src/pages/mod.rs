//! The pages, a file each.

use axum::Router;

use crate::state::ConsoleState;

pub(crate) mod clients;

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new().merge(clients::routes())
}
