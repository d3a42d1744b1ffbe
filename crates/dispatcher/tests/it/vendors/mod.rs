//! The kinds of vendors: what each sends, byte for byte, and what it makes of each answer that its vendor can give.
//!
//! A stub stands in for the vendor and takes nothing but the one right request. The tables here are also those of the pages in
//! `docs/integrations`, which a test writes.

mod boards;
mod contacts;
mod discord;
mod email;
mod hooks;
mod hostile;
mod pages;
mod pipedrive;
mod salesforce;
mod slack;
mod templates;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use sensei_dispatcher::{Attempted, EgressOptions, Kind, Registry, Templates};
use sensei_domain::{Clock, LeadCreated, NewLead, Outcome, SystemClock, Trigger};
use serde_json::{Value, json};
use wiremock::matchers::method;
use wiremock::{Match, Mock, MockServer, Request, ResponseTemplate};

use crate::fixture::{job, loopback, with};

/// A vendor's kind, and what its service answers.
struct Vendor {
    kind: Arc<dyn Kind>,
    /// The host that its example sends the sample to, how, and the path there.
    host: &'static str,
    method: &'static str,
    path: &'static str,
    /// Of a kind with several ways to send: what this one is called, and its config.
    way: Option<Way>,
    /// Where an attempt takes several calls: what the others are answered.
    others: &'static [Other],
    /// The first is a delivery.
    answers: &'static [Answer],
    /// What nobody has seen live.
    unseen: &'static str,
}

/// What a way to send is called, and its config.
type Way = (&'static str, fn() -> Value);

/// Another call of an attempt, at its host and path, and its answer.
struct Other {
    method: &'static str,
    path: &'static str,
    status: u16,
    body: &'static str,
}

impl Other {
    async fn mount(&self, stub: &MockServer) {
        let sent_to = SentTo {
            method: self.method,
            path: self.path.to_owned(),
        };
        let response = ResponseTemplate::new(self.status).set_body_string(self.body);
        Mock::given(sent_to).respond_with(response).mount(stub).await;
    }
}

/// An answer of the service, and what it means.
struct Answer {
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    outcome: Outcome,
    /// A part of what the log says; empty of a delivery.
    words: &'static str,
}

const DELIVERED: Outcome = Outcome::Delivered;
const AGAIN: Outcome = Outcome::Unavailable { retry_after: None };

const fn after(seconds: u64) -> Outcome {
    Outcome::Unavailable {
        retry_after: Some(Duration::from_secs(seconds)),
    }
}

const fn answer(status: u16, body: &'static str, outcome: Outcome, words: &'static str) -> Answer {
    Answer {
        status,
        headers: &[],
        body,
        outcome,
        words,
    }
}

/// The kind of this name.
fn kind(name: &str) -> Arc<dyn Kind> {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::standard);
    Arc::clone(REGISTRY.kind(name).expect("it is there"))
}

fn all() -> Vec<Vendor> {
    let messages = [hooks::zapier(), hooks::make(), slack::vendor(), discord::vendor()];
    messages
        .into_iter()
        .chain(contacts::all())
        .chain([salesforce::rest(), salesforce::form(), pipedrive::vendor()])
        .chain(boards::all())
        .collect()
}

/// The lead of the documentation.
fn sample() -> Value {
    json!({"name": "Jane Doe", "email": "jane@example.com", "phone": "+15550100", "message": "I need a quote"})
}

/// A lead's event, always of the same time and ids.
fn event(lead: &Value, client_name: &str) -> Bytes {
    let lead = NewLead::from_json(lead).expect("a valid lead");
    let id = "0193a2b5-0000-7000-8000-000000000001".parse().expect("an id");
    let client_id = "d454991a-eddb-4e81-959d-87c868e050ca".parse().expect("an id");
    let at = "2024-11-24T10:30:00.000Z".parse().expect("a time");
    LeadCreated::new(id, at, &lead, client_id, client_name, false)
        .to_bytes()
        .into()
}

impl Vendor {
    fn kind_name(&self) -> &'static str {
        self.kind.descriptor().kind
    }

    /// Whether the client gives a URL, which is a secret.
    fn has_url(&self) -> bool {
        self.example().get("url").is_some()
    }

    fn example(&self) -> Value {
        self.way
            .map_or_else(|| self.kind.descriptor().example.clone(), |(_, config)| config())
    }

    /// One attempt with this config, where the stub stands in for every vendor.
    async fn deliver(&self, stub: &MockServer, config: &Value, body: Bytes) -> Attempted {
        self.deliver_by(stub, config, &Value::Null, body).await
    }

    /// As [`Vendor::deliver`], with a template.
    async fn deliver_by(&self, stub: &MockServer, config: &Value, template: &Value, body: Bytes) -> Attempted {
        let mut job = job(self.kind_name(), config.clone(), Trigger::First);
        job.body = body;
        let egress = with(EgressOptions {
            vendors_at: Some(stub.uri().parse().expect("a URL")),
            ..loopback()
        });
        let templates = Templates::read(self.kind.slots(), template).expect("a good template");
        let transport = self.kind.bind_with(config, templates).expect("a good config");
        transport.deliver(&job, SystemClock.now(), &egress).await
    }

    /// The requests that are sent for an event, where all goes well.
    async fn requests(&self, config: &Value, body: Bytes) -> Vec<Request> {
        self.requests_by(config, &Value::Null, body).await
    }

    /// As [`Vendor::requests`], with a template.
    async fn requests_by(&self, config: &Value, template: &Value, body: Bytes) -> Vec<Request> {
        let stub = MockServer::start().await;
        for other in self.others {
            other.mount(&stub).await;
        }
        let answer = &self.answers[0];
        Mock::given(method(self.method))
            .respond_with(ResponseTemplate::new(answer.status).set_body_string(answer.body))
            .mount(&stub)
            .await;
        let attempted = self.deliver_by(&stub, config, template, body).await;
        assert_eq!(attempted.outcome, DELIVERED, "{}: {attempted:?}", self.kind_name());
        stub.received_requests().await.expect("they are kept")
    }

    /// The only one.
    async fn request(&self, config: &Value, body: Bytes) -> Request {
        let mut requests = self.requests(config, body).await;
        assert_eq!(requests.len(), 1, "{}", self.kind_name());
        requests.remove(0)
    }
}

