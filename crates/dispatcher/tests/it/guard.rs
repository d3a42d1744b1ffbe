//! What the guard makes of URLs: at save, and on the way out with a trap behind every one of them.

use std::net::Ipv6Addr;

use sensei_dispatcher::{Egress, EgressOptions, Failure, Refusal};
use sensei_domain::{Outcome, WebhookUrl};
use sensei_test_support::Receiver;

use crate::fixture::{loopback, post, strict, to_loopback, with};
use crate::trap::Trap;

/// Hosts that lead to loopback or "this network", as a URL may spell them.
const SPELLINGS: [&str; 31] = [
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0x7F.0x0.0x0.0x1",
    "0177.0.0.1",
    "0177.1",
    "017700000001",
    "0",
    "0.0.0.0",
    "0x0",
    "①②⑦.⓪.⓪.①",
    "１２７.０.０.１",
    "127。0。0。1",
    "127%2e0%2e0%2e1",
    "localhost",
    "localhost.",
    "LOCALHOST",
    "ⓛocalhost",
    "any.localhost",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::1]",
];

fn check(egress: &Egress, url: &str) -> Result<(), Refusal> {
    egress.check(&url.parse::<WebhookUrl>().expect(url))
}

#[tokio::test]
async fn no_spelling_of_loopback_leads_to_a_trap() {
    let egress = strict();
    let open_to_http = with(EgressOptions {
        allow_http: true,
        ..EgressOptions::default()
    });
    let trap = Trap::set();
    let v6_trap = Trap::set_on(Ipv6Addr::LOCALHOST.into());
    for host in SPELLINGS {
        for port in [trap.port(), v6_trap.port()] {
            for (egress, scheme) in [(&egress, "http"), (&egress, "https"), (&open_to_http, "http")] {
                let url = format!("{scheme}://{host}:{port}/");
                check(egress, &url).expect_err(&url);
                let failure = post(egress, &url).await.expect_err(&url);
                assert!(matches!(failure, Failure::Blocked(_)), "{url}: {failure:?}");
                assert_eq!(failure.outcome(), Outcome::Blocked);
            }
        }
    }
    assert_eq!((trap.connections(), v6_trap.connections()), (0, 0));
}

#[tokio::test]
async fn allowing_addresses_opens_no_other_spelling_of_them_but_the_systems_own() {
    let egress = to_loopback();
    let trap = Trap::set();
    for host in [
        "[::127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::1]",
        "0.0.0.0",
        "[::]",
    ] {
        let url = format!("http://{host}:{}/", trap.port());
        let failure = post(&egress, &url).await.expect_err(&url);
        assert!(
            matches!(failure, Failure::Blocked(Refusal::Address { .. })),
            "{url}: {failure:?}"
        );
    }
    assert_eq!(trap.connections(), 0);

    let receiver = Receiver::start();
    let port = receiver.address().port();
    for host in ["127.0.0.1", "127.1", "2130706433", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{port}/");
        check(&egress, &url).expect(&url);
        assert_eq!(post(&egress, &url).await.expect(&url).status, 200);
    }
}

#[tokio::test]
async fn localhost_may_be_used_when_loopback_is_allowed_by_either_family() {
    let receiver = Receiver::start();
    let port = receiver.address().port();
    let v4_only = with(EgressOptions {
        allow: vec!["127.0.0.0/8".parse().expect("a range")],
        ..EgressOptions::default()
    });
    for egress in [&v4_only, &to_loopback()] {
        for host in ["localhost", "localhost.", "acme.localhost"] {
            let url = format!("http://{host}:{port}/");
            check(egress, &url).expect(&url);
            assert_eq!(post(egress, &url).await.expect(&url).status, 200);
        }
    }

    let v6_only = with(EgressOptions {
        allow: vec!["::1/128".parse().expect("a range")],
        ..EgressOptions::default()
    });
    let receiver = Receiver::start_on((Ipv6Addr::LOCALHOST, 0).into()).expect("::1 can be used");
    let url = format!("http://localhost:{}/", receiver.address().port());
    check(&v6_only, &url).expect(&url);
    assert_eq!(post(&v6_only, &url).await.expect(&url).status, 200);
    let elsewhere = with(EgressOptions {
        allow: vec!["10.0.0.0/8".parse().expect("a range")],
        ..EgressOptions::default()
    });
    assert_eq!(check(&elsewhere, &url), Err(Refusal::LocalName));
    let failure = post(&elsewhere, &url).await.expect_err("not allowed");
    assert_eq!(failure, Failure::Blocked(Refusal::LocalName));
}

