//! The recording receiver.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use sensei_test_support::Receiver;

const LIMIT: Duration = Duration::from_secs(10);

fn post(receiver: &Receiver, body: &str) -> String {
    let mut stream = TcpStream::connect(receiver.address()).expect("the receiver listens");
    write!(
        stream,
        "POST /hook?x=1 HTTP/1.1\r\nhost: h\r\nconnection: close\r\nwebhook-id: one\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("the receiver reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the receiver answers");
    answer
}

#[tokio::test]
async fn requests_are_recorded_and_answered_as_told() {
    let receiver = Receiver::start();
    assert!(post(&receiver, "{\"a\": 1}").starts_with("HTTP/1.1 200"));
    receiver.set_status(429);
    receiver.set_header("retry-after", "7");
    let answer = post(&receiver, "{}");
    assert!(
        answer.starts_with("HTTP/1.1 429") && answer.contains("retry-after: 7"),
        "{answer}"
    );

    let requests = receiver.wait_for(2, LIMIT).await.expect("two came");
    assert_eq!(requests[0].json()["a"], 1);
    assert_eq!(
        (requests[0].webhook_id(), requests[0].uri.query()),
        ("one", Some("x=1"))
    );
    assert_eq!(receiver.take().len(), 2);
    assert_eq!((receiver.count(), receiver.received().len()), (2, 0));
    let missing = receiver
        .wait_for(3, Duration::from_millis(10))
        .await
        .expect_err("no third came");
    assert!(missing.to_string().starts_with("2 of 3 requests came"));
}

#[test]
fn a_stopped_receiver_refuses_and_its_address_can_be_used_again() {
    let mut receiver = Receiver::start();
    let address = receiver.address();
    receiver.stop();
    TcpStream::connect(address).expect_err("nobody listens");
    let again = Receiver::start_on(address).expect("the address is free again");
    assert!(post(&again, "{}").starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_receiver_is_settled_once_nobody_is_connected() {
    let receiver = Receiver::start();
    receiver.set_delay(10 * LIMIT);
    let mut sender = TcpStream::connect(receiver.address()).expect("the receiver listens");
    write!(
        sender,
        "POST /hook HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{{}}"
    )
    .expect("it reads");
    receiver.wait_for(1, LIMIT).await.expect("it came");
    let waited = receiver.settled(Duration::from_millis(50)).await;
    waited.expect_err("the sender waits for its answer");
    drop(sender);
    receiver.settled(LIMIT).await.expect("the sender is gone");
    assert_eq!(receiver.count(), 1);
}
