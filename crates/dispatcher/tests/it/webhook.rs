//! What a webhook's receiver sees, and what the log says of its answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderName;
use sensei_dispatcher::{Attempted, Registry, USER_AGENT};
use sensei_domain::{
    Clock, Outcome, SignatureHeaders, SignatureVersion, Signer, SystemClock, Timestamp, Trigger, verify,
};
use sensei_persistence::Job;
use sensei_test_support::{Fault, FaultServer, Received, Receiver};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::fixture::{job, to_loopback};

async fn deliver(job: &Job) -> Attempted {
    let destination = &job.destination;
    let transport = Registry::standard()
        .bind(&destination.kind, destination.config.expose())
        .expect("a good config");
    transport.deliver(job, SystemClock.now(), &to_loopback()).await
}

fn job_to(url: &str, trigger: Trigger) -> Job {
    job("webhook", json!({ "url": url }), trigger)
}

#[tokio::test]
async fn a_receiver_gets_the_stored_bytes_with_exactly_these_headers() {
    let receiver = Receiver::start();
    let job = job_to(&format!("{}?token=a%20b&x=1", receiver.url()), Trigger::First);
    let attempted = deliver(&job).await;
    assert_eq!(
        attempted,
        Attempted {
            outcome: Outcome::Delivered,
            status_code: Some(200),
            error: None,
            response_snippet: None,
            request_url: Some(receiver.url()),
            strain: None,
            pause: None,
            is_unsent: false,
        }
    );

    let request = receiver.received().remove(0);
    assert_eq!(
        (request.method.as_str(), request.uri.to_string()),
        ("POST", "/hook?token=a%20b&x=1".to_owned())
    );
    assert_eq!(request.body, job.body);
    let expected = [
        "accept",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    ];
    let names: BTreeSet<_> = request.headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(names, BTreeSet::from(expected));
    assert_eq!(request.headers.len(), expected.len(), "none comes twice");
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("user-agent"), Some(USER_AGENT));
    assert_eq!(USER_AGENT, format!("Sensei-Webhooks/{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(request.webhook_id(), job.event_id.to_string());
    assert_eq!(request.header("host"), Some(receiver.address().to_string()).as_deref());
}

#[tokio::test]
async fn the_signature_satisfies_the_reference_implementation_and_ours() {
    let receiver = Receiver::start();
    let job = job_to(&receiver.url(), Trigger::Retry);
    deliver(&job).await;
    let request = receiver.received().remove(0);

    let secret = job.destination.secret.expose();
    let reference = standardwebhooks::Webhook::new(&secret).expect("a secret");
    reference.verify(&request.body, &request.headers).expect("signed");
    let secret = secret.parse().expect("a secret");
    verify(&[secret], &signature_of(&request), &request.body, SystemClock.now()).expect("signed");
}

fn signature_of(request: &Received) -> SignatureHeaders<'_> {
    let header = |name| request.header(name).expect("every webhook has it");
    SignatureHeaders {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
    }
}

/// A job whose destination has got a new secret, and the one before until a minute from now or ago.
fn job_while_replaced(url: &str, new: SignatureVersion, until: Timestamp) -> Job {
    let mut job = job_to(url, Trigger::First);
    let destination = Arc::get_mut(&mut job.destination).expect("nobody else has it");
    let previous = std::mem::replace(&mut destination.secret, Signer::generate(new));
    destination.previous_secret = Some((previous, until));
    job
}

#[tokio::test]
async fn while_a_secret_is_replaced_both_sign_and_then_the_new_one_alone() {
    let receiver = Receiver::start();
    let now = SystemClock.now();
    for (until, signatures) in [(now.after(Duration::from_mins(1)), 2), (now, 1)] {
        let job = job_while_replaced(&receiver.url(), SignatureVersion::V1, until);
        deliver(&job).await;
        let request = receiver.take().remove(0);
        let signature = signature_of(&request).signature;
        assert_eq!(signature.split(' ').count(), signatures);
        let (previous, _) = job.destination.previous_secret.as_ref().expect("one before");
        let accepts = |secret: &Signer| {
            let reference = standardwebhooks::Webhook::new(&secret.expose()).expect("a secret");
            reference.verify(&request.body, &request.headers).is_ok()
        };
        assert_eq!(
            (accepts(&job.destination.secret), accepts(previous)),
            (true, signatures == 2)
        );
        let first = job
            .destination
            .secret
            .sign(request.webhook_id(), seconds_of(&request), &request.body);
        assert!(signature.starts_with(&first), "the new one's comes first");
    }
}

#[tokio::test]
async fn a_key_pairs_signature_is_verified_with_the_public_key_beside_the_secrets_before() {
    let receiver = Receiver::start();
    let until = SystemClock.now().after(Duration::from_mins(1));
    let job = job_while_replaced(&receiver.url(), SignatureVersion::V1a, until);
    deliver(&job).await;
    let request = receiver.received().remove(0);
    let Signer::KeyPair(key) = &job.destination.secret else {
        panic!("a key pair was asked for")
    };
    let public = key.verifying_key();
    public
        .verify(&signature_of(&request), &request.body, SystemClock.now())
        .expect("signed by the key pair");
    let (previous, _) = job.destination.previous_secret.as_ref().expect("one before");
    let reference = standardwebhooks::Webhook::new(&previous.expose()).expect("a secret");
    reference
        .verify(&request.body, &request.headers)
        .expect("signed by the secret before");
}

