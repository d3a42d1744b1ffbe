//! The router: all pages, and what surrounds them.

use axum::response::Redirect;
use axum::routing::get;
use axum::{Router, middleware};

use crate::failure::Failure;
use crate::headers;
use crate::lead_form;
use crate::pages;
use crate::state::ConsoleState;
use crate::{assets, session};

/// The console below `/admin`, and lead forms below `/forms` and as `/embed.js`, to merge with the API's router.
pub fn router(state: ConsoleState) -> Router {
    let console = Router::new()
        .route("/", get(pages::clients::home))
        .merge(session::routes())
        .merge(pages::routes())
        .nest("/assets", assets::routes())
        .fallback(async || Failure::NotFound)
        .layer(middleware::from_fn(headers::protect))
        .with_state(state.clone());
    Router::new()
        .nest("/admin", console)
        .merge(lead_form::routes(state))
        .route("/admin/", get(async || Redirect::permanent("/admin")))
}
