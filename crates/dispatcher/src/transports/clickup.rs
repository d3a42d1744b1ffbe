//! ClickUp: a task in a list.
//!
//! Nothing here was seen live: the calls, answers and the header `X-RateLimit-Reset` are from ClickUp's reference. There is no idempotency: a
//! repeat after a time-out makes a second task.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hyper::header::AUTHORIZATION;
use schemars::JsonSchema;
use sensei_domain::{Outcome, RateLimit, RateUnit, Timestamp};
use sensei_persistence::Job;
use serde::Deserialize;
use serde_json::json;

use super::config::{self, About};
use super::task::Sheet;
use super::text::markdown;
use super::vendor::{self, Judged};
use crate::egress::{Answer, Egress};
use crate::template::{Slot, Templates};
use crate::transport::{Attempted, Kind, Transport};

const KIND: &str = "clickup";
/// Characters.
const NAME: usize = 1_000;
const DESCRIPTION: usize = 30_000;
/// A limit is by the minute; a clock that differs must not make it hours.
const LONGEST_WAIT: Duration = Duration::from_mins(2);

const SHEET: Sheet = Sheet {
    title: NAME,
    text: DESCRIPTION,
    escape: markdown,
};
const SLOTS: &[Slot] = &SHEET.slots();

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    /// A personal API token.
    #[schemars(length(max = 300), regex(pattern = "^pk_[A-Za-z0-9_]+$"), extend("writeOnly" = true, "mismatch" = "must be a personal API token: it begins with pk_"))]
    token: String,
    /// The list that tasks are added to: the last digits of its address.
    #[schemars(regex(pattern = "^[0-9]{1,30}$"), extend("mismatch" = "must be the list's id: digits"))]
    list_id: String,
}

/// The kind `clickup`.
pub(super) fn kind() -> Arc<dyn Kind> {
    config::kind(
        About {
            kind: KIND,
            name: "ClickUp",
            description: "Adds each lead as a task to a list.",
            example: json!({"token": "pk_00000000_XXXXXXXXXXXXXXXX", "listId": "900000000000"}),
            rate_limit: RateLimit::new(70, RateUnit::Minute, 20),
            setup_guide: "1. In ClickUp open your avatar, *Settings*, *ClickUp API*, and choose *Generate*: that is `token`. \
                Tasks are made in the name of who made it.\n\
                2. Open the list in the browser: the digits after `/li/` in its address are `listId`.",
            docs_url: "https://developer.clickup.com/docs/authentication",
        },
        SLOTS,
        ClickUpTransport,
    )
}

struct ClickUpTransport(Config, Templates);

vendor::transport_without_secrets!(ClickUpTransport);

#[async_trait]
impl Transport for ClickUpTransport {
    async fn deliver(&self, job: &Job, now: Timestamp, egress: &Egress) -> Attempted {
        let task = match SHEET.task(&self.1, job).await {
            Ok(task) => task,
            Err(attempted) => return attempted,
        };
        let body = json!({"name": task.title, "markdown_description": task.text});
        let url = format!("https://api.clickup.com/api/v2/list/{}/task", self.0.list_id);
        let headers = vendor::json_with(AUTHORIZATION, &self.0.token);
        vendor::post_to(egress, &url, headers, &body, |answer| judge(answer, now)).await
    }
}

fn judge(answer: &Answer, now: Timestamp) -> Judged {
    let (outcome, error) = vendor::judge_api("ClickUp", answer, now, |body| Some(body["err"].as_str()?.to_owned()));
    match (&outcome, reset(answer, now)) {
        (Outcome::Unavailable { retry_after: None }, retry_after @ Some(_)) if answer.status == 429 => {
            (Outcome::Unavailable { retry_after }, error)
        }
        _ => (outcome, error),
    }
}

/// When the limit begins anew: Unix time in seconds.
fn reset(answer: &Answer, now: Timestamp) -> Option<Duration> {
    let at: i64 = answer.headers.get("x-ratelimit-reset")?.to_str().ok()?.parse().ok()?;
    let at = Timestamp::from_millis(at.checked_mul(1_000)?);
    Some(at.since(now).min(LONGEST_WAIT))
}
