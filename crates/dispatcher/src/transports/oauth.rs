//! Access tokens of OAuth 2 (RFC 6749), asked for once for all attempts that need one, and kept until shortly before they end.
//!
//! Promises that one request for a token is under way at a time, that whoever waits for it waits no longer than its attempt may
//! take, and gets the same answer, and that no secret is in `Debug`, the log or an error. Kept as long as the transport is bound: a
//! new version of a destination, and another process, ask for their own. A refresh token that comes with an answer is not
//! kept: who gives out a new one each time, and revokes the one before, can't be used.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use sensei_domain::{Outcome, Timestamp};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use url::{Url, form_urlencoded};

use super::text::cut;
use super::vendor;
use crate::egress::{Answer, Call, Egress, Failure};
use crate::transport::Attempted;

/// How long a token is kept whose end isn't told (RFC 6749, section 5.1, only recommends to tell it).
const UNTOLD_LIFE: Duration = Duration::from_mins(10);
/// No token is kept for longer.
const LONGEST_LIFE: Duration = Duration::from_hours(24);
/// How long before its end another one is asked for: longer than an attempt, and than clocks differ.
const AHEAD: Duration = Duration::from_mins(1);
/// Of the endpoint's own words, no more is repeated.
const REASON: usize = 300;

/// What is asked with: a token endpoint, and the fields of the form that it takes.
pub(super) struct Grant {
    url: Url,
    /// A host that a kind knows, for which something may stand in.
    is_vendors: bool,
    form: Vec<(&'static str, String)>,
    /// The client's id and secret, unless they are in the form.
    basic: Option<(String, String)>,
}

impl Grant {
    /// The client's own credentials (RFC 6749, section 4.4), as a header of the scheme Basic.
    pub(super) fn client_credentials(url: Url, id: String, secret: String, scope: Option<String>) -> Self {
        let mut form = vec![("grant_type", "client_credentials".to_owned())];
        form.extend(scope.map(|scope| ("scope", scope)));
        Self {
            url,
            is_vendors: false,
            form,
            basic: Some((id, secret)),
        }
    }

    /// A refresh token (RFC 6749, section 6), the client's credentials in the form.
    pub(super) fn refresh_token(url: Url, id: String, secret: String, refresh_token: String) -> Self {
        let form = vec![
            ("grant_type", "refresh_token".to_owned()),
            ("refresh_token", refresh_token),
        ];
        Self {
            url,
            is_vendors: false,
            form,
            basic: Some((id, secret)),
        }
        .with_credentials_in_body()
    }

    /// The client's credentials as fields of the form (RFC 6749, section 2.3.1).
    #[must_use]
    pub(super) fn with_credentials_in_body(mut self) -> Self {
        if let Some((id, secret)) = self.basic.take() {
            self.form.extend([("client_id", id), ("client_secret", secret)]);
        }
        self
    }

