//! Mail, to a real server: encrypted, signed in, taken or refused; and nothing that a visitor typed is more than text.

use mail_parser::{MessageParser, MimeHeaders};
use proptest::prelude::*;
use sensei_dispatcher::{Attempted, Egress, EgressOptions};
use sensei_domain::{Clock, Outcome, SystemClock, Trigger};
use sensei_test_support::{Certificate, Encryption, Mail, MailServer, TestRoot};
use serde_json::{Value, json};

use super::hostile::{is_escaped_html, lead};
use super::{DELIVERED, event, kind, sample};
use crate::fixture::{deliver_after_drops, job, loopback, strict, with};

mod server;

fn config(port: u16, security: &str) -> Value {
    json!({
        "host": "localhost", "port": port, "security": security, "username": "leads@acme.example", "password": "S3CRET",
        "from": "leads@acme.example", "to": ["sales@acme.example", "ann@acme.example"],
    })
}

async fn send(egress: &Egress, config: &Value, lead: &Value, trigger: Trigger) -> Attempted {
    let mut job = job("email", config.clone(), trigger);
    job.body = event(lead, "Acme Corp");
    job.event_id = "0193a2b5-0000-7000-8000-000000000002".parse().expect("an id");
    let transport = kind("email").bind(config).expect("a good config");
    assert!(!format!("{transport:?}").contains("S3CRET"));
    let attempted = transport.deliver(&job, SystemClock.now(), egress).await;
    assert!(!format!("{attempted:?}").contains("S3CRET"), "{attempted:?}");
    attempted
}

async fn send_to(server: &MailServer, egress: &Egress, security: &str) -> Attempted {
    send(
        egress,
        &config(server.address().port(), security),
        &sample(),
        Trigger::First,
    )
    .await
}

fn trusting(root: &TestRoot) -> Egress {
    with(EgressOptions {
        extra_roots: vec![root.certificate()],
        ..loopback()
    })
}

fn only(server: &MailServer) -> Mail {
    let mut mails = server.mails();
    assert_eq!(mails.len(), 1);
    mails.remove(0)
}

#[tokio::test]
async fn mail_says_what_the_lead_said() {
    let root = TestRoot::new();
    for (encryption, security) in [(Encryption::Implicit, "tls"), (Encryption::StartTls, "startTls")] {
        let server = MailServer::start_tls(&root, Certificate::Good, encryption);
        let attempted = send_to(&server, &trusting(&root), security).await;
        assert_eq!(
            (attempted.outcome, &attempted.error),
            (DELIVERED, &None),
            "{attempted:?}"
        );
        assert_eq!(attempted.response_snippet.as_deref(), Some("250 queued as 1"));
        let url = format!("smtp://localhost:{}", server.address().port());
        assert_eq!(attempted.request_url, Some(url));
        let mail = only(&server);
        assert!(mail.is_encrypted);
        // leads@acme.example and S3CRET, as PLAIN wants them.
        assert_eq!(
            mail.login.as_deref(),
            Some("AUTH PLAIN AGxlYWRzQGFjbWUuZXhhbXBsZQBTM0NSRVQ=")
        );
        assert_eq!(mail.from, "leads@acme.example");
        assert_eq!(mail.to, ["sales@acme.example", "ann@acme.example"]);
        let read = MessageParser::default().parse(&mail.data).expect("a mail");
        assert_eq!(read.subject(), Some("New lead: Jane Doe (Acme Corp)"));
        assert_eq!(
            read.message_id(),
            Some("0193a2b5-0000-7000-8000-000000000002@acme.example")
        );
        let reply_to = read.reply_to().and_then(|to| to.first()).expect("it has one");
        assert_eq!(
            (reply_to.name(), reply_to.address()),
            (Some("Jane Doe"), Some("jane@example.com"))
        );
        let text = read.body_text(0).expect("a text").replace("\r\n", "\n");
        assert!(
            text.starts_with("Name: Jane Doe\nEmail: jane@example.com\nPhone: +15550100\n\nI need a quote\n\n"),
            "{text}"
        );
        let html = read.body_html(0).expect("HTML");
        assert!(html.contains("<b>Email</b></td><td>jane@example.com</td>"), "{html}");
        assert!(html.contains("<p>I need a quote</p>"), "{html}");
        assert_eq!(read.header("Sensei-Test"), None);
    }
}

#[tokio::test]
async fn sample_is_marked() {
    let server = MailServer::start();
    let config = config(server.address().port(), "none");
    let attempted = send(&with(loopback()), &config, &sample(), Trigger::Test).await;
    assert_eq!(attempted.outcome, DELIVERED, "{attempted:?}");
    let data = only(&server).data;
    let read = MessageParser::default().parse(&data).expect("a mail");
    assert_eq!(
        read.header("Sensei-Test").and_then(|value| value.as_text()),
        Some("true")
    );
}

