//! Pipedrive: a person, a lead of his, and the message as a note on it.
//!
//! Source: Pipedrive's reference and its published client. Never seen live: the filter `person_id` of the list of leads with their
//! `origin_id`, the filter `lead_id` of that of notes, and the body of a note. Leads are made by version 1 of the API alone.
//!
//! Nothing here can be repeated by itself, so what was made is kept before the next step ([`Job::reach`]), and whoever goes on where another
//! attempt ended looks first whether the step was done.

use std::sync::Arc;

use async_trait::async_trait;
use hyper::Method;
use hyper::header::{HeaderMap, HeaderName};
use md5::{Digest as _, Md5};
use schemars::JsonSchema;
use sensei_domain::{LeadCreated, LeadData, Outcome, RateLimit, RateUnit, Timestamp, Trigger};
use sensei_persistence::Job;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::config::{self, About};
use super::task::line;
use super::text::{cut, html};
use super::told;
use super::vendor::{self, Judged};
use crate::egress::{Answer, Egress, Failure};
use crate::template::{Rendered, Slot, Templates};
use crate::transport::{Attempted, Kind, Transport};

const KIND: &str = "pipedrive";
const API: &str = "https://api.pipedrive.com";
const TOKEN: HeaderName = HeaderName::from_static("x-api-token");
/// Characters of a name or a title.
const NAME: usize = 255;
/// Characters of a note.
const NOTE: usize = 50_000;
const SLOTS: &[Slot] = &[
    Slot::text("title", "The lead's title, in one line.", NAME, cut)
        .or("Lead – {{ data.name }} ({{ data.clientName }})"),
    Slot::text("note", "The note on the lead, in HTML.", NOTE, html).or("{{ data.message }}"),
];

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    /// A user's personal API token.
    #[schemars(length(max = 300), regex(pattern = "^[!-~]+$"), extend("writeOnly" = true, "mismatch" = "must be a token without spaces"))]
    api_token: String,
}

/// The kind `pipedrive`.
pub(super) fn kind() -> Arc<dyn Kind> {
    config::kind(
        About {
            kind: KIND,
            name: "Pipedrive",
            description: "Puts each lead into the leads inbox, with its person and the message as a note.",
            example: json!({"apiToken": "0000000000000000000000000000000000000000"}),
            // Mostly four calls an attempt, of the twenty that Pipedrive allows in two seconds.
            rate_limit: RateLimit::new(2, RateUnit::Second, 1),
            setup_guide: "1. In Pipedrive open your profile's *Personal preferences*, *API*, and copy *Your personal API token* into `apiToken`.\n\
                2. What is made belongs to that user: one of his own for this is best, who may add people and leads.",
            docs_url: "https://developers.pipedrive.com/docs/api/v1",
        },
        SLOTS,
        PipedriveTransport,
    )
}

struct PipedriveTransport(Config, Templates);

vendor::transport_without_secrets!(PipedriveTransport);

/// What was made already.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Made {
    /// By a digest of the token: in another account nothing was made.
    account: String,
    person: Option<u64>,
    lead: Option<String>,
    is_noted: bool,
}

impl Made {
    /// What earlier attempts have made in this account. Who asks for a delivery again that is done wants it made again.
    fn by_earlier_attempts(reached: Option<&str>, job: &Job, token: &str) -> Result<Self, Attempted> {
        let account = digest(token);
        let made = reached.map(serde_json::from_str::<Self>).transpose();
        let made = made.map_err(|error| ours(&error))?;
        let made = made.filter(|made| made.account == account && !(made.is_noted && job.trigger == Trigger::Manual));
        Ok(made.unwrap_or_else(|| Self {
            account,
            ..Self::default()
        }))
    }

    /// What was made isn't there any more, or is something else by now: it is looked up and made anew.
    async fn forget(job: &Job) {
        if let Err(error) = job.reach("{\"account\":\"\",\"is_noted\":false}").await {
            tracing::debug!(%error, "a checkpoint stays; the next attempt meets it again");
        }
    }

    async fn keep(&self, job: &Job) -> Result<(), Attempted> {
        let reached = serde_json::to_string(self).expect("ids can be serialized");
        job.reach(&reached).await.map_err(|error| ours(&error))
    }
}