/// Nothing but this path, with its host before it, at which the stub stands in for that host.
struct SentTo {
    method: &'static str,
    path: String,
}

impl Match for SentTo {
    fn matches(&self, request: &Request) -> bool {
        request.method.as_str() == self.method && request.url.path() == self.path
    }
}

#[tokio::test]
async fn every_answer_of_a_vendor_means_what_its_table_says() {
    for vendor in all() {
        let config = vendor.example();
        for row in vendor.answers {
            let stub = MockServer::start().await;
            let mut response = ResponseTemplate::new(row.status).set_body_string(row.body);
            for (name, value) in row.headers {
                response = response.insert_header(*name, *value);
            }
            for other in vendor.others {
                other.mount(&stub).await;
            }
            let sent_to = SentTo {
                method: vendor.method,
                path: format!("/{}{}", vendor.host, vendor.path),
            };
            Mock::given(sent_to).respond_with(response).mount(&stub).await;
            let attempted = vendor.deliver(&stub, &config, event(&sample(), "Acme Corp")).await;
            let row_name = format!("{} {} {}", vendor.kind_name(), row.status, row.body);
            assert_eq!(attempted.outcome, row.outcome, "{row_name}: {attempted:?}");
            assert_eq!(attempted.status_code, Some(row.status), "{row_name}");
            match &attempted.error {
                Some(error) => {
                    assert!(
                        !row.words.is_empty() && error.contains(row.words),
                        "{row_name}: {error}"
                    );
                    let says_status = error.contains(&row.status.to_string());
                    assert_eq!(says_status, row.outcome != DELIVERED, "{row_name}: {error}");
                }
                None => assert!(row.words.is_empty(), "{row_name}: it says nothing"),
            }
            let shown = attempted.request_url.expect("where it was sent");
            assert!(shown.starts_with(&format!("https://{}/", vendor.host)), "{shown}");
            assert_eq!(shown.ends_with("/…"), vendor.has_url(), "{shown}");
        }
    }
}

#[test]
fn no_other_host_is_taken_for_a_vendors() {
    for vendor in all().into_iter().filter(Vendor::has_url) {
        let config = vendor.example();
        let url = config["url"].as_str().expect("a URL");
        let evil = [
            url.replace(vendor.host, "evil.example"),
            url.replace(vendor.host, &format!("{}.evil.example", vendor.host)),
            url.replace(vendor.host, &format!("evil.example/{}", vendor.host)),
            url.replace(vendor.host, &format!("me@{}", vendor.host)),
            url.replace(vendor.host, &format!("{}:8443", vendor.host)),
            url.replace(vendor.host, &vendor.host.replace('.', "x")),
            url.replace("https:", "http:"),
            format!("{url}?to=evil.example"),
            format!("{url}\n"),
            format!(" {url}"),
            String::new(),
        ];
        for evil in evil {
            let refused = vendor.kind.bind(&json!({ "url": evil })).expect_err(&evil).to_string();
            assert!(refused.contains("/url must be"), "{evil}: {refused}");
            assert!(
                evil.is_empty() || !refused.contains(&evil),
                "what was given may be secret: {refused}"
            );
        }
    }
}

#[tokio::test]
async fn nothing_secret_is_shown_by_debug_or_the_log() {
    for vendor in all() {
        let config = vendor.example();
        let secrets = vendor
            .kind
            .descriptor()
            .secret_fields
            .iter()
            .filter_map(|field| config[field].as_str());
        let secrets = secrets.collect::<Vec<_>>();
        let has_way_without = vendor.way.is_some();
        assert!(
            has_way_without || !secrets.is_empty(),
            "{} has no secret",
            vendor.kind_name()
        );
        let stub = MockServer::start().await;
        let attempted = vendor.deliver(&stub, &config, event(&sample(), "Acme Corp")).await;
        let transport = vendor.kind.bind(&config).expect("a good config");
        for shown in [format!("{attempted:?}"), format!("{transport:?}")] {
            assert!(secrets.iter().all(|secret| !shown.contains(*secret)), "{shown}");
        }
    }
}

#[test]
fn wrong_text_in_any_field_is_refused_by_its_name() {
    for vendor in all() {
        for field in vendor.example().as_object().expect("an object").keys() {
            for wrong in ["", "a b", "x\r\ny: z", "\u{e9}"] {
                let mut config = vendor.example();
                config[field] = wrong.into();
                let refused = vendor.kind.bind(&config).expect_err(field).to_string();
                assert!(
                    refused.contains(&format!("/{field} must")),
                    "{} {field} {wrong:?}: {refused}",
                    vendor.kind_name()
                );
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
