//! Lead forms of clients, as their visitors meet them: hosted at `/forms/{clientId}`, without script, and `/embed.js`, which puts the form into any page.
//!
//! Nobody is signed in here. The hosted form is a client of the API's gate like any other page: what it sends on says whose request it was,
//! and is looked at, limited and answered by the API alone.

mod filled;
mod gate;
mod hosted;
mod shown;

use std::sync::LazyLock;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::state::ConsoleState;

/// The script that puts a form into a page, less what only its readers need.
static EMBED: LazyLock<String> = LazyLock::new(|| {
    let lines = include_str!("../../assets/embed.js").lines().map(str::trim_start);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .fold(String::new(), |all, line| all + line + "\n")
});
/// How that form looks.
const EMBED_STYLE: &str = include_str!("../../assets/embed.css");
/// More than the longest lead, however its characters are escaped.
const LARGEST_FORM: usize = 256 * 1024;

pub(crate) fn routes(state: ConsoleState) -> Router {
    let hosted = Router::new()
        .route("/", get(hosted::show).post(hosted::send))
        .route("/sent", get(hosted::sent))
        .route("/style.css", get(hosted::style))
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
        .layer(middleware::from_fn(gate::protect))
        .with_state(state);
    Router::new()
        .nest("/forms/{clientId}", hosted)
        .route(
            "/embed.js",
            get(async || anybodys("text/javascript; charset=utf-8", EMBED.as_str())),
        )
        .route(
            "/embed.css",
            get(async || anybodys("text/css; charset=utf-8", EMBED_STYLE)),
        )
}

/// Any page may load it, and check what it loads (`integrity`).
fn anybodys(content_type: &'static str, content: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "public, max-age=300"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
    ];
    (headers, content).into_response()
}

#[cfg(test)]
mod tests {
    use super::{EMBED, EMBED_STYLE};

    #[test]
    fn the_script_is_small_and_takes_nothing_from_elsewhere() {
        let embed = EMBED.as_str();
        assert!(embed.len() < 6 * 1000, "{} bytes", embed.len());
        assert!(!EMBED_STYLE.contains("url(") && !EMBED_STYLE.contains("@import"));
        for word in [
            "eval",
            "Function(",
            "cookie",
            "localStorage",
            "sessionStorage",
            "import",
            "innerHTML",
            "http:",
            "https:",
        ] {
            assert!(!embed.contains(word), "{word}");
        }
    }
}