/// One attempt: all calls have one deadline.
struct Calls<'a> {
    egress: &'a Egress,
    headers: HeaderMap,
    ends: Instant,
    now: Timestamp,
    /// The last answer that was one.
    last: Option<Attempted>,
}

impl Calls<'_> {
    /// An answer's data.
    async fn call(&mut self, method: Method, url: Url, body: Option<Value>) -> Result<Value, Attempted> {
        let mut shown = url.clone();
        shown.set_query(None);
        let body = body.map_or_else(String::new, |body| body.to_string());
        let headers = self.headers.clone();
        let answered = vendor::send(self.egress, Some(self.ends), method, &url, headers, body).await;
        let answer = answered.map_err(|failure| Attempted::unanswered(&failure).sent_to(shown.to_string()))?;
        let attempted = vendor::judged(&answer, |answer| judge(answer, self.now)).sent_to(shown.into());
        if attempted.outcome != Outcome::Delivered {
            return Err(attempted);
        }
        self.last = Some(attempted);
        Ok(vendor::json_of(&answer)["data"].take())
    }

    async fn get(&mut self, path: &str, query: &[(&str, &str)]) -> Result<Value, Attempted> {
        let mut url = vendor::fixed(&format!("{API}{path}"));
        url.query_pairs_mut().extend_pairs(query);
        self.call(Method::GET, url, None).await
    }

    async fn post(&mut self, path: &str, body: Value) -> Result<Value, Attempted> {
        let url = vendor::fixed(&format!("{API}{path}"));
        self.call(Method::POST, url, Some(body)).await
    }

    /// What the last answer should have said, but didn't.
    fn without(&self, what: &str) -> Attempted {
        let last = self.last.clone().expect("there was an answer");
        let status = last.status_code.unwrap_or_default();
        let error = format!("Pipedrive answered {status} without {what}");
        Attempted {
            outcome: Outcome::Unavailable { retry_after: None },
            error: Some(error),
            ..last
        }
    }

    async fn person(&mut self, lead: &LeadData<'_>) -> Result<u64, Attempted> {
        let query = [("term", &*lead.email), ("fields", "email"), ("exact_match", "true")];
        let found = self.get("/api/v2/persons/search", &query).await?;
        if let Some(person) = found["items"][0]["item"]["id"].as_u64() {
            return Ok(person);
        }
        let labelled = |value: &str| json!([{"value": value, "primary": true, "label": "work"}]);
        let mut person = json!({"name": cut(&lead.name, NAME), "emails": labelled(&lead.email)});
        if let Some(phone) = &lead.phone {
            person["phones"] = labelled(&cut(phone, NAME));
        }
        let made = self.post("/api/v2/persons", person).await?;
        made["id"].as_u64().ok_or_else(|| self.without("the person's id"))
    }

    /// `is_again`: an attempt before this one may have made it.
    async fn lead(
        &mut self,
        lead: &LeadData<'_>,
        title: String,
        person: u64,
        is_again: bool,
    ) -> Result<String, Attempted> {
        let origin = lead.id.to_string();
        if is_again {
            let (person, sort) = (person.to_string(), "add_time DESC");
            let query = [("person_id", person.as_str()), ("sort", sort), ("limit", "20")];
            let found = self.get("/v1/leads", &query).await?;
            let mut found = found.as_array().into_iter().flatten();
            let made = found.find(|made| made["origin_id"] == origin.as_str());
            if let Some(id) = made.and_then(|made| made["id"].as_str()) {
                return Ok(id.to_owned());
            }
        }
        let body = json!({"title": title, "person_id": person, "origin_id": origin});
        let made = self.post("/v1/leads", body).await?;
        let id = made["id"].as_str().map(str::to_owned);
        id.ok_or_else(|| self.without("the lead's id"))
    }

    async fn note(&mut self, content: String, lead: &str, is_again: bool) -> Result<(), Attempted> {
        if is_again {
            let found = self.get("/v1/notes", &[("lead_id", lead), ("limit", "1")]).await?;
            if found.as_array().is_some_and(|notes| !notes.is_empty()) {
                return Ok(());
            }
        }
        let body = json!({"content": content, "lead_id": lead});
        self.post("/v1/notes", body).await.map(drop)
    }
}