/// A server without SMTPUTF8 refuses a whole mail for a header that isn't ASCII.
#[tokio::test]
async fn answers_go_to_the_lead_where_every_server_takes_his_address() {
    for (email, reply_to) in [
        ("jane@example.com", Some("jane@example.com")),
        ("jane@ex\u{e4}mple.de", Some("jane@xn--exmple-cua.de")),
        ("j\u{f6}rg@example.de", None),
    ] {
        let server = MailServer::start();
        let mut lead = sample();
        lead["email"] = email.into();
        let config = config(server.address().port(), "none");
        let attempted = send(&with(loopback()), &config, &lead, Trigger::First).await;
        assert_eq!(attempted.outcome, DELIVERED, "{attempted:?}");
        let data = only(&server).data;
        let head = data.split(|byte| *byte == b'\n').take_while(|line| line.len() > 1);
        assert!(head.flatten().all(u8::is_ascii), "{email}");
        let read = MessageParser::default().parse(&data).expect("a mail");
        let found = read.reply_to().and_then(|to| to.first()).and_then(|to| to.address());
        assert_eq!(found, reply_to);
        assert!(read.body_text(0).expect("a text").contains(email));
    }
}

#[tokio::test]
async fn guard_holds_for_mail_servers_too() {
    let server = MailServer::start();
    for host in ["localhost", "127.0.0.1", "2130706433", "0x7f.1"] {
        for security in ["none", "startTls"] {
            let mut config = config(server.address().port(), security);
            config["host"] = host.into();
            let attempted = send(&strict(), &config, &sample(), Trigger::First).await;
            assert_eq!(attempted.outcome, Outcome::Blocked, "{host}: {attempted:?}");
            assert!(attempted.error.is_some_and(|error| error.contains("isn't allowed")));
        }
    }
    // A public address: no port of another service, and nothing unencrypted.
    for (port, security) in [(6379, "tls"), (25, "none")] {
        let mut config = config(port, security);
        config["host"] = "8.8.8.8".into();
        let attempted = send(&strict(), &config, &sample(), Trigger::First).await;
        assert_eq!(attempted.outcome, Outcome::Blocked, "{attempted:?}");
    }
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn attempt_can_be_dropped_at_any_await() {
    let root = TestRoot::new();
    let server = MailServer::start_tls(&root, Certificate::Good, Encryption::StartTls);
    let (egress, config) = (trusting(&root), config(server.address().port(), "startTls"));
    let mut job = job("email", config.clone(), Trigger::First);
    job.body = event(&sample(), "Acme Corp");
    let transport = kind("email").bind(&config).expect("a good config");
    let attempted = deliver_after_drops(transport.as_ref(), &job, &egress).await;
    assert_eq!(attempted.outcome, DELIVERED, "{attempted:?}");
}

#[test]
fn wrong_config_is_refused_by_its_field() {
    let kind = kind("email");
    let cases = [
        (
            "/host",
            json!("https://mail.acme.example"),
            "/host must be a host's name",
        ),
        ("/host", json!("a\r\nb"), "/host must be"),
        ("/port", json!(0), "/port must be at least 1"),
        ("/port", json!(65_536), "/port must be at most 65535"),
        ("/security", json!("ssl"), "/security must be one of"),
        ("/username", json!("a\r\nb"), "/username must be a line"),
        (
            "/from",
            json!("Leads <leads@acme.example>"),
            "/from must be an email address",
        ),
        (
            "/from",
            json!("leads@acme.example\r\nBcc: x@y.example"),
            "/from must be an email address",
        ),
        ("/to", json!([]), "/to"),
        ("/to/0", json!("sales"), "/to/0 must be an email address"),
        ("/to", json!(vec!["a@acme.example"; 11]), "/to"),
    ];
    for (pointer, wrong, words) in cases {
        let mut config = config(25, "none");
        *config.pointer_mut(pointer).expect(pointer) = wrong.clone();
        let refused = kind.bind(&config).expect_err(words).to_string();
        assert!(refused.contains(words), "{wrong}: {refused}");
    }
    for missing in ["username", "password"] {
        let mut config = config(25, "none");
        config.as_object_mut().expect("an object").remove(missing);
        let refused = kind.bind(&config).expect_err(missing).to_string();
        assert!(refused.contains(&format!("/{missing} is required")), "{refused}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn hostile_text_makes_no_header_and_no_markup(lead in lead()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let server = MailServer::start();
        let config = config(server.address().port(), "none");
        let attempted = runtime.block_on(send(&with(loopback()), &config, &lead, Trigger::First));
        prop_assert_eq!(attempted.outcome, DELIVERED);
        let mail = only(&server);
        prop_assert_eq!(mail.to.len(), 2);
        let read = MessageParser::default().parse(&mail.data).expect("a mail");
        let mut names = read.headers().iter().map(|header| header.name().to_ascii_lowercase()).collect::<Vec<_>>();
        names.sort();
        let expected = ["content-type", "date", "from", "message-id", "mime-version", "reply-to", "subject", "to"];
        prop_assert_eq!(names, expected);
        prop_assert_eq!(read.parts.len(), 3, "the two ways to read it, and what holds them");
        prop_assert!(read.parts.iter().all(|part| part.attachment_name().is_none()));
        let subject = read.subject().expect("a subject");
        prop_assert!(subject.starts_with("New lead: J"), "{}", subject);
        prop_assert!(subject.chars().count() <= 200);
        let html = read.body_html(0).expect("HTML");
        let message = html.split("<p>").nth(1).and_then(|rest| rest.split("</p>").next()).expect("a message");
        prop_assert!(is_escaped_html(message), "{}", message);
        let text = read.body_text(0).expect("a text");
        for part in [&*html, &*text, subject] {
            prop_assert!(!part.contains(['\u{202e}', '\0']), "{}", part);
        }
    }
}
