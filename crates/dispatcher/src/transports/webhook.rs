//! A generic webhook: the event's body, byte for byte, to any URL, signed by Standard Webhooks (v1.0.0).
//!
//! A client may choose another method or body, add headers, and give credentials; what is sent is signed as it is sent.
//!
//! The status alone decides: it is the receiver's word that it has the lead, however the rest of its answer
//! ends. Any 2xx is accepted, 410 says that there is no such receiver any more, all else is worth repeating.

mod auth;
mod content;
mod fixed;
mod options;
mod schema;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use hyper::{Method, StatusCode};
use sensei_domain::{Outcome, Timestamp, Trigger, WebhookUrl};
use sensei_persistence::Job;
use serde_json::{Value, json};
use url::Url;

use self::options::Options;
use super::vendor;
use crate::egress::{Answer, Call, Egress};
use crate::template::{Slot, Templates};
use crate::transport::{Attempted, ConfigError, Descriptor, Kind, Transport};

const KIND: &str = "webhook";
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// Marks a sample that somebody sent to try the destination.
const SENSEI_TEST: HeaderName = HeaderName::from_static("sensei-test");
/// A request's, with those that egress adds: a map that grows is made anew.
const HEADERS: usize = 8;
/// What is sent instead of the event.
pub(super) const BODY: Slot = Slot::body(
    "What is sent instead of the event, as JSON: each expression becomes a value of it, quotes and all. If the config's `body` isn't \
     `json`, the form or the envelope is made of this.",
);
/// A longer target of a redirect says nothing more.
const TARGET_LIMIT: usize = 300;

/// The kind `webhook`.
#[derive(Debug)]
pub struct Webhook {
    descriptor: Descriptor,
}

impl Webhook {
    /// The kind itself; [`Kind::bind`] makes transports.
    pub fn new() -> Self {
        Self {
            descriptor: Descriptor {
                kind: KIND,
                name: "Webhook",
                description: "Sends each event as JSON to a URL, signed by Standard Webhooks.",
                config_schema: schema::schema(),
                secret_fields: schema::SECRETS.map(str::to_owned).to_vec(),
                example: json!({"url": "https://hooks.acme.example/leads"}),
                rate_limit: None,
                setup_guide: "Answer each POST with 200 within 15 seconds, and verify its signature: the secret is shown by \
                    `GET …/destinations/{destinationId}/secret`. The same event may come twice, with the same `webhook-id`.",
                docs_url: "https://www.standardwebhooks.com/",
            },
        }
    }
}

impl Default for Webhook {
    fn default() -> Self {
        Self::new()
    }
}

impl Kind for Webhook {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn slots(&self) -> &[Slot] {
        &[BODY]
    }

    fn bind(&self, config: &Value) -> Result<Box<dyn Transport>, ConfigError> {
        self.bind_with(config, Templates::default())
    }

    fn bind_with(&self, config: &Value, templates: Templates) -> Result<Box<dyn Transport>, ConfigError> {
        let (url, options) =
            options::read(config, templates).map_err(|faults| ConfigError::Invalid { kind: KIND, faults })?;
        let options = options.map(Box::new);
        Ok(Box::new(WebhookTransport { url, options }))
    }
}

#[derive(Debug)]
struct WebhookTransport {
    url: WebhookUrl,
    /// `None` if it is plain.
    options: Option<Box<Options>>,
}

#[async_trait]
impl Transport for WebhookTransport {
    async fn deliver(&self, job: &Job, now: Timestamp, egress: &Egress) -> Attempted {
        let url = self.url.as_url();
        let answered = match &self.options {
            None => {
                let call = Call {
                    method: Method::POST,
                    url,
                    headers: headers(job, now, &job.body),
                    body: job.body.clone(),
                    ends: None,
                };
                let answered = egress.send(call).await;
                answered.map_err(|failure| Attempted::unanswered(&failure))
            }
            Some(options) => options.send(url, job, now, egress).await,
        };
        match answered {
            Ok(answer) => {
                let outcome = judge_status(&answer, now);
                let error = (outcome != Outcome::Delivered).then(|| self.explain(&answer));
                Attempted::answered(&answer, outcome, error).sent_to(self.url.redacted())
            }
            // It may have ended where a token is asked for.
            Err(attempted) if attempted.request_url.is_some() => attempted,
            Err(attempted) => attempted.sent_to(self.url.redacted()),
        }
    }
}

