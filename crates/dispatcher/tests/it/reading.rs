//! Answers that are too long, too slow or broken: bounded in time and memory, and told in words.

use std::time::{Duration, Instant};

use sensei_dispatcher::{ATTEMPT_DEADLINE, Answer, EgressOptions, Failure};
use sensei_domain::Outcome;
use sensei_test_support::{Fault, FaultServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::fixture::{SHORT, loopback, post, with};

/// A busy machine's share on top of the deadline.
const GRACE: Duration = Duration::from_secs(5);
const BODY_LIMIT: usize = 64 * 1024;

async fn ask(fault: Fault) -> Result<Answer, Failure> {
    let is_endless = matches!(fault, Fault::BlackHole | Fault::SlowHeaders | Fault::SlowBody);
    let server = FaultServer::start(fault);
    // What ends by itself gets all the time it wants, so that a busy machine changes nothing.
    let deadline = if is_endless { SHORT } else { ATTEMPT_DEADLINE };
    let egress = with(EgressOptions { deadline, ..loopback() });
    let started = Instant::now();
    let result = post(&egress, &server.url()).await;
    assert!(started.elapsed() < deadline + GRACE);
    assert_eq!(server.connections(), 1, "nothing is tried twice");
    result
}

#[tokio::test]
async fn what_breaks_before_the_status_is_a_failure_in_words() {
    let closed = "the receiver closed the connection before it answered";
    let garbage = "the receiver's answer isn't valid HTTP";
    let late = "no answer within 1200 ms";
    let cases = [
        (Fault::Reset, closed),
        (Fault::Close, closed),
        (Fault::Garbage, garbage),
        (Fault::EndlessHeaders, garbage),
        (Fault::SlowHeaders, late),
        (Fault::BlackHole, late),
        (Fault::Raw(b"HTTP/1.1 200 OK\r\nbroken".to_vec()), closed),
        (Fault::Raw(b"HTTP/1.1 99 Too short\r\n\r\n".to_vec()), garbage),
        (Fault::Raw(b"HTTP/1.1 199 Nonsense\r\n\r\n".to_vec()), closed),
        (Fault::Raw(b"HTTP/2.0 200 OK\r\n\r\n".to_vec()), garbage),
        (Fault::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), garbage),
        (
            Fault::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok".to_vec()),
            garbage,
        ),
    ];
    for (fault, words) in cases {
        let failure = ask(fault.clone()).await.expect_err(words);
        assert_eq!(failure.to_string(), words, "{fault:?}");
    }
}

#[tokio::test]
async fn nobody_listening_is_told_so() {
    let server = FaultServer::start(Fault::Close);
    let url = server.url();
    drop(server);
    let failure = post(&with(loopback()), &url).await.expect_err("nobody listens");
    assert_eq!(failure.to_string(), "the receiver refused the connection");
}

#[tokio::test]
async fn a_long_head_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let receiver = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("it connects");
        assert!(stream.read(&mut [0; 1024]).await.expect("it sends") > 0);
        let headers = format!("x-long: {}\r\n", "a".repeat(4_000)).repeat(90);
        let answer = format!("HTTP/1.1 200 OK\r\n{headers}content-length: 0\r\n\r\n");
        // Cut off in the middle of it, perhaps.
        stream.write_all(answer.as_bytes()).await.ok();
    });
    let failure = post(&with(loopback()), &url).await.expect_err("too long");
    assert_eq!(failure.outcome(), Outcome::Unavailable { retry_after: None });
    receiver.await.expect("no panic");
}

#[tokio::test]
async fn of_a_long_body_only_the_beginning_is_read() {
    let answer = ask(Fault::EndlessBody).await.expect("it has a status");
    assert_eq!((answer.body.len(), answer.is_whole), (BODY_LIMIT, false));
    assert!(!answer.ran_out);
    assert_eq!(answer.snippet().map(|snippet| snippet.len()), Some(1_024));
}

#[tokio::test]
async fn a_slow_body_is_cut_at_the_deadline_and_its_status_counts() {
    let answer = ask(Fault::SlowBody).await.expect("it has a status");
    assert_eq!((answer.status.as_u16(), answer.is_whole), (200, false));
    assert!(answer.ran_out, "its receiver holds attempts");
    assert!(answer.body.iter().all(|byte| *byte == b's') && answer.body.len() < 1_000);
}

#[tokio::test]
async fn a_wrong_content_length_spoils_the_body_only() {
    let short = ask(Fault::ShortBody).await.expect("it has a status");
    assert_eq!((&short.body[..], short.is_whole), (&b"0123456789"[..], false));
    let long = ask(Fault::LongBody).await.expect("it has a status");
    assert_eq!((&long.body[..], long.is_whole), (&b"01"[..], true));
}

#[tokio::test]
async fn nothing_is_decompressed() {
    let answer = ask(Fault::GzipBomb).await.expect("it has a status");
    assert!(answer.is_whole && answer.body.starts_with(&[0x1f, 0x8b]) && answer.body.len() < BODY_LIMIT);
}
