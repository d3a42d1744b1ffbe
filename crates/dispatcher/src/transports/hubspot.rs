//! HubSpot: a contact, made or brought up to date by its email address.
//!
//! Source: HubSpot's published API specification and its pages on usage. Never seen live: which categories of errors in an answer of 207 pass, and that
//! `message` is a property of every account. The life cycle stage is left alone: it must not go back.

use std::sync::Arc;

use async_trait::async_trait;
use hyper::Method;
use hyper::header::AUTHORIZATION;
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

const KIND: &str = "hubspot";
const CONTACTS: &str = "https://api.hubapi.com/crm/v3/objects/contacts";
/// Characters of a property.
const PROPERTY: usize = 65_000;
/// Of a contact that another request has just made, HubSpot says its number after this.
const EXISTING: &str = "Existing ID: ";

const SLOTS: &[Slot] = &[Slot::fields(
    "Contact properties by their internal names; they must be there already.",
    PROPERTY,
    |name| match name {
        "email" => Err("must not be given: contacts are found by it"),
        _ if config::is_name(name, 100) => Ok(()),
        _ => Err("must be a property's internal name: letters, digits and _"),
    },
)];

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    /// A private app's access token.
    #[schemars(length(max = 300), regex(pattern = "^[!-~]+$"), extend("writeOnly" = true, "mismatch" = "must be a token without spaces"))]
    token: String,
    /// A contact property of yours for the client's name; it must be there already.
    #[schemars(regex(pattern = "^[a-z][a-z0-9_]{0,99}$"), extend("mismatch" = "must be a property's internal name: small letters, digits and _"))]
    client_property: Option<String>,
}

/// The kind `hubspot`.
pub(super) fn kind() -> Arc<dyn Kind> {
    config::kind(
        About {
            kind: KIND,
            name: "HubSpot",
            description: "Keeps each lead as a contact.",
            example: json!({"token": "pat-eu1-00000000-0000-0000-0000-000000000000"}),
            rate_limit: RateLimit::new(8, RateUnit::Second, 20),
            setup_guide: "1. In HubSpot open *Settings*, *Integrations*, *Private Apps*, and create one with the scope `crm.objects.contacts.write`.\n\
                2. Copy its *Access token* into `token`.\n\
                3. If you want the client's name with each contact, make a contact property for it and put its internal name into `clientProperty`.",
            docs_url: "https://developers.hubspot.com/docs/apps/legacy-apps/private-apps/overview",
        },
        SLOTS,
        HubSpotTransport,
    )
}

struct HubSpotTransport(Config, Templates);

vendor::transport_without_secrets!(HubSpotTransport);

impl HubSpotTransport {
    fn properties(&self, lead: &LeadData<'_>, rendered: &Rendered) -> Value {
        let (first, last) = told::split(&lead.name);
        let properties = [
            ("email", Some(&*lead.email)),
            ("firstname", first),
            ("lastname", Some(last)),
            ("phone", lead.phone.as_deref()),
            ("message", lead.message.as_deref()),
        ];
        let properties = properties.into_iter().filter_map(|(name, text)| Some((name, text?)));
        let client = self.0.client_property.as_deref().map(|name| (name, &*lead.client_name));
        let properties = properties.chain(client);
        let properties = rendered.over(properties.map(|(name, text)| (name, cut(text, PROPERTY))));
        let properties = properties.map(|(name, text)| (name.to_owned(), text.into()));
        Value::Object(properties.collect::<Map<_, _>>())
    }
}

#[async_trait]
impl Transport for HubSpotTransport {
    async fn deliver(&self, job: &Job, now: Timestamp, egress: &Egress) -> Attempted {
        let lead = match told::lead(&job.body) {
            Ok(lead) => lead,
            Err(attempted) => return attempted,
        };
        let rendered = match vendor::rendered(&self.1, job).await {
            Ok(rendered) => rendered,
            Err(attempted) => return attempted,
        };
        let ends = Some(Instant::now() + egress.deadline());
        let headers = vendor::json_with(AUTHORIZATION, &format!("Bearer {}", self.0.token));
        let properties = self.properties(&lead.data, &rendered);
        let body = json!({"inputs": [{"idProperty": "email", "id": lead.data.email, "properties": properties}]});
        let url = format!("{CONTACTS}/batch/upsert");
        let answered = vendor::send(
            egress,
            ends,
            Method::POST,
            &vendor::fixed(&url),
            headers.clone(),
            body.to_string(),
        )
        .await;
        let answer = match answered {
            Ok(answer) => answer,
            Err(failure) => return Attempted::unanswered(&failure).sent_to(url),
        };
        let Some(contact) = existing(&answer) else {
            return vendor::judged(&answer, |answer| judge(answer, now)).sent_to(url);
        };
        let url = format!("{CONTACTS}/{contact}");
        let body = json!({"properties": properties});
        let answered = vendor::send(
            egress,
            ends,
            Method::PATCH,
            &vendor::fixed(&url),
            headers,
            body.to_string(),
        )
        .await;
        match answered {
            Ok(answer) => vendor::judged(&answer, |answer| judge(answer, now)).sent_to(url),
            Err(failure) => Attempted::unanswered(&failure).sent_to(url),
        }
    }
}

/// The contact that was there already, of an answer that says so.
fn existing(answer: &Answer) -> Option<u64> {
    if answer.status != 409 {
        return None;
    }
    let message = vendor::json_of(answer);
    let (_, number) = message["message"].as_str()?.split_once(EXISTING)?;
    let digits = number
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(number.len());
    number[..digits].parse().ok()
}

fn judge(answer: &Answer, now: Timestamp) -> Judged {
    let body = vendor::json_of(answer);
    if answer.status == 207 {
        return judge_partial(answer, now, &body);
    }
    // Two requests at a time: by the next attempt it is there. A lock and an account that is moved to another data center
    // pass as well.
    if matches!(answer.status.as_u16(), 409 | 423 | 477) {
        return vendor::unavailable(answer, now, vendor::answered("HubSpot", answer.status));
    }
    vendor::judge_api("HubSpot", answer, now, reason)
}

/// A success of several of which some failed: ours is the only one.
fn judge_partial(answer: &Answer, now: Timestamp, body: &Value) -> Judged {
    let errors = body["errors"].as_array();
    let is_whole = body["numErrors"] == 0 || errors.is_some_and(Vec::is_empty) && body["numErrors"].is_null();
    if is_whole {
        return (Outcome::Delivered, None);
    }
    let error = &body["errors"][0];
    let answered = vendor::answered("HubSpot", answer.status);
    let words = format!(
        "{answered}: {}",
        cut(error["message"].as_str().unwrap_or("it kept nothing"), 300)
    );
    match error["category"].as_str() {
        Some("VALIDATION_ERROR" | "OBJECT_NOT_FOUND" | "MISSING_SCOPES") => (Outcome::Rejected, Some(words)),
        _ => vendor::unavailable(answer, now, words),
    }
}

fn reason(answer: &Value) -> Option<String> {
    Some(answer["message"].as_str()?.to_owned())
}
