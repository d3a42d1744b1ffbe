//! Signing in and out, and who is signed in.

use askama::Template;
use axum::Router;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
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
use url::Url;

use crate::api::Api;
use crate::assets;
use crate::failure::Failure;
use crate::form::{Form, is_from_here};
use crate::headers::allow_framing;
use crate::page::{show, show_with, text};
use crate::state::ConsoleState;

/// With https, a name that a browser takes from this very host only.
const SECURE_COOKIE: &str = "__Host-sensei";
const COOKIE: &str = "sensei";
/// Of the token that forms carry, so that it is of this session and doesn't give it away.
const CSRF_CONTEXT: &[u8] = b"sensei console form\0";
/// By what a proxy tells whether the browser came by https.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
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
        .route("/sign-in/{token}", get(open_link).post(take_link))
        .route("/sign-out", post(sign_out))
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    style: &'static str,
    next: &'a str,
    error: Option<&'static str>,
}

/// Asks who opens a link while signed in as somebody else.
#[derive(Template)]
#[template(path = "sign_in_instead.html")]
struct InsteadPage<'a> {
    style: &'static str,
    csrf: &'a str,
    token: &'a str,
    next: &'a str,
    /// Who is signed in.
    current: String,
    /// Whom the link is for.
    other: String,
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

/// A link that the product or the operator has made for somebody. Who is signed in as another is asked first: a link from a stranger is
/// not to make him the stranger unnoticed. Asking spends nothing.
async fn open_link(
    State(state): State<ConsoleState>,
    Path(token): Path<String>,
    Query(Next { next }): Query<Next>,
    mut parts: Parts,
) -> Result<Response, Failure> {
    let Some(access) = state.store().open_sign_in_link(&token).await? else {
        return Ok(invalid_link(&next));
    };
    let viewer = match Viewer::from_request_parts(&mut parts, &state).await {
        Ok(viewer) => Some(viewer),
        Err(Failure::SignedOut { .. }) => None,
        Err(failure) => return Err(failure),
    };
    if let Some(viewer) = viewer.filter(|viewer| viewer.access.scope != access.scope) {
        let is_switched_by_its_product =
            is_foreign_frame(&parts.headers) && !ancestors(&state, access).await?.is_empty();
        if !is_switched_by_its_product {
            return Ok(show(&InsteadPage {
                style: assets::style(),
                csrf: &viewer.csrf,
                token: &token,
                next: &next,
                current: name(&state, viewer.access).await?,
                other: name(&state, access).await?,
            }));
        }
    }
    follow_link(&state, &parts.headers, access, &next).await
}

/// Signs in by a link instead of as who is signed in, who has said so.
async fn take_link(
    State(state): State<ConsoleState>,
    headers: HeaderMap,
    Path(token): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let next = form.text("next");
    match state.store().open_sign_in_link(&token).await? {
        Some(access) => follow_link(&state, &headers, access, next).await,
        None => Ok(invalid_link(next)),
    }
}

async fn follow_link(
    state: &ConsoleState,
    headers: &HeaderMap,
    access: Access,
    next: &str,
) -> Result<Response, Failure> {
    let embedding = if ancestors(state, access).await?.is_empty() {
        Embedding::Never
    } else {
        Embedding::Allowed
    };
    let session = state.store().begin_session(access).await?;
    Ok(enter(headers, &session, next, embedding))
}

fn invalid_link(next: &str) -> Response {
    let page = SignInPage {
        style: assets::style(),
        next,
        error: Some("This link isn't valid any more. Ask for a new one, or sign in with a key."),
    };
    show_with(StatusCode::FORBIDDEN, &page)
}

/// Whether it was opened by https within a page of another site. There a browser sends and keeps only the cookie of views within that very
/// site, so a product may show one client's view after another's, and nobody's own session is at stake.
fn is_foreign_frame(headers: &HeaderMap) -> bool {
    is_https(headers) && fetched(headers, "dest") == Some("iframe") && fetched(headers, "site") == Some("cross-site")
}

/// What a browser tells of a request, which no script can change.
fn fetched<'a>(headers: &'a HeaderMap, what: &str) -> Option<&'a str> {
    let value = headers.get(format!("sec-fetch-{what}"))?;
    value.to_str().ok()
}

/// As whom somebody is signed in, in words.
async fn name(state: &ConsoleState, access: Access) -> Result<String, Failure> {
    match access.scope {
        Scope::Admin => Ok("an admin".to_owned()),
        Scope::Client(client) => {
            let client = Api::new(state.api(), access)
                .get(&format!("/v1/clients/{client}"))
                .await?;
            Ok(text(&client, "name").to_owned())
        }
    }
}

