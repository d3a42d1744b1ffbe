//! `/admin/clients/{id}/destinations`: where a client's leads go, how each of these does, and their making, changing and ending.

mod actions;
mod detail;
mod edit;
mod filter;
mod health;
mod kinds;
mod list;
mod schema;

use axum::Router;

use crate::state::ConsoleState;

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new()
        .merge(list::routes())
        .merge(kinds::routes())
        .merge(edit::routes())
        .merge(detail::routes())
        .merge(actions::routes())
}
