//! Slack.

use sensei_domain::Outcome;
use serde_json::{Value, json};

use super::{AGAIN, Answer, DELIVERED, Vendor, after, answer, event, kind, sample};

pub(super) fn vendor() -> Vendor {
    Vendor {
        kind: kind("slack"),
        host: "hooks.slack.com",
        method: "POST",
        path: "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
        way: None,
        others: &[],
        answers: ANSWERS,
        unseen: "`no_service`, `no_team`, `invalid_token`",
    }
}

const GONE: Outcome = Outcome::Gone;
const REJECTED: Outcome = Outcome::Rejected;

const ANSWERS: &[Answer] = &[
    answer(200, "ok", DELIVERED, ""),
    answer(200, "<html>", AGAIN, "not that it has the message"),
    Answer {
        status: 429,
        headers: &[("retry-after", "30")],
        body: "rate_limited",
        outcome: after(30),
        words: "429",
    },
    answer(500, "rollup_error", AGAIN, "500"),
    answer(503, "", AGAIN, "503"),
    answer(400, "invalid_payload", REJECTED, "a fault of ours"),
    answer(400, "invalid_blocks", REJECTED, "a fault of ours"),
    answer(403, "action_prohibited", REJECTED, "ask its admin"),
    answer(403, "invalid_token", GONE, "make a new one"),
    answer(404, "channel_not_found", GONE, "the channel isn't there any more"),
    answer(404, "no_service", GONE, "removed or switched off"),
    answer(404, "no_team", GONE, "removed or switched off"),
    answer(404, "", GONE, "there is no such webhook"),
    answer(410, "channel_is_archived", GONE, "the channel is archived"),
];

#[tokio::test]
async fn message_is_what_a_channel_shows() {
    let vendor = vendor();
    let request = vendor.request(&vendor.example(), event(&sample(), "Acme Corp")).await;
    assert_eq!(request.headers["content-type"], "application/json");
    let labelled = |text: &str| json!({"type": "mrkdwn", "text": text, "verbatim": true});
    let expected = json!({
        "text": "New lead – Acme Corp: Jane Doe, jane@example.com",
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": "New lead – Acme Corp", "emoji": false}},
            {"type": "section", "fields": [
                labelled("*Name*\nJane Doe"),
                labelled("*Email*\njane@example.com"),
                labelled("*Phone*\n+15550100"),
            ]},
            {"type": "section", "text": labelled("*Message*\nI need a quote")},
            {"type": "context", "elements": [
                labelled("lead 0193a2b5-0000-7000-8000-000000000001 · 2024-11-24T10:30:00.000Z"),
            ]},
        ],
    });
    assert_eq!(request.body_json::<Value>().expect("JSON"), expected);
}

#[tokio::test]
async fn what_a_visitor_left_out_is_left_out() {
    let vendor = vendor();
    let lead = json!({"name": "Jane Doe", "email": "jane@example.com"});
    let request = vendor.request(&vendor.example(), event(&lead, "Acme Corp")).await;
    let body: Value = request.body_json().expect("JSON");
    assert_eq!(body["blocks"].as_array().expect("blocks").len(), 3);
    assert_eq!(body["blocks"][1]["fields"].as_array().expect("fields").len(), 2);
}

#[tokio::test]
async fn channel_typed_by_a_visitor_pings_nobody() {
    let vendor = vendor();
    let lead = json!({"name": "<!channel> & <@U1>", "email": "jane@example.com", "message": "<!here|x> <https://evil.example|click>"});
    let request = vendor.request(&vendor.example(), event(&lead, "<!everyone>")).await;
    let body = String::from_utf8(request.body.clone()).expect("text");
    let header = r#"{"emoji":false,"text":"New lead – <!everyone>""#;
    assert!(body.contains(header), "a plain text shows it as it is: {body}");
    assert!(!body.replace(header, "").contains('<'), "{body}");
    assert!(body.contains("&lt;!channel&gt; &amp; &lt;@U1&gt;"), "{body}");
}
