//! Names: what a hostile DNS can and can't do. The servers asked are the tests' own.

use sensei_dispatcher::{Attempted, Egress, EgressOptions, Failure, Refusal, Strain};
use sensei_domain::Outcome;
use sensei_test_support::Receiver;

use crate::dns_server::{DnsServer, Reply};
use crate::fixture::{SHORT, post, with};
use crate::trap::Trap;

const BLOCKED: &str = "the URL leads to an address that isn't allowed";

fn asking(dns: &DnsServer, allow: &[&str]) -> Egress {
    with(EgressOptions {
        allow: allow.iter().map(|range| range.parse().expect("a range")).collect(),
        dns_servers: vec![dns.address()],
        ..EgressOptions::default()
    })
}

#[tokio::test]
async fn a_name_is_refused_if_any_of_its_addresses_is() {
    let dns = DnsServer::start([
        ("private.example.com", vec![Reply::addresses(&["127.0.0.1"])]),
        (
            "mixed.example.com",
            vec![Reply::addresses(&["93.184.216.34", "127.0.0.1"])],
        ),
        ("mixed6.example.com", vec![Reply::addresses(&["93.184.216.34", "::1"])]),
        ("mapped.example.com", vec![Reply::addresses(&["::ffff:127.0.0.1"])]),
        ("metadata.example.com", vec![Reply::addresses(&["169.254.169.254"])]),
        (
            "public.example.com",
            vec![Reply::addresses(&["93.184.216.34", "2606:4700:4700::1111"])],
        ),
        (
            "many.example.com",
            vec![Reply::addresses(&[
                "8.8.8.1", "8.8.8.2", "8.8.8.3", "8.8.8.4", "8.8.8.5",
            ])],
        ),
    ])
    .await;
    let egress = asking(&dns, &[]);
    let trap = Trap::set();
    for name in ["private", "mixed", "mixed6", "mapped", "metadata"] {
        let url = format!("https://{name}.example.com:{}/", trap.port());
        let failure = post(&egress, &url).await.expect_err(&url);
        assert_eq!(
            (failure.outcome(), &*failure.to_string()),
            (Outcome::Blocked, BLOCKED),
            "{url}"
        );
    }
    assert_eq!(trap.connections(), 0);

    let mut public = egress.resolve("public.example.com").await.expect("public");
    public.sort();
    let texts: Vec<_> = public.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["93.184.216.34", "2606:4700:4700::1111"]);
    let many = egress.resolve("many.example.com").await.expect("public");
    assert_eq!(many.len(), 3, "each that is tried is a socket");
}

#[tokio::test]
async fn a_name_that_turns_to_loopback_is_refused_from_then_on() {
    let dns = DnsServer::start([
        (
            "public.example.com",
            vec![Reply::addresses(&["93.184.216.34"]), Reply::addresses(&["127.0.0.1"])],
        ),
        (
            "allowed.example.com",
            vec![Reply::addresses(&["127.0.0.2"]), Reply::addresses(&["127.0.0.1"])],
        ),
    ])
    .await;
    let nothing_allowed = asking(&dns, &[]);
    nothing_allowed
        .resolve("public.example.com")
        .await
        .expect("public at first");
    let failure = nothing_allowed
        .resolve("public.example.com")
        .await
        .expect_err("then loopback");
    assert_eq!(failure.to_string(), BLOCKED);

    // The same on the wire: both listen at one port, and what was resolved first is what was connected to.
    let trap = Trap::set();
    let receiver = Receiver::start_on(([127, 0, 0, 2], trap.port()).into()).expect("127.0.0.2 can be used");
    receiver.set_header("connection", "close");
    let egress = asking(&dns, &["127.0.0.2/32"]);
    let url = format!("http://allowed.example.com:{}/", trap.port());
    assert_eq!(post(&egress, &url).await.expect("allowed at first").status, 200);
    for _ in 0..3 {
        assert_eq!(post(&egress, &url).await.expect_err("then a trap").to_string(), BLOCKED);
    }
    assert_eq!((receiver.count(), trap.connections()), (1, 0));
}

