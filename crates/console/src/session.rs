//! Signing in and out, and who is signed in.

use askama::Template;
use axum::Router;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sensei_domain::WebOrigin;
use sensei_persistence::{Access, BegunSession, KeyKind, Scope};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::api::Api;
use crate::assets;
use crate::failure::Failure;
use crate::form::{Form, is_from_here};
use crate::headers::allow_framing;
use crate::page::{show, show_with};
use crate::state::ConsoleState;

/// With https, a name that a browser takes from this very host only.
const SECURE_COOKIE: &str = "__Host-sensei";
const COOKIE: &str = "sensei";
/// Of the token that forms carry, so that it is of this session and doesn't give it away.
const CSRF_CONTEXT: &[u8] = b"sensei console form\0";
/// Where one goes who hasn't said.
const HOME: &str = "/admin";

/// Who is signed in: an extractor, so that no page can forget to ask.
#[derive(Debug, Clone)]
pub(crate) struct Viewer {
    pub(crate) api: Api,
    pub(crate) access: Access,
    /// The token that this session's forms carry.
    pub(crate) csrf: String,
}

impl Viewer {
    pub(crate) fn is_admin(&self) -> bool {
        self.access.scope == Scope::Admin
    }
}

impl FromRequestParts<ConsoleState> for Viewer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &ConsoleState) -> Result<Self, Failure> {
        let signed_out = || {
            let is_page = parts.method == axum::http::Method::GET;
            let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
            Failure::SignedOut {
                next: if is_page {
                    format!("{HOME}{path}")
                } else {
                    HOME.to_owned()
                },
            }
        };
        let token = token(&parts.headers).ok_or_else(signed_out)?;
        let access = state.store().session(&token).await?.ok_or_else(signed_out)?;
        allow_framing(&parts.extensions, ancestors(state, access).await?);
        let digest = Sha256::new().chain_update(CSRF_CONTEXT).chain_update(&token).finalize();
        Ok(Self {
            api: Api::new(state.api(), access),
            access,
            csrf: URL_SAFE_NO_PAD.encode(digest),
        })
    }
}

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new()
        .route("/sign-in", get(sign_in_page).post(sign_in))
        .route("/sign-in/{token}", get(open_link))
        .route("/sign-out", post(sign_out))
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    style: &'static str,
    next: &'a str,
    error: Option<&'static str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Next {
    next: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SignIn {
    key: String,
    next: String,
}

async fn sign_in_page(Query(Next { next }): Query<Next>) -> Response {
    show(&SignInPage {
        style: assets::style(),
        next: &next,
        error: None,
    })
}

async fn sign_in(
    State(state): State<ConsoleState>,
    headers: HeaderMap,
    axum::Form(SignIn { key, next }): axum::Form<SignIn>,
) -> Result<Response, Failure> {
    // Nobody is to be signed in by another site, as somebody else.
    if !is_from_here(&headers) {
        return Err(Failure::Forged);
    }
    let refused = |error| {
        let page = SignInPage {
            style: assets::style(),
            next: &next,
            error: Some(error),
        };
        Ok(show_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
    };
    let key = key.trim();
    let Some(access) = state.store().authenticate(key).await? else {
        return refused("This key isn't valid: it is mistyped, or was revoked.");
    };
    if access.kind != KeyKind::Secret {
        return refused("This is a publishable key, which may only capture leads. A secret key begins with sk_.");
    }
    let session = state.store().begin_session(access).await?;
    Ok(enter(&headers, &session, &next, Embedding::Never))
}

/// A link that the product or the operator has made for somebody.
async fn open_link(
    State(state): State<ConsoleState>,
    headers: HeaderMap,
    extensions: Extensions,
    Path(token): Path<String>,
    Query(Next { next }): Query<Next>,
) -> Result<Response, Failure> {
    let Some(access) = state.store().open_sign_in_link(&token).await? else {
        let page = SignInPage {
            style: assets::style(),
            next: &next,
            error: Some("This link isn't valid any more. Ask for a new one, or sign in with a key."),
        };
        return Ok(show_with(StatusCode::FORBIDDEN, &page));
    };
    let ancestors = ancestors(&state, access).await?;
    let session = state.store().begin_session(access).await?;
    let embedding = if ancestors.is_empty() {
        Embedding::Never
    } else {
        Embedding::Allowed
    };
    allow_framing(&extensions, ancestors);
    Ok(enter(&headers, &session, &next, embedding))
}

/// Whose pages may embed what this session sees: only a client's own view is ever embedded.
async fn ancestors(state: &ConsoleState, access: Access) -> Result<Vec<WebOrigin>, Failure> {
    match access.scope {
        Scope::Admin => Ok(Vec::new()),
        Scope::Client(client) => Ok(state.store().frame_ancestors(client).await?),
    }
}

async fn sign_out(State(state): State<ConsoleState>, headers: HeaderMap, _: Form) -> Result<Response, Failure> {
    if let Some(token) = token(&headers) {
        state.store().end_session(&token).await?;
    }
    let jar = [COOKIE, SECURE_COOKIE].into_iter().fold(CookieJar::new(), |jar, name| {
        let mut gone = Cookie::build((name, ""))
            .path("/")
            .secure(name == SECURE_COOKIE)
            .build();
        gone.make_removal();
        jar.add(gone)
    });
    Ok((jar, Redirect::to("/admin/sign-in")).into_response())
}

/// Whether a session's pages may stand within those of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Embedding {
    Never,
    Allowed,
}

/// Keeps the session in the browser and goes where it was wanted. Each signing in is a session of its own, whatever cookie came along.
fn enter(headers: &HeaderMap, session: &BegunSession, next: &str, embedding: Embedding) -> Response {
    let is_secure = is_https(headers);
    let name = if is_secure { SECURE_COOKIE } else { COOKIE };
    let is_embedded = is_secure && embedding == Embedding::Allowed;
    let mut cookie = Cookie::build((name, session.token.clone()))
        .path("/")
        .http_only(true)
        .secure(is_secure)
        .same_site(SameSite::Lax)
        .build();
    if is_embedded {
        // Within another site's page a browser sends no other; partitioned, it is of that site's pages alone.
        cookie.set_same_site(SameSite::None);
        cookie.set_partitioned(true);
    }
    (CookieJar::new().add(cookie), Redirect::to(within(next))).into_response()
}

/// Whether the browser came by https: it says so in `origin`, else a proxy before us does. Who pretends has a cookie that isn't sent back to him.
pub(crate) fn is_https(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    text(header::ORIGIN.as_str()).is_some_and(|origin| origin.starts_with("https://"))
        || text("x-forwarded-proto") == Some("https")
}

/// Only a page of the console is gone to, or its home.
fn within(next: &str) -> &str {
    let is_within = next == HOME || next.starts_with("/admin/") || next.starts_with("/admin?");
    let is_plain = !next.contains(['\\', '\r', '\n']) && !next.contains("//");
    if is_within && is_plain { next } else { HOME }
}

fn token(headers: &HeaderMap) -> Option<String> {
    let jar = CookieJar::from_headers(headers);
    let cookie = jar.get(SECURE_COOKIE).or_else(|| jar.get(COOKIE))?;
    Some(cookie.value().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere_by_signing_in() {
        for next in ["/admin", "/admin/clients", "/admin/clients?q=a"] {
            assert_eq!(within(next), next);
        }
        for next in [
            "",
            "https://evil.example",
            "//evil.example",
            "/administrator",
            "/admin/..//evil.example",
            "/admin/\\evil",
            "/v1/clients",
        ] {
            assert_eq!(within(next), HOME, "{next}");
        }
    }
}
