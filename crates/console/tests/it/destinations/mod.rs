//! Destinations: chosen by kind, made by the form of its schema, checked, changed, paused, tested, deleted.

mod form;
mod kinds;
mod life;

use axum::http::Method;
use serde_json::{Value, json};

use crate::app::{Browser, Page, TestConsole};

/// A client, and the path of its destinations.
async fn client(console: &TestConsole) -> (String, String) {
    let client = console
        .api(Method::POST, "/v1/clients", Some(&json!({"name": "Acme"})))
        .await;
    let id = client["id"].as_str().expect("an id").to_owned();
    let path = format!("/admin/clients/{id}/destinations");
    (id, path)
}

/// A destination of a kind by the API, and the path of its page.
async fn destination(console: &TestConsole, client: &str, body: Value) -> String {
    let path = format!("/v1/clients/{client}/destinations");
    let made = console.api(Method::POST, &path, Some(&body)).await;
    format!(
        "/admin/clients/{client}/destinations/{}",
        made["id"].as_str().expect("an id")
    )
}

async fn read(console: &TestConsole, page: &str) -> Value {
    console.api(Method::GET, &page.replacen("/admin", "/v1", 1), None).await
}

fn webhook(url: &str) -> Value {
    json!({"kind": "webhook", "name": "CRM", "config": {"url": url}})
}

/// Submits a form with some of its fields.
async fn submit(browser: &Browser<'_>, from: &str, to: &str, fields: &[(String, String)]) -> Page {
    let fields = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    browser.submit(from, to, &fields.collect::<Vec<_>>()).await
}

fn plain(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    let fields = fields.iter();
    fields
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}
