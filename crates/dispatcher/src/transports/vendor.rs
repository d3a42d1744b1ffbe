//! What the kinds of one vendor's service have in common: where they post, and how an answer becomes an outcome in words.

use std::fmt;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use sensei_domain::{Outcome, Timestamp};
use sensei_persistence::Job;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::text::cut;
use crate::egress::{Answer, Call, Egress, Failure};
use crate::template::{Rendered, Templates};
use crate::transport::Attempted;

/// Of a receiver's own words, no more is repeated.
const REASON: usize = 300;

/// A URL that is itself a secret: whoever knows it may post. The kind's schema has checked its host.
#[derive(Clone)]
pub(super) struct CapabilityUrl(Url);

impl CapabilityUrl {
    pub(super) fn new(checked: &str) -> Self {
        Self(checked.parse().expect("what matches the schema's pattern is a URL"))
    }

    pub(super) const fn as_url(&self) -> &Url {
        &self.0
    }

    /// Its host, and the beginning of a path that has more.
    pub(super) fn shown(&self) -> String {
        let mut segments = self.0.path_segments().into_iter().flatten();
        let first = segments.next().filter(|_| segments.next().is_some());
        let first = first.map_or_else(String::new, |first| format!("/{first}"));
        format!("https://{}{first}/…", self.0.host_str().unwrap_or_default())
    }
}

impl fmt::Debug for CapabilityUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// What an answer means, and in words why it isn't a delivery.
pub(super) type Judged = (Outcome, Option<String>);

/// Posts to a vendor, once.
pub(super) async fn post(
    egress: &Egress,
    url: &Url,
    headers: HeaderMap,
    body: impl Into<Bytes>,
    judge: impl FnOnce(&Answer) -> Judged,
) -> Attempted {
    let answered = send(egress, None, Method::POST, url, headers, body).await;
    answered.map_or_else(
        |failure| Attempted::unanswered(&failure),
        |answer| judged(&answer, judge),
    )
}

/// Sends a request to a vendor, once; `ends` is when all requests of an attempt must be over.
pub(super) async fn send(
    egress: &Egress,
    ends: Option<Instant>,
    method: Method,
    url: &Url,
    headers: HeaderMap,
    body: impl Into<Bytes>,
) -> Result<Answer, Failure> {
    let call = Call {
        method,
        url,
        headers,
        body: body.into(),
        ends,
    };
    egress.send_to_vendor(call).await
}

/// An attempt that was answered.
pub(super) fn judged(answer: &Answer, judge: impl FnOnce(&Answer) -> Judged) -> Attempted {
    let (outcome, error) = judge(answer);
    Attempted::answered(answer, outcome, error)
}

/// What a destination's templates make of a job's event; an attempt ends where one makes nothing of it.
pub(super) async fn rendered(templates: &Templates, job: &Job) -> Result<Rendered, Attempted> {
    let rendered = templates.render(&job.body).await;
    rendered.map_err(|error| Attempted::unrendered(&error))
}

/// Posts JSON to a URL of ours, which holds no secret.
pub(super) async fn post_to(
    egress: &Egress,
    url: &str,
    headers: HeaderMap,
    body: &Value,
    judge: impl FnOnce(&Answer) -> Judged,
) -> Attempted {
    let attempted = post(egress, &fixed(url), headers, body.to_string(), judge).await;
    attempted.sent_to(url.to_owned())
}

/// A URL that is made of ours and of what a kind's schema lets through.
pub(super) fn fixed(url: &str) -> Url {
    url.parse().expect("it is a URL")
}

/// `Debug` of a transport whose config holds secrets: its name alone.
macro_rules! transport_without_secrets {
    ($transport:ident) => {
        impl std::fmt::Debug for $transport {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($transport))
            }
        }
    };
}
pub(super) use transport_without_secrets;

/// The headers of a JSON body.
pub(super) fn json() -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))])
}

/// The headers of a JSON body, and one that holds a secret.
pub(super) fn json_with(name: HeaderName, secret: &str) -> HeaderMap {
    let mut headers = json();
    let mut value = HeaderValue::try_from(secret).expect("the kind's schema lets only visible ASCII through");
    value.set_sensitive(true);
    headers.insert(name, value);
    headers
}

/// What the usual statuses of an API with tokens mean. `reason` finds in an answer why it refused a request.
pub(super) fn judge_api(
    vendor: &str,
    answer: &Answer,
    now: Timestamp,
    reason: impl FnOnce(&Value) -> Option<String>,
) -> Judged {
    let answered = answered(vendor, answer.status);
    let rejected = |words: &str| (Outcome::Rejected, Some(format!("{answered}: {words}")));
    match answer.status.as_u16() {
        200..=299 => (Outcome::Delivered, None),
        401 => rejected("the token isn't valid, or isn't any more; make a new one and save it here"),
        403 => rejected(
            "the token's owner may not do this; give the token the scopes of the guide, or its owner the right",
        ),
        404 => rejected("what the config names isn't there, or the token's owner may not see it; check the ids"),
        408 | 425 | 429 => unavailable(answer, now, answered),
        400..=499 => {
            let reason = reason(&json_of(answer)).unwrap_or_else(|| "it refused the request".to_owned());
            rejected(&cut(&reason, REASON))
        }
        _ => unavailable(answer, now, answered),
    }
}

/// An answer that is worth repeating, after the time that it asks for.
pub(super) fn unavailable(answer: &Answer, now: Timestamp, words: String) -> Judged {
    let retry_after = answer.retry_after(now);
    (Outcome::Unavailable { retry_after }, Some(words))
}

/// `Slack answered 404 Not Found`.
pub(super) fn answered(vendor: &str, status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{vendor} answered {} {reason}", status.as_u16()),
        None => format!("{vendor} answered {}", status.as_u16()),
    }
}

/// An answer's JSON, if it is that.
pub(super) fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_url_holds_nothing_to_post_with() {
        for (url, shown) in [
            (
                "https://hooks.slack.com/services/T0/B0/s3cret?x=s3cret",
                "https://hooks.slack.com/services/…",
            ),
            ("https://hook.eu2.make.com/s3cret", "https://hook.eu2.make.com/…"),
        ] {
            let url = CapabilityUrl::new(url);
            assert_eq!((url.shown(), format!("{url:?}")), (shown.to_owned(), shown.to_owned()));
        }
    }
}
