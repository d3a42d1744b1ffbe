//! Mail: each lead to one or several addresses, by the client's own mail server (SMTP, RFC 5321).
//!
//! A mail that is sent again has the same `Message-ID`, by which mail programs know it. 4yz is worth repeating, 5yz isn't. Encryption is
//! required, except of a host whose address the operator allows. Where a server takes a mail for some of its recipients alone, the others are
//! tried again without them, or given up and named.

mod message;
mod session;

use std::sync::Arc;

use async_trait::async_trait;
use hyper::header::HeaderMap;
use lettre::Address;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use md5::{Digest as _, Md5};
use schemars::JsonSchema;
use sensei_domain::{Outcome, RateLimit, RateUnit, Timestamp, Trigger};
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
    from: Recipient,
    /// Who gets the mail.
    #[schemars(length(min = 1, max = 10))]
    to: Vec<Recipient>,
}

/// An address that can be written to.
#[derive(Deserialize, JsonSchema)]
struct Recipient(
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
        let mailbox = |Recipient(address): Recipient| Ok(Mailbox::new(None, address.parse()?));
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

    async fn send(&self, job: &Job, now: Timestamp, egress: &Egress) -> Result<Attempted, Refused> {
        let unusable = |what: &str| Refused::Rejected(format!("the config's {what} can't be used"));
        let from = self.from.as_ref().map_err(|_| unusable("sender"))?;
        let to = self.to.as_ref().map_err(|_| unusable("addresses"))?;
        let rendered = self.templates.render(&job.body).await;
        let rendered = rendered.map_err(|error| {
            if error.is_ours {
                Refused::Failure(Failure::Ours(error.to_string()))
            } else {
                Refused::Rejected(error.to_string())
            }
        })?;
        let mail = message::message(job, now, from, to, rendered)?;
        if let Some(recorder) = egress.recorder() {
            recorder.keep(Recorded {
                method: "SMTP".to_owned(),
                headers: HeaderMap::new(),
                body: mail.formatted().into(),
            });
            return Err(Refused::Failure(Failure::Ours("it is a preview".to_owned())));
        }
        let ends = Instant::now() + egress.deadline();
        let mut sent = Sent::by_earlier_attempts(job, to).await?;
        let left = to.iter().map(|to| &to.email).filter(|to| !sent.is_to(to));
        let left = left.cloned().collect::<Vec<_>>();
        if left.is_empty() {
            return Ok(Attempted::unsent("earlier attempts have sent it to all".to_owned()));
        }
        let server = Server {
            host: &self.host,
            port: self.port,
            security: self.security,
            hello: from.email.domain(),
            credentials: self.credentials.as_ref(),
        };
        let handed_in = timeout_at(ends, session::hand_in(&server, &mail, &left, egress, ends)).await;
        let after = egress.deadline();
        let (taken, connection) = handed_in.unwrap_or(Err(Refused::Failure(Failure::Timeout { after })))?;
        session::say_goodbye(connection, ends).await;
        let is_in_one = taken.refused.is_empty() && sent.is_to_nobody();
        if !taken.to.is_empty() && !is_in_one {
            sent.add(taken.to.iter().map(|place| &left[*place]));
            sent.keep(job).await?;
        }
        if taken.refused.is_empty() {
            return Ok(delivered(taken.answer, None));
        }
        let (mut for_now, mut words) = (false, Vec::new());
        for refused in taken.refused {
            match refused {
                Refused::Unavailable(reason) => {
                    for_now = true;
                    words.push(reason);
                }
                Refused::Rejected(reason) => words.push(reason),
                Refused::Failure(failure) => return Err(failure.into()),
            }
        }
        let words = words.join("; ");
        if for_now {
            return Err(Refused::Unavailable(words));
        }
        if sent.is_to_nobody() {
            return Err(Refused::Rejected(words));
        }
        Ok(delivered(taken.answer, Some(format!("not to all: {words}"))))
    }
}

/// Who has a mail already whose other recipients were refused for now.
#[derive(Default)]
struct Sent(Vec<String>);

impl Sent {
    /// Who asks for a delivery again that went to all wants it sent again.
    async fn by_earlier_attempts(job: &Job, to: &[Mailbox]) -> Result<Self, Refused> {
        let reached = job.reached().await.map_err(|error| unkept(&error))?;
        let sent = Self(
            reached
                .iter()
                .flat_map(|reached| reached.split(' '))
                .map(str::to_owned)
                .collect(),
        );
        let is_whole = to.iter().all(|to| sent.is_to(&to.email));
        Ok(if is_whole && job.trigger == Trigger::Manual {
            Self::default()
        } else {
            sent
        })
    }

    async fn keep(&self, job: &Job) -> Result<(), Refused> {
        let kept = job.reach(&self.0.join(" ")).await;
        kept.map_err(|error| unkept(&error))
    }

    fn add<'a>(&mut self, to: impl Iterator<Item = &'a Address>) {
        self.0.extend(to.map(digest));
    }

    fn is_to(&self, address: &Address) -> bool {
        self.0.contains(&digest(address))
    }

    const fn is_to_nobody(&self) -> bool {
        self.0.is_empty()
    }
}

/// Stands for an address where it is kept.
fn digest(address: &Address) -> String {
    let digest = Md5::digest(address.to_string().as_bytes());
    digest
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn unkept(error: &dyn std::error::Error) -> Refused {
    Failure::Ours(format!("who has it isn't known or kept ({error})")).into()
}

fn delivered(answer: String, error: Option<String>) -> Attempted {
    Attempted {
        response_snippet: Some(answer),
        ..told(Outcome::Delivered, error)
    }
}

fn told(outcome: Outcome, error: Option<String>) -> Attempted {
    Attempted {
        outcome,
        status_code: None,
        error,
        response_snippet: None,
        request_url: None,
        strain: None,
        pause: None,
        is_unsent: false,
    }
}

#[async_trait]
impl Transport for EmailTransport {
    async fn deliver(&self, job: &Job, now: Timestamp, egress: &Egress) -> Attempted {
        let attempted = match self.send(job, now, egress).await {
            Ok(attempted) => attempted,
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
