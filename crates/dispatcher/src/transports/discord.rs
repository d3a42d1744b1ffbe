//! Discord: a message in a channel, by a webhook.
//!
//! Sources: Discord's API documentation (webhook resource, message limits, rate limits). Many answers of 401, 403 or 404 get the sender's
//! address banned for everybody, so one of them disables the destination. A repeat after a time-out posts a second message.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use sensei_domain::{Outcome, RateLimit, RateUnit, Timestamp};
use sensei_persistence::Job;
use serde::Deserialize;
use serde_json::{Value, json};

use super::config::{self, About};
use super::task::line;
use super::text::{cut, markdown};
use super::told::Summary;
use super::vendor::{self, CapabilityUrl, Judged};
use crate::egress::{Answer, Egress};
use crate::template::{Rendered, Slot, Templates};
use crate::transport::{Attempted, Kind, Transport};

const KIND: &str = "discord";
/// Discord's limits, in characters; those of an embed together must not exceed 6,000.
const TITLE: usize = 256;
const FIELD: usize = 1_024;
const DESCRIPTION: usize = 3_400;
const SLOTS: &[Slot] = &[
    Slot::text("title", "The message's heading, in one line.", TITLE, markdown).or("New lead – {{ data.clientName }}"),
    Slot::text(
        "text",
        "What stands below the heading, in Markdown: without a template all that is known of the lead.",
        DESCRIPTION,
        markdown,
    ),
];
/// Of Discord's own words, no more is repeated.
const REASON: usize = 300;
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// The version of the API whose times are in seconds. Without one in the URL, which is how Discord shows it, an older one answers.
const VERSION: &str = "v10";
/// `#3498DB`, a blue.
const COLOR: u32 = 3_447_003;
/// "Message threads in forum channels need a name or an id", by Discord's list of codes.
const FORUM_NEEDS_THREAD: u64 = 220_001;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    /// The webhook's URL. Whoever knows it may post to the channel.
    #[schemars(
        length(max = 300),
        regex(pattern = r"^https://((canary|ptb)\.)?discord(app)?\.com/api/(v[0-9]+/)?webhooks/[0-9]+/[A-Za-z0-9_-]+$"),
        extend("writeOnly" = true, "mismatch" = "must be a webhook's URL, as Discord shows it: https://discord.com/api/webhooks/…/…")
    )]
    url: String,
    /// A thread of the channel to post to. A forum channel needs one.
    #[schemars(regex(pattern = "^[0-9]{15,20}$"), extend("mismatch" = "must be a thread's id: 15 to 20 digits"))]
    thread_id: Option<String>,
}

/// The kind `discord`.
pub(super) fn kind() -> Arc<dyn Kind> {
    config::kind(
        About {
            kind: KIND,
            name: "Discord",
            description: "Posts each lead as a message to a channel.",
            example: json!({"url": "https://discord.com/api/webhooks/000000000000000000/XXXXXXXXXXXXXXXXXXXXXXXX"}),
            rate_limit: RateLimit::new(30, RateUnit::Minute, 3),
            setup_guide: "1. In the server's channel list choose *Edit Channel*, *Integrations*, *Webhooks*, *New Webhook*. \
                You need the permission *Manage Webhooks*.\n\
                2. Choose *Copy Webhook URL* and put it into the field above.\n\
                3. A forum channel needs a thread as well: with *Developer Mode* on, *Copy Thread ID*.",
            docs_url: "https://discord.com/developers/docs/resources/webhook",
        },
        SLOTS,
        |Config { url, thread_id }, templates| {
            let thread = thread_id.map_or_else(String::new, |id| format!("&thread_id={id}"));
            // Without `wait` a message that isn't kept is no error.
            let (_, webhook) = url.split_once("/webhooks/").expect("the schema has seen to it");
            let url = format!("https://discord.com/api/{VERSION}/webhooks/{webhook}?wait=true{thread}");
            let url = CapabilityUrl::new(&url);
            DiscordTransport { url, templates }
        },
    )
}

#[derive(Debug)]
struct DiscordTransport {
    url: CapabilityUrl,
    templates: Templates,
}

#[async_trait]
impl Transport for DiscordTransport {
    async fn deliver(&self, job: &Job, now: Timestamp, egress: &Egress) -> Attempted {
        let rendered = match vendor::rendered(&self.templates, job).await {
            Ok(rendered) => rendered,
            Err(attempted) => return attempted,
        };
        let embed = match Summary::read(&job.body) {
            Ok(summary) => embed(&summary, rendered),
            Err(failure) => return Attempted::unanswered(&failure),
        };
        let body = json!({"allowed_mentions": {"parse": []}, "embeds": [embed]}).to_string();
        let attempted = vendor::post(egress, self.url.as_url(), vendor::json(), body, |answer| {
            judge(answer, now)
        });
        attempted.await.sent_to(self.url.shown())
    }
}

fn embed(summary: &Summary, mut rendered: Rendered) -> Value {
    let title = rendered.take("title").map(|title| line(&title));
    let mut embed = json!({
        "title": title.unwrap_or_else(|| markdown(&summary.title, TITLE)),
        "color": COLOR,
        "timestamp": summary.timestamp,
        "footer": {"text": summary.note},
    });
    if let Some(text) = rendered.take("text") {
        embed["description"] = text.into();
        return embed;
    }
    let facts = summary.facts.iter();
    let fields = facts.map(|(label, fact)| json!({"name": label, "value": markdown(fact, FIELD), "inline": true}));
    embed["fields"] = fields.collect();
    if let Some(message) = &summary.message {
        embed["description"] = markdown(message, DESCRIPTION).into();
    }
    embed
}

fn judge(answer: &Answer, now: Timestamp) -> Judged {
    let answered = vendor::answered("Discord", answer.status);
    let body = vendor::json_of(answer);
    let gone = |words: &str| (Outcome::Gone, Some(format!("{answered}: {words}")));
    match answer.status.as_u16() {
        200..=299 => (Outcome::Delivered, None),
        401 | 404 => gone("there is no such webhook; make a new one and save its URL here"),
        403 => gone("the webhook may not post there; make a new one and save its URL here"),
        400 if body["code"] == FORUM_NEEDS_THREAD => (
            Outcome::Rejected,
            Some(format!("{answered}: the channel is a forum; set threadId")),
        ),
        429 => {
            // A fraction of a second, more exact than the header.
            let seconds = body["retry_after"].as_f64();
            let wait = seconds.and_then(|wait| Duration::try_from_secs_f64(wait).ok());
            let retry_after = wait
                .map(|wait| wait.min(LONGEST_WAIT))
                .or_else(|| answer.retry_after(now));
            (Outcome::Unavailable { retry_after }, Some(answered))
        }
        408 | 425 => vendor::unavailable(answer, now, answered),
        400..=499 => {
            let reason = body["message"].as_str().unwrap_or("it refused the message");
            (Outcome::Rejected, Some(format!("{answered}: {}", cut(reason, REASON))))
        }
        _ => vendor::unavailable(answer, now, answered),
    }
}
