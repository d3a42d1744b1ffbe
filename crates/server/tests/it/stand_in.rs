//! Something that stands in for every vendor at once: answers each as it would, remembers what it was given, and fails now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// All kinds, each with a config in which every secret is, or holds, this one: 32 hexadecimal digits.
pub(crate) fn kinds(secret: &str, stand_in: &MockServer, mail_port: u16) -> Vec<(&'static str, Value)> {
    let url = |url: &str| json!({"url": format!("{url}{secret}")});
    vec![
        (
            "webhook",
            json!({
                "url": format!("{}/webhook/hook", stand_in.uri()),
                "auth": {"type": "bearer", "token": secret}, "secretHeaders": {"X-Key": secret},
            }),
        ),
        ("zapier", url("https://hooks.zapier.com/hooks/catch/1/")),
        ("make", url("https://hook.eu2.make.com/")),
        ("slack", url("https://hooks.slack.com/services/T0/B0/")),
        ("discord", url("https://discord.com/api/webhooks/1/")),
        ("hubspot", json!({"token": secret})),
        (
            "salesforce",
            json!({
                "instance": "acme.my.salesforce.com", "clientId": "app", "clientSecret": secret, "refreshToken": secret,
                "externalIdField": "Sensei_Lead_Id__c",
            }),
        ),
        ("pipedrive", json!({"apiToken": secret})),
        (
            "mailchimp",
            json!({"apiKey": format!("{secret}-us21"), "audienceId": "a1"}),
        ),
        ("kit", json!({"apiKey": secret})),
        ("asana", json!({"token": secret, "projectId": "12"})),
        (
            "trello",
            json!({"apiKey": "0".repeat(32), "token": secret, "listId": "000000000000000000000000"}),
        ),
        (
            "linear",
            json!({"apiKey": format!("lin_api_{secret}"), "teamId": "00000000-0000-0000-0000-000000000000"}),
        ),
        ("clickup", json!({"token": format!("pk_{secret}"), "listId": "90"})),
        (
            "jira",
            json!({"site": "acme", "email": "ann@acme.example", "token": secret, "projectKey": "SALES"}),
        ),
        (
            "email",
            json!({
                "host": "127.0.0.1", "port": mail_port, "security": "none", "username": "leads", "password": secret,
                "from": "leads@acme.example", "to": ["sales@acme.example"],
            }),
        ),
    ]
}

/// What a vendor was given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    calls: usize,
    /// Of each lead (by the number in its address) the ids that came with it.
    pub(crate) leads: BTreeMap<u32, BTreeSet<String>>,
    /// What Pipedrive keeps.
    pub(crate) persons: Vec<u32>,
    pub(crate) person_leads: Vec<(usize, String)>,
    pub(crate) notes: Vec<String>,
}

/// The vendors.
#[derive(Clone, Default)]
pub(crate) struct StandIn {
    accounts: Arc<Mutex<BTreeMap<String, Account>>>,
    /// Each such call of a vendor fails for now; half of them after they took effect.
    fails_each: Option<usize>,
    /// All other secrets are refused for now.
    takes_only: Option<&'static str>,
    refused: Arc<AtomicUsize>,
    /// The first call of this method and path takes effect, but isn't answered in time.
    hangs_at: Option<(&'static str, &'static str)>,
    hangs: Arc<AtomicUsize>,
}

impl StandIn {
    pub(crate) fn that_fails_each(calls: usize) -> Self {
        Self {
            fails_each: Some(calls),
            ..Self::default()
        }
    }

    pub(crate) fn that_takes_only(secret: &'static str) -> Self {
        Self {
            takes_only: Some(secret),
            ..Self::default()
        }
    }

    pub(crate) fn that_hangs_at(method: &'static str, path: &'static str) -> Self {
        Self {
            hangs_at: Some((method, path)),
            ..Self::default()
        }
    }

    /// Whether the call that isn't answered has come.
    pub(crate) fn hangs(&self) -> bool {
        self.hangs.load(Ordering::Relaxed) > 0
    }

    /// How often a secret was refused.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    pub(crate) async fn serve(&self) -> MockServer {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(self.clone()).mount(&server).await;
        server
    }

    pub(crate) fn accounts(&self) -> MutexGuard<'_, BTreeMap<String, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Respond for StandIn {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut values = request.headers.values().filter_map(|value| value.to_str().ok());
        if self
            .takes_only
            .is_some_and(|secret| !values.any(|value| holds(value, secret)))
        {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return ResponseTemplate::new(503);
        }
        let mut path = request.url.path().trim_start_matches('/').splitn(2, '/');
        let (vendor, path) = (path.next().unwrap_or_default(), path.next().unwrap_or_default());
        let mut accounts = self.accounts();
        let account = accounts.entry(vendor.to_owned()).or_default();
        account.calls += 1;
        let fails = self.fails_each.filter(|each| account.calls.is_multiple_of(*each));
        let fails_before = fails.is_some_and(|each| account.calls.is_multiple_of(2 * each));
        if fails_before {
            return ResponseTemplate::new(503);
        }
        let answer = account.answer(vendor, path, request);
        if fails.is_some() {
            return ResponseTemplate::new(500);
        }
        if self.hangs_at == Some((request.method.as_str(), request.url.path()))
            && self.hangs.fetch_add(1, Ordering::Relaxed) == 0
        {
            return answer.set_delay(Duration::from_mins(1));
        }
        answer
    }
}

