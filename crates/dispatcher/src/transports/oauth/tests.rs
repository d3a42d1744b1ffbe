//! How often a token is asked for, how, and what is said when there is none.

use serde_json::json;
use wiremock::matchers::{body_string, header, method};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::egress::EgressOptions;

const NOW: i64 = 1_800_000_000_000;
const ID: &str = "client-7Q";
const SECRET: &str = "s3cret&=+ é";
const REFRESH: &str = "r3fresh";

fn now() -> Timestamp {
    Timestamp::from_millis(NOW)
}

fn later(seconds: u64) -> Timestamp {
    now().after(Duration::from_secs(seconds))
}

fn egress() -> Egress {
    let allow = vec!["127.0.0.0/8".parse().expect("a range")];
    Egress::new(EgressOptions {
        allow,
        ..EgressOptions::default()
    })
    .expect("TLS and DNS can be set up")
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(15)
}

fn url(server: &MockServer) -> Url {
    format!("{}/token?tenant=s3cret", server.uri()).parse().expect("a URL")
}

fn tokens(server: &MockServer) -> Tokens {
    Tokens::new(Grant::client_credentials(url(server), ID.into(), SECRET.into(), None))
}

/// A server that numbers its tokens: t0, t1, …
async fn numbering(answer: Value) -> MockServer {
    let server = MockServer::start().await;
    let number = std::sync::atomic::AtomicU32::new(0);
    Mock::given(method("POST"))
        .respond_with(move |_: &Request| {
            let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let mut answer = answer.clone();
            answer["access_token"] = format!("t{number}").into();
            ResponseTemplate::new(200)
                .set_body_json(answer)
                .set_delay(Duration::from_millis(20))
        })
        .mount(&server)
        .await;
    server
}

async fn answering(response: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(response).mount(&server).await;
    server
}

async fn asked(server: &MockServer) -> usize {
    server.received_requests().await.expect("they are kept").len()
}

async fn bearer(tokens: &Tokens, now: Timestamp, egress: &Egress) -> String {
    let token = tokens.token(now, soon(), egress).await.expect("a token");
    token.bearer().to_str().expect("visible ASCII").to_owned()
}

#[tokio::test]
async fn however_many_attempts_wait_one_request_asks_for_their_token() {
    let (server, egress) = (numbering(json!({"expires_in": 3600})).await, egress());
    let tokens = tokens(&server);
    let attempts = (0..50).map(|_| bearer(&tokens, now(), &egress));
    let bearers = futures_util::future::join_all(attempts).await;
    assert!(bearers.iter().all(|bearer| bearer == "Bearer t0"), "{bearers:?}");
    assert_eq!(asked(&server).await, 1);
}

#[tokio::test]
async fn however_many_attempts_wait_one_request_hears_that_there_is_no_token() {
    let refusal = ResponseTemplate::new(400).set_body_json(json!({"error": "invalid_client"}));
    let (server, egress) = (answering(refusal.set_delay(Duration::from_millis(20))).await, egress());
    let tokens = tokens(&server);
    let attempts = (0..50).map(|_| tokens.token(now(), soon(), &egress));
    let answers = futures_util::future::join_all(attempts).await;
    assert!(answers.iter().all(Result::is_err));
    assert_eq!(asked(&server).await, 1);
    tokens.token(now(), soon(), &egress).await.expect_err("still refused");
    assert_eq!(asked(&server).await, 2, "a later attempt asks for itself");
}

#[tokio::test]
async fn a_token_is_kept_until_shortly_before_its_end() {
    // What the answer says of its end, a moment when the token is still used, and one when it isn't any more.
    let cases = [
        (json!({"expires_in": 3600}), 3_539, 3_540),
        (json!({"expires_in": "3600"}), 3_539, 3_540),
        (json!({"expires_in": 40.0}), 29, 30),
        (json!({}), 539, 540),
        (json!({"expires_in": null}), 539, 540),
        (json!({"expires_in": "soon"}), 539, 540),
        (json!({"expires_in": -1}), 539, 540),
        (json!({"expires_in": 1e300}), 539, 540),
        (json!({"expires_in": 99_999_999}), 86_339, 86_340),
    ];
    let egress = egress();
    for (answer, kept, over) in cases {
        let server = numbering(answer.clone()).await;
        let tokens = tokens(&server);
        assert_eq!(bearer(&tokens, now(), &egress).await, "Bearer t0", "{answer}");
        assert_eq!(bearer(&tokens, later(kept), &egress).await, "Bearer t0", "{answer}");
        assert_eq!(bearer(&tokens, later(over), &egress).await, "Bearer t1", "{answer}");
    }
}

