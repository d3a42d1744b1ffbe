//! Salesforce: a lead, by its REST interface or by the form that is called Web-to-Lead.
//!
//! Source: Salesforce's guides to the REST API and its help on Web-to-Lead. Never seen live: 300 for several matches, the code
//! `DUPLICATES_DETECTED`, and the header `Is-Processed`. The form says the same of what it keeps and of what it drops, so a success is told as
//! unconfirmed.

use std::sync::Arc;

use async_trait::async_trait;
use hyper::Method;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use schemars::JsonSchema;
use sensei_domain::{Fault, Faults, LeadData, Outcome, RateLimit, RateUnit, Timestamp};
use sensei_persistence::Job;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use url::form_urlencoded;

use super::config::{self, About};
use super::oauth::{Grant, Tokens};
use super::text::cut;
use super::told;
use super::vendor::{self, Judged};
use crate::egress::{Answer, Egress};
use crate::template::{Rendered, Slot, Templates};
use crate::transport::{Attempted, Kind, Transport};

const KIND: &str = "salesforce";
const VERSION: &str = "v67.0";
const FORM: &str = "https://webto.salesforce.com/servlet/servlet.WebToLead?encoding=UTF-8";
/// Says of a form whether it was kept, where it is there.
const IS_PROCESSED: &str = "is-processed";
/// Characters of an email address.
const EMAIL_LIMIT: usize = 80;
/// Characters of the longest field.
const LONGEST: usize = 32_000;
/// A field of a lead, its name in the form, and its characters.
const FIELDS: [(&str, &str, usize); 7] = [
    ("FirstName", "first_name", 40),
    ("LastName", "last_name", 80),
    ("Company", "company", 255),
    ("Email", "email", EMAIL_LIMIT),
    ("Phone", "phone", 40),
    ("Description", "description", LONGEST),
    ("LeadSource", "lead_source", 255),
];

const SLOTS: &[Slot] = &[Slot::fields(
    "Fields of a lead by their API names; for Web-to-Lead by those in its form.",
    LONGEST,
    |name| match name {
        "oid" | "retURL" | "debug" | "debugEmail" | "Id" => Err("must not be given: it isn't a field of a lead"),
        _ if name.len() <= 80 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') => Ok(()),
        _ => Err("must be a field's name: letters, digits and _"),
    },
)];

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    /// Your organisation's own host, for REST.
    #[schemars(length(max = 150), regex(pattern = r"^(?!xn--)[a-z0-9][a-z0-9-]*(\.(sandbox|develop|scratch|trailblaze|demo))?\.my\.salesforce\.com$"), extend("mismatch" = "must be the host of your organisation: acme.my.salesforce.com"))]
    instance: Option<String>,
    /// The consumer key of your connected app.
    #[schemars(length(max = 1000), regex(pattern = "^[!-~]+$"), extend("mismatch" = "must be a key without spaces"))]
    client_id: Option<String>,
    /// Its consumer secret.
    #[schemars(length(max = 1000), regex(pattern = "^[!-~]+$"), extend("writeOnly" = true, "mismatch" = "must be a secret without spaces"))]
    client_secret: Option<String>,
    /// A refresh token of the user who makes the leads; without one, the app's own user does (client credentials).
    #[schemars(length(max = 1000), regex(pattern = "^[!-~]+$"), extend("writeOnly" = true, "mismatch" = "must be a token without spaces"))]
    refresh_token: Option<String>,
    /// A field of leads of yours, an external id: with it no lead is made twice.
    #[schemars(regex(pattern = "^[A-Za-z][A-Za-z0-9_]{0,60}__c$"), extend("mismatch" = "must be a field's API name, which ends in __c"))]
    external_id_field: Option<String>,
    /// Instead of all these, your organisation's id, for Web-to-Lead.
    #[schemars(regex(pattern = "^00D[A-Za-z0-9]{12}([A-Za-z0-9]{3})?$"), extend("mismatch" = "must be an organisation's id: 00D and 12 or 15 more letters and digits"))]
    org_id: Option<String>,
    /// What `LeadSource` is told; without it, `Web`.
    #[schemars(length(min = 1, max = 255), regex(pattern = "^[^\\u0000-\\u001f]+$"), extend("mismatch" = "must be a line"))]
    lead_source: Option<String>,
}

