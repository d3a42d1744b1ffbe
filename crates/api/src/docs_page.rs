//! `/docs`: the OpenAPI document as a page. Nothing of it is loaded from elsewhere.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa_swagger_ui::{Config, serve};

use crate::problem::Problem;

/// The page's routes. Its links are relative, so that it works wherever the router is nested.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let config = Arc::new(Config::from("../openapi.json"));
    let page = {
        let config = Arc::clone(&config);
        async move || file("index.html", config)
    };
    let files = async move |Path(path): Path<String>| file(&path, config);
    Router::new()
        .route(
            "/docs",
            get(async || (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, "docs/")])),
        )
        .route("/docs/", get(page))
        .route("/docs/{*path}", get(files))
}

fn file(path: &str, config: Arc<Config<'static>>) -> Response {
    match serve(path, config) {
        Ok(Some(file)) => {
            let mut answer = ([(header::CONTENT_TYPE, file.content_type)], file.bytes.into_owned()).into_response();
            if file.gzpipped {
                answer
                    .headers_mut()
                    .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            answer
        }
        Ok(None) => Problem::no_such_route().into_response(),
        Err(error) => {
            tracing::error!(error, "the documentation page can't be served");
            Problem::internal().into_response()
        }
    }
}
