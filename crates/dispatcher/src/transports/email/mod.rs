//! Mail: each lead to one or several addresses, by the client's own mail server (SMTP, RFC 5321).
//!
//! A mail that is sent again has the same `Message-ID`, by which mail programs know it. 4yz is worth repeating, 5yz isn't. Encryption is
//! required, except of a host whose address the operator allows.

mod message;
mod session;

use std::sync::Arc;

use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use reqwest::header::HeaderMap;
use schemars::JsonSchema;
use sensei_domain::{Outcome, RateLimit, RateUnit, Timestamp};
use sensei_persistence::Job;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, timeout_at};
use url::Host;

use self::session::{Refused, Server};
use super::config::{self, About};
use super::vendor;
use crate::egress::{Egress, Failure, Recorded};
use crate::template::Templates;
use crate::transport::{Attempted, Kind, Transport};

const KIND: &str = "email";

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("dependentRequired" = {"username": ["password"], "password": ["username"]}))]
struct Config {
    /// The mail server that takes mail to be sent.
    #[schemars(length(max = 253), regex(pattern = "^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$"), extend("mismatch" = "must be a host's name or IPv4 address"))]
    host: String,
    /// Without it, 465 with `tls`, 587 with `startTls` and 25 with `none`.
    #[schemars(range(min = 1, max = 65535))]
    port: Option<u16>,
    /// `tls` encrypts from the first byte, `startTls` before anything is said; `none` reaches nothing but what the operator allows.
    #[serde(default)]
    security: Security,
    /// With a password, if the server wants to know who sends.
    #[schemars(length(min = 1, max = 300), regex(pattern = "^[^\\u0000-\\u001f]+$"), extend("mismatch" = "must be a line"))]
    username: Option<String>,
    /// That user's password; where two factors are needed, one for apps.
    #[schemars(length(min = 1, max = 300), regex(pattern = "^[^\\u0000-\\u001f]+$"), extend("writeOnly" = true, "mismatch" = "must be a line"))]
    password: Option<String>,
    /// The sender's address, one that the server lets this user write from.
    from: Address,
    /// Who gets the mail.
    #[schemars(length(min = 1, max = 10))]
    to: Vec<Address>,
}

/// An address that can be written to.
#[derive(Deserialize, JsonSchema)]
struct Address(
    #[schemars(length(max = 254), regex(pattern = "^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?([.][A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+$"), extend("mismatch" = "must be an email address"))]
     String,
);

/// How a connection is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Security {
    #[default]
    Tls,
    StartTls,
    None,
}

/// The kind `email`.
pub(super) fn kind() -> Arc<dyn Kind> {
    config::kind(
        About {
            kind: KIND,
            name: "Email",
            description: "Sends each lead as a mail, by a mail server of yours.",
            example: json!({
                "host": "smtp.acme.example", "username": "leads@acme.example", "password": "00000000",
                "from": "leads@acme.example", "to": ["sales@acme.example"],
            }),
            rate_limit: RateLimit::new(60, RateUnit::Minute, 10),
            setup_guide: "1. Look up your mail provider's server for *outgoing* mail (SMTP), its port, and how it encrypts: `tls` (mostly 465) or `startTls` (587).\n\
                2. `username` and `password` are those of a mailbox there. Google, Microsoft and others want a *password for apps* instead of your own.\n\
                3. `from` must be an address that this mailbox may write from; answers go to the lead himself (`Reply-To`).",
            docs_url: "https://www.rfc-editor.org/rfc/rfc5321",
        },
        message::SLOTS,
        EmailTransport::new,
    )
}

struct EmailTransport {
    host: Host<String>,
    port: u16,
    security: Security,
    credentials: Option<Credentials>,
    from: Result<Mailbox, lettre::address::AddressError>,
    to: Result<Vec<Mailbox>, lettre::address::AddressError>,
    templates: Templates,
}

vendor::transport_without_secrets!(EmailTransport);

impl EmailTransport {
    fn new(config: Config, templates: Templates) -> Self {
        let mailbox = |Address(address): Address| Ok(Mailbox::new(None, address.parse()?));
        Self {
            // What isn't one is a name that doesn't exist.
            host: Host::parse(&config.host).unwrap_or(Host::Domain(config.host)),
            port: config.port.unwrap_or(match config.security {
                Security::Tls => 465,
                Security::StartTls => 587,
                Security::None => 25,
            }),
            security: config.security,
            credentials: config
                .username
                .zip(config.password)
                .map(|(username, password)| Credentials::new(username, password)),
            from: mailbox(config.from),
            to: config.to.into_iter().map(mailbox).collect(),
            templates,
        }
    }

    async fn send(&self, job: &Job, now: Timestamp, egress: &Egress) -> Result<String, Refused> {
        let unusable = |what: &str| Refused::Rejected(format!("the config's {what} can't be used"));
        let from = self.from.as_ref().map_err(|_| unusable("sender"))?;
        let to = self.to.as_ref().map_err(|_| unusable("addresses"))?;
        let rendered = self.templates.render(&job.body).await;
        let rendered = rendered.map_err(|error| Refused::Rejected(error.to_string()))?;
        let mail = message::message(job, now, from, to, rendered)?;
        if let Some(recorder) = egress.recorder() {
            recorder.keep(Recorded {
                method: "SMTP".to_owned(),
                headers: HeaderMap::new(),
                body: mail.formatted().into(),
            });
            return Err(Refused::Failure(Failure::Ours("it is a preview".to_owned())));
        }
        let server = Server {
            host: &self.host,
            port: self.port,
            security: self.security,
            hello: from.email.domain(),
            credentials: self.credentials.as_ref(),
        };
        let ends = Instant::now() + egress.deadline();
        let handed_in = timeout_at(ends, session::hand_in(&server, &mail, egress, ends)).await;
        let after = egress.deadline();
        handed_in.unwrap_or(Err(Refused::Failure(Failure::Timeout { after })))
    }
}

#[async_trait]
impl Transport for EmailTransport {
    async fn deliver(&self, job: &Job, now: Timestamp, egress: &Egress) -> Attempted {
        let told = |outcome, error| Attempted {
            outcome,
            status_code: None,
            error,
            response_snippet: None,
            request_url: None,
            strain: None,
            pause: None,
        };
        let attempted = match self.send(job, now, egress).await {
            Ok(answer) => Attempted {
                response_snippet: Some(answer),
                ..told(Outcome::Delivered, None)
            },
            Err(Refused::Failure(Failure::Blocked(_))) => {
                let words = "the mail server is at an address or port that isn't allowed, or not without encryption";
                told(Outcome::Blocked, Some(words.to_owned()))
            }
            Err(Refused::Failure(failure)) => Attempted::unanswered(&failure),
            Err(Refused::Rejected(words)) => told(Outcome::Rejected, Some(words)),
            Err(Refused::Unavailable(words)) => told(Outcome::Unavailable { retry_after: None }, Some(words)),
        };
        attempted.sent_to(format!("smtp://{}:{}", self.host, self.port))
    }
}
