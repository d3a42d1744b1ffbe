//! What mail servers do: refuse, hang, say too much, and not be who they should.

use std::time::{Duration, Instant};

use sensei_test_support::{Fault, FaultServer};

use super::*;
use crate::fixture::SHORT;
use crate::vendors::{AGAIN, pages};

const REJECTED: Outcome = Outcome::Rejected;

/// At which command, what, and what it means.
const ANSWERS: &[(&str, &str, Outcome, &str)] = &[
    ("", "421 4.3.2 come later", AGAIN, "421: 4.3.2 come later"),
    (
        "",
        "554 5.7.1 no service for you",
        REJECTED,
        "554: 5.7.1 no service for you",
    ),
    ("AUTH", "454 4.7.0 later", AGAIN, "454: 4.7.0 later"),
    (
        "AUTH",
        "535 5.7.8 wrong",
        REJECTED,
        "535: the user name or password isn't right",
    ),
    ("MAIL", "530 5.7.0 who are you", REJECTED, "530: it wants a user name"),
    (
        "MAIL",
        "553 5.7.1 not your address",
        REJECTED,
        "553: 5.7.1 not your address",
    ),
    ("RCPT", "450 4.2.1 greylisted", AGAIN, "450: 4.2.1 greylisted"),
    ("RCPT", "550 5.1.1 no such user", REJECTED, "550: 5.1.1 no such user"),
    ("DATA", "451 4.3.0 busy", AGAIN, "451: 4.3.0 busy"),
    ("DATA.", "250 queued", DELIVERED, ""),
    ("DATA.", "452 4.3.1 full", AGAIN, "452: 4.3.1 full"),
    ("DATA.", "552 5.3.4 too large", REJECTED, "552: 5.3.4 too large"),
    ("DATA.", "what?", AGAIN, "isn't valid SMTP"),
    ("EHLO", "250 mail.example", REJECTED, "authentication"),
    ("QUIT", "500 no", DELIVERED, ""),
];

#[tokio::test]
async fn every_answer_means_what_it_says() {
    for (command, answer, outcome, words) in ANSWERS {
        let server = MailServer::start();
        server.answer(command, answer);
        let attempted = send_to(&server, &with(loopback()), "none").await;
        assert_eq!(&attempted.outcome, outcome, "{command} {answer}: {attempted:?}");
        let error = attempted.error.unwrap_or_default();
        assert!(error.contains(words), "{command} {answer}: {error}");
        assert_eq!(error.is_empty(), *outcome == DELIVERED);
        assert_eq!(server.mails().len(), usize::from(*outcome == DELIVERED));
    }
}

#[tokio::test]
async fn page_says_what_the_kind_does() {
    let server = MailServer::start();
    assert_eq!(send_to(&server, &with(loopback()), "none").await.outcome, DELIVERED);
    let mail = String::from_utf8(only(&server).data)
        .expect("text")
        .replace("\r\n", "\n");
    // What is of the moment.
    let boundary = mail.split("boundary=\"").nth(1).and_then(|rest| rest.split('"').next());
    let boundary = boundary.expect("it has parts").to_owned();
    let lines = mail.replace(&boundary, "…");
    let lines = lines
        .lines()
        .map(|line| if line.starts_with("Date: ") { "Date: …" } else { line });
    let mail = lines.collect::<Vec<_>>().join("\n");
    let rows = ANSWERS.iter().map(|(command, answer, outcome, words)| {
        let at = match *command {
            "" => "greeting".to_owned(),
            "DATA." => "end of the mail".to_owned(),
            other => format!("`{other}`"),
        };
        format!("| {at} | `{answer}` | {} | {words} |", pages::outcome(outcome))
    });
    let page = pages::about(kind("email").descriptor(), kind("email").slots())
        + &pages::way("", ("text", &[mail.trim_end().to_owned()]), &rows.collect::<Vec<_>>());
    pages::check("email", &page);
}

