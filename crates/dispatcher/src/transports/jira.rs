//! Jira Cloud: an issue of a project.
//!
//! Nothing here was seen live: the call and its answers are from Atlassian's reference. There is no idempotency: a repeat after a time-out makes a
//! second issue.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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

const KIND: &str = "jira";
const TASK: &str = "Task";
/// Characters, by Jira's limits of 255 and 32,767.
const SUMMARY: usize = 250;
const DESCRIPTION: usize = 30_000;

const SHEET: Sheet = Sheet {
    title: SUMMARY,
    text: DESCRIPTION,
    escape: cut,
};
const SLOTS: &[Slot] = &SHEET.slots();

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    /// The first part of the site's address: `acme` of acme.atlassian.net.
    #[schemars(
        regex(pattern = "^(?!xn--)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"),
        extend("mismatch" = "must be the first part of the site's address: acme of acme.atlassian.net")
    )]
    site: String,
    /// Whose API token it is.
    #[schemars(length(max = 254), regex(pattern = "^[!-9;-~]+@[!-9;-~]+$"), extend("mismatch" = "must be an email address"))]
    email: String,
    /// An API token.
    #[schemars(length(max = 500), regex(pattern = "^[!-~]+$"), extend("writeOnly" = true, "mismatch" = "must be a token without spaces"))]
    token: String,
    /// The project's key, e.g. `SALES`.
    #[schemars(regex(pattern = "^[A-Z][A-Z0-9_]{1,60}$"), extend("mismatch" = "must be the project's key, e.g. SALES"))]
    project_key: String,
    /// The type of the issues: `Task` if absent.
    #[schemars(length(min = 1, max = 60))]
    issue_type: Option<String>,
}

/// The kind `jira`.
pub(super) fn kind() -> Arc<dyn Kind> {
    config::kind(
        About {
            kind: KIND,
            name: "Jira",
            description: "Adds each lead as an issue to a project.",
            example: json!({"site": "acme", "email": "sales@acme.example", "token": "ATATT0000000000", "projectKey": "SALES"}),
            rate_limit: RateLimit::new(5, RateUnit::Second, 10),
            setup_guide: "1. Open <https://id.atlassian.com/manage-profile/security/api-tokens> and choose *Create API token*: that is `token`, and \
                `email` is your account's. Issues are made in its name.\n\
                2. The project's key stands before the number of its issues: `SALES` of SALES-7.",
            docs_url: "https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issues/",
        },
        SLOTS,
        JiraTransport,
    )
}

struct JiraTransport(Config, Templates);

vendor::transport_without_secrets!(JiraTransport);

#[async_trait]
impl Transport for JiraTransport {
    async fn deliver(&self, job: &Job, now: Timestamp, egress: &Egress) -> Attempted {
        let Config {
            site,
            email,
            token,
            project_key,
            issue_type,
        } = &self.0;
        let task = match SHEET.task(&self.1, job).await {
            Ok(task) => task,
            Err(attempted) => return attempted,
        };
        let body = json!({"fields": {
            "project": {"key": project_key},
            "issuetype": {"name": issue_type.as_deref().unwrap_or(TASK)},
            "summary": task.title,
            "description": document(&task.text),
        }});
        let url = format!("https://{site}.atlassian.net/rest/api/3/issue");
        let credentials = format!("Basic {}", STANDARD.encode(format!("{email}:{token}")));
        let headers = vendor::json_with(AUTHORIZATION, &credentials);
        let judge = |answer: &_| vendor::judge_api("Jira", answer, now, reason);
        vendor::post_to(egress, &url, headers, &body, judge).await
    }
}

/// An Atlassian document of plain text: a paragraph, its lines apart. Text in it has no markup.
fn document(text: &str) -> Value {
    let mut content = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if index > 0 {
            content.push(json!({"type": "hardBreak"}));
        }
        if !line.is_empty() {
            content.push(json!({"type": "text", "text": line}));
        }
    }
    json!({"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": content}]})
}

/// General messages, or those of fields: `project: valid project is required`.
fn reason(answer: &Value) -> Option<String> {
    let general = answer["errorMessages"].as_array().into_iter().flatten();
    let general = general.filter_map(|message| Some(message.as_str()?.to_owned()));
    let fields = answer["errors"].as_object().into_iter().flatten();
    let fields = fields.filter_map(|(field, message)| Some(format!("{field}: {}", message.as_str()?)));
    let all = general.chain(fields).collect::<Vec<_>>();
    (!all.is_empty()).then(|| all.join("; "))
}
