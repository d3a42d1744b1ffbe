//! Slack: a message in a channel, by an incoming webhook.
//!
//! Sources: Slack's pages on incoming webhooks, on changes to their errors (2016-05-17) and on rate limits. Never seen live: the codes
//! `no_service`, `no_team` and `invalid_token`. Slack has no idempotency: a repeat after a time-out posts a second message.

use std::sync::Arc;

use async_trait::async_trait;
use hyper::StatusCode;
use schemars::JsonSchema;
use sensei_domain::{Outcome, RateLimit, RateUnit, Timestamp};
use sensei_persistence::Job;
use serde::Deserialize;
use serde_json::{Value, json};

use super::config::{self, About};
use super::task::line;
use super::text::{cut, escaped};
use super::told::Summary;
use super::vendor::{self, CapabilityUrl, Judged};
use crate::egress::{Answer, Egress};
use crate::template::{Rendered, Slot, Templates};
use crate::transport::{Attempted, Kind, Transport};

const KIND: &str = "slack";
/// Slack's limits, in characters.
const HEADER: usize = 150;
const SECTION: usize = 3_000;
const FIELD: usize = 2_000;
const CONTEXT: usize = 2_000;

const SLOTS: &[Slot] = &[
    Slot::text("title", "The message's heading, in one line.", HEADER, cut).or("New lead – {{ data.clientName }}"),
    Slot::text(
        "text",
        "What stands below the heading, in Slack's mrkdwn: without a template all that is known of the lead.",
        SECTION,
        escape,
    ),
];

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The incoming webhook's URL. Whoever knows it may post to the channel.
    #[schemars(
        length(max = 300),
        regex(pattern = r"^https://hooks\.slack(-gov)?\.com/services/[A-Za-z0-9]+/[A-Za-z0-9]+/[A-Za-z0-9]+$"),
        extend("writeOnly" = true, "mismatch" = "must be an incoming webhook's URL, as Slack shows it: https://hooks.slack.com/services/T…/B…/…")
    )]
    url: String,
}

/// The kind `slack`.
pub(super) fn kind() -> Arc<dyn Kind> {
    config::kind(
        About {
            kind: KIND,
            name: "Slack",
            description: "Posts each lead as a message to a channel.",
            example: json!({"url": "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"}),
            rate_limit: RateLimit::new(1, RateUnit::Second, 5),
            setup_guide: "1. Open <https://api.slack.com/apps> and choose *Create New App*, *From scratch*; name it and pick the workspace.\n\
                2. Under *Incoming Webhooks* switch them on, choose *Add New Webhook* and the channel.\n\
                3. Copy the *Webhook URL* into the field above.\n\n\
                No scope but `incoming-webhook` is needed. The URL belongs to one channel.",
            docs_url: "https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks",
        },
        SLOTS,
        |Config { url }, templates| SlackTransport {
            url: CapabilityUrl::new(&url),
            templates,
        },
    )
}

#[derive(Debug)]
struct SlackTransport {
    url: CapabilityUrl,
    templates: Templates,
}

#[async_trait]
impl Transport for SlackTransport {
    async fn deliver(&self, job: &Job, now: Timestamp, egress: &Egress) -> Attempted {
        let rendered = match vendor::rendered(&self.templates, job).await {
            Ok(rendered) => rendered,
            Err(attempted) => return attempted,
        };
        let message = match Summary::read(&job.body) {
            Ok(summary) => message(&summary, rendered),
            Err(failure) => return Attempted::unanswered(&failure),
        };
        let body = message.to_string();
        let attempted = vendor::post(egress, self.url.as_url(), vendor::json(), body, |answer| {
            judge(answer, now)
        });
        attempted.await.sent_to(self.url.shown())
    }
}

fn message(summary: &Summary, mut rendered: Rendered) -> Value {
    let title = rendered.take("title").map(|title| line(&title));
    let mut blocks = vec![header(title.as_deref().unwrap_or(&summary.title))];
    if let Some(text) = rendered.take("text") {
        blocks.push(json!({"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": true}}));
    } else {
        let fields = summary.facts.iter().map(|(label, fact)| labelled(label, fact, FIELD));
        blocks.push(json!({"type": "section", "fields": fields.collect::<Vec<_>>()}));
        if let Some(message) = &summary.message {
            blocks.push(json!({"type": "section", "text": labelled("Message", message, SECTION)}));
        }
    }
    blocks.push(context(&format!("{} · {}", summary.note, summary.timestamp)));
    // What a notification shows.
    let short = title.unwrap_or_else(|| summary.line());
    json!({"text": escape(&short, SECTION), "blocks": blocks})
}

fn header(text: &str) -> Value {
    json!({"type": "header", "text": {"type": "plain_text", "text": cut(text, HEADER), "emoji": false}})
}

fn context(text: &str) -> Value {
    json!({"type": "context", "elements": [{"type": "mrkdwn", "text": escape(text, CONTEXT), "verbatim": true}]})
}

/// `verbatim`: Slack makes no links and no mentions of what looks like one.
fn labelled(label: &str, text: &str, limit: usize) -> Value {
    let label = format!("*{}*\n", escape(label, HEADER));
    let text = escape(text, limit - label.chars().count());
    json!({"type": "mrkdwn", "text": label + &text, "verbatim": true})
}

/// Slack's own three: without them a visitor could write `<!channel>`.
fn escape(text: &str, limit: usize) -> String {
    escaped(text, limit, |character, out| match character {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        other => out.push(other),
    })
}

fn judge(answer: &Answer, now: Timestamp) -> Judged {
    let status = answer.status;
    let answered = vendor::answered("Slack", status);
    let code = std::str::from_utf8(&answer.body).unwrap_or_default().trim();
    let gone = |words: &str| (Outcome::Gone, Some(format!("{answered}: {words}")));
    let rejected = |words: &str| (Outcome::Rejected, Some(format!("{answered}: {words}")));
    match (status.as_u16(), code) {
        (200, "ok") => (Outcome::Delivered, None),
        (403, "action_prohibited") => {
            rejected("the workspace doesn't let this webhook post; ask its admin (action_prohibited)")
        }
        (_, "channel_is_archived") => gone("the channel is archived; make a webhook for another one"),
        (_, "channel_not_found") => gone("the channel isn't there any more; make a webhook for another one"),
        (_, "no_service" | "no_service_id" | "no_team" | "team_disabled" | "invalid_token") => {
            gone("the webhook was removed or switched off in Slack; make a new one and save its URL here")
        }
        (404 | 410, _) => gone("there is no such webhook; make a new one and save its URL here"),
        (400..=499, _) if !is_temporary(status) => {
            rejected("it refused the message; if this goes on, it is a fault of ours")
        }
        (200..=299, _) => vendor::unavailable(answer, now, format!("{answered}, but not that it has the message")),
        _ => vendor::unavailable(answer, now, answered),
    }
}

fn is_temporary(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429)
}