#[tokio::test]
async fn plain_http_by_name_leads_to_allowed_addresses_only() {
    let dns = DnsServer::start([
        ("inside.example.com", vec![Reply::addresses(&["127.0.0.1"])]),
        ("outside.example.com", vec![Reply::addresses(&["93.184.216.34"])]),
    ])
    .await;
    let egress = asking(&dns, &["127.0.0.1/32"]);
    let receiver = Receiver::start();
    let inside = format!("http://inside.example.com:{}/", receiver.address().port());
    assert_eq!(post(&egress, &inside).await.expect("allowed").status, 200);
    assert_eq!(
        receiver.received()[0].header("host").map(str::to_owned),
        Some(inside[7..].trim_end_matches('/').to_owned())
    );
    let failure = post(&egress, "http://outside.example.com/")
        .await
        .expect_err("public, but plain");
    assert_eq!(failure, Failure::Blocked(Refusal::PlainHttp));
}

#[tokio::test]
async fn a_name_of_the_local_network_leads_to_allowed_addresses_only() {
    let dns = DnsServer::start([
        ("receiver", vec![Reply::addresses(&["127.0.0.1"])]),
        ("db.internal", vec![Reply::addresses(&["93.184.216.34"])]),
    ])
    .await;
    let egress = asking(&dns, &["127.0.0.1/32"]);
    let receiver = Receiver::start();
    let url = format!("http://receiver:{}/", receiver.address().port());
    assert_eq!(post(&egress, &url).await.expect("allowed").status, 200);
    let failure = post(&egress, "https://db.internal/")
        .await
        .expect_err("local by name, public by address");
    assert_eq!(failure, Failure::Blocked(Refusal::LocalName));
    // Whole names only: no search domain is appended.
    assert!(
        dns.asked()
            .iter()
            .all(|name| name == "receiver." || name == "db.internal."),
        "{:?}",
        dns.asked()
    );
}

#[tokio::test]
async fn a_name_without_an_address_is_worth_another_try() {
    let dns = DnsServer::start([
        ("empty.example.com", vec![Reply::Empty]),
        ("broken.example.com", vec![Reply::ServFail]),
    ])
    .await;
    let egress = asking(&dns, &[]);
    let cases = [
        ("missing", "the host's name doesn't exist (DNS)"),
        ("empty", "the host's name has no address (DNS)"),
        ("broken", "the host's name couldn't be looked up (DNS)"),
    ];
    for (name, words) in cases {
        let failure = post(&egress, &format!("https://{name}.example.com/"))
            .await
            .expect_err(name);
        assert_eq!(failure.to_string(), words, "{name}");
        assert_eq!(failure.outcome(), Outcome::Unavailable { retry_after: None });
    }
}

#[tokio::test]
async fn a_silent_dns_server_ends_with_the_deadline() {
    let dns = DnsServer::start([("silent.example.com", vec![Reply::Silence])]).await;
    let egress = with(EgressOptions {
        dns_servers: vec![dns.address()],
        deadline: SHORT,
        ..EgressOptions::default()
    });
    let failure = post(&egress, "https://silent.example.com/").await.expect_err("silence");
    assert_eq!(failure.to_string(), "no connection within 800 ms");
}

#[tokio::test]
async fn a_lookup_that_times_out_is_a_timeout_like_any_other() {
    let dns = DnsServer::start([("silent.example.com", vec![Reply::Silence])]).await;
    let egress = asking(&dns, &[]);
    let failure = post(&egress, "https://silent.example.com/").await.expect_err("silence");
    assert_eq!(failure, Failure::DnsTimeout);
    assert_eq!(
        failure.to_string(),
        "the host's name couldn't be looked up in time (DNS)"
    );
    assert_eq!(failure.outcome(), Outcome::Unavailable { retry_after: None });
    let attempted = Attempted::unanswered(&failure);
    assert_eq!(attempted.strain, Some(Strain::TimedOut), "so its lane becomes slow");
}
