//! Kit (ConvertKit): a subscriber, and if wished one of a form.
//!
//! Source: Kit's reference of version 4. Never seen live: 201 for a new and 200 for a known subscriber, and the form of 422. Both calls can be repeated: the first is an
//! upsert by address, the second adds who isn't there. Kit's limit is by the minute and says not when it ends.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hyper::Method;
use hyper::header::HeaderName;
use schemars::JsonSchema;
use sensei_domain::{LeadData, Outcome, RateLimit, RateUnit, Timestamp};
use sensei_persistence::Job;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::config::{self, About};
use super::text::cut;
use super::told;
use super::vendor::{self, Judged};
use crate::egress::{Answer, Egress};
use crate::template::{Rendered, Slot, Templates};
use crate::transport::{Attempted, Kind, Transport};

const KIND: &str = "kit";
const API: &str = "https://api.kit.com/v4";
const API_KEY: HeaderName = HeaderName::from_static("x-kit-api-key");
const MINUTE: Duration = Duration::from_mins(1);
/// Characters of a field.
const FIELD: usize = 255;

const SLOTS: &[Slot] = &[Slot::fields(
    "Custom fields by their keys; Kit leaves out what it doesn't know.",
    FIELD,
    |name| {
        let is_one = config::is_name(name, 100);
        is_one
            .then_some(())
            .ok_or("must be a custom field's key: letters, digits and _")
    },
)];

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    /// An API key of version 4.
    #[schemars(length(max = 300), regex(pattern = "^[!-~]+$"), extend("writeOnly" = true, "mismatch" = "must be a key without spaces"))]
    api_key: String,
    /// A form that the subscriber is added to; it can ask to confirm.
    #[schemars(regex(pattern = "^[0-9]{1,20}$"), extend("mismatch" = "must be a form's id: digits"))]
    form_id: Option<String>,
}

/// The kind `kit`.
pub(super) fn kind() -> Arc<dyn Kind> {
    config::kind(
        About {
            kind: KIND,
            name: "Kit (ConvertKit)",
            description: "Adds each lead as a subscriber.",
            example: json!({"apiKey": "kit_00000000000000000000000000000000"}),
            rate_limit: RateLimit::new(40, RateUnit::Minute, 20),
            setup_guide: "1. In Kit open *Settings*, *Developer*, and choose *Add a new key* for version 4: that is `apiKey`.\n\
                2. If leads are to go to a form, open it in the editor: the digits in its address are `formId`.\n\
                3. For last names and phone numbers make the custom fields `last_name` and `phone`; Kit leaves out what it doesn't know.\n\n\
                A new subscriber is *inactive* until a form has asked to confirm.",
            docs_url: "https://developers.kit.com/api-reference/overview",
        },
        SLOTS,
        KitTransport,
    )
}

struct KitTransport(Config, Templates);

vendor::transport_without_secrets!(KitTransport);

impl KitTransport {
    async fn call(&self, egress: &Egress, ends: Instant, url: &str, body: &Value, now: Timestamp) -> Attempted {
        let headers = vendor::json_with(API_KEY, &self.0.api_key);
        let attempted = match vendor::send(
            egress,
            Some(ends),
            Method::POST,
            &vendor::fixed(url),
            headers,
            body.to_string(),
        )
        .await
        {
            Ok(answer) => vendor::judged(&answer, |answer| judge(answer, now)),
            Err(failure) => Attempted::unanswered(&failure),
        };
        attempted.sent_to(url.to_owned())
    }
}

#[async_trait]
impl Transport for KitTransport {
    async fn deliver(&self, job: &Job, now: Timestamp, egress: &Egress) -> Attempted {
        let lead = match told::lead(&job.body) {
            Ok(lead) => lead.data,
            Err(attempted) => return attempted,
        };
        let rendered = match vendor::rendered(&self.1, job).await {
            Ok(rendered) => rendered,
            Err(attempted) => return attempted,
        };
        let ends = Instant::now() + egress.deadline();
        let url = format!("{API}/subscribers");
        let subscribed = self.call(egress, ends, &url, &subscriber(&lead, &rendered), now).await;
        match &self.0.form_id {
            Some(form) if subscribed.outcome == Outcome::Delivered => {
                let url = format!("{API}/forms/{form}/subscribers");
                let body = json!({"email_address": lead.email});
                self.call(egress, ends, &url, &body, now).await
            }
            _ => subscribed,
        }
    }
}

fn subscriber(lead: &LeadData<'_>, rendered: &Rendered) -> Value {
    let (first, last) = told::split(&lead.name);
    let fields = [("last_name", first.map(|_| last)), ("phone", lead.phone.as_deref())];
    let fields = fields
        .into_iter()
        .filter_map(|(name, text)| Some((name, cut(text?, FIELD))));
    let fields = rendered.over(fields).map(|(name, text)| (name.to_owned(), text.into()));
    json!({
        "email_address": lead.email,
        "first_name": cut(first.unwrap_or(last), FIELD),
        "state": "inactive",
        "fields": fields.collect::<Map<_, _>>(),
    })
}

fn judge(answer: &Answer, now: Timestamp) -> Judged {
    let (outcome, error) = vendor::judge_api("Kit", answer, now, |body| {
        let errors = body["errors"]
            .as_array()?
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>();
        (!errors.is_empty()).then(|| errors.join("; "))
    });
    match outcome {
        Outcome::Unavailable { retry_after: None } if answer.status == 429 => {
            let retry_after = Some(MINUTE);
            (Outcome::Unavailable { retry_after }, error)
        }
        other => (other, error),
    }
}