fn seconds_of(request: &Received) -> i64 {
    signature_of(request).timestamp.parse().expect("seconds")
}

#[tokio::test]
async fn only_a_test_send_is_marked_as_one() {
    let receiver = Receiver::start();
    let triggers = [
        Trigger::First,
        Trigger::Retry,
        Trigger::Manual,
        Trigger::Replay,
        Trigger::Test,
    ];
    for trigger in triggers {
        deliver(&job_to(&receiver.url(), trigger)).await;
    }
    let marks: Vec<_> = receiver
        .received()
        .iter()
        .map(|request| request.header("sensei-test").map(str::to_owned))
        .collect();
    assert_eq!(marks, [None, None, None, None, Some("true".to_owned())]);
}

#[tokio::test]
async fn one_connection_carries_several_attempts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    // Accepts once: a second connection would wait for an answer until the deadline.
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client comes");
        let mut piece = [0; 4_096];
        while stream.read(&mut piece).await.expect("readable") > 0 {
            if piece.starts_with(b"POST") {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                stream.write_all(answer).await.expect("writable");
            }
        }
        listener
    });
    let egress = to_loopback();
    let job = job_to(&format!("http://{address}/"), Trigger::First);
    let transport = Registry::standard()
        .bind("webhook", job.destination.config.expose())
        .expect("a good config");
    for _ in 0..3 {
        let attempted = transport.deliver(&job, SystemClock.now(), &egress).await;
        assert_eq!(attempted.outcome, Outcome::Delivered, "{attempted:?}");
    }
    drop((transport, egress));
    serving.await.expect("the one connection was closed");
}

#[tokio::test]
async fn an_answer_is_logged_in_words() {
    let receiver = Receiver::start();
    receiver.set_body("no\0 such\u{1b} <b>lead</b>\n");
    let cases = [
        (400, "the receiver answered 400 Bad Request"),
        (429, "the receiver answered 429 Too Many Requests"),
        (500, "the receiver answered 500 Internal Server Error"),
        (599, "the receiver answered 599"),
        (999, "the receiver answered 999"),
        (302, "the receiver answered 302 Found"),
    ];
    for (status, words) in cases {
        receiver.set_status(status);
        let attempted = deliver(&job_to(&receiver.url(), Trigger::First)).await;
        assert_eq!(attempted.error.as_deref(), Some(words));
        assert_eq!(attempted.response_snippet.as_deref(), Some("no such <b>lead</b>\n"));
        assert_eq!(
            (attempted.status_code, attempted.outcome),
            (Some(status), Outcome::Unavailable { retry_after: None })
        );
    }
}

#[tokio::test]
async fn a_redirect_is_answered_with_where_the_url_should_lead() {
    let receiver = Receiver::start();
    receiver.set_status(301);
    let here = format!("http://{}", receiver.address());
    let long = format!("/{}", "a".repeat(400));
    let cases = [
        (
            "/new/?token=secret#part",
            format!("the receiver redirects to {here}/new/: update the URL (301)"),
        ),
        (
            "https://u:p@example.com/a",
            "the receiver redirects to https://example.com/a: update the URL (301)".to_owned(),
        ),
        (
            "http://169.254.169.254/",
            "the receiver redirects to http://169.254.169.254/: update the URL (301)".to_owned(),
        ),
        (
            &long,
            "the receiver redirects elsewhere: update the URL (301)".to_owned(),
        ),
        (
            "https://[",
            "the receiver redirects elsewhere: update the URL (301)".to_owned(),
        ),
    ];
    for (location, words) in cases {
        receiver.set_header("location", location);
        let attempted = deliver(&job_to(&receiver.url(), Trigger::First)).await;
        assert_eq!(attempted.error, Some(words), "{location}");
    }
}

#[tokio::test]
async fn what_the_receiver_asks_to_wait_is_passed_on() {
    let receiver = Receiver::start();
    receiver.set_header("retry-after", "120");
    for status in [429, 503, 301, 404] {
        receiver.set_status(status);
        let attempted = deliver(&job_to(&receiver.url(), Trigger::First)).await;
        let retry_after = Some(Duration::from_mins(2));
        assert_eq!(attempted.outcome, Outcome::Unavailable { retry_after }, "{status}");
    }
    receiver.set_status(410);
    assert_eq!(
        deliver(&job_to(&receiver.url(), Trigger::First)).await.outcome,
        Outcome::Gone
    );
}

#[tokio::test]
async fn a_200_counts_however_its_body_ends() {
    for fault in [Fault::ShortBody, Fault::EndlessBody] {
        let server = FaultServer::start(fault);
        let attempted = deliver(&job_to(&server.url(), Trigger::First)).await;
        assert_eq!((attempted.outcome, attempted.error), (Outcome::Delivered, None));
        assert!(attempted.response_snippet.is_some());
    }
}
