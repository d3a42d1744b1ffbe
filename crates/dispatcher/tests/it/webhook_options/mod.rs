//! What a webhook's options make of a request.

mod form_fields;
mod oauth;
mod refused;

use std::collections::BTreeSet;

use hyper::header::HeaderName;
use sensei_dispatcher::{Attempted, Kind as _, Transport, Webhook};
use sensei_domain::{Clock as _, Outcome, SystemClock, Trigger};
use sensei_persistence::Job;
use sensei_test_support::{Received, Receiver};
use serde_json::{Value, json};

use crate::fixture::{job, to_loopback};

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
