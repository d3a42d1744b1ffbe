//! Connections that are kept for the next request: used again, never for long, and no lead is lost where one was closed meanwhile.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::fixture::{post, to_loopback};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("its address"));
    (listener, url)
}

/// Reads a request with the body `{}` to its end.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n{}") {
        let read = stream.read_buf(&mut request).await.expect("a request");
        assert_ne!(read, 0, "cut off: {}", String::from_utf8_lossy(&request));
    }
    String::from_utf8(request).expect("text")
}

async fn answer(stream: &mut TcpStream) -> String {
    let request = read_request(stream).await;
    stream.write_all(ANSWER).await.expect("sent");
    request
}

#[tokio::test]
async fn a_connection_is_used_again_and_closed_after_four_idle_seconds() {
    let (listener, url) = listen().await;
    let egress = to_loopback();
    let receiver = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let requests = [answer(&mut stream).await, answer(&mut stream).await];
        let answered = Instant::now();
        assert_eq!(stream.read(&mut [0]).await.expect("its end"), 0, "nothing more comes");
        (requests, answered.elapsed())
    });
    for _ in 0..2 {
        assert_eq!(post(&egress, &url).await.expect("an answer").status, 200);
    }
    let (requests, idle) = receiver.await.expect("two requests over one connection");
    let range = Duration::from_millis(3_900)..Duration::from_secs(8);
    assert!(range.contains(&idle), "closed after {idle:?}");
    let host = url.split('/').nth(2).expect("a host");
    let head = format!(
        "POST /hook HTTP/1.1\r\naccept: */*\r\nuser-agent: {}\r\nhost: {host}\r\ncontent-length: 2\r\n\r\n{{}}",
        sensei_dispatcher::USER_AGENT
    );
    assert_eq!(requests, [head.clone(), head]);
}

#[tokio::test]
async fn what_a_closed_connection_hasnt_taken_goes_over_another() {
    let (listener, url) = listen().await;
    let egress = to_loopback();
    let first = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        answer(&mut stream).await;
        stream.shutdown().await.expect("closed");
        listener
    });
    post(&egress, &url).await.expect("an answer");
    let listener = first.await.expect("a receiver");
    let second = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("another connection");
        answer(&mut stream).await;
    });
    assert_eq!(post(&egress, &url).await.expect("an answer").status, 200);
    second.await.expect("a receiver");
}

#[tokio::test]
async fn what_a_connection_may_have_taken_isnt_sent_again() {
    let (listener, url) = listen().await;
    let egress = to_loopback();
    let receiver = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        answer(&mut stream).await;
        // Takes the next request, and dies over it.
        read_request(&mut stream).await;
        drop(stream);
        listener
    });
    post(&egress, &url).await.expect("an answer");
    let failure = post(&egress, &url).await.expect_err("no answer");
    assert_eq!(
        failure.to_string(),
        "the receiver closed the connection before it answered"
    );
    let listener = receiver.await.expect("a receiver");
    let another = tokio::time::timeout(Duration::from_millis(300), listener.accept()).await;
    assert!(another.is_err(), "it came again");
}

#[tokio::test]
async fn an_answer_that_isnt_read_to_its_end_ends_its_connection() {
    let (listener, url) = listen().await;
    let egress = to_loopback();
    let receiver = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        read_request(&mut stream).await;
        let long = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n{}",
            "x".repeat(200_000)
        );
        // It may be cut off before all is written.
        drop(stream.write_all(long.as_bytes()).await);
        let (mut stream, _) = listener.accept().await.expect("another connection");
        answer(&mut stream).await;
    });
    let long = post(&egress, &url).await.expect("an answer");
    assert_eq!((long.body.len(), long.is_whole), (64 * 1024, false));
    assert!(post(&egress, &url).await.expect("an answer").is_whole);
    receiver.await.expect("a receiver");
}
