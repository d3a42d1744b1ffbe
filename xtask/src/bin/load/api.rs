//! The system that is measured: the release binary, and one client of it through the API.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder};
use sensei_test_support::{Binary, Process};
use serde_json::{Value, json};

use crate::Arguments;
use crate::client::{Posted, closed_loop};

pub(crate) const ADMIN_KEY: &str = "sk_of_a_benchmark_on_loopback";
/// For a start, and for the last lead to arrive and be recorded.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);
const PAGE: usize = 200;
/// The documented payload's fields.
const LEAD: &str = r#"{"name":"John Doe","email":"john@example.com","phone":"+1234567890","message":"I need a quote for enterprise plan","sessionId":"0193a2b5-0000-7000-8000-000000000000"}"#;

/// The release binary on a new database in a directory of its own.
pub(crate) fn binary(arguments: &Arguments) -> Result<Binary> {
    let directory = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(&arguments.directory)?;
    Ok(Binary::in_directory(&arguments.program, directory)
        .env("SENSEI_ADMIN_KEY", ADMIN_KEY)
        .env("SENSEI_EGRESS_ALLOW", "127.0.0.0/8")
        .env("SENSEI_LOG", "warn"))
}

/// The API of the system, with one client whose webhook is the receiver.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: Client,
    client_url: String,
}

impl Api {
    /// Creates a client of this name with this Lead Webhook URL.
    pub(crate) async fn new(http: Client, process: &Process, name: &str, webhook: &str) -> Result<Self> {
        let body = json!({ "name": name, "leadWebhookUrl": webhook });
        let url = format!("{}/v1/clients", process.url());
        let answer = http.post(&url).bearer_auth(ADMIN_KEY).json(&body).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "creating a client answered {status}: {text}");
        let client: Value = serde_json::from_str(&text)?;
        let id = client["id"].as_str().context("a client has an id")?;
        Ok(Self {
            http,
            client_url: format!("{url}/{id}"),
        })
    }

    /// A request that captures a lead.
    pub(crate) fn lead(&self) -> RequestBuilder {
        let request = self.http.post(format!("{}/leads", self.client_url));
        let request = request.bearer_auth(ADMIN_KEY);
        request.header(CONTENT_TYPE, "application/json").body(LEAD)
    }

    /// Posts leads in a closed loop.
    pub(crate) async fn post_leads(&self, time: Duration, in_flight: usize) -> Result<Posted> {
        let api = self.clone();
        closed_loop(time, in_flight, move || (api.lead(), None)).await
    }

    /// Waits until every delivery has been made and recorded.
    pub(crate) async fn nothing_pending(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.deliveries("state=pending&limit=1").await?["items"]
            .as_array()
            .is_some_and(Vec::is_empty)
        {
            if Instant::now() > deadline {
                bail!("deliveries are still pending {PATIENCE:?} after the last lead");
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// The leads of all deliveries that the log has as succeeded.
    pub(crate) async fn succeeded_leads(&self) -> Result<HashSet<u128>> {
        let mut leads = HashSet::new();
        let mut cursor = String::new();
        loop {
            let page = self
                .deliveries(&format!("state=succeeded&limit={PAGE}{cursor}"))
                .await?;
            for delivery in page["items"].as_array().context("a list has items")? {
                let id = delivery["leadId"].as_str().context("a delivery has its lead")?;
                leads.insert(u128::from_str_radix(&id.replace('-', ""), 16)?);
            }
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(leads),
            }
        }
    }

    async fn deliveries(&self, query: &str) -> Result<Value> {
        let url = format!("{}/deliveries?{query}", self.client_url);
        let answer = self.http.get(url).bearer_auth(ADMIN_KEY).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "the delivery log answered {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }
}
