//! What every kind of destination must keep, run over each of them.
//!
//! A new kind adds a [`Subject`] to [`subjects`]: how its config names a URL, and what it makes of a status. A vendor's kind has its own
//! host: the URL is then where something stands in for it.

use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use sensei_dispatcher::{Attempted, Egress, EgressOptions, Kind, Registry, Transport};
use sensei_domain::{Clock, Outcome, SystemClock, Trigger};
use sensei_test_support::{Fault, FaultServer, Receiver};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers};

use crate::fixture::{SHORT, deliver_after_drops, job, loopback, with};
use crate::trap::Trap;

const LIMIT: Duration = Duration::from_secs(30);

struct Subject {
    kind: Arc<dyn Kind>,
    /// A config that leads to this URL, which stands in for vendors; `None`: its example does.
    config: Option<fn(&str) -> Value>,
    /// What an answer of this status and an empty body means.
    outcome: fn(u16) -> Outcome,
}

const AGAIN: Outcome = Outcome::Unavailable { retry_after: None };

fn subjects() -> Vec<Subject> {
    let registry = Registry::standard();
    let kind = |name| Arc::clone(registry.kind(name).expect("it is there"));
    let vendor = |name, outcome| Subject {
        kind: kind(name),
        config: None,
        outcome,
    };
    vec![
        Subject {
            kind: kind("webhook"),
            config: Some(|url| json!({ "url": url })),
            outcome: |status| match status {
                200..=299 => Outcome::Delivered,
                410 => Outcome::Gone,
                _ => AGAIN,
            },
        },
        Subject {
            kind: kind("webhook"),
            config: Some(|url| {
                json!({
                    "url": url, "method": "PUT", "body": "form", "headers": {"X-Source": "sensei"},
                    "auth": {"type": "basic", "username": "me", "password": "s3cret"}
                })
            }),
            outcome: |status| match status {
                200..=299 => Outcome::Delivered,
                410 => Outcome::Gone,
                _ => AGAIN,
            },
        },
        vendor("zapier", |status| match status {
            200 => Outcome::Delivered,
            410 => Outcome::Gone,
            _ => AGAIN,
        }),
        vendor("make", |status| match status {
            200..=299 => Outcome::Delivered,
            404 | 410 => Outcome::Gone,
            _ => AGAIN,
        }),
        // A success has the body `ok`.
        vendor("slack", |status| match status {
            404 | 410 => Outcome::Gone,
            200..=299 => AGAIN,
            other => api(other),
        }),
        vendor("discord", |status| match status {
            401 | 403 | 404 => Outcome::Gone,
            other => api(other),
        }),
        // A conflict, a lock and a move to another data center are over some time; a success of several says in its body what was kept.
        vendor("hubspot", |status| match status {
            207 | 409 | 423 | 477 => AGAIN,
            other => api(other),
        }),
        Subject {
            config: Some(|_| json!({"orgId": "00D000000000001"})),
            ..vendor("salesforce", api)
        },
        // A success has a body that says so.
        vendor("pipedrive", |status| match status {
            200..=299 => AGAIN,
            other => api(other),
        }),
        vendor("mailchimp", api),
        // Its limit is by the minute.
        vendor("kit", |status| match status {
            429 => Outcome::Unavailable {
                retry_after: Some(Duration::from_mins(1)),
            },
            other => api(other),
        }),
        vendor("asana", api),
        vendor("trello", api),
        // A success has a body that says so.
        vendor("linear", |status| match status {
            200..=299 => AGAIN,
            other => api(other),
        }),
        vendor("clickup", api),
        vendor("jira", api),
    ]
}

/// What the statuses of an API with tokens mean.
fn api(status: u16) -> Outcome {
    match status {
        200..=299 => Outcome::Delivered,
        408 | 425 | 429 => AGAIN,
        400..=499 => Outcome::Rejected,
        _ => AGAIN,
    }
}

