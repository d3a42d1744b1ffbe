//! What a webhook's options make of a request, which of them are refused, and how its tokens are asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hyper::header::HeaderName;
use proptest::prelude::*;
use sensei_dispatcher::{Attempted, Egress, EgressOptions, Kind as _, Transport, Webhook};
use sensei_domain::{Clock as _, LeadCreated, NewLead, Outcome, SystemClock, Timestamp, Trigger};
use sensei_persistence::Job;
use sensei_test_support::{Received, Receiver};
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::fixture::{SHORT, job, loopback, to_loopback, with};

/// What each webhook has, whatever its options.
const ALWAYS: [&str; 8] = [
    "accept",
    "content-length",
    "content-type",
    "host",
    "user-agent",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];
const AGAIN: Outcome = Outcome::Unavailable { retry_after: None };

fn bind(config: &Value) -> Box<dyn Transport> {
    Webhook::new().bind(config).expect("a good config")
}

/// A config's URL, and options.
fn config(url: &str, options: &Value) -> Value {
    let mut config = options.clone();
    config["url"] = url.into();
    config
}

async fn deliver(job: &Job) -> Attempted {
    let transport = bind(job.destination.config.expose());
    transport.deliver(job, SystemClock.now(), &to_loopback()).await
}

fn is_signed(job: &Job, request: &Received) {
    let reference = standardwebhooks::Webhook::new(&job.destination.secret.expose()).expect("a secret");
    reference
        .verify(&request.body, &request.headers)
        .expect("signed as it was sent");
}