#[tokio::test]
async fn a_token_that_was_refused_is_forgotten_by_all() {
    let (server, egress) = (numbering(json!({})).await, egress());
    let tokens = tokens(&server);
    let first = tokens.token(now(), soon(), &egress).await.expect("a token");
    assert!(
        !tokens.forget(&first, now()),
        "asked for by the same attempt: another one is refused as well"
    );
    let second = tokens.token(later(1), soon(), &egress).await.expect("a token");
    assert!(tokens.forget(&first, later(1)), "another attempt has asked since");
    assert_eq!(
        bearer(&tokens, later(2), &egress).await,
        "Bearer t1",
        "it is the first that was refused"
    );
    assert!(tokens.forget(&second, later(2)));
    assert_eq!(bearer(&tokens, later(2), &egress).await, "Bearer t2");
}

#[tokio::test]
async fn each_attempt_waits_no_longer_than_it_may() {
    let silent = ResponseTemplate::new(200).set_delay(Duration::from_mins(1));
    let (server, egress) = (answering(silent).await, egress());
    let tokens = tokens(&server);
    let ends = Instant::now() + Duration::from_millis(200);
    let attempts = (0..10).map(|_| tokens.token(now(), ends, &egress));
    let answers = futures_util::future::join_all(attempts).await;
    assert!(ends.elapsed() < Duration::from_secs(10));
    for answer in answers {
        let attempted = answer.expect_err("no token");
        assert_eq!(attempted.outcome, Outcome::Unavailable { retry_after: None });
        assert_eq!(attempted.strain, Some(crate::Strain::TimedOut));
    }
}

#[tokio::test]
async fn an_attempt_that_is_dropped_while_it_asks_leaves_the_turn_to_others() {
    let (server, egress) = (numbering(json!({})).await, egress());
    let tokens = tokens(&server);
    for polls in 0..10 {
        let mut asking = std::pin::pin!(tokens.token(now(), soon(), &egress));
        for _ in 0..polls {
            let _pending = futures_util::poll!(asking.as_mut());
            tokio::task::yield_now().await;
        }
    }
    bearer(&tokens, now(), &egress).await;
}

#[tokio::test]
async fn credentials_are_where_the_endpoint_wants_them() {
    let server = MockServer::start().await;
    let encoded = "s3cret%26%3D%2B+%C3%A9";
    let answer = || ResponseTemplate::new(200).set_body_json(json!({"access_token": "t"}));
    let basic = STANDARD.encode(format!("{ID}:{encoded}"));
    Mock::given(body_string("grant_type=client_credentials&scope=leads+write"))
        .and(header("authorization", format!("Basic {basic}").as_str()))
        .and(header("content-type", "application/x-www-form-urlencoded"))
        .and(header("accept", "application/json"))
        .respond_with(answer())
        .expect(1)
        .mount(&server)
        .await;
    let in_body = format!("grant_type=client_credentials&client_id={ID}&client_secret={encoded}");
    let refreshing = format!("grant_type=refresh_token&refresh_token={REFRESH}&client_id={ID}&client_secret={encoded}");
    for body in [in_body, refreshing] {
        Mock::given(body_string(body))
            .and(|request: &Request| !request.headers.contains_key("authorization"))
            .respond_with(answer())
            .expect(1)
            .mount(&server)
            .await;
    }
    let (url, id, secret, egress) = (url(&server), ID.to_owned(), SECRET.to_owned(), egress());
    let scope = Some("leads write".to_owned());
    let grants = [
        Grant::client_credentials(url.clone(), id.clone(), secret.clone(), scope),
        Grant::client_credentials(url.clone(), id.clone(), secret.clone(), None).with_credentials_in_body(),
        Grant::refresh_token(url, id, secret, REFRESH.to_owned()),
    ];
    for grant in grants {
        bearer(&Tokens::new(grant), now(), &egress).await;
    }
}

#[tokio::test]
async fn an_endpoint_of_a_vendor_is_stood_in_for() {
    let server = MockServer::start().await;
    Mock::given(wiremock::matchers::path("/login.example/oauth2/token"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"access_token": "t"})))
        .mount(&server)
        .await;
    let egress = Egress::new(EgressOptions {
        allow: vec!["127.0.0.0/8".parse().expect("a range")],
        vendors_at: Some(server.uri().parse().expect("a URL")),
        ..EgressOptions::default()
    });
    let url = vendor::fixed("https://login.example/oauth2/token");
    let grant = Grant::refresh_token(url, ID.into(), SECRET.into(), REFRESH.into()).at_vendor();
    bearer(&Tokens::new(grant), now(), &egress.expect("a way out")).await;
}