#[tokio::test]
async fn nothing_is_said_unencrypted_that_should_not_be() {
    let root = TestRoot::new();
    let egress = trusting(&root);
    // Who doesn't encrypt gets neither a password nor a mail.
    let plain = MailServer::start();
    let attempted = send_to(&plain, &egress, "startTls").await;
    assert_eq!(attempted.outcome, AGAIN);
    assert!(
        attempted
            .error
            .is_some_and(|error| error.contains("offers no STARTTLS"))
    );
    let attempted = send_to(&plain, &egress, "tls").await;
    assert!(attempted.error.is_some_and(|error| error.contains("doesn't speak TLS")));
    assert!(plain.mails().is_empty());
    // Nor does who answers for the server before it encrypts.
    let meddled = MailServer::start_tls(&root, Certificate::Good, Encryption::StartTls);
    meddled.answer("STAR", "220 go on\r\n250 injected");
    let attempted = send_to(&meddled, &egress, "startTls").await;
    assert_eq!(attempted.outcome, AGAIN, "{attempted:?}");
    assert!(meddled.mails().is_empty());
    // Nor a stranger.
    for (certificate, words) in [
        (Certificate::Expired, "expired"),
        (Certificate::WrongName, "another name"),
        (Certificate::SelfSigned, "isn't known"),
    ] {
        for (encryption, security) in [(Encryption::Implicit, "tls"), (Encryption::StartTls, "startTls")] {
            let stranger = MailServer::start_tls(&root, certificate, encryption);
            let attempted = send_to(&stranger, &egress, security).await;
            assert_eq!(attempted.outcome, AGAIN);
            let error = attempted.error.expect("words");
            assert!(error.contains(words), "{error}");
            assert!(stranger.mails().is_empty());
        }
    }
}

#[tokio::test]
async fn attempt_ends_by_the_deadline_wherever_the_server_stops_to_answer() {
    let egress = with(EgressOptions {
        deadline: SHORT,
        ..loopback()
    });
    let silent = MailServer::start();
    silent.answer("QUIT", "");
    // Less than it is waited for: what was taken is taken.
    let hasty = with(EgressOptions {
        deadline: Duration::from_millis(900),
        ..loopback()
    });
    let attempted = send_to(&silent, &hasty, "none").await;
    assert_eq!(attempted.outcome, DELIVERED, "it was taken before: {attempted:?}");
    for command in ["", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "DATA."] {
        let server = MailServer::start();
        server.answer(command, "");
        let begun = Instant::now();
        let attempted = send_to(&server, &egress, "none").await;
        assert!(begun.elapsed() < Duration::from_secs(15), "{command}");
        assert_eq!(attempted.outcome, AGAIN, "{command}: {attempted:?}");
        assert_eq!(
            attempted.error.as_deref(),
            Some("no answer within 1200 ms"),
            "{command}"
        );
    }
    for fault in [
        Fault::Reset,
        Fault::Close,
        Fault::Garbage,
        Fault::EndlessHeaders,
        Fault::BlackHole,
    ] {
        for security in ["none", "startTls", "tls"] {
            let server = FaultServer::start(fault.clone());
            let config = config(server.address().port(), security);
            let attempted = send(&egress, &config, &sample(), Trigger::First).await;
            assert_eq!(attempted.outcome, AGAIN, "{fault:?} {security}: {attempted:?}");
        }
    }
}

#[tokio::test]
async fn server_that_never_ends_its_line_is_cut_off() {
    for command in ["", "EHLO", "RCPT"] {
        let server = MailServer::start();
        server.answer(command, &"250-".repeat(250_000));
        let attempted = send_to(&server, &with(loopback()), "none").await;
        assert_eq!(attempted.outcome, AGAIN, "{command}");
        let error = attempted.error.expect("words");
        assert!(error.contains("isn't valid SMTP"), "{command}: {error}");
    }
}

#[tokio::test]
async fn recipient_who_is_refused_costs_no_other_his_mail() {
    let egress = with(loopback());
    // Each second recipient, for good: the mail goes to the others, and the log says so.
    let server = MailServer::start();
    server.answer_each(2, "RCPT", "550 5.1.1 no such user");
    let attempted = send_to(&server, &egress, "none").await;
    assert_eq!(attempted.outcome, DELIVERED, "{attempted:?}");
    assert!(
        attempted
            .error
            .is_some_and(|error| error.contains("not to all") && error.contains("550"))
    );
    assert_eq!(server.mails().len(), 1);

    // For now: he alone is tried again.
    let server = MailServer::start();
    server.answer_each(2, "RCPT", "450 4.2.1 greylisted");
    let config = config(server.address().port(), "none");
    let mut job = job("email", config.clone(), Trigger::First);
    job.body = event(&sample(), "Acme Corp");
    let transport = kind("email").bind(&config).expect("a good config");
    let first = transport.deliver(&job, SystemClock.now(), &egress).await;
    assert_eq!(first.outcome, AGAIN, "{first:?}");
    let second = transport.deliver(&job, SystemClock.now(), &egress).await;
    assert_eq!(second.outcome, DELIVERED, "{second:?}");
    let envelopes = server.mails().into_iter().map(|mail| mail.to).collect::<Vec<_>>();
    assert_eq!(envelopes, [["sales@acme.example"], ["ann@acme.example"]]);
}