/// What a receiver of these options gets.
struct Expected {
    method: &'static str,
    content_type: &'static str,
    /// All headers beside those that each webhook has.
    headers: Vec<(&'static str, String)>,
    body: fn(&Job) -> Vec<u8>,
}

fn as_it_is(job: &Job) -> Vec<u8> {
    job.body.to_vec()
}

fn as_form(_: &Job) -> Vec<u8> {
    let pairs = [
        "data%5BclientId%5D=d454991a-eddb-4e81-959d-87c868e050ca",
        "data%5BclientName%5D=Acme+Corp",
        "data%5Bemail%5D=zoe%40example.com",
        "data%5Bid%5D=0193a2b5-0000-7000-8000-000000000001",
        "data%5Bmessage%5D=",
        "data%5Bname%5D=Zo%C3%AB+%F0%9F%A6%80+%22Q%22",
        "data%5Bphone%5D=",
        "data%5BsessionId%5D=",
        "event=lead.created",
        "timestamp=2024-11-24T10%3A30%3A00.000Z",
    ];
    pairs.join("&").into_bytes()
}

fn in_envelope(job: &Job) -> Vec<u8> {
    let event = String::from_utf8(job.body.to_vec()).expect("JSON is UTF-8");
    let envelope = format!(
        "{{\"specversion\":\"1.0\",\"id\":\"{}\",\"source\":\"/v1/clients/d454991a-eddb-4e81-959d-87c868e050ca\",\
         \"type\":\"lead.created\",\"time\":\"2024-11-24T10:30:00.000Z\",\
         \"subject\":\"0193a2b5-0000-7000-8000-000000000001\",\"datacontenttype\":\"application/json\",\"data\":{event}}}",
        job.event_id
    );
    envelope.into_bytes()
}

fn ce(name: &'static str, text: &str) -> (&'static str, String) {
    (name, text.to_owned())
}

/// Options, and what they make of a request. `{id}` stands for the event's id.
fn table() -> Vec<(Value, Expected)> {
    let plain = |headers| Expected {
        method: "POST",
        content_type: "application/json",
        headers,
        body: as_it_is,
    };
    let form = "application/x-www-form-urlencoded";
    vec![
        (json!({}), plain(vec![])),
        (
            json!({"method": "POST", "body": "json", "headers": {}, "secretHeaders": {}, "auth": null}),
            plain(vec![]),
        ),
        (
            json!({"method": null, "body": null, "headers": null, "secretHeaders": null}),
            plain(vec![]),
        ),
        (
            json!({"method": "PUT"}),
            Expected {
                method: "PUT",
                ..plain(vec![])
            },
        ),
        (
            json!({"method": "PATCH"}),
            Expected {
                method: "PATCH",
                ..plain(vec![])
            },
        ),
        (
            json!({"headers": {"X-Source": "sensei, web", "Accept": "application/json"}, "secretHeaders": {"X-Api-Key": "k!~"}}),
            plain(vec![ce("x-source", "sensei, web"), ce("x-api-key", "k!~")]),
        ),
        (
            json!({"secretHeaders": {"Authorization": "Token abc", "Cookie": "a=b"}}),
            plain(vec![ce("authorization", "Token abc"), ce("cookie", "a=b")]),
        ),
        (
            json!({"auth": {"type": "basic", "username": "Zoë", "password": "a:b c"}}),
            plain(vec![ce("authorization", "Basic Wm/DqzphOmIgYw==")]),
        ),
        (
            json!({"auth": {"type": "basic", "username": "key"}}),
            plain(vec![ce("authorization", "Basic a2V5Og==")]),
        ),
        (
            json!({"auth": {"type": "bearer", "token": "abc.d-e_f=="}}),
            plain(vec![ce("authorization", "Bearer abc.d-e_f==")]),
        ),
        (
            json!({"body": "form"}),
            Expected {
                content_type: form,
                body: as_form,
                ..plain(vec![])
            },
        ),
        (
            json!({"body": "cloudEventsStructured"}),
            Expected {
                content_type: "application/cloudevents+json",
                body: in_envelope,
                ..plain(vec![])
            },
        ),
        (
            json!({"body": "cloudEventsBinary"}),
            plain(vec![
                ce("ce-specversion", "1.0"),
                ce("ce-id", "{id}"),
                ce("ce-source", "/v1/clients/d454991a-eddb-4e81-959d-87c868e050ca"),
                ce("ce-type", "lead.created"),
                ce("ce-time", "2024-11-24T10:30:00.000Z"),
                ce("ce-subject", "0193a2b5-0000-7000-8000-000000000001"),
            ]),
        ),
        (
            json!({"method": "PUT", "body": "form", "headers": {"X-A": "1"}, "auth": {"type": "bearer", "token": "t"}}),
            Expected {
                method: "PUT",
                content_type: form,
                headers: vec![ce("x-a", "1"), ce("authorization", "Bearer t")],
                body: as_form,
            },
        ),
    ]
}

#[tokio::test]
async fn each_option_makes_exactly_this_request_and_is_signed_as_it_is_sent() {
    let receiver = Receiver::start();
    for (options, expected) in table() {
        for trigger in [Trigger::First, Trigger::Test] {
            let job = job("webhook", config(&receiver.url(), &options), trigger);
            let attempted = deliver(&job).await;
            assert_eq!(attempted.outcome, Outcome::Delivered, "{options}: {attempted:?}");
            assert_eq!(attempted.request_url, Some(receiver.url()));
            let request = receiver.take().remove(0);
            assert_eq!(request.method.as_str(), expected.method, "{options}");
            assert_eq!(request.header("content-type"), Some(expected.content_type), "{options}");
            assert_eq!(
                String::from_utf8_lossy(&request.body),
                String::from_utf8_lossy(&(expected.body)(&job)),
                "{options}"
            );
            for (name, value) in &expected.headers {
                let value = value.replace("{id}", &job.event_id.to_string());
                assert_eq!(request.header(name), Some(value.as_str()), "{options} {name}");
            }
            let mut names: BTreeSet<_> = ALWAYS
                .into_iter()
                .chain(expected.headers.iter().map(|(name, _)| *name))
                .collect();
            if trigger == Trigger::Test {
                names.insert("sensei-test");
            }
            let given: BTreeSet<_> = request.headers.keys().map(HeaderName::as_str).collect();
            assert_eq!(given, names, "{options}");
            assert_eq!(request.headers.len(), names.len(), "none comes twice: {options}");
            assert_eq!(request.webhook_id(), job.event_id.to_string());
            is_signed(&job, &request);
        }
    }
}

/// Choices that can never work, and what is said of them.
fn wrong_choices() -> Vec<(Value, &'static str)> {
    let oauth = |field: &str, value: Value| {
        let mut auth = json!({
            "type": "oauth2ClientCredentials", "tokenUrl": "https://example.com/token", "clientId": "id", "clientSecret": "S3CRET"
        });
        auth[field] = value;
        json!({ "auth": auth })
    };
    vec![
        (
            json!({"method": "GET"}),
            "/method must be \"POST\", \"PUT\" or \"PATCH\"",
        ),
        (json!({"method": "post"}), "/method must be"),
        (json!({"method": 7}), "/method must be a string"),
        (json!({"body": "xml"}), "/body must be \"json\", \"form\""),
        (json!({"auth": "S3CRET"}), "/auth must be a JSON object"),
        (json!({"auth": {}}), "/auth/type is required"),
        (
            json!({"auth": {"type": "digest"}}),
            "/auth/type must be \"basic\", \"bearer\" or",
        ),
        (
            json!({"auth": {"type": "basic", "password": "S3CRET"}}),
            "/auth/username is required",
        ),
        (
            json!({"auth": {"type": "basic", "username": "a:b", "password": "S3CRET"}}),
            "/auth/username must not contain a colon",
        ),
        (
            json!({"auth": {"type": "basic", "username": "a", "password": "S3CRET\n"}}),
            "/auth/password must not contain control",
        ),
        (
            json!({"auth": {"type": "basic", "username": "a", "token": "S3CRET"}}),
            "/auth/token is not a known field",
        ),
        (json!({"auth": {"type": "bearer"}}), "/auth/token is required"),
        (
            json!({"auth": {"type": "bearer", "token": "Bearer S3CRET"}}),
            "/auth/token must be visible ASCII without spaces",
        ),
        (
            json!({"auth": {"type": "bearer", "token": "S3CRET\u{e9}"}}),
            "/auth/token must be visible ASCII",
        ),
        (
            oauth("tokenUrl", json!("ftp://example.com")),
            "/auth/tokenUrl must begin with https://",
        ),
        (oauth("tokenUrl", json!(null)), "/auth/tokenUrl must not be null"),
        (oauth("clientId", json!("")), "/auth/clientId must not be empty"),
        (oauth("clientSecret", json!(7)), "/auth/clientSecret must be a string"),
        (
            oauth("credentialsIn", json!("query")),
            "/auth/credentialsIn must be \"header\" or \"body\"",
        ),
        (oauth("scopes", json!("a")), "/auth/scopes is not a known field"),
        (json!({"header": {}}), "/header is not a known field"),
    ]
}

/// Headers that can never work, and what is said of them.
fn wrong_headers() -> Vec<(Value, &'static str)> {
    let many = |count: u32| {
        let headers = (0..count).map(|number| (format!("x-{number}"), json!("S3CRET")));
        headers.collect::<serde_json::Map<_, _>>()
    };
    let header = |name: &str, value: &str| json!({"secretHeaders": {name: value}});
    vec![
        (
            json!({"headers": [{"name": "X", "value": "S3CRET"}]}),
            "/headers must be an object of names and values",
        ),
        (json!({"secretHeaders": "S3CRET"}), "/secretHeaders must be an object"),
        (
            json!({"secretHeaders": {"x-a": 7}}),
            "/secretHeaders/x-a must be a string",
        ),
        (
            json!({"secretHeaders": {"x-a": null}}),
            "/secretHeaders/x-a must be a string",
        ),
        (header("", "S3CRET"), "/secretHeaders/ must be a header's name"),
        (header("x a", "S3CRET"), "/secretHeaders/x a must be a header's name"),
        (
            header("x/a~b", "S3CRET"),
            "/secretHeaders/x~1a~0b must be a header's name",
        ),
        (header("x\r\nhost", "S3CRET"), "must be a header's name"),
        (header("x-a", ""), "/secretHeaders/x-a must be visible ASCII"),
        (header("x-a", " S3CRET"), "/secretHeaders/x-a must be visible ASCII"),
        (
            header("x-a", "S3CRET\r\nhost: a"),
            "/secretHeaders/x-a must be visible ASCII",
        ),
        (
            header("x-a", "S3CRET\u{e9}"),
            "/secretHeaders/x-a must be visible ASCII",
        ),
        (header("Host", "S3CRET"), "/secretHeaders/Host must not be given"),
        (header("content-length", "1"), "/secretHeaders/content-length must not"),
        (
            header("Content-Type", "text/plain"),
            "/secretHeaders/Content-Type must not",
        ),
        (header("transfer-encoding", "chunked"), "must not be given"),
        (header("Connection", "close"), "must not be given"),
        (header("User-Agent", "S3CRET"), "must not be given"),
        (header("Webhook-Id", "S3CRET"), "must not be given"),
        (header("webhook-anything", "S3CRET"), "must not be given"),
        (header("Sensei-Test", "true"), "must not be given"),
        (header("ce-id", "S3CRET"), "must not be given"),
        (
            json!({"headers": {"Authorization": "S3CRET"}}),
            "/headers/Authorization must be among secretHeaders",
        ),
        (
            json!({"headers": {"cookie": "S3CRET"}}),
            "/headers/cookie must be among secretHeaders",
        ),
        (
            json!({"headers": {"X-A": "S3CRET", "x-a": "b"}}),
            "/headers/x-a must be given once",
        ),
        (
            json!({"headers": {"X-A": "b"}, "secretHeaders": {"x-a": "S3CRET"}}),
            "/secretHeaders/x-a must be given once",
        ),
        (
            json!({"secretHeaders": {"authorization": "S3CRET"}, "auth": {"type": "bearer", "token": "S3CRET"}}),
            "/secretHeaders/authorization must not be given beside auth",
        ),
        (json!({ "secretHeaders": many(21) }), "/headers must be at most 20"),
        // More than a map of headers could hold.
        (json!({ "headers": many(40_000) }), "/headers must be at most 20"),
        (
            json!({ "secretHeaders": many(40_000) }),
            "/headers must have at most 4096 bytes",
        ),
        (
            json!({"secretHeaders": {"x-a": "S3CRET".repeat(700)}}),
            "/headers must have at most 4096 bytes",
        ),
    ]
}

#[test]
fn options_that_can_never_work_are_refused_by_their_names_without_what_was_given() {
    let kind = Webhook::new();
    for (options, words) in wrong_choices().into_iter().chain(wrong_headers()) {
        let refused = kind.bind(&config("https://example.com/", &options));
        let refused = refused.expect_err(&options.to_string()).to_string();
        assert!(refused.contains(words), "{options}: {refused}");
        assert!(!refused.contains("S3CRET"), "{refused}");
    }
}

#[test]
fn its_schema_takes_what_it_takes() {
    let schema = &Webhook::new().descriptor().config_schema.clone();
    let oauth = json!({"auth": {
        "type": "oauth2ClientCredentials", "tokenUrl": "https://example.com/token", "clientId": "id", "clientSecret": "s",
        "scope": "a b", "credentialsIn": "body"
    }});
    let all = table().into_iter().map(|(options, _)| options).chain([oauth]);
    for options in all {
        let config = config("https://example.com/", &options);
        bind(&config);
        assert!(jsonschema::is_valid(schema, &config), "{config}");
    }
    for wrong in [
        json!({"method": "GET"}),
        json!({"body": "xml"}),
        json!({"headers": {"x": 1}}),
        json!({"auth": {"type": "bearer", "username": "a"}}),
        json!({"auth": {"type": "digest"}}),
        json!({"header": {}}),
    ] {
        assert!(
            !jsonschema::is_valid(schema, &config("https://example.com/", &wrong)),
            "{wrong}"
        );
    }
}

/// A token endpoint that numbers its tokens, and a receiver that takes those from a number on.
struct OAuth {
    server: MockServer,
    asked: Arc<AtomicU32>,
    accepts_from: Arc<AtomicU32>,
}

impl OAuth {
    async fn start() -> Self {
        let server = MockServer::start().await;
        let (asked, accepts_from) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let number = Arc::clone(&asked);
        Mock::given(method("POST"))
            .and(path("/token"))
            .respond_with(move |_: &Request| {
                let token = format!("s3cret-token-{:04}", number.fetch_add(1, Ordering::Relaxed));
                let answer = json!({"access_token": token, "token_type": "bearer", "expires_in": 3600});
                ResponseTemplate::new(200)
                    .set_body_json(answer)
                    .set_delay(Duration::from_millis(20))
            })
            .mount(&server)
            .await;
        let from = Arc::clone(&accepts_from);
        Mock::given(method("POST"))
            .and(path("/hook"))
            .respond_with(move |request: &Request| {
                let least = format!("Bearer s3cret-token-{:04}", from.load(Ordering::Relaxed));
                let given = request
                    .headers
                    .get("authorization")
                    .and_then(|value| value.to_str().ok());
                ResponseTemplate::new(if given.is_some_and(|given| given >= &*least) {
                    204
                } else {
                    401
                })
            })
            .mount(&server)
            .await;
        Self {
            server,
            asked,
            accepts_from,
        }
    }

