//! A client to look at, with what it has.

use axum::http::Method;
use serde_json::{Value, json};

use crate::app::TestConsole;

/// A client with a destination at which nobody listens.
pub(crate) struct Acme {
    pub(crate) id: String,
    pub(crate) destination: String,
}

impl Acme {
    pub(crate) async fn new(console: &TestConsole) -> Self {
        Self::sending_to(console, "Acme", "http://127.0.0.1:9/leads").await
    }

    /// A client of this name, with this Lead Webhook URL.
    pub(crate) async fn sending_to(console: &TestConsole, name: &str, url: &str) -> Self {
        let client = json!({"name": name, "leadWebhookUrl": url});
        let client = console.api(Method::POST, "/v1/clients", Some(&client)).await;
        let settings = &client["settings"];
        Self {
            id: client["id"].as_str().expect("an id").to_owned(),
            destination: settings["destinationId"].as_str().expect("an id").to_owned(),
        }
    }

    pub(crate) fn page(&self, path: &str) -> String {
        format!("/admin/clients/{}{path}", self.id)
    }

    pub(crate) fn api(&self, path: &str) -> String {
        format!("/v1/clients/{}{path}", self.id)
    }

    /// Captures a lead and answers its id.
    pub(crate) async fn lead(&self, console: &TestConsole, lead: &Value) -> String {
        let lead = console.api(Method::POST, &self.api("/leads"), Some(lead)).await;
        lead["id"].as_str().expect("an id").to_owned()
    }

    /// Sends a sample now, and answers its delivery's id.
    pub(crate) async fn test(&self, console: &TestConsole) -> String {
        let path = self.api(&format!("/destinations/{}/test", self.destination));
        let tested = console.api(Method::POST, &path, None).await;
        tested["deliveryId"].as_str().expect("an id").to_owned()
    }

    /// The newest delivery's id.
    pub(crate) async fn delivery(&self, console: &TestConsole) -> String {
        let list = console.api(Method::GET, &self.api("/deliveries"), None).await;
        list["items"][0]["id"].as_str().expect("a delivery").to_owned()
    }
}

/// Somebody who has filled the form.
pub(crate) fn jane() -> Value {
    json!({"name": "Jane Doe", "email": "jane@example.com", "phone": "+1 555", "message": "A quote, please", "custom": {"budget": "10k"}})
}
