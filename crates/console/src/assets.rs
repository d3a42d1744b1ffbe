//! Styles and scripts: compiled in, named by what is in them, so that a browser may keep them for ever.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::state::ConsoleState;

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// All styles: ours, and those of the charts.
static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    let parts = [
        include_str!("../assets/console.css"),
        include_str!("../assets/vendored/uplot-1.6.32.min.css"),
    ];
    Asset::new("console.css", CSS, &parts)
});
/// The script of every page.
static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let parts = [
        include_str!("../assets/vendored/htmx-2.0.11.min.js"),
        include_str!("../assets/console.js"),
        include_str!("../assets/forms.js"),
    ];
    Asset::new("console.js", JS, &parts)
});
/// The script of pages with charts.
static CHARTS: LazyLock<Asset> = LazyLock::new(|| {
    let parts = [
        include_str!("../assets/vendored/uplot-1.6.32.min.js"),
        include_str!("../assets/charts.js"),
    ];
    Asset::new("charts.js", JS, &parts)
});

/// A file as it is served.
#[derive(Debug)]
struct Asset {
    /// Where it is, with the beginning of its hash.
    path: String,
    content_type: &'static str,
    content: String,
}

impl Asset {
    fn new(name: &str, content_type: &'static str, parts: &[&str]) -> Self {
        let content = parts.join("\n");
        let hash = URL_SAFE_NO_PAD.encode(&Sha256::digest(content.as_bytes())[..9]);
        Self {
            path: format!("/admin/assets/{hash}/{name}"),
            content_type,
            content,
        }
    }
}

/// Where the styles are.
pub(crate) fn style() -> &'static str {
    &STYLE.path
}

/// Where the script of every page is.
pub(crate) fn script() -> &'static str {
    &SCRIPT.path
}

/// Where the script of charts is.
pub(crate) fn charts() -> &'static str {
    &CHARTS.path
}

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new().route("/{hash}/{name}", get(serve))
}

async fn serve(Path((hash, name)): Path<(String, String)>) -> Response {
    let asked = format!("/admin/assets/{hash}/{name}");
    let found = [&STYLE, &SCRIPT, &CHARTS].into_iter().find(|asset| asset.path == asked);
    let Some(asset) = found else {
        return Failure::NotFound.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, asset.content.as_str()).into_response()
}
