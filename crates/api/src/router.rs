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
    surrounded(routes.merge(docs_page::routes())).with_state(state)
}

fn surrounded<S: Clone + Send + Sync + 'static>(routes: Router<S>) -> Router<S> {
    routes
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(exchange))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::extract::Request;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_panic_fails_its_request_only_and_tells_nothing() {
        async fn panics() {
            panic!("a secret");
        }
        let router = surrounded(Router::new().route("/", get(panics)));
        let answer = router
            .oneshot(Request::new(Body::empty()))
            .await
            .expect("the router always answers");
        assert_eq!(answer.status(), 500);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX)
            .await
            .expect("a body");
        let body = String::from_utf8_lossy(&body);
        assert!(
            body.contains("/problems/internal") && !body.contains("secret"),
            "{body}"
        );
    }
}
