//! A proxy in the environment is not used: it would dial anything for us.

use std::process::Command;

use sensei_test_support::Receiver;

use crate::fixture::{post, strict, to_loopback};
use crate::trap::Trap;

const RECEIVER: &str = "SENSEI_TEST_RECEIVER_URL";

#[test]
fn a_proxy_in_the_environment_gets_no_connection() {
    let trap = Trap::set();
    let receiver = Receiver::start();
    let proxy = format!("http://{}", trap.address());
    let mut child = Command::new(std::env::current_exe().expect("a test is a program"));
    child.args(["--exact", "ambient_proxy::posts_under_a_proxy", "--nocapture"]);
    child.env(RECEIVER, receiver.url());
    for name in [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ] {
        child.env(name, &proxy);
    }
    child
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .env_remove("REQUEST_METHOD");
    let output = child.output().expect("a test can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!((receiver.count(), trap.connections()), (1, 0));
}

/// The child's part. By itself it has nothing to do.
#[tokio::test]
async fn posts_under_a_proxy() {
    let Ok(url) = std::env::var(RECEIVER) else { return };
    assert_eq!(post(&to_loopback(), &url).await.expect("sent").status, 200);
    post(&strict(), "https://127.0.0.1:9000/").await.expect_err("blocked");
    post(&strict(), "https://no-such-name.invalid/")
        .await
        .expect_err("no such name");
}
