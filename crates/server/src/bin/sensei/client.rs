//! A client of our own API, for the demo and for links that sign in.

use anyhow::{Context, Result, ensure};
use reqwest::{Client, RequestBuilder};
use serde_json::Value;

/// Speaks to one server with one key.
#[derive(Debug)]
pub(crate) struct ApiClient {
    client: Client,
    url: String,
    key: String,
}

impl ApiClient {
    /// A client of the API at this URL (`http://…`, no slash at the end).
    pub(crate) fn new(url: String, key: String) -> Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        if url.starts_with("https:") {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        // Never used on http, but reqwest wants to know it; without it the process's default would be asked.
        let provider = rustls::crypto::ring::default_provider();
        let tls = rustls::ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Client::builder().no_proxy().tls_backend_preconfigured(tls).build()?;
        Ok(Self { client, url, key })
    }

    /// `GET path`; anything but 2xx is an error.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.send(path, self.client.get(format!("{}{path}", self.url))).await
    }

    /// `POST path` with a JSON body; anything but 2xx is an error.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.send(path, self.client.post(format!("{}{path}", self.url)).json(body))
            .await
    }

    async fn send(&self, path: &str, request: RequestBuilder) -> Result<Value> {
        let answer = request
            .bearer_auth(&self.key)
            .send()
            .await
            .with_context(|| format!("{path} doesn't answer"))?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path} answered {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }
}
