//! The router: all routes, and what surrounds them.

use axum::{Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;

use crate::docs_page;
use crate::exchange::{exchange, method_not_allowed, no_such_route, panicked};
use crate::openapi::documented_routes;
use crate::state::ApiState;

/// The API as an axum router, ready to be served or nested in another one.
pub fn router(state: ApiState) -> Router {
    let (routes, _) = documented_routes().split_for_parts();
    routes
        .merge(docs_page::routes())
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(exchange))
        .with_state(state)
}