impl Subject {
    fn kind_name(&self) -> &'static str {
        self.kind.descriptor().kind
    }

    fn config(&self, url: &str) -> Value {
        self.config
            .map_or_else(|| self.kind.descriptor().example.clone(), |config| config(url))
    }

    fn transport(&self, url: &str) -> Box<dyn Transport> {
        self.kind.bind(&self.config(url)).expect("the config is a good one")
    }

    /// A way out that leads to the URL.
    fn egress(&self, url: &str, options: EgressOptions) -> Egress {
        let vendors_at = (self.kind_name() != "webhook").then(|| url.parse().expect("a URL"));
        with(EgressOptions { vendors_at, ..options })
    }

    async fn deliver(&self, url: &str, options: EgressOptions) -> Attempted {
        let job = job(self.kind_name(), self.config(url), Trigger::First);
        let egress = self.egress(url, options);
        self.transport(url).deliver(&job, SystemClock.now(), &egress).await
    }
}

#[tokio::test]
async fn every_status_has_its_outcome_and_its_words() {
    let server = MockServer::start().await;
    let answered = Arc::new(AtomicU16::new(0));
    for subject in subjects() {
        let status = Arc::clone(&answered);
        Mock::given(matchers::any())
            .respond_with(move |_: &Request| ResponseTemplate::new(status.load(Ordering::Relaxed)))
            .mount(&server)
            .await;
        let (transport, egress) = (
            subject.transport(&server.uri()),
            subject.egress(&server.uri(), loopback()),
        );
        let job = job(subject.kind_name(), subject.config(&server.uri()), Trigger::First);
        for status in 200..=599 {
            answered.store(status, Ordering::Relaxed);
            let attempted = transport.deliver(&job, SystemClock.now(), &egress).await;
            let expected = (subject.outcome)(status);
            assert_eq!(
                attempted.outcome,
                expected,
                "{} {status}: {attempted:?}",
                subject.kind_name()
            );
            assert_eq!(attempted.status_code, Some(status));
            let is_named = attempted.error.is_some_and(|error| error.contains(&status.to_string()));
            assert_eq!(
                is_named,
                expected != Outcome::Delivered,
                "{} {status}",
                subject.kind_name()
            );
        }
        assert_eq!(
            server.received_requests().await.map(|requests| requests.len()),
            Some(400),
            "each was tried once"
        );
        server.reset().await;
    }
}

