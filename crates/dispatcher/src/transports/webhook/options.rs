//! How a webhook is sent that isn't plain: another method, another body, headers of the client's own, credentials.

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};
use sensei_domain::{Faults, Fields, TextRule, Timestamp, WebhookUrl};
use sensei_persistence::Job;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::auth::Auth;
use super::content::Content;
use super::fixed;
use crate::egress::{Answer, Call, Egress};
use crate::template::Templates;
use crate::transport::Attempted;

/// What a client has chosen beside the URL.
#[derive(Debug)]
pub(super) struct Options {
    method: Method,
    content: Content,
    headers: HeaderMap,
    auth: Option<Auth>,
    templates: Templates,
}

/// Reads a config: where, and how if it isn't plain.
pub(super) fn read(config: &Value, templates: Templates) -> Result<(WebhookUrl, Option<Options>), Faults> {
    let mut fields = Fields::new(config)?;
    let url = fields.required_text("url", TextRule::line(usize::MAX));
    let url = url.and_then(|url| fields.parse("url", url));
    let method = one_of(
        &mut fields,
        "method",
        "must be \"POST\", \"PUT\" or \"PATCH\"",
        |method| {
            [Method::POST, Method::PUT, Method::PATCH]
                .into_iter()
                .find(|known| known.as_str() == method)
        },
    );
    let content = one_of(
        &mut fields,
        "body",
        "must be \"json\", \"form\", \"cloudEventsStructured\" or \"cloudEventsBinary\"",
        Content::named,
    );
    let auth = fields.value("auth").filter(|auth| !auth.is_null());
    let auth = auth.and_then(|auth| fields.nested(Auth::read(auth)));
    let headers = fixed::read(&mut fields, auth.is_some());
    fields.finish()?;
    let options = Options {
        method: method.unwrap_or(Method::POST),
        content: content.unwrap_or(Content::Json),
        headers,
        auth,
        templates,
    };
    let url = url.expect("a config without faults has its URL");
    Ok((url, (!options.is_plain()).then_some(options)))
}

/// A name among those that there are; absent, null or empty is none.
fn one_of<T>(
    fields: &mut Fields<'_>,
    name: &'static str,
    detail: &str,
    known: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let found = known(fields.optional_text(name, TextRule::line(100))?);
    if found.is_none() {
        fields.fault(name, detail);
    }
    found
}

impl Options {
    fn is_plain(&self) -> bool {
        let is_sent_plainly = self.method == Method::POST && self.content == Content::Json;
        is_sent_plainly && self.headers.is_empty() && self.auth.is_none() && self.templates.is_empty()
    }

    /// Whether the receiver knows by something of the config who sends.
    pub(super) fn has_credentials(&self) -> bool {
        self.auth.is_some() || self.headers.values().any(HeaderValue::is_sensitive)
    }

    /// Makes one attempt; with a token that is refused (401) and that was kept from before, once more with a new one.
    pub(super) async fn send(
        &self,
        url: &Url,
        job: &Job,
        now: Timestamp,
        egress: &Egress,
    ) -> Result<Answer, Attempted> {
        let body = super::body(&self.templates, job).await?;
        let made = self.content.of(job, body);
        let made = made.map_err(|failure| Attempted::unanswered(&failure))?;
        let mut headers = super::signed(job, now, &made.body, made.content_type);
        headers.extend(made.envelope);
        headers.extend(self.headers.clone());
        let ends = Instant::now() + egress.deadline();
        let send = async |mut headers: HeaderMap, authorization: Option<HeaderValue>| {
            headers.extend(authorization.map(|value| (AUTHORIZATION, value)));
            let call = Call {
                method: self.method.clone(),
                url,
                headers,
                body: made.body.clone(),
                ends: Some(ends),
            };
            let answered = egress.send(call).await;
            answered.map_err(|failure| Attempted::unanswered(&failure))
        };
        let tokens = match &self.auth {
            None => return send(headers, None).await,
            Some(Auth::Fixed(value)) => return send(headers, Some(value.clone())).await,
            Some(Auth::Tokens(tokens)) => tokens,
        };
        let token = tokens.token(now, ends, egress).await?;
        let answer = send(headers.clone(), Some(token.bearer())).await?;
        if answer.status != StatusCode::UNAUTHORIZED || !tokens.forget(&token, now) {
            return Ok(answer);
        }
        let token = tokens.token(now, ends, egress).await?;
        let answer = send(headers, Some(token.bearer())).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            tokens.forget(&token, now);
        }
        Ok(answer)
    }
}
