//! Asana: a task in a project.
//!
//! Nothing here was seen live: the calls, answers and limits are from Asana's reference. There is no idempotency: a repeat after a time-out makes
//! a second task.

use std::sync::Arc;

use async_trait::async_trait;
use hyper::header::AUTHORIZATION;
use schemars::JsonSchema;
use sensei_domain::{RateLimit, RateUnit, Timestamp};
use sensei_persistence::Job;
use serde::Deserialize;
use serde_json::{Value, json};

use super::config::{self, About};
use super::task::Sheet;
use super::text::cut;
use super::vendor;
use crate::egress::Egress;
use crate::template::{Slot, Templates};
use crate::transport::{Attempted, Kind, Transport};

const KIND: &str = "asana";
const TASKS: &str = "https://app.asana.com/api/1.0/tasks";
/// Characters. Asana takes more.
const NAME: usize = 1_000;
const NOTES: usize = 30_000;

const SHEET: Sheet = Sheet {
    title: NAME,
    text: NOTES,
    escape: cut,
};
const SLOTS: &[Slot] = &SHEET.slots();

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    /// A personal access token.
    #[schemars(length(max = 300), regex(pattern = "^[!-~]+$"), extend("writeOnly" = true, "mismatch" = "must be a token without spaces"))]
    token: String,
    /// The project that tasks are added to: the digits in its address.
    #[schemars(regex(pattern = "^[0-9]{1,30}$"), extend("mismatch" = "must be the project's id: digits"))]
    project_id: String,
}

/// The kind `asana`.
pub(super) fn kind() -> Arc<dyn Kind> {
    config::kind(
        About {
            kind: KIND,
            name: "Asana",
            description: "Adds each lead as a task to a project.",
            example: json!({"token": "2/0000000000000000/xxxxxxxx", "projectId": "1200000000000000"}),
            rate_limit: RateLimit::new(120, RateUnit::Minute, 20),
            setup_guide: "1. Open <https://app.asana.com/0/my-apps>, choose *Create new token*, and copy it into `token`. \
                Tasks are made in the name of who made it.\n\
                2. Open the project; the first long number in its address is `projectId`.",
            docs_url: "https://developers.asana.com/docs/personal-access-token",
        },
        SLOTS,
        AsanaTransport,
    )
}

struct AsanaTransport(Config, Templates);

vendor::transport_without_secrets!(AsanaTransport);

#[async_trait]
impl Transport for AsanaTransport {
    async fn deliver(&self, job: &Job, now: Timestamp, egress: &Egress) -> Attempted {
        let task = match SHEET.task(&self.1, job).await {
            Ok(task) => task,
            Err(attempted) => return attempted,
        };
        let body = json!({"data": {"name": task.title, "notes": task.text, "projects": [self.0.project_id]}});
        let headers = vendor::json_with(AUTHORIZATION, &format!("Bearer {}", self.0.token));
        let judge = |answer: &_| vendor::judge_api("Asana", answer, now, reason);
        vendor::post_to(egress, TASKS, headers, &body, judge).await
    }
}

fn reason(answer: &Value) -> Option<String> {
    Some(answer["errors"][0]["message"].as_str()?.to_owned())
}