impl WebhookTransport {
    fn explain(&self, answer: &Answer) -> String {
        let words = explain(answer, self.url.as_url());
        let has_credentials = self.options.as_ref().is_some_and(|options| options.has_credentials());
        match answer.status {
            StatusCode::UNAUTHORIZED if has_credentials => {
                format!("{words}: it refused the credentials; save the right ones here")
            }
            StatusCode::FORBIDDEN if has_credentials => {
                format!("{words}: the credentials don't suffice; save others here, or give them the right there")
            }
            _ => words,
        }
    }
}

/// What is sent of a job: its event, or what a template makes of that.
pub(super) async fn body(templates: &Templates, job: &Job) -> Result<Bytes, Attempted> {
    let mut rendered = vendor::rendered(templates, job).await?;
    Ok(rendered.take(BODY.name).map_or_else(|| job.body.clone(), Bytes::from))
}

/// Of a body of JSON: signed, and marked if it is a test.
pub(super) fn headers(job: &Job, now: Timestamp, body: &[u8]) -> HeaderMap {
    signed(job, now, body, HeaderValue::from_static("application/json"))
}

/// Of whatever body is sent for a job.
fn signed(job: &Job, now: Timestamp, body: &[u8], content_type: HeaderValue) -> HeaderMap {
    let id = job.event_id.to_string();
    let signature = job.destination.sign(&id, now, body);
    let mut headers = HeaderMap::with_capacity(HEADERS);
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(WEBHOOK_ID, value(id));
    headers.insert(WEBHOOK_TIMESTAMP, now.as_seconds().into());
    headers.insert(WEBHOOK_SIGNATURE, value(signature));
    match job.trigger {
        Trigger::Test => {
            headers.insert(SENSEI_TEST, HeaderValue::from_static("true"));
        }
        Trigger::First | Trigger::Retry | Trigger::Manual | Trigger::Replay => {}
    }
    headers
}

fn value(text: String) -> HeaderValue {
    text.try_into().expect("ids and signatures are visible ASCII")
}

fn judge_status(answer: &Answer, now: Timestamp) -> Outcome {
    match answer.status {
        status if status.is_success() => Outcome::Delivered,
        StatusCode::GONE => Outcome::Gone,
        _ => Outcome::Unavailable {
            retry_after: answer.retry_after(now),
        },
    }
}

fn explain(answer: &Answer, url: &Url) -> String {
    let status = answer.status;
    if status.is_redirection()
        && let Some(location) = answer.headers.get(LOCATION)
    {
        let target = location.to_str().ok().and_then(|location| url.join(location).ok());
        return match target.and_then(shown) {
            Some(target) => format!(
                "the receiver redirects to {target}: update the URL ({})",
                status.as_u16()
            ),
            None => format!("the receiver redirects elsewhere: update the URL ({})", status.as_u16()),
        };
    }
    match status.canonical_reason() {
        Some(reason) => format!("the receiver answered {} {reason}", status.as_u16()),
        None => format!("the receiver answered {}", status.as_u16()),
    }
}

/// A redirect's target without what may be secret in it.
fn shown(mut target: Url) -> Option<String> {
    target.set_query(None);
    target.set_fragment(None);
    target.set_username("").ok()?;
    target.set_password(None).ok()?;
    let text = String::from(target);
    (text.len() <= TARGET_LIMIT).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_is_one_url_and_nothing_else() {
        let kind = Webhook::new();
        assert!(kind.bind(&json!({"url": "https://example.com/leads?token=a"})).is_ok());
        let cases = [
            (json!({}), "/url is required"),
            (json!({"url": 7}), "/url must be a string, not a number"),
            (
                json!({"url": "https://example.com", "uri": 1}),
                "/uri is not a known field",
            ),
            (json!({"url": "ftp://example.com"}), "/url must begin with https://"),
            (
                json!({"url": "https://me:pass@example.com"}),
                "/url must not hold a user name or password",
            ),
            (json!("https://example.com"), "must be a JSON object"),
        ];
        for (config, reason) in cases {
            let error = kind.bind(&config).expect_err("refused").to_string();
            assert!(error.contains(reason), "{config}: {error}");
        }
    }

    #[test]
    fn a_shown_redirect_holds_no_secret() {
        let url = |text: &str| text.parse::<Url>().expect("a URL");
        let cases = [
            ("https://me:pass@example.com/a?token=b#c", Some("https://example.com/a")),
            ("https://example.com/", Some("https://example.com/")),
            ("mailto:me@example.com", None),
        ];
        for (target, expected) in cases {
            assert_eq!(shown(url(target)).as_deref(), expected, "{target}");
        }
        assert_eq!(shown(url(&format!("https://example.com/{}", "a".repeat(300)))), None);
    }
}
