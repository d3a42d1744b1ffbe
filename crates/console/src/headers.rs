//! What every answer of the console tells the browser about what it may do.

use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use axum::http::{Extensions, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use sensei_domain::WebOrigin;

/// Nothing from elsewhere, nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors";

const HEADERS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    // Pages hold people's data: not for shared caches, nor for the back button after signing out.
    (header::CACHE_CONTROL, "no-store"),
];

/// Whose pages may be around this answer: nobody's, unless whoever is signed in has found out otherwise.
#[derive(Debug, Clone, Default)]
struct Framing(Arc<OnceLock<Vec<WebOrigin>>>);

/// Lets these embed the answer to this request.
pub(crate) fn allow_framing(extensions: &Extensions, ancestors: Vec<WebOrigin>) {
    if let Some(Framing(framing)) = extensions.get() {
        framing.set(ancestors).ok();
    }
}

/// Adds them where an answer hasn't its own.
pub(crate) async fn protect(mut request: Request, next: Next) -> Response {
    let framing = Framing::default();
    request.extensions_mut().insert(framing.clone());
    let mut response = next.run(request).await;
    let ancestors = framing.0.get().map(Vec::as_slice).unwrap_or_default();
    let headers = response.headers_mut();
    if let Some(policy) = embeddable(ancestors) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    } else {
        let policy = HeaderValue::try_from(format!("{POLICY} 'none'"));
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            policy.expect("the policy is plain text"),
        );
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The policy of a page that these may embed; none if nobody may. An origin is plain text without spaces and semicolons.
fn embeddable(ancestors: &[WebOrigin]) -> Option<HeaderValue> {
    if ancestors.is_empty() {
        return None;
    }
    let ancestors = ancestors.iter().map(WebOrigin::as_str).collect::<Vec<_>>();
    HeaderValue::try_from(format!("{POLICY} 'self' {}", ancestors.join(" "))).ok()
}