    fn config(&self) -> Value {
        let auth = json!({
            "type": "oauth2ClientCredentials", "tokenUrl": format!("{}/token?tenant=s3cret", self.server.uri()),
            "clientId": "client", "clientSecret": "s3cret", "scope": "leads"
        });
        json!({"url": format!("{}/hook", self.server.uri()), "auth": auth})
    }

    fn job(&self) -> Job {
        job("webhook", self.config(), Trigger::First)
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    async fn hooks(&self) -> Vec<Request> {
        let requests = self.server.received_requests().await.expect("they are kept");
        requests
            .into_iter()
            .filter(|request| request.url.path() == "/hook")
            .collect()
    }
}

async fn attempt(transport: &dyn Transport, job: &Job, now: Timestamp, egress: &Egress) -> Attempted {
    let attempted = transport.deliver(job, now, egress).await;
    assert!(
        !format!("{attempted:?} {transport:?}").contains("s3cret"),
        "{attempted:?} {transport:?}"
    );
    attempted
}

#[tokio::test]
async fn fifty_attempts_at_once_ask_for_one_token() {
    let (oauth, egress) = (OAuth::start().await, to_loopback());
    let (transport, job, now) = (bind(&oauth.config()), oauth.job(), SystemClock.now());
    let attempts = (0..50).map(|_| attempt(&*transport, &job, now, &egress));
    for attempted in join_all(attempts).await {
        assert_eq!(
            (attempted.outcome, attempted.status_code),
            (Outcome::Delivered, Some(204))
        );
        assert_eq!(attempted.request_url, Some(format!("{}/hook", oauth.server.uri())));
    }
    assert_eq!((oauth.asked(), oauth.hooks().await.len()), (1, 50));
    let later = |seconds| now.after(Duration::from_secs(seconds));
    attempt(&*transport, &job, later(3_500), &egress).await;
    assert_eq!(oauth.asked(), 1);
    attempt(&*transport, &job, later(3_590), &egress).await;
    assert_eq!(oauth.asked(), 2, "before the token's end");
}

#[tokio::test]
async fn a_kept_token_that_is_refused_is_asked_for_anew_and_the_request_repeated_once() {
    let (oauth, egress) = (OAuth::start().await, to_loopback());
    let (transport, job, now) = (bind(&oauth.config()), oauth.job(), SystemClock.now());
    let later = |seconds| now.after(Duration::from_secs(seconds));
    attempt(&*transport, &job, now, &egress).await;
    oauth.accepts_from.store(1, Ordering::Relaxed);
    let attempted = attempt(&*transport, &job, later(1), &egress).await;
    assert_eq!(attempted.outcome, Outcome::Delivered);
    let hooks = oauth.hooks().await;
    assert_eq!((oauth.asked(), hooks.len()), (2, 3));
    let reference = standardwebhooks::Webhook::new(&job.destination.secret.expose()).expect("a secret");
    for hook in &hooks {
        assert_eq!(hook.body, job.body);
        reference.verify(&hook.body, &hook.headers).expect("signed");
    }

    oauth.accepts_from.store(9_999, Ordering::Relaxed);
    let attempted = attempt(&*transport, &job, later(2), &egress).await;
    assert_eq!((attempted.outcome, attempted.status_code), (AGAIN, Some(401)));
    let words = attempted.error.expect("words");
    assert_eq!(
        words,
        "the receiver answered 401 Unauthorized: it refused the credentials; save the right ones here"
    );
    assert_eq!((oauth.asked(), oauth.hooks().await.len()), (3, 5));
    attempt(&*transport, &job, later(3), &egress).await;
    assert_eq!(
        (oauth.asked(), oauth.hooks().await.len()),
        (4, 6),
        "what was asked for in the same attempt isn't asked for again"
    );
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_the_log_says_where_it_ended() {
    let oauth = OAuth::start().await;
    let endpoint = Receiver::start();
    endpoint.set_status(401);
    endpoint
        .set_body(r#"{"error": "invalid_client", "access_token": "s3cret", "error_description": "unknown client"}"#);
    let mut config = oauth.config();
    config["auth"]["tokenUrl"] = endpoint.url().into();
    let attempted = attempt(&*bind(&config), &oauth.job(), SystemClock.now(), &to_loopback()).await;
    let expected = Attempted {
        outcome: AGAIN,
        status_code: None,
        error: Some(
            "the token endpoint answered 401 Unauthorized: it refused the client's credentials (invalid_client); \
             save the right ones here: unknown client"
                .to_owned(),
        ),
        response_snippet: None,
        request_url: Some(endpoint.url()),
        strain: None,
        pause: None,
    };
    assert_eq!(attempted, expected);

    config["auth"]["tokenUrl"] = "https://169.254.169.254/token".into();
    let attempted = attempt(&*bind(&config), &oauth.job(), SystemClock.now(), &to_loopback()).await;
    assert_eq!(attempted.outcome, Outcome::Blocked);
    assert!(oauth.hooks().await.is_empty());
}

#[tokio::test]
async fn token_and_delivery_have_one_deadline() {
    let (endpoint, receiver) = (Receiver::start(), Receiver::start());
    endpoint.set_body(r#"{"access_token": "t"}"#);
    let egress = with(EgressOptions {
        deadline: SHORT,
        ..loopback()
    });
    let auth =
        json!({"type": "oauth2ClientCredentials", "tokenUrl": endpoint.url(), "clientId": "c", "clientSecret": "s"});
    let job = job("webhook", json!({"url": receiver.url(), "auth": auth}), Trigger::First);
    for (slow, other) in [(&endpoint, &receiver), (&receiver, &endpoint)] {
        other.set_delay(SHORT / 2);
        slow.set_delay(SHORT * 3 / 4);
        let (transport, begun) = (bind(job.destination.config.expose()), Instant::now());
        let attempted = transport.deliver(&job, SystemClock.now(), &egress).await;
        assert_eq!(attempted.outcome, AGAIN);
        assert!(
            attempted
                .error
                .is_some_and(|error| error.ends_with("no answer within 1200 ms"))
        );
        assert!(
            begun.elapsed() < SHORT * 5 / 4 + Duration::from_millis(200),
            "{:?}",
            begun.elapsed()
        );
    }
}

#[tokio::test]
async fn who_refuses_credentials_is_told_of_with_the_mend() {
    let receiver = Receiver::start();
    let with_credentials = [
        json!({"auth": {"type": "bearer", "token": "s3cret"}}),
        json!({"auth": {"type": "basic", "username": "me", "password": "s3cret"}}),
        json!({"secretHeaders": {"X-Key": "s3cret"}}),
    ];
    for (status, answered, mend) in [
        (
            401,
            "the receiver answered 401 Unauthorized",
            ": it refused the credentials; save the right ones here",
        ),
        (
            403,
            "the receiver answered 403 Forbidden",
            ": the credentials don't suffice; save others here, or give them the right there",
        ),
    ] {
        receiver.set_status(status);
        let without = [json!({}), json!({"headers": {"X-A": "b"}, "method": "PUT"})];
        let cases = with_credentials.iter().map(|options| (options, mend));
        for (options, mend) in cases.chain(without.iter().map(|options| (options, ""))) {
            let job = job("webhook", config(&receiver.url(), options), Trigger::First);
            let transport = bind(job.destination.config.expose());
            let attempted = attempt(&*transport, &job, SystemClock.now(), &to_loopback()).await;
            assert_eq!(
                (attempted.outcome, attempted.error),
                (AGAIN, Some(format!("{answered}{mend}"))),
                "{options}"
            );
        }
    }
}

#[tokio::test]
async fn what_a_leads_own_field_nests_is_one_field_of_a_form() {
    let receiver = Receiver::start();
    let items = vec![0; 4_000];
    let given = json!({
        "name": "Jane Doe", "email": "jane@example.com",
        "custom": {"budget": 5_000, "items": items, "tags": ["a", {"b": null}]}
    });
    let lead = NewLead::from_json(&given).expect("a valid lead");
    let id = "0193a2b5-0000-7000-8000-000000000001".parse().expect("an id");
    let client_id = "d454991a-eddb-4e81-959d-87c868e050ca".parse().expect("an id");
    let event = LeadCreated::new(id, SystemClock.now(), &lead, client_id, "Acme Corp", true).to_bytes();
    let mut job = job(
        "webhook",
        config(&receiver.url(), &json!({"body": "form"})),
        Trigger::First,
    );
    job.body = event.clone().into();
    assert_eq!(deliver(&job).await.outcome, Outcome::Delivered);
    let request = receiver.take().remove(0);
    is_signed(&job, &request);
    // Each byte is three at most when it is encoded.
    assert!(request.body.len() <= 3 * event.len(), "{}", request.body.len());
    let fields: BTreeMap<_, _> = url::form_urlencoded::parse(&request.body).into_owned().collect();
    assert_eq!(fields.len(), 13, "{fields:?}");
    assert_eq!(fields["data[custom][budget]"], "5000");
    assert_eq!(fields["data[custom][items]"], json!(items).to_string());
    assert_eq!(fields["data[custom][tags]"], r#"["a",{"b":null}]"#);
}

/// Pieces of what is something to a header, a form or JSON.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = [
        "\r\nhost: evil",
        "&data[email]=evil",
        "%0d%0a",
        "=",
        "+",
        "\"",
        "\\",
        "\",\"id\":\"",
        "]",
        "[",
        "é",
        "\u{2028}",
    ];
    let piece = prop_oneof![
        proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned),
        any::<String>()
    ];
    proptest::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat().replace('\0', ""))
}

/// A lead of hostile texts, in one field of its own as well.
fn lead() -> impl Strategy<Value = Value> {
    (hostile(), hostile(), hostile()).prop_map(|(name, message, key)| {
        let name: String = name
            .chars()
            .filter(|character| !character.is_control())
            .take(150)
            .collect();
        let key: String = key
            .chars()
            .filter(|character| !character.is_control())
            .take(20)
            .collect();
        let message: String = message.chars().take(5_000).collect();
        json!({
            "name": format!("J{name}"), "email": "jane@example.com", "message": format!("m{message}"),
            "custom": {format!("k{key}"): message}
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn hostile_text_adds_no_header_and_no_field(given in lead()) {
        let Ok(lead) = NewLead::from_json(&given) else { return Ok(()) };
        let now = SystemClock.now();
        let id = "0193a2b5-0000-7000-8000-000000000001".parse().expect("an id");
        let client_id = "d454991a-eddb-4e81-959d-87c868e050ca".parse().expect("an id");
        let event = LeadCreated::new(id, now, &lead, client_id, "Acme \r\nCorp", true).to_bytes();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let receiver = Receiver::start();
        let sent = |body: &str| {
            let mut job = job("webhook", json!({"url": receiver.url(), "body": body}), Trigger::First);
            job.body = event.clone().into();
            let attempted = runtime.block_on(deliver(&job));
            assert_eq!(attempted.outcome, Outcome::Delivered, "{attempted:?}");
            let request = receiver.take().remove(0);
            is_signed(&job, &request);
            request
        };
        let event: Value = serde_json::from_slice(&event).expect("JSON");

        let binary = sent("cloudEventsBinary");
        prop_assert_eq!(binary.headers.len(), ALWAYS.len() + 6);
        prop_assert_eq!(binary.json(), event.clone());

        let structured = sent("cloudEventsStructured");
        let envelope = structured.json();
        prop_assert_eq!(envelope.as_object().map(serde_json::Map::len), Some(8));
        prop_assert_eq!(&envelope["data"], &event);

        let form = sent("form");
        let fields: Vec<(String, String)> = url::form_urlencoded::parse(&form.body).into_owned().collect();
        let named: BTreeMap<_, _> = fields.iter().cloned().collect();
        prop_assert_eq!(fields.len(), named.len(), "no name comes twice");
        let own = fields.iter().filter(|(name, _)| name.starts_with("data[custom][") && name.matches('[').count() == 2);
        prop_assert_eq!((own.count(), fields.len()), (1, 11));
        prop_assert_eq!(named["data[name]"].as_str(), event["data"]["name"].as_str().expect("a text"));
        prop_assert_eq!(named["data[message]"].as_str(), event["data"]["message"].as_str().expect("a text"));
        prop_assert_eq!(named["data[email]"].as_str(), "jane@example.com");
    }
}