/// The kind `salesforce`.
pub(super) fn kind() -> Arc<dyn Kind> {
    config::checked_kind(
        About {
            kind: KIND,
            name: "Salesforce",
            description: "Makes each lead a lead of Salesforce, by REST or by Web-to-Lead.",
            example: json!({
                "instance": "acme.my.salesforce.com", "clientId": "3MVG9000000000000000", "clientSecret": "0000000000000000",
                "refreshToken": "5Aep0000000000000000", "externalIdField": "Sensei_Lead_Id__c",
            }),
            rate_limit: RateLimit::new(10, RateUnit::Second, 20),
            setup_guide: "By **REST**, which confirms each lead:\n\n\
                1. In *Setup*, *App Manager*, make a *Connected App* (or *External Client App*) with OAuth and the scope *Manage user data via APIs (api)*. Its *Consumer Key* and *Consumer Secret* are `clientId` and `clientSecret`.\n\
                2. Either enable the *Client Credentials Flow* with a user to run as, or authorise a user with the scope `refresh_token` too and put his refresh token into `refreshToken`.\n\
                3. `instance` is the host under *My Domain*.\n\
                4. On the object *Lead* make a text field that is an *External ID* and *Unique*; its API name is `externalIdField`. Without it, a lead that is sent again is made again.\n\n\
                By **Web-to-Lead**, without a login: `orgId` is the *Organization ID* under *Company Information*. Salesforce doesn't say whether it keeps such a lead, and takes 500 of them a day.",
            docs_url: "https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/intro_rest.htm",
        },
        SLOTS,
        bind,
    )
}

fn bind(config: Config, templates: Templates) -> Result<SalesforceTransport, Faults> {
    let fault = |field: &str, detail: &str| Fault {
        pointer: format!("/{field}"),
        detail: detail.to_owned(),
    };
    let mut faults = Vec::new();
    let way = match (config.org_id, config.instance, config.client_id, config.client_secret) {
        (Some(org_id), None, None, None) => {
            for (field, is_given) in [
                ("refreshToken", config.refresh_token.is_some()),
                ("externalIdField", config.external_id_field.is_some()),
            ] {
                if is_given {
                    faults.push(fault(field, "is for REST: leave it out with orgId"));
                }
            }
            Some(Way::Form { org_id })
        }
        (Some(_), ..) => {
            faults.push(fault("orgId", "is for Web-to-Lead: leave it out, or what is for REST"));
            None
        }
        (None, Some(instance), Some(id), Some(secret)) => {
            let url = vendor::fixed(&format!("https://{instance}/services/oauth2/token"));
            let grant = match config.refresh_token {
                Some(token) => Grant::refresh_token(url, id, secret, token),
                None => Grant::client_credentials(url, id, secret, None).with_credentials_in_body(),
            };
            Some(Way::Rest {
                leads: format!("https://{instance}/services/data/{VERSION}/sobjects/Lead"),
                tokens: Box::new(Tokens::new(grant.at_vendor())),
                external_id_field: config.external_id_field,
            })
        }
        (None, instance, id, secret) => {
            for (field, is_given) in [
                ("instance", instance.is_some()),
                ("clientId", id.is_some()),
                ("clientSecret", secret.is_some()),
            ] {
                if !is_given {
                    faults.push(fault(field, "is required, unless there is an orgId"));
                }
            }
            None
        }
    };
    if let Some(faults) = Faults::of(faults) {
        return Err(faults);
    }
    Ok(SalesforceTransport {
        way: way.expect("a config without faults has its way"),
        lead_source: config.lead_source.unwrap_or_else(|| "Web".to_owned()),
        templates,
    })
}

struct SalesforceTransport {
    way: Way,
    lead_source: String,
    templates: Templates,
}

enum Way {
    Rest {
        leads: String,
        tokens: Box<Tokens>,
        external_id_field: Option<String>,
    },
    Form {
        org_id: String,
    },
}

vendor::transport_without_secrets!(SalesforceTransport);

#[async_trait]
impl Transport for SalesforceTransport {
    async fn deliver(&self, job: &Job, now: Timestamp, egress: &Egress) -> Attempted {
        let lead = match told::lead(&job.body) {
            Ok(lead) => lead.data,
            Err(attempted) => return attempted,
        };
        let rendered = match vendor::rendered(&self.templates, job).await {
            Ok(rendered) => rendered,
            Err(attempted) => return attempted,
        };
        let fields = self.fields(&lead, &rendered);
        match &self.way {
            Way::Form { org_id } => {
                let body = form(org_id, &fields);
                let content_type = HeaderValue::from_static("application/x-www-form-urlencoded");
                let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type)]);
                let judge = |answer: &Answer| judge_form(answer, now);
                let attempted = vendor::post(egress, &vendor::fixed(FORM), headers, body, judge).await;
                attempted.sent_to(FORM.to_owned())
            }
            Way::Rest {
                leads,
                tokens,
                external_id_field,
            } => {
                let (method, url) = match external_id_field {
                    Some(field) => (Method::PATCH, format!("{leads}/{field}/{}", lead.id)),
                    None => (Method::POST, leads.clone()),
                };
                let body = fields.into_iter().map(|(name, text)| (name.to_owned(), text.into()));
                let body = Value::Object(body.collect::<Map<_, _>>()).to_string();
                match rest(tokens, egress, method, &url, body, now).await {
                    Ok(attempted) => attempted.sent_to(url),
                    Err(without_token) => without_token,
                }
            }
        }
    }
}