    /// At a host that a kind knows, not one that a client chose.
    #[must_use]
    pub(super) fn at_vendor(self) -> Self {
        Self {
            is_vendors: true,
            ..self
        }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::from_iter([
            (
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            ),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        if let Some((id, secret)) = &self.basic {
            // Encoded as in a form before they are joined (RFC 6749, section 2.3.1).
            let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let credentials = STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
            headers.insert(AUTHORIZATION, secret_value(&format!("Basic {credentials}")));
        }
        headers
    }

    fn body(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.form)
            .finish()
    }

    /// Whether a text repeats what nobody else may know.
    fn is_in(&self, text: &str) -> bool {
        let is_secret = |name: &str| !matches!(name, "grant_type" | "scope" | "client_id");
        let form = self.form.iter().filter(|(name, _)| is_secret(name));
        let basic = self.basic.iter().map(|(_, secret)| secret);
        form.map(|(_, value)| value)
            .chain(basic)
            .any(|secret| text.contains(secret.as_str()))
    }

    /// Where it is, less what may be secret.
    fn shown(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.into()
    }
}

/// An access token.
pub(super) struct Token {
    bearer: HeaderValue,
    asked_at: Timestamp,
    /// Until then it is good for another attempt.
    until: Timestamp,
}

impl Token {
    /// The value of the header `Authorization`; it is marked as sensitive.
    pub(super) fn bearer(&self) -> HeaderValue {
        self.bearer.clone()
    }
}

/// The access token of a bound transport.
pub(super) struct Tokens {
    grant: Grant,
    latest: Mutex<Latest>,
    /// Whose turn it is to ask; held while asking, by one whose attempt ends.
    turn: tokio::sync::Mutex<()>,
}

/// What came of asking.
#[derive(Default)]
struct Latest {
    answer: Option<Result<Arc<Token>, Attempted>>,
    /// How often there was an answer: who waited meanwhile takes it for its own.
    answers: u64,
}

impl Tokens {
    pub(super) fn new(grant: Grant) -> Self {
        Self {
            grant,
            latest: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// A token for an attempt that began at `now` and must be over when it `ends`.
    ///
    /// # Errors
    /// What came of the attempt: without a token it is over.
    pub(super) async fn token(&self, now: Timestamp, ends: Instant, egress: &Egress) -> Result<Arc<Token>, Attempted> {
        if egress.recorder().is_some() {
            let mut bearer = HeaderValue::from_static("Bearer");
            bearer.set_sensitive(true);
            return Ok(Arc::new(Token {
                bearer,
                asked_at: now,
                until: now,
            }));
        }
        let answers = {
            let latest = self.latest();
            if let Some(Ok(token)) = &latest.answer
                && now < token.until
            {
                return Ok(Arc::clone(token));
            }
            latest.answers
        };
        let Ok(_turn) = timeout_at(ends, self.turn.lock()).await else {
            let after = egress.deadline();
            return Err(self.unanswered(&Failure::Timeout { after }));
        };
        {
            let latest = self.latest();
            if latest.answers != answers
                && let Some(answer) = &latest.answer
            {
                return answer.clone();
            }
        }
        let answer = match self.ask(ends, egress).await {
            Ok(answer) => self.read(&answer, now).map(Arc::new),
            // It says how much time this attempt had left; others may have more.
            Err(failure @ Failure::Timeout { .. }) => return Err(self.unanswered(&failure)),
            Err(failure) => Err(self.unanswered(&failure)),
        };
        let mut latest = self.latest();
        latest.answers += 1;
        latest.answer = Some(answer.clone());
        answer
    }

    /// The receiver refused this token (401): it isn't used again. Whether another one is worth a try for the attempt that began at
    /// `now`: not if this one was asked for by then.
    pub(super) fn forget(&self, token: &Token, now: Timestamp) -> bool {
        let mut latest = self.latest();
        if let Some(Ok(kept)) = &latest.answer
            && std::ptr::eq(Arc::as_ptr(kept), token)
        {
            latest.answer = None;
        }
        token.asked_at < now
    }

    async fn ask(&self, ends: Instant, egress: &Egress) -> Result<Answer, Failure> {
        let grant = &self.grant;
        let call = Call {
            method: Method::POST,
            url: &grant.url,
            headers: grant.headers(),
            body: grant.body().into(),
            ends: Some(ends),
        };
        if grant.is_vendors {
            egress.send_to_vendor(call).await
        } else {
            egress.send(call).await
        }
    }

    fn read(&self, answer: &Answer, now: Timestamp) -> Result<Token, Attempted> {
        let body = vendor::json_of(answer);
        let answered = vendor::answered("the token endpoint", answer.status);
        let retry_after = answer.retry_after(now);
        let again = |words: String| Err(self.failed(Outcome::Unavailable { retry_after }, words));
        let rejected = |words: String| Err(self.failed(Outcome::Rejected, words));
        match answer.status.as_u16() {
            200..=299 => {}
            300..=399 => {
                return again(format!(
                    "{answered}: it redirects, and isn't followed; update the token URL"
                ));
            }
            408 | 425 | 429 | 500.. => return again(answered),
            status => {
                let named = body["error"].as_str().and_then(named);
                let mend = named.unwrap_or(if status == 401 {
                    "it refused the client's credentials; save the right ones here"
                } else {
                    "it refused the request; check the token URL and the client's credentials"
                });
                let mut words = format!("{answered}: {mend}");
                let description = body["error_description"].as_str().unwrap_or_default();
                if !description.is_empty() && !self.grant.is_in(description) {
                    words = format!("{words}: {}", cut(description, REASON));
                }
                // A client's own is judged as his webhook is: whatever it refuses may be mended there.
                let is_final = self.grant.is_vendors && (named.is_some() || status == 401);
                return if is_final { rejected(words) } else { again(words) };
            }
        }
        let bearer = body["access_token"].as_str().filter(|token| !token.is_empty());
        let bearer = bearer.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
        let Some(mut bearer) = bearer else {
            return again(format!("{answered} without an access token; check the token URL"));
        };
        bearer.set_sensitive(true);
        let kind = body["token_type"].as_str().unwrap_or("Bearer");
        if !kind.eq_ignore_ascii_case("bearer") {
            return rejected(format!("{answered} with a token that isn't of the type Bearer"));
        }
        let life = life(&body["expires_in"]);
        Ok(Token {
            bearer,
            asked_at: now,
            until: now.after(life.saturating_sub(AHEAD.min(life / 4))),
        })
    }

    fn unanswered(&self, failure: &Failure) -> Attempted {
        let words = format!("no access token could be asked for: {failure}");
        Attempted {
            strain: failure.strain(),
            ..self.failed(failure.outcome(), words)
        }
    }

    /// Nothing of the endpoint's answer is kept: it may hold a token.
    fn failed(&self, outcome: Outcome, words: String) -> Attempted {
        Attempted {
            outcome,
            status_code: None,
            error: Some(words),
            response_snippet: None,
            request_url: Some(self.grant.shown()),
            strain: None,
            pause: None,
            is_unsent: false,
        }
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Why there is no token, by the error's name, and what would mend it (RFC 6749, section 5.2).
fn named(error: &str) -> Option<&'static str> {
    Some(match error {
        "invalid_client" => "it refused the client's credentials (invalid_client); save the right ones here",
        "invalid_grant" => "the grant isn't valid, or isn't any more (invalid_grant); authorise anew and save it here",
        "unauthorized_client" => "this client may not use this grant (unauthorized_client); allow it there",
        "unsupported_grant_type" => "it doesn't take this grant (unsupported_grant_type); check the token URL",
        "invalid_scope" => "this client may not have this scope (invalid_scope); correct the scope, or allow it there",
        "invalid_request" => "it refused the request (invalid_request); check where it wants the client's credentials",
        _ => return None,
    })
}

/// A number of seconds; some send it as a text.
fn life(told: &Value) -> Duration {
    let seconds = told.as_f64().or_else(|| told.as_str()?.trim().parse().ok());
    let told = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    told.unwrap_or(UNTOLD_LIFE).min(LONGEST_LIFE)
}

/// A header's value that nobody may see.
fn secret_value(text: &str) -> HeaderValue {
    let mut value = HeaderValue::try_from(text).expect("Base64 is visible ASCII");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests;
