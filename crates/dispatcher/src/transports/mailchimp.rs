//! Mailchimp: a member of an audience, made or brought up to date by his email address.
//!
//! Source: Mailchimp's client library and reference. Never seen live: the title `Member In Compliance State`. A new member is asked to confirm by default:
//! to leave a lead is no consent. `status` is never sent: it would subscribe anew who has unsubscribed.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::Method;
use hyper::header::AUTHORIZATION;
use md5::{Digest, Md5};
use schemars::JsonSchema;
use sensei_domain::{LeadData, Outcome, RateLimit, RateUnit, Timestamp};
use sensei_persistence::Job;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::config::{self, About};
use super::text::cut;
use super::told;
use super::vendor::{self, Judged};
use crate::egress::{Answer, Egress};
use crate::template::{Rendered, Slot, Templates};
use crate::transport::{Attempted, Kind, Transport};

const KIND: &str = "mailchimp";
/// Characters of a merge field.
const FIELD: usize = 255;

const SLOTS: &[Slot] = &[Slot::fields(
    "Merge fields by their tags; they must be there already.",
    FIELD,
    |name| {
        let is_tag = config::is_name(name, 10) && !name.contains(|letter: char| letter.is_ascii_lowercase());
        is_tag
            .then_some(())
            .ok_or("must be a merge field's tag: at most 10 capital letters, digits and _")
    },
)];

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    /// An API key; what follows its last `-` names the data center.
    #[schemars(
        regex(pattern = "^[0-9a-f]{32}-us[0-9]{1,3}$"),
        extend("writeOnly" = true, "mismatch" = "must be an API key, as Mailchimp shows it: it ends with -us and a number")
    )]
    api_key: String,
    /// The audience's id.
    #[schemars(regex(pattern = "^[A-Za-z0-9]{1,32}$"), extend("mismatch" = "must be an audience's id: letters and digits"))]
    audience_id: String,
    /// Whether a new member is subscribed without being asked to confirm. Only with his consent. `false` if absent.
    #[serde(default)]
    without_confirmation: bool,
}

/// The kind `mailchimp`.
pub(super) fn kind() -> Arc<dyn Kind> {
    config::kind(
        About {
            kind: KIND,
            name: "Mailchimp",
            description: "Adds each lead to an audience.",
            example: json!({"apiKey": "00000000000000000000000000000000-us21", "audienceId": "0000000000"}),
            rate_limit: RateLimit::new(5, RateUnit::Second, 5),
            setup_guide: "1. In Mailchimp open *Account & billing*, *Extras*, *API keys*, and choose *Create A Key*: that is `apiKey`.\n\
                2. Open *Audience*, *Settings*, *Audience name and defaults*: the *Audience ID* is `audienceId`.\n\
                3. The name and phone number go into the merge fields `FNAME`, `LNAME` and `PHONE`.\n\n\
                A new member gets a mail that asks to confirm, unless `withoutConfirmation` is `true`.",
            docs_url: "https://mailchimp.com/developer/marketing/guides/quick-start/",
        },
        SLOTS,
        MailchimpTransport,
    )
}

struct MailchimpTransport(Config, Templates);

vendor::transport_without_secrets!(MailchimpTransport);

impl MailchimpTransport {
    fn url(&self, email: &str) -> String {
        let (_, data_center) = self.0.api_key.rsplit_once('-').expect("the schema has seen to it");
        let member = Bytes::copy_from_slice(&Md5::digest(email.to_lowercase()));
        let audience = &self.0.audience_id;
        format!(
            "https://{data_center}.api.mailchimp.com/3.0/lists/{audience}/members/{member:x}?skip_merge_validation=true"
        )
    }

    fn member(&self, lead: &LeadData<'_>, rendered: &Rendered) -> Value {
        let (first, last) = told::split(&lead.name);
        let fields = [
            ("FNAME", first),
            ("LNAME", Some(last)),
            ("PHONE", lead.phone.as_deref()),
        ];
        let fields = fields
            .into_iter()
            .filter_map(|(name, text)| Some((name, cut(text?, FIELD))));
        let fields = rendered.over(fields).map(|(name, text)| (name.to_owned(), text.into()));
        let status = if self.0.without_confirmation {
            "subscribed"
        } else {
            "pending"
        };
        json!({"email_address": lead.email, "status_if_new": status, "merge_fields": fields.collect::<Map<_, _>>()})
    }
}

#[async_trait]
impl Transport for MailchimpTransport {
    async fn deliver(&self, job: &Job, now: Timestamp, egress: &Egress) -> Attempted {
        let lead = match told::lead(&job.body) {
            Ok(lead) => lead.data,
            Err(attempted) => return attempted,
        };
        let rendered = match vendor::rendered(&self.1, job).await {
            Ok(rendered) => rendered,
            Err(attempted) => return attempted,
        };
        let url = self.url(&lead.email);
        let credentials = format!("Basic {}", STANDARD.encode(format!("any:{}", self.0.api_key)));
        let headers = vendor::json_with(AUTHORIZATION, &credentials);
        let body = self.member(&lead, &rendered).to_string();
        let attempted = match vendor::send(egress, None, Method::PUT, &vendor::fixed(&url), headers, body).await {
            Ok(answer) => vendor::judged(&answer, |answer| judge(answer, now)),
            Err(failure) => Attempted::unanswered(&failure),
        };
        attempted.sent_to(url)
    }
}

/// The title and the detail say what is wrong, the status doesn't.
fn judge(answer: &Answer, now: Timestamp) -> Judged {
    let body = vendor::json_of(answer);
    let (title, detail) = (
        body["title"].as_str().unwrap_or_default(),
        body["detail"].as_str().unwrap_or_default(),
    );
    let answered = vendor::answered("Mailchimp", answer.status);
    let rejected = |words: &str| (Outcome::Rejected, Some(format!("{answered}: {words}")));
    match (answer.status.as_u16(), title) {
        (400, _) if detail.contains("signed up to a lot of lists") => vendor::unavailable(
            answer,
            now,
            format!("{answered}: this address was added to many lists of late"),
        ),
        (400, "Forgotten Email Not Subscribed") => {
            rejected("this address was deleted for good; only a form of Mailchimp's can add it again")
        }
        (400, "Member In Compliance State") => {
            rejected("this address has unsubscribed or bounces; only its owner can change that")
        }
        (403, _) => rejected("the key is of another data center, or may not do this; make a new one and save it here"),
        _ => vendor::judge_api("Mailchimp", answer, now, |_| {
            let text = [title, detail]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>();
            (!text.is_empty()).then(|| text.join(": "))
        }),
    }
}
