//! One client of the system, as whoever uses the HTTP API sees it.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use reqwest::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::system::{PATIENCE, POLL};

pub(crate) const ADMIN_KEY: &str = "sk_of_a_benchmark_on_loopback";
const PAGE: usize = 200;
/// The documented payload's fields.
const LEAD: &str = r#"{"name":"John Doe","email":"john@example.com","phone":"+1234567890","message":"I need a quote for enterprise plan","sessionId":"0193a2b5-0000-7000-8000-000000000000"}"#;

/// The API of the system for one client.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: Client,
    id: String,
    client_url: String,
}

/// A delivery that the log has as succeeded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Logged {
    pub(crate) lead: u128,
    pub(crate) destination: u128,
    pub(crate) attempts: usize,
}

impl Api {
    /// Creates a client, with this Lead Webhook URL if there is one. `url` is the system's.
    pub(crate) async fn new(http: Client, url: &str, name: &str, webhook: Option<&str>) -> Result<Self> {
        let body = json!({ "name": name, "leadWebhookUrl": webhook });
        let client = send(http.post(format!("{url}/v1/clients")).json(&body)).await?;
        let id = client["id"].as_str().context("a client has an id")?;
        Ok(Self::of(http, url, id))
    }

    /// The same client at another address, after a start.
    pub(crate) fn at(&self, url: &str) -> Self {
        Self::of(self.http.clone(), url, &self.id)
    }

    fn of(http: Client, url: &str, id: &str) -> Self {
        Self {
            http,
            id: id.to_owned(),
            client_url: format!("{url}/v1/clients/{id}"),
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Creates a destination.
    pub(crate) async fn add_destination(&self, name: &str, url: &str, retry: &Value) -> Result<()> {
        let body = json!({ "kind": "webhook", "name": name, "config": { "url": url }, "retry": retry });
        send(self.http.post(format!("{}/destinations", self.client_url)).json(&body)).await?;
        Ok(())
    }

    /// Creates a destination that gets only what matches.
    pub(crate) async fn add_filtered_destination(&self, name: &str, url: &str, filter: &Value) -> Result<()> {
        let retry = json!({ "policy": "none" });
        let body =
            json!({ "kind": "webhook", "name": name, "config": { "url": url }, "retry": retry, "filter": filter });
        send(self.http.post(format!("{}/destinations", self.client_url)).json(&body)).await?;
        Ok(())
    }

    /// A request that captures a lead.
    pub(crate) fn lead(&self) -> RequestBuilder {
        let request = self.http.post(format!("{}/leads", self.client_url));
        let request = request.bearer_auth(ADMIN_KEY);
        request.header(CONTENT_TYPE, "application/json").body(LEAD)
    }

    /// All deliveries that the log has as succeeded.
    pub(crate) async fn succeeded(&self) -> Result<Vec<Logged>> {
        let mut logged = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.log(&format!("state=succeeded&limit={PAGE}{cursor}")).await?;
            for delivery in page["items"].as_array().context("a list has items")? {
                logged.push(Logged {
                    lead: id(&delivery["leadId"])?,
                    destination: id(&delivery["destinationId"])?,
                    attempts: usize::try_from(delivery["attemptCount"].as_u64().context("attempts are counted")?)?,
                });
            }
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(logged),
            }
        }
    }

    /// Waits until every delivery of this client has been made and recorded, whatever others wait for.
    pub(crate) async fn nothing_pending(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.log("state=pending&limit=1").await?["items"] != json!([]) {
            ensure!(
                Instant::now() < deadline,
                "deliveries are still pending {PATIENCE:?} after the last lead"
            );
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Signs in to the console as the system's admin; answers with the session's cookie.
    pub(crate) async fn sign_in(&self) -> Result<String> {
        let link = send(self.http.post(self.url("/v1/sign-in-links")).json(&json!({}))).await?;
        let link = link["path"].as_str().context("a link has a path")?;
        let answer = self.http.get(self.url(link)).send().await?;
        let cookie = answer.headers().get(SET_COOKIE).context("a sign-in sets a cookie")?;
        let cookie = cookie.to_str()?.split(';').next().unwrap_or_default();
        Ok(cookie.to_owned())
    }

    /// Loads a page of the console.
    pub(crate) async fn page(&self, path: &str, cookie: &str) -> Result<()> {
        let answer = self.http.get(self.url(path)).header(COOKIE, cookie).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(
            status == StatusCode::OK && text.contains("</html>"),
            "{path} answered {status}: {text}"
        );
        Ok(())
    }

    /// An address of the system's.
    fn url(&self, path: &str) -> String {
        let own = format!("/v1/clients/{}", self.id);
        format!("{}{path}", self.client_url.trim_end_matches(&own))
    }

    /// What happens to this client, as it happens.
    pub(crate) async fn stream(&self) -> Result<reqwest::Response> {
        let stream = self
            .http
            .get(format!("{}/stream", self.client_url))
            .bearer_auth(ADMIN_KEY);
        // Longer than any measurement: a stream has no end.
        let stream = stream.timeout(std::time::Duration::from_hours(1));
        Ok(stream.send().await?.error_for_status()?)
    }

    /// A page of the delivery log.
    pub(crate) async fn log(&self, query: &str) -> Result<Value> {
        send(self.http.get(format!("{}/deliveries?{query}", self.client_url))).await
    }
}

fn id(value: &Value) -> Result<u128> {
    let text = value.as_str().context("an id is a text")?;
    Ok(u128::from_str_radix(&text.replace('-', ""), 16)?)
}

async fn send(request: RequestBuilder) -> Result<Value> {
    let answer = request.bearer_auth(ADMIN_KEY).send().await?;
    let (status, url, text) = (answer.status(), answer.url().path().to_owned(), answer.text().await?);
    ensure!(status.is_success(), "{url} answered {status}: {text}");
    Ok(serde_json::from_str(&text)?)
}
