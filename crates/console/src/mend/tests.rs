//! Each way to fail, and what is said of it.

use super::Place::{Destination, Operator, Receiver};
use super::*;

fn told(kind: &str, outcome: &str, status: Option<u16>, error: &str) -> Mend {
    let failed = Failed {
        kind,
        outcome,
        status,
        error,
    };
    mend(failed).expect("it failed")
}

/// The outcome and the error; what of it is in what is wrong and in what to do; and where.
const UNANSWERED: &[(&str, &str, &str, &str, Place)] = &[
    (
        "unavailable",
        "the host's name doesn't exist (DNS)",
        "no such host",
        "typing mistake",
        Destination,
    ),
    (
        "unavailable",
        "the host's name has no address (DNS)",
        "no address",
        "A or AAAA",
        Receiver,
    ),
    (
        "unavailable",
        "the host's name couldn't be looked up in time (DNS)",
        "looked up",
        "name servers",
        Receiver,
    ),
    (
        "unavailable",
        "the host's name couldn't be looked up (DNS)",
        "looked up",
        "name servers",
        Receiver,
    ),
    (
        "unavailable",
        "the receiver's certificate has expired",
        "expired",
        "Renew",
        Receiver,
    ),
    (
        "unavailable",
        "the receiver's certificate isn't valid yet",
        "valid yet",
        "clock",
        Receiver,
    ),
    (
        "unavailable",
        "the receiver's certificate is for another name",
        "another host",
        "www",
        Destination,
    ),
    (
        "unavailable",
        "the issuer of the receiver's certificate isn't known (it may be self-signed, or a chain is incomplete)",
        "self-signed",
        "fullchain",
        Receiver,
    ),
    (
        "unavailable",
        "the receiver's certificate was revoked",
        "revoked",
        "new certificate",
        Receiver,
    ),
    (
        "unavailable",
        "the receiver's certificate isn't valid",
        "isn't valid",
        "valid certificate",
        Receiver,
    ),
    (
        "unavailable",
        "the receiver doesn't speak TLS at this port",
        "doesn't speak TLS",
        "443",
        Destination,
    ),
    (
        "unavailable",
        "the receiver speaks no TLS version or cipher that we accept",
        "too old",
        "TLS 1.2",
        Receiver,
    ),
    (
        "unavailable",
        "the receiver broke the TLS handshake off",
        "handshake",
        "client certificate",
        Receiver,
    ),
    (
        "unavailable",
        "the TLS handshake failed",
        "handshake",
        "very host",
        Receiver,
    ),
    (
        "unavailable",
        "no connection within 10 s",
        "Nothing answers",
        "firewall",
        Receiver,
    ),
    ("unavailable", "no answer within 15 s", "too long", "queue", Receiver),
    (
        "unavailable",
        "no answer within 15 s",
        "too long",
        "may have the lead",
        Receiver,
    ),
    (
        "unavailable",
        "the receiver refused the connection",
        "nothing listens",
        "Start the receiver",
        Receiver,
    ),
    (
        "unavailable",
        "the receiver's network can't be reached",
        "No way",
        "DNS record",
        Receiver,
    ),
    (
        "unavailable",
        "the receiver closed the connection before it answered",
        "closed",
        "log",
        Receiver,
    ),
    (
        "unavailable",
        "the receiver's answer isn't valid HTTP",
        "HTTP",
        "port",
        Destination,
    ),
    (
        "unavailable",
        "the connection failed (permission denied)",
        "failed",
        "firewalls",
        Receiver,
    ),
    (
        "blocked",
        "the URL leads to an address that isn't allowed",
        "private network",
        "EGRESS_ALLOW",
        Destination,
    ),
    (
        "blocked",
        "the URL must begin with https://",
        "http://",
        "https://",
        Destination,
    ),
    ("blocked", "the URL's port isn't allowed", "port", "8443", Destination),
    (
        "blocked",
        "the URL isn't allowed",
        "may be sent to",
        "fragment",
        Destination,
    ),
    (
        "ours",
        "the request couldn't be sent (our network leads nowhere near the receiver)",
        "own network",
        "operator",
        Operator,
    ),
    (
        "ours",
        "the request couldn't be sent (out of sockets or memory)",
        "sockets",
        "open files",
        Operator,
    ),
    (
        "ours",
        "the request couldn't be sent (an internal error ended it)",
        "ours",
        "operator",
        Operator,
    ),
    ("unavailable", "something new", "Something new.", "redeliver", Receiver),
    ("unavailable", "", "nothing is known", "redeliver", Receiver),
];

#[test]
fn what_was_delivered_needs_no_mending() {
    let failed = Failed {
        kind: "webhook",
        outcome: "delivered",
        status: Some(200),
        error: "",
    };
    assert_eq!(mend(failed), None);
}

#[test]
fn unanswered_attempts_say_what_to_look_at() {
    for (outcome, error, wrong, remedy, place) in UNANSWERED {
        let told = told("webhook", outcome, None, error);
        assert!(told.wrong.contains(wrong), "{error}: {}", told.wrong);
        assert!(told.remedy.contains(remedy), "{error}: {}", told.remedy);
        assert_eq!(told.place, *place, "{error}");
    }
}

