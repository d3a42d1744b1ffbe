//! Linear: an issue of a team.
//!
//! Nothing here was seen live: the call, its answers and the code `RATELIMITED` are from Linear's reference. There is no idempotency: a repeat after
//! a time-out makes a second issue.

use std::sync::Arc;

use async_trait::async_trait;
use hyper::header::AUTHORIZATION;
use schemars::JsonSchema;
use sensei_domain::{Outcome, RateLimit, RateUnit, Timestamp};
use sensei_persistence::Job;
use serde::Deserialize;
use serde_json::{Value, json};

use super::config::{self, About};
use super::task::Sheet;
use super::text::{cut, markdown};
use super::vendor::{self, Judged};
use crate::egress::{Answer, Egress};
use crate::template::{Slot, Templates};
use crate::transport::{Attempted, Kind, Transport};

const KIND: &str = "linear";
const GRAPHQL: &str = "https://api.linear.app/graphql";
/// What a visitor typed goes into variables, never into this.
const CREATE: &str = "mutation($input: IssueCreateInput!) { issueCreate(input: $input) { success issue { url } } }";
/// Characters.
const TITLE: usize = 250;
const DESCRIPTION: usize = 30_000;

const SHEET: Sheet = Sheet {
    title: TITLE,
    text: DESCRIPTION,
    escape: markdown,
};
const SLOTS: &[Slot] = &SHEET.slots();

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    /// A personal API key.
    #[schemars(length(max = 300), regex(pattern = "^lin_api_[A-Za-z0-9]+$"), extend("writeOnly" = true, "mismatch" = "must be a personal API key: it begins with lin_api_"))]
    api_key: String,
    /// The team that gets the issues.
    #[schemars(
        regex(pattern = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"),
        extend("mismatch" = "must be the team's id, a UUID")
    )]
    team_id: String,
}

/// The kind `linear`.
pub(super) fn kind() -> Arc<dyn Kind> {
    config::kind(
        About {
            kind: KIND,
            name: "Linear",
            description: "Adds each lead as an issue to a team.",
            example: json!({"apiKey": "lin_api_XXXXXXXX", "teamId": "00000000-0000-0000-0000-000000000000"}),
            rate_limit: RateLimit::new(20, RateUnit::Minute, 20),
            setup_guide: "1. In Linear open *Settings*, *Security & access*, and make a *Personal API key* with the permission *Create issues*: \
                that is `apiKey`.\n\
                2. Open the team, press Ctrl K (⌘ K) and choose *Copy model UUID*: that is `teamId`.",
            docs_url: "https://linear.app/developers/graphql",
        },
        SLOTS,
        LinearTransport,
    )
}

struct LinearTransport(Config, Templates);

vendor::transport_without_secrets!(LinearTransport);

#[async_trait]
impl Transport for LinearTransport {
    async fn deliver(&self, job: &Job, now: Timestamp, egress: &Egress) -> Attempted {
        let task = match SHEET.task(&self.1, job).await {
            Ok(task) => task,
            Err(attempted) => return attempted,
        };
        let input = json!({"teamId": self.0.team_id, "title": task.title, "description": task.text});
        let body = json!({"query": CREATE, "variables": {"input": input}});
        let headers = vendor::json_with(AUTHORIZATION, &self.0.api_key);
        vendor::post_to(egress, GRAPHQL, headers, &body, |answer| judge(answer, now)).await
    }
}

/// GraphQL says in the body what is wrong, whatever the status.
fn judge(answer: &Answer, now: Timestamp) -> Judged {
    let body = vendor::json_of(answer);
    let error = &body["errors"][0];
    let passes = match error["extensions"]["code"].as_str() {
        Some("RATELIMITED") => Some("too many requests"),
        // As GraphQL servers say it of a fault of their own, with 200 too.
        Some("INTERNAL_SERVER_ERROR") => Some("a fault of its own"),
        _ => None,
    };
    if let Some(words) = passes {
        let answered = vendor::answered("Linear", answer.status);
        return vendor::unavailable(answer, now, format!("{answered}: {words}"));
    }
    if answer.status.is_success() {
        let answered = vendor::answered("Linear", answer.status);
        if !error.is_null() {
            let why = reason(&body).unwrap_or_else(|| "it refused the request".to_owned());
            return (Outcome::Rejected, Some(format!("{answered}, but: {}", cut(&why, 300))));
        }
        if body["data"]["issueCreate"]["success"] != true {
            return vendor::unavailable(answer, now, format!("{answered}, but not that it made the issue"));
        }
    }
    vendor::judge_api("Linear", answer, now, reason)
}

fn reason(answer: &Value) -> Option<String> {
    Some(answer["errors"][0]["message"].as_str()?.to_owned())
}
