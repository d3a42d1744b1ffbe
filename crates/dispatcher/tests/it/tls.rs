//! Certificates, good and bad, of the test's own root.

use sensei_dispatcher::EgressOptions;
use sensei_domain::Outcome;
use sensei_test_support::{Certificate, Fault, FaultServer, Receiver, TestRoot};

use crate::fixture::{SHORT, loopback, post, to_loopback, with};

fn trusting(root: &TestRoot) -> EgressOptions {
    EgressOptions {
        extra_roots: vec![root.certificate()],
        ..loopback()
    }
}

#[tokio::test]
async fn a_good_certificate_is_accepted_by_name_and_by_address() {
    let root = TestRoot::new();
    let server = FaultServer::start_tls(&root, Certificate::Good, None);
    let egress = with(trusting(&root));
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("https://{host}:{}/hook", server.address().port());
        let answer = post(&egress, &url).await.expect(&url);
        assert_eq!(
            (answer.status.as_u16(), &answer.body[..], answer.is_whole),
            (200, &b"ok"[..], true)
        );
    }
}

#[tokio::test]
async fn a_bad_certificate_is_refused_in_words() {
    let root = TestRoot::new();
    let unknown =
        "the issuer of the receiver's certificate isn't known (it may be self-signed, or a chain is incomplete)";
    let cases = [
        (Certificate::SelfSigned, unknown),
        (Certificate::Expired, "the receiver's certificate has expired"),
        (Certificate::NotYetValid, "the receiver's certificate isn't valid yet"),
        (Certificate::WrongName, "the receiver's certificate is for another name"),
    ];
    for (certificate, words) in cases {
        let server = FaultServer::start_tls(&root, certificate, None);
        let failure = post(&with(trusting(&root)), &server.url()).await.expect_err(words);
        assert_eq!(failure.to_string(), words, "{certificate:?}");
        assert_eq!(failure.outcome(), Outcome::Unavailable { retry_after: None });
    }
    // Allowing an address doesn't make its certificates trusted.
    let server = FaultServer::start_tls(&root, Certificate::Good, None);
    assert_eq!(
        post(&to_loopback(), &server.url())
            .await
            .expect_err(unknown)
            .to_string(),
        unknown
    );
}

#[tokio::test]
async fn what_isnt_tls_is_told_so() {
    let receiver = Receiver::start();
    let url = receiver.url().replace("http://", "https://");
    let failure = post(&to_loopback(), &url).await.expect_err("plain http");
    assert_eq!(failure.to_string(), "the receiver doesn't speak TLS at this port");
    assert_eq!(receiver.count(), 0);
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_cut() {
    // It waits for the end of a request that a handshake doesn't hold.
    let server = FaultServer::start(Fault::BlackHole);
    let url = server.url().replace("http://", "https://");
    let egress = with(EgressOptions {
        deadline: SHORT,
        ..loopback()
    });
    let failure = post(&egress, &url).await.expect_err("no handshake");
    assert_eq!(failure.to_string(), "no connection within 800 ms");
}

#[tokio::test]
async fn no_process_wide_provider_is_needed_or_set() {
    let root = TestRoot::new();
    let server = FaultServer::start_tls(&root, Certificate::Good, None);
    post(&with(trusting(&root)), &server.url()).await.expect("sent");
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
}