#[tokio::test]
async fn a_redirect_is_a_failure_that_is_not_followed() {
    let trap = Trap::set();
    let receiver = Receiver::start();
    receiver.set_header("location", &format!("http://{}/new?token=secret", trap.address()));
    for subject in subjects() {
        for status in [301, 302, 303, 307, 308] {
            receiver.set_status(status);
            let attempted = subject.deliver(&receiver.url(), loopback()).await;
            assert_eq!(
                attempted.outcome,
                (subject.outcome)(status),
                "{} {status}",
                subject.kind_name()
            );
            let words = attempted.error.expect("a failure has words");
            assert!(!words.contains("secret"), "{words}");
        }
    }
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn nothing_is_sent_where_nothing_may_go() {
    let trap = Trap::set();
    for subject in subjects() {
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
            let attempted = subject
                .deliver(
                    &format!("https://{host}:{}/hook", trap.port()),
                    EgressOptions::default(),
                )
                .await;
            assert_eq!(attempted.outcome, Outcome::Blocked, "{} {host}", subject.kind_name());
            assert_eq!(
                attempted.error.as_deref(),
                Some("the URL leads to an address that isn't allowed")
            );
            assert_eq!((attempted.status_code, attempted.response_snippet), (None, None));
        }
    }
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn an_attempt_ends_by_the_deadline_whatever_the_receiver_does() {
    // With the status that comes before the fault, if any, and whether only the deadline ends the attempt.
    let faults = [
        (Fault::BlackHole, None, true),
        (Fault::SlowHeaders, None, true),
        (Fault::EndlessHeaders, None, false),
        (Fault::Garbage, None, false),
        (Fault::Reset, None, false),
        (Fault::Close, None, false),
        (Fault::SlowBody, Some(200), true),
        (Fault::EndlessBody, Some(200), false),
        (Fault::ShortBody, Some(200), false),
        (Fault::LongBody, Some(200), false),
        (Fault::GzipBomb, Some(200), false),
    ];
    let hasty = EgressOptions {
        deadline: SHORT,
        ..loopback()
    };
    for (fault, status, is_endless) in &faults {
        let options = if *is_endless { hasty.clone() } else { loopback() };
        let attempts = subjects().into_iter().map(|subject| {
            let (fault, options) = (fault.clone(), options.clone());
            async move {
                let server = FaultServer::start(fault);
                let started = Instant::now();
                let attempted = subject.deliver(&server.url(), options).await;
                assert!(started.elapsed() < LIMIT, "{}", subject.kind_name());
                (subject, attempted, server.connections())
            }
        });
        for (subject, attempted, connections) in futures_util::future::join_all(attempts).await {
            let name = format!("{} {fault:?}", subject.kind_name());
            assert_eq!(attempted.status_code, *status, "{name}");
            if status.is_none() {
                assert_eq!(attempted.outcome, AGAIN, "{name}");
            }
            assert!(attempted.response_snippet.is_none_or(|snippet| snippet.len() <= 1_024));
            assert_eq!(connections, 1, "{name} was tried once");
        }
    }
}

#[tokio::test]
async fn a_delay_beyond_the_deadline_is_a_failure_and_one_within_is_not() {
    let receiver = Receiver::start();
    for subject in subjects() {
        receiver.set_delay(LIMIT);
        let hasty = EgressOptions {
            deadline: SHORT,
            ..loopback()
        };
        let attempted = subject.deliver(&receiver.url(), hasty).await;
        assert_eq!(attempted.outcome, Outcome::Unavailable { retry_after: None });
        assert_eq!(attempted.error.as_deref(), Some("no answer within 1200 ms"));
        receiver.set_delay(Duration::from_millis(20));
        let attempted = subject.deliver(&receiver.url(), loopback()).await;
        assert_eq!(attempted.outcome, (subject.outcome)(200));
    }
}

#[tokio::test]
async fn an_ipv6_receiver_is_reached() {
    let receiver = Receiver::start_on((Ipv6Addr::LOCALHOST, 0).into()).expect("::1 can be used");
    for subject in subjects() {
        let attempted = subject.deliver(&receiver.url(), loopback()).await;
        assert_eq!(attempted.outcome, (subject.outcome)(200), "{}", subject.kind_name());
    }
}

#[tokio::test]
async fn an_attempt_can_be_dropped_at_any_await() {
    let receiver = Receiver::start();
    for subject in subjects() {
        let egress = subject.egress(&receiver.url(), loopback());
        let transport = subject.transport(&receiver.url());
        let job = job(subject.kind_name(), subject.config(&receiver.url()), Trigger::First);
        let attempted = deliver_after_drops(transport.as_ref(), &job, &egress).await;
        assert_eq!(attempted.outcome, (subject.outcome)(200), "{}", subject.kind_name());
    }
}

#[test]
fn a_kind_describes_its_config() {
    let registry = Registry::standard();
    assert_eq!(registry.kinds().count(), 16, "all of the documentation");
    for kind in registry.kinds() {
        let descriptor = kind.descriptor();
        let name = descriptor.kind;
        assert!(
            !descriptor.name.is_empty() && descriptor.description.ends_with('.'),
            "{name}"
        );
        assert!(descriptor.docs_url.starts_with("https://"), "{name}");
        assert!(!descriptor.setup_guide.is_empty(), "{name}");
        let example = &descriptor.example;
        kind.bind(example).expect("its example is good");
        let known = descriptor.config_schema["properties"].as_object().expect("properties");
        let mut given = example.as_object().expect("an object").keys();
        assert!(given.all(|key| known.contains_key(key)), "{name}");
        let is_known = |field: &String| known.contains_key(field.split('/').next().unwrap_or_default());
        assert!(descriptor.secret_fields.iter().all(is_known), "{name}");
        let is_valid = jsonschema::is_valid(&descriptor.config_schema, example);
        assert!(is_valid, "{name}: its schema has its example");
        let mut strange = example.clone();
        strange["unknown"] = json!(1);
        kind.bind(&strange).expect_err("unknown fields are refused");
        kind.bind(&json!({})).expect_err("something is required");
    }
}