impl PipedriveTransport {
    async fn make(
        &self,
        reached: Option<&str>,
        job: &Job,
        now: Timestamp,
        egress: &Egress,
    ) -> Result<Attempted, Attempted> {
        let LeadCreated { data: lead, .. } = told::lead(&job.body)?;
        let (title, note) = texts(&lead, vendor::rendered(&self.1, job).await?);
        let mut calls = Calls {
            egress,
            headers: vendor::json_with(TOKEN, &self.0.api_token),
            ends: Instant::now() + egress.deadline(),
            now,
            last: None,
        };
        let mut made = Made::by_earlier_attempts(reached, job, &self.0.api_token)?;
        let mut is_again = made.person.is_some();
        let person = if let Some(person) = made.person {
            person
        } else {
            let person = calls.person(&lead).await?;
            made.person = Some(person);
            made.keep(job).await?;
            person
        };
        let lead_id = if let Some(lead) = made.lead.take() {
            lead
        } else {
            let lead = calls.lead(&lead, title, person, is_again).await?;
            is_again = false;
            lead
        };
        made.lead = Some(lead_id.clone());
        if !made.is_noted {
            made.keep(job).await?;
            if let Some(note) = note {
                calls.note(note, &lead_id, is_again).await?;
            }
            made.is_noted = true;
            made.keep(job).await?;
        }
        let done = || Attempted::unsent("an earlier attempt has made it all".to_owned());
        Ok(calls.last.take().unwrap_or_else(done))
    }
}

/// The lead's title, and its note.
fn texts(lead: &LeadData<'_>, mut rendered: Rendered) -> (String, Option<String>) {
    let title = rendered.take("title").map(|title| line(&title));
    let title = title.unwrap_or_else(|| cut(&format!("Lead – {} ({})", lead.name, lead.client_name), NAME));
    let note = rendered.take("note");
    (title, note.or_else(|| Some(html(lead.message.as_deref()?, NOTE))))
}

#[async_trait]
impl Transport for PipedriveTransport {
    async fn deliver(&self, job: &Job, now: Timestamp, egress: &Egress) -> Attempted {
        let reached = match job.reached().await {
            Ok(reached) => reached,
            Err(error) => return ours(&error),
        };
        let ended = match self.make(reached.as_deref(), job, now, egress).await {
            Ok(attempted) => return attempted,
            Err(ended) => ended,
        };
        // An id that an earlier attempt kept may be of what was deleted or merged since.
        let kept = reached.and_then(|reached| serde_json::from_str::<Made>(&reached).ok());
        let is_stale = kept.is_some_and(|kept| match ended.status_code {
            Some(404 | 410) => true,
            Some(400) => kept.lead.is_none(),
            _ => false,
        });
        if is_stale {
            Made::forget(job).await;
        }
        ended
    }
}

fn digest(token: &str) -> String {
    let digest = Md5::digest(token.as_bytes());
    digest
        .iter()
        .take(8)
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn ours(error: &dyn std::error::Error) -> Attempted {
    Attempted::unanswered(&Failure::Ours(format!(
        "how far it has come isn't known or kept ({error})"
    )))
}

fn judge(answer: &Answer, now: Timestamp) -> Judged {
    let reason = |body: &Value| Some(body["error"].as_str()?.to_owned());
    let answered = vendor::answered("Pipedrive", answer.status);
    match answer.status.as_u16() {
        200..=299 => {
            let body = vendor::json_of(answer);
            if body["success"] == true {
                return (Outcome::Delivered, None);
            }
            let words = reason(&body).unwrap_or_else(|| "it doesn't say that it did it".to_owned());
            vendor::unavailable(answer, now, format!("{answered}: {}", cut(&words, 300)))
        }
        402 => {
            let words = "the account isn't paid, or has no seat left for this user";
            (Outcome::Rejected, Some(format!("{answered}: {words}")))
        }
        _ => vendor::judge_api("Pipedrive", answer, now, reason),
    }
}