#[test]
fn statuses_say_what_the_receiver_means() {
    for (status, wrong, what_to_do, place) in [
        (304, "asked for a page", "200", Receiver),
        (400, "couldn't read", "byte for byte", Receiver),
        (401, "who sends", "credentials", Destination),
        (402, "paid", "account", Receiver),
        (403, "doesn't let it in", "firewall", Receiver),
        (404, "nothing at this URL", "path", Destination),
        (405, "doesn't take a POST", "endpoint itself", Destination),
        (408, "gave up", "overloaded", Receiver),
        (409, "already", "webhook-id", Receiver),
        (410, "gone for good", "resume", Destination),
        (411, "length", "content-length", Receiver),
        (413, "as large", "client_max_body_size", Receiver),
        (415, "doesn't take JSON", "application/json", Destination),
        (418, "refused the request", "Response", Receiver),
        (422, "doesn't accept its values", "names the field", Receiver),
        (425, "too early", "retry policy", Receiver),
        (429, "too many", "rate limit", Destination),
        (500, "fault of its own", "log", Receiver),
        (501, "doesn't know", "POST", Receiver),
        (502, "proxy", "Start", Receiver),
        (503, "overloaded", "by itself", Receiver),
        (504, "took too long", "at once", Receiver),
        (521, "Cloudflare", "up", Receiver),
        (526, "encrypted", "certificate", Receiver),
        (530, "can't find", "tunnel", Receiver),
        (599, "trouble of its own", "log", Receiver),
    ] {
        let told = told("webhook", "unavailable", Some(status), "the receiver answered so");
        assert!(told.wrong.contains(wrong), "{status}: {}", told.wrong);
        assert!(told.remedy.contains(what_to_do), "{status}: {}", told.remedy);
        assert_eq!(told.place, place, "{status}");
    }
    let odd = told("webhook", "unavailable", Some(199), "the receiver answered 199");
    assert_eq!(odd.wrong, "The receiver answered 199.");
}

#[test]
fn redirects_say_where_to_and_what_to_save() {
    for (status, how) in [
        (301, "for good"),
        (302, "for now"),
        (303, "for now"),
        (307, "for now"),
        (308, "for good"),
    ] {
        let error = format!("the receiver redirects to https://acme.example/leads/: update the URL ({status})");
        let known = told("webhook", "unavailable", Some(status), &error);
        assert!(
            known.wrong.contains(how) && known.wrong.contains("aren't followed"),
            "{}",
            known.wrong
        );
        assert!(
            known.remedy.contains("Change the URL to https://acme.example/leads/"),
            "{}",
            known.remedy
        );
        assert!(known.is_here());
        let error = format!("the receiver redirects elsewhere: update the URL ({status})");
        let unknown = told("webhook", "unavailable", Some(status), &error);
        assert!(unknown.remedy.contains("https://"), "{}", unknown.remedy);
    }
    let error = "the receiver redirects to https://acme.example/Login: update the URL (302)";
    let sign_in = told("webhook", "unavailable", Some(302), error);
    assert!(sign_in.wrong.contains("sign in"), "{}", sign_in.wrong);
}

#[test]
fn vendors_words_are_kept_where_they_say_what_to_do() {
    for (kind, outcome, status, error, wrong, what_to_do, place) in [
        (
            "slack",
            "gone",
            404,
            "Slack answered 404 Not Found: there is no such webhook; make a new one and save its URL here",
            "There is no such webhook.",
            "Make a new one and save its URL here.",
            Destination,
        ),
        (
            "discord",
            "gone",
            404,
            "Discord answered 404 Not Found: there is no such webhook; make a new one and save its URL here",
            "There is no such webhook.",
            "Make a new one and save its URL here.",
            Destination,
        ),
        (
            "slack",
            "rejected",
            403,
            "Slack answered 403 Forbidden: the workspace doesn't let this webhook post; ask its admin (action_prohibited)",
            "The workspace doesn't let this webhook post.",
            "Ask its admin (action_prohibited).",
            Receiver,
        ),
        (
            "zapier",
            "gone",
            410,
            "Zapier answered 410 Gone: the Zap was removed; save the URL of another one",
            "The Zap was removed.",
            "Save the URL of another one.",
            Destination,
        ),
        (
            "hubspot",
            "rejected",
            401,
            "HubSpot answered 401 Unauthorized: the token isn't valid, or isn't any more; make a new one and save it here",
            "The token isn't valid, or isn't any more.",
            "Make a new one and save it here.",
            Destination,
        ),
        // A vendor's own reason is no advice: what its status means is said.
        (
            "jira",
            "rejected",
            400,
            "Jira answered 400 Bad Request: summary; it must not hold <script>",
            "couldn't read the request",
            "Response",
            Receiver,
        ),
        (
            "slack",
            "unavailable",
            429,
            "Slack answered 429 Too Many Requests",
            "too many",
            "rate limit",
            Destination,
        ),
    ] {
        let told = told(kind, outcome, Some(status), error);
        assert!(told.wrong.contains(wrong), "{error}: {}", told.wrong);
        assert!(told.remedy.contains(what_to_do), "{error}: {}", told.remedy);
        assert_eq!(told.place, place, "{error}");
    }
    let template = told(
        "slack",
        "rejected",
        None,
        "the template `title` can't be used: unknown filter; give it another",
    );
    assert!(template.remedy.contains("Correct the template"), "{}", template.remedy);
    let mail = told(
        "email",
        "rejected",
        None,
        "the mail server answered 535: 5.7.8 not accepted",
    );
    assert!(mail.remedy.contains("app password"), "{}", mail.remedy);
}