const AGAIN: Outcome = Outcome::Unavailable {
    retry_after: Some(Duration::from_secs(7)),
};

/// What an endpoint answers, what comes of it at a vendor's, and a part of the words.
fn answers_without_a_token() -> Vec<(u16, Value, Outcome, &'static str)> {
    let error = |error: &str| json!({"error": error, "error_description": "Ask the administrator."});
    vec![
        (
            401,
            error("invalid_client"),
            Outcome::Rejected,
            "401 Unauthorized: it refused the client's credentials (invalid_client)",
        ),
        (
            400,
            error("invalid_client"),
            Outcome::Rejected,
            "save the right ones here: Ask the administrator.",
        ),
        (400, error("invalid_grant"), Outcome::Rejected, "authorise anew"),
        (400, error("invalid_scope"), Outcome::Rejected, "correct the scope"),
        (400, error("unauthorized_client"), Outcome::Rejected, "allow it there"),
        (
            400,
            error("unsupported_grant_type"),
            Outcome::Rejected,
            "check the token URL",
        ),
        (
            400,
            error("invalid_request"),
            Outcome::Rejected,
            "where it wants the client's credentials",
        ),
        (401, json!("no"), Outcome::Rejected, "credentials; save"),
        (
            404,
            json!(7),
            AGAIN,
            "404 Not Found: it refused the request; check the token URL",
        ),
        (
            400,
            json!({"error": 7, "error_description": format!("{SECRET} is wrong")}),
            AGAIN,
            "400 Bad Request: it refused the request",
        ),
        (
            403,
            error("access_denied"),
            AGAIN,
            "client's credentials: Ask the administrator.",
        ),
        (410, json!({}), AGAIN, "410 Gone: it refused the request"),
        (302, json!({}), AGAIN, "update the token URL"),
        (429, json!({}), AGAIN, "429 Too Many Requests"),
        (408, json!({}), AGAIN, "408"),
        (503, error("invalid_client"), AGAIN, "503 Service Unavailable"),
        (
            200,
            json!({"refresh_token": "r3fresh"}),
            AGAIN,
            "200 OK without an access token",
        ),
        (200, json!({"access_token": ""}), AGAIN, "without an access token"),
        (200, json!({"access_token": "a\nb"}), AGAIN, "without an access token"),
        (
            200,
            json!({"access_token": "t", "token_type": "mac"}),
            Outcome::Rejected,
            "isn't of the type Bearer",
        ),
    ]
}

#[tokio::test]
async fn why_there_is_no_token_is_said_with_its_mend_and_without_secrets() {
    let egress = egress();
    for (status, body, at_vendor, words) in answers_without_a_token() {
        let response = ResponseTemplate::new(status)
            .set_body_json(&body)
            .insert_header("retry-after", "7");
        let server = answering(response).await;
        let grant = || Grant::client_credentials(url(&server), ID.into(), SECRET.into(), None);
        // Whatever a client's own endpoint refuses is worth repeating.
        let at_own = if (400..=499).contains(&status) {
            AGAIN
        } else {
            at_vendor
        };
        for (grant, outcome) in [(grant(), at_own), (grant().at_vendor(), at_vendor)] {
            let attempted = Tokens::new(grant)
                .token(now(), soon(), &egress)
                .await
                .expect_err("no token");
            let said = attempted.error.as_deref().expect("words");
            assert_eq!(attempted.outcome, outcome, "{status} {body}: {said}");
            assert!(said.contains(words), "{status} {body}: {said}");
            let shown = format!("{attempted:?}");
            assert!(!shown.contains("s3cret") && !shown.contains("r3fresh"), "{shown}");
            assert_eq!(attempted.request_url, Some(format!("{}/token", server.uri())));
        }
    }
}

#[tokio::test]
async fn where_nothing_may_go_no_secret_goes() {
    let server = numbering(json!({})).await;
    let strict = Egress::new(EgressOptions::default()).expect("a way out");
    let attempted = tokens(&server)
        .token(now(), soon(), &strict)
        .await
        .expect_err("no token");
    assert_eq!(attempted.outcome, Outcome::Blocked);
    assert_eq!(asked(&server).await, 0);
}

#[tokio::test]
async fn nothing_secret_is_shown_by_debug() {
    let (server, egress) = (numbering(json!({"refresh_token": REFRESH})).await, egress());
    let tokens = tokens(&server);
    let token = tokens.token(now(), soon(), &egress).await.expect("a token");
    assert_eq!(
        format!("{token:?} {tokens:?} {:?}", token.bearer()),
        "Token Tokens Sensitive"
    );
    assert!(tokens.grant.headers().values().any(HeaderValue::is_sensitive));
}
