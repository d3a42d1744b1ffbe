//! Discord.

use std::time::Duration;

use sensei_domain::Outcome;
use serde_json::{Value, json};

use super::{AGAIN, Answer, DELIVERED, Vendor, after, answer, event, kind, sample};

pub(super) fn vendor() -> Vendor {
    Vendor {
        kind: kind("discord"),
        host: "discord.com",
        method: "POST",
        path: "/api/v10/webhooks/000000000000000000/XXXXXXXXXXXXXXXXXXXXXXXX",
        way: None,
        others: &[],
        answers: ANSWERS,
        unseen: "which version of the API answers without one in the URL; `v10` is asked for",
    }
}

const GONE: Outcome = Outcome::Gone;
const REJECTED: Outcome = Outcome::Rejected;

const ANSWERS: &[Answer] = &[
    answer(200, r#"{"id": "1"}"#, DELIVERED, ""),
    answer(204, "", DELIVERED, ""),
    Answer {
        status: 429,
        headers: &[("retry-after", "2")],
        body: r#"{"message": "You are being rate limited.", "retry_after": 1.5, "global": false}"#,
        outcome: Outcome::Unavailable {
            retry_after: Some(Duration::from_millis(1_500)),
        },
        words: "429",
    },
    Answer {
        status: 429,
        headers: &[("retry-after", "2")],
        body: "",
        outcome: after(2),
        words: "429",
    },
    answer(500, "", AGAIN, "500"),
    answer(502, "", AGAIN, "502"),
    answer(
        400,
        r#"{"code": 50035, "message": "Invalid Form Body"}"#,
        REJECTED,
        "Invalid Form Body",
    ),
    answer(
        400,
        r#"{"code": 220001, "message": "Webhooks posted to forum channels"}"#,
        REJECTED,
        "set threadId",
    ),
    answer(
        401,
        r#"{"code": 50027, "message": "Invalid Webhook Token"}"#,
        GONE,
        "make a new one",
    ),
    answer(403, "", GONE, "may not post there"),
    answer(
        404,
        r#"{"code": 10015, "message": "Unknown Webhook"}"#,
        GONE,
        "make a new one",
    ),
];

#[tokio::test]
async fn message_is_what_a_channel_shows() {
    let vendor = vendor();
    let mut config = vendor.example();
    config["threadId"] = "123456789012345678".into();
    let request = vendor.request(&config, event(&sample(), "Acme Corp")).await;
    assert_eq!(request.url.query(), Some("wait=true&thread_id=123456789012345678"));
    let field = |name: &str, value: &str| json!({"name": name, "value": value, "inline": true});
    let expected = json!({
        "allowed_mentions": {"parse": []},
        "embeds": [{
            "title": "New lead – Acme Corp",
            "color": 3_447_003,
            "timestamp": "2024-11-24T10:30:00.000Z",
            "description": "I need a quote",
            "fields": [field("Name", "Jane Doe"), field("Email", "jane\\@example.com"), field("Phone", "+15550100")],
            "footer": {"text": "lead 0193a2b5-0000-7000-8000-000000000001"},
        }],
    });
    assert_eq!(request.body_json::<Value>().expect("JSON"), expected);
}

#[test]
fn thread_is_digits() {
    let mut config = vendor().example();
    config["threadId"] = "1&wait=false".into();
    let refused = vendor().kind.bind(&config).expect_err("no thread").to_string();
    assert!(refused.contains("/threadId must be a thread's id"), "{refused}");
}
