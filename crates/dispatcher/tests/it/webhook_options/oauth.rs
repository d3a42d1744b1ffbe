//! How tokens of OAuth 2 are asked for, kept, and asked for anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sensei_dispatcher::{Attempted, Egress, EgressOptions, Transport};
use sensei_domain::{Clock as _, Outcome, SystemClock, Timestamp, Trigger};
use sensei_persistence::Job;
use sensei_test_support::Receiver;
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::{AGAIN, bind, config};
use crate::fixture::{SHORT, job, loopback, to_loopback, with};

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
        is_unsent: false,
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
        assert!(begun.elapsed() < SHORT * 2, "{:?}", begun.elapsed());
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
