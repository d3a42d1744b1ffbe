//! How a webhook's receiver knows who sends: a header that is always the same, or a token that is asked for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use sensei_domain::{Faults, Fields, TextRule, WebhookUrl};
use serde_json::Value;

use super::fixed::visible;
use crate::transports::oauth::{Grant, Tokens};

pub(super) const BASIC: &str = "basic";
pub(super) const BEARER: &str = "bearer";
pub(super) const OAUTH2: &str = "oauth2ClientCredentials";

/// Longer credentials don't fit into what servers take of headers.
const CREDENTIAL: TextRule = TextRule {
    max: 4_096,
    trimmed: false,
    multiline: false,
};

/// The header `Authorization`.
#[derive(Debug)]
pub(super) enum Auth {
    /// Always the same.
    Fixed(HeaderValue),
    /// With a token that is asked for.
    Tokens(Box<Tokens>),
}

impl Auth {
    /// Reads the field `auth`, which stands at that pointer.
    pub(super) fn read(auth: &Value) -> Result<Self, Faults> {
        let mut fields = Fields::at(auth, "/auth")?;
        let kind = fields.required_text("type", TextRule::line(100));
        let auth = match kind {
            None => None,
            Some(BASIC) => basic(&mut fields),
            Some(BEARER) => bearer(&mut fields),
            Some(OAUTH2) => oauth2(&mut fields),
            Some(_) => {
                let detail = format!("must be \"{BASIC}\", \"{BEARER}\" or \"{OAUTH2}\"");
                return Err(Faults::one("/auth/type", detail));
            }
        };
        fields.finish()?;
        Ok(auth.expect("what has no fault was read"))
    }
}

fn basic(fields: &mut Fields<'_>) -> Option<Auth> {
    let username = fields.required_text("username", CREDENTIAL);
    let password = fields.optional_text("password", CREDENTIAL);
    let username = username?;
    if username.contains(':') {
        fields.fault("username", "must not contain a colon (RFC 7617)");
        return None;
    }
    let credentials = STANDARD.encode(format!("{username}:{}", password.unwrap_or_default()));
    secret(&format!("Basic {credentials}")).map(Auth::Fixed)
}

fn bearer(fields: &mut Fields<'_>) -> Option<Auth> {
    let token = fields.required_text("token", CREDENTIAL)?;
    let value = secret(&format!("Bearer {token}")).filter(|_| !token.contains(' '));
    if value.is_none() {
        fields.fault(
            "token",
            "must be visible ASCII without spaces, and without the word Bearer before it",
        );
    }
    value.map(Auth::Fixed)
}

fn oauth2(fields: &mut Fields<'_>) -> Option<Auth> {
    let url = fields.required_text("tokenUrl", TextRule::line(usize::MAX));
    let url = url.and_then(|url| fields.parse::<WebhookUrl>("tokenUrl", url));
    let id = fields.required_text("clientId", CREDENTIAL);
    let secret = fields.required_text("clientSecret", CREDENTIAL);
    let scope = fields.optional_text("scope", TextRule::line(1_000));
    let is_in_body = match fields.optional_text("credentialsIn", TextRule::line(100)) {
        None | Some("header") => false,
        Some("body") => true,
        Some(_) => {
            fields.fault("credentialsIn", "must be \"header\" or \"body\"");
            false
        }
    };
    let (url, id, secret) = (url?.as_url().clone(), id?.to_owned(), secret?.to_owned());
    let grant = Grant::client_credentials(url, id, secret, scope.map(str::to_owned));
    let grant = if is_in_body {
        grant.with_credentials_in_body()
    } else {
        grant
    };
    Some(Auth::Tokens(Box::new(Tokens::new(grant))))
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = visible(text)?;
    value.set_sensitive(true);
    Some(value)
}