impl Account {
    fn answer(&mut self, vendor: &str, path: &str, request: &Request) -> ResponseTemplate {
        let body = String::from_utf8_lossy(&request.body);
        if let Some(number) = lead_number(&body) {
            let id = request.headers.get("webhook-id").and_then(|id| id.to_str().ok());
            let id = id.map(str::to_owned).or_else(|| lead_id(&body)).unwrap_or_default();
            self.leads.entry(number).or_default().insert(id);
        }
        let json = |status: u16, body: Value| ResponseTemplate::new(status).set_body_json(body);
        match vendor {
            "hooks.slack.com" => ResponseTemplate::new(200).set_body_string("ok"),
            "api.hubapi.com" => json(200, json!({"status": "COMPLETE", "results": [{"id": "1"}]})),
            "acme.my.salesforce.com" if path.ends_with("/token") => {
                let secret = body.split("client_secret=").nth(1).unwrap_or_default();
                json(200, json!({"access_token": secret, "expires_in": 3600}))
            }
            "acme.my.salesforce.com" => ResponseTemplate::new(204),
            "api.pipedrive.com" => self.pipedrive(path, request, &body),
            "api.linear.app" => json(200, json!({"data": {"issueCreate": {"success": true}}})),
            "app.asana.com" | "acme.atlassian.net" => json(201, json!({})),
            "webhook"
            | "hooks.zapier.com"
            | "hook.eu2.make.com"
            | "discord.com"
            | "us21.api.mailchimp.com"
            | "api.kit.com"
            | "api.trello.com"
            | "api.clickup.com" => json(200, json!({})),
            // Nobody: no kind may ask for it.
            _ => ResponseTemplate::new(418),
        }
    }

    fn pipedrive(&mut self, path: &str, request: &Request, body: &str) -> ResponseTemplate {
        let query = |name: &str| {
            let mut pairs = request.url.query_pairs();
            let found = pairs.find(|(key, _)| key == name);
            found.map_or_else(String::new, |(_, value)| value.into_owned())
        };
        let told = serde_json::from_str::<Value>(body).unwrap_or_default();
        let data = match (request.method.as_str(), path) {
            ("GET", "api/v2/persons/search") => {
                let number = lead_number(&query("term"));
                let known = self.persons.iter().position(|person| Some(*person) == number);
                let items = known.map(|index| json!({"item": {"id": index + 1}}));
                json!({"items": items.into_iter().collect::<Vec<_>>()})
            }
            ("POST", "api/v2/persons") => {
                self.persons.extend(lead_number(body));
                json!({"id": self.persons.len()})
            }
            ("GET", "v1/leads") => {
                let person = query("person_id");
                let leads = self.person_leads.iter().enumerate();
                let leads = leads.filter(|(_, (of, _))| of.to_string() == person);
                let leads = leads.map(|(index, (_, origin))| json!({"id": format!("l{index}"), "origin_id": origin}));
                Value::Array(leads.collect())
            }
            ("POST", "v1/leads") => {
                let person = told["person_id"]
                    .as_u64()
                    .and_then(|person| usize::try_from(person).ok());
                let origin = told["origin_id"].as_str().unwrap_or_default().to_owned();
                self.person_leads.push((person.unwrap_or_default(), origin));
                json!({"id": format!("l{}", self.person_leads.len() - 1)})
            }
            ("GET", "v1/notes") => {
                let lead = query("lead_id");
                let notes = self.notes.iter().filter(|of| **of == lead);
                Value::Array(notes.map(|of| json!({"lead_id": of})).collect())
            }
            ("POST", "v1/notes") => {
                self.notes.push(told["lead_id"].as_str().unwrap_or_default().to_owned());
                json!({"id": self.notes.len()})
            }
            _ => return ResponseTemplate::new(418),
        };
        ResponseTemplate::new(200).set_body_json(json!({"success": true, "data": data}))
    }
}

/// The address of the lead with this number.
pub(crate) fn address(number: u32) -> String {
    format!("visitor.{number}@example.com")
}

/// The number in a lead's address, wherever that is; also where Markdown has its marks escaped, or a form all.
pub(crate) fn lead_number(text: &str) -> Option<u32> {
    let rest = text.split("visitor.").nth(1)?;
    let digits = rest.find(|character: char| !character.is_ascii_digit())?;
    rest[..digits].parse().ok()
}

/// The lead's id, where people read it: `lead 0193…`.
fn lead_id(text: &str) -> Option<String> {
    let rest = text.split("lead 0").nth(1)?;
    Some(rest.chars().take_while(char::is_ascii_hexdigit).collect())
}

/// Whether a text holds a secret, also as HTTP and SMTP write it.
pub(crate) fn holds(text: &str, secret: &str) -> bool {
    text.contains(secret)
        || text
            .split([' ', '"', ','])
            .filter_map(|word| STANDARD.decode(word.trim_end()).ok())
            .any(|decoded| String::from_utf8_lossy(&decoded).contains(secret))
}