impl SalesforceTransport {
    /// What Salesforce is told, by the names of this way; nothing of it is empty.
    fn fields<'a>(&self, lead: &LeadData<'_>, rendered: &'a Rendered) -> Vec<(&'a str, String)> {
        let (first, last) = told::split(&lead.name);
        // Cut, it would be nobody's address, and the lead refused.
        let has_room = lead.email.chars().count() <= EMAIL_LIMIT;
        let with_email = (!has_room).then(|| match lead.message.as_deref() {
            Some(message) => format!("{}\n\n{message}", lead.email),
            None => lead.email.to_string(),
        });
        let texts = [
            first,
            Some(last),
            Some(&*lead.client_name),
            has_room.then_some(&*lead.email),
            lead.phone.as_deref(),
            with_email.as_deref().or(lead.message.as_deref()),
            Some(&self.lead_source),
        ];
        let known = FIELDS.map(|(name, form_name, limit)| match self.way {
            Way::Rest { .. } => (name, limit),
            Way::Form { .. } => (form_name, limit),
        });
        let fields = known.into_iter().zip(texts);
        let fields = fields.filter_map(|((name, limit), text)| Some((name, cut(text?, limit))));
        let fields = rendered.over(fields).map(|(name, text)| {
            let limit = known.iter().find(|(known, _)| *known == name);
            (
                name,
                limit.map_or_else(|| text.clone(), |&(_, limit)| cut(&text, limit)),
            )
        });
        fields.collect()
    }
}

/// Sends what needs a token; once more with another one if the token isn't good any more.
async fn rest(
    tokens: &Tokens,
    egress: &Egress,
    method: Method,
    url: &str,
    body: String,
    now: Timestamp,
) -> Result<Attempted, Attempted> {
    let ends = Instant::now() + egress.deadline();
    let mut is_again = false;
    loop {
        let token = tokens.token(now, ends, egress).await?;
        let mut headers = vendor::json();
        headers.insert(AUTHORIZATION, token.bearer());
        let url = vendor::fixed(url);
        let answered = vendor::send(egress, Some(ends), method.clone(), &url, headers, body.clone()).await;
        let answer = match answered {
            Ok(answer) => answer,
            Err(failure) => return Ok(Attempted::unanswered(&failure)),
        };
        if answer.status == 401 && !is_again && tokens.forget(&token, now) {
            is_again = true;
            continue;
        }
        return Ok(vendor::judged(&answer, |answer| judge_rest(answer, now)));
    }
}

fn form(org_id: &str, fields: &[(&str, String)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("oid", org_id);
    for (name, text) in fields {
        form.append_pair(name, text);
    }
    form.finish()
}

/// Nothing was kept: what an organisation does with a new lead changes a record that somebody else changes at that moment.
const LOCKED: &str = "UNABLE_TO_LOCK_ROW";

fn judge_rest(answer: &Answer, now: Timestamp) -> Judged {
    let body = vendor::json_of(answer);
    let answered = vendor::answered("Salesforce", answer.status);
    // Itself, or met by a flow or a trigger, whose message quotes it.
    let texts = ["errorCode", "message"].map(|field| body[0][field].as_str());
    if texts.iter().flatten().any(|text| text.contains(LOCKED)) {
        return vendor::unavailable(
            answer,
            now,
            format!("{answered}: somebody else was changing a record of it"),
        );
    }
    match (answer.status.as_u16(), body[0]["errorCode"].as_str()) {
        (300, _) => {
            let words = "several leads have this external id; make its field unique";
            (Outcome::Rejected, Some(format!("{answered}: {words}")))
        }
        (403, Some("REQUEST_LIMIT_EXCEEDED")) => {
            vendor::unavailable(answer, now, format!("{answered}: the day's requests are used up"))
        }
        _ => vendor::judge_api("Salesforce", answer, now, |body| {
            let error = &body[0];
            let words = error["message"].as_str()?;
            let fields = error["fields"].as_array().into_iter().flatten();
            let fields = fields.filter_map(Value::as_str).collect::<Vec<_>>();
            Some(if fields.is_empty() {
                words.to_owned()
            } else {
                format!("{words} ({})", fields.join(", "))
            })
        }),
    }
}

fn judge_form(answer: &Answer, now: Timestamp) -> Judged {
    let answered = vendor::answered("Salesforce", answer.status);
    let processed = answer.headers.get(IS_PROCESSED).and_then(|value| value.to_str().ok());
    match answer.status.as_u16() {
        200..=299 => match processed {
            Some(words) if !words.starts_with("true") || words.contains("Exception") => {
                let words = format!("{answered}: it didn't keep the lead: {}", cut(words, 300));
                (Outcome::Rejected, Some(words))
            }
            _ => {
                let words = "accepted, unconfirmed: Salesforce says the same of a lead that it drops";
                (Outcome::Delivered, Some(words.to_owned()))
            }
        },
        400..=499 if !matches!(answer.status.as_u16(), 408 | 425 | 429) => {
            let words = format!("{answered}: it refused the form; check the organisation's id");
            (Outcome::Rejected, Some(words))
        }
        _ => vendor::unavailable(answer, now, answered),
    }
}