/// Whose pages may embed what this session sees: only a client's own view is ever embedded.
async fn ancestors(state: &ConsoleState, access: Access) -> Result<Vec<WebOrigin>, Failure> {
    match access.scope {
        Scope::Admin => Ok(Vec::new()),
        Scope::Client(client) => Ok(state.store().frame_ancestors(client).await?),
    }
}

async fn sign_out(State(state): State<ConsoleState>, headers: HeaderMap, _: Form) -> Result<Response, Failure> {
    for token in tokens(&headers) {
        state.store().end_session(&token).await?;
    }
    let mut answer = Redirect::to("/admin/sign-in").into_response();
    for (name, is_partitioned) in [(COOKIE, false), (SECURE_COOKIE, false), (SECURE_COOKIE, true)] {
        let mut gone = Cookie::build((name, ""))
            .path("/")
            .secure(name == SECURE_COOKIE)
            .build();
        if is_partitioned {
            embed(&mut gone);
        }
        gone.make_removal();
        let gone = HeaderValue::try_from(gone.to_string()).expect("a cookie of ours is plain text");
        answer.headers_mut().append(header::SET_COOKIE, gone);
    }
    Ok(answer)
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
    // A page of its own has no need of it, and a browser would keep it beside the usual one. Browsers that don't say know of none such.
    let may_be_frame = fetched(headers, "dest").is_none_or(|dest| dest == "iframe");
    let is_embedded = is_secure && embedding == Embedding::Allowed && may_be_frame;
    let mut cookie = Cookie::build((name, session.token.clone()))
        .path("/")
        .http_only(true)
        .secure(is_secure)
        .same_site(SameSite::Lax)
        .build();
    if is_embedded {
        embed(&mut cookie);
    }
    (CookieJar::new().add(cookie), Redirect::to(within(next))).into_response()
}

/// Within another site's page a browser sends no other; partitioned, it is of that site's pages alone.
fn embed(cookie: &mut Cookie<'_>) {
    cookie.set_same_site(SameSite::None);
    cookie.set_partitioned(true);
}

/// Whether the browser came by https: it says so in the `origin` of our own pages, else a proxy before us does. Who pretends has a cookie that
/// isn't sent back to him.
pub(crate) fn is_https(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = text(header::ORIGIN).and_then(|origin| origin.strip_prefix("https://"));
    let is_ours = |origin: &str| text(header::HOST).is_none_or(|host| host == origin);
    origin.is_some_and(is_ours) || text(FORWARDED_PROTO) == Some("https")
}

/// Only a page of the console is gone to, as a browser understands the address, or its home. A sign-in link isn't a page: it would make
/// somebody another.
fn within(next: &str) -> &str {
    let is_plain = next.starts_with('/')
        && !next.contains("//")
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let page = Url::parse("http://console.invalid").and_then(|console| console.join(next));
    let is_within = page.is_ok_and(|page| {
        let path = page.path();
        (path == HOME || path.starts_with("/admin/")) && !path.starts_with("/admin/sign-in")
    });
    if is_plain && is_within { next } else { HOME }
}

/// The session's. By https only the name that nobody but this very host can have set counts; as far as the proxy tells: a browser does with some
/// requests only, and the others would have got the plain one.
fn token(headers: &HeaderMap) -> Option<String> {
    let jar = CookieJar::from_headers(headers);
    let is_told = headers.get(FORWARDED_PROTO).is_some_and(|proto| proto == "https");
    let plain = || jar.get(COOKIE).filter(|_| !is_told);
    let cookie = jar.get(SECURE_COOKIE).or_else(plain)?;
    Some(cookie.value().to_owned())
}

/// All that came along: a browser may keep one of its own for pages within others' beside the usual one, by the same name.
fn tokens(headers: &HeaderMap) -> Vec<String> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let cookies = cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(Cookie::split_parse);
    let ours = cookies
        .flatten()
        .filter(|cookie| [COOKIE, SECURE_COOKIE].contains(&cookie.name()));
    ours.map(|cookie| cookie.value().to_owned()).collect()
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
            "/admin/../v1/clients",
            "/admin/sign-in/link",
            "/admin/sign-in?next=/admin",
            "/admin/clients/../sign-in/link",
            "/admin/clients/%2E%2e/sign-in/link",
            "/admin/./sign-in/link",
            "/admin/sign-\tin/link",
            "/admin/clients\r\nset-cookie: a",
        ] {
            assert_eq!(within(next), HOME, "{next}");
        }
    }
}