#[test]
fn what_may_be_saved() {
    let some = with(loopback());
    let none = strict();
    let http = with(EgressOptions {
        allow_http: true,
        ..EgressOptions::default()
    });
    let address = |what| Err(Refusal::Address { what });
    let port = |port| Err(Refusal::Port { port });
    let cases = [
        (&none, "https://hooks.example.com/a?b=c", Ok(())),
        (&none, "https://hooks.example.com./", Ok(())),
        (&none, "https://hooks.example.com:8443/", Ok(())),
        (&none, "https://hooks.example.com:80/", Ok(())),
        (&none, "https://8.8.8.8/", Ok(())),
        (&none, "https://[2606:4700:4700::1111]/", Ok(())),
        (&none, "https://[64:ff9b::8.8.8.8]/", Ok(())),
        (&none, "http://hooks.example.com/", Err(Refusal::PlainHttp)),
        (&none, "http://8.8.8.8/", Err(Refusal::PlainHttp)),
        (&http, "http://hooks.example.com/", Ok(())),
        (&http, "http://8.8.8.8/", Ok(())),
        (&some, "http://8.8.8.8/", Err(Refusal::PlainHttp)),
        // Whether its address is allowed turns out when it is looked up.
        (&some, "http://hooks.example.com/", Ok(())),
        (&some, "http://receiver/", Ok(())),
        (&some, "http://127.0.0.1:81/", Ok(())),
        (&none, "https://hooks.example.com:25/", port(25)),
        (&none, "https://hooks.example.com:6379/", port(6379)),
        (&none, "https://8.8.8.8:22/", port(22)),
        (&none, "https://10.0.0.1/", address("a private address")),
        (&none, "https://169.254.169.254/latest", address("a link-local address")),
        (&none, "https://[fd00:ec2::254]/", address("a private address")),
        (
            &http,
            "http://100.100.100.200/",
            address("a provider's internal address"),
        ),
        (&none, "https://localhost/", Err(Refusal::LocalName)),
        (&none, "https://receiver/", Err(Refusal::LocalName)),
        (&none, "https://receiver./", Err(Refusal::LocalName)),
        (&none, "https://printer.local/", Err(Refusal::LocalName)),
        (&none, "https://db.Internal./", Err(Refusal::LocalName)),
        (&none, "https://metadata.google.internal/", Err(Refusal::LocalName)),
        (&none, "https://./", Err(Refusal::NoHost)),
    ];
    for (egress, url, expected) in cases {
        assert_eq!(check(egress, url), expected, "{url}");
    }
}

#[test]
fn a_refusal_of_an_address_names_the_setting_that_would_allow_it() {
    for url in ["http://127.0.0.1:9000/", "http://localhost:9000/", "https://10.1.2.3/"] {
        let text = check(&strict(), url).expect_err(url).to_string();
        assert!(text.contains("SENSEI_EGRESS_ALLOW=127.0.0.0/8"), "{text}");
    }
    let text = check(&strict(), "http://example.com/").expect_err("plain").to_string();
    assert!(text.contains("SENSEI_EGRESS_ALLOW_HTTP"), "{text}");
}

#[tokio::test]
async fn credentials_and_fragments_are_refused_on_the_way_out_too() {
    let egress = to_loopback();
    let trap = Trap::set();
    let cases = [
        (format!("http://me@127.0.0.1:{}/", trap.port()), Refusal::Credentials),
        (format!("http://:pass@127.0.0.1:{}/", trap.port()), Refusal::Credentials),
        (format!("http://127.0.0.1:{}/#top", trap.port()), Refusal::Fragment),
        (format!("ws://127.0.0.1:{}/", trap.port()), Refusal::Scheme),
        ("file:///etc/passwd".to_owned(), Refusal::Scheme),
    ];
    for (url, refusal) in cases {
        assert_eq!(post(&egress, &url).await.expect_err(&url), Failure::Blocked(refusal));
    }
    assert_eq!(trap.connections(), 0);
}
