//! The HTTP API as a test calls it: a bearer key, JSON in, JSON out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

/// Longer than the server's own deadline, so that its answer is seen.
const DEADLINE: Duration = Duration::from_mins(1);

/// Calls a running server.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    key: String,
    client: reqwest::Client,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct ApiAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body; null if it was empty.
    pub json: Value,
}

impl Api {
    /// Calls the server at this address with this key.
    ///
    /// # Panics
    /// If this machine can't make an HTTP client.
    pub fn new(address: SocketAddr, key: &str) -> Self {
        Self {
            base: format!("http://{address}"),
            key: key.to_owned(),
            client: http_client(),
        }
    }

    /// Gets a path, e.g. `/v1/clients`.
    pub async fn get(&self, path: &str) -> Result<ApiAnswer> {
        self.send(self.client.get(format!("{}{path}", self.base))).await
    }

    /// Posts a body.
    pub async fn post(&self, path: &str, body: &Value) -> Result<ApiAnswer> {
        self.send(self.client.post(format!("{}{path}", self.base)).json(body))
            .await
    }

    /// Posts a body with an `Idempotency-Key`.
    pub async fn post_once(&self, path: &str, body: &Value, key: &str) -> Result<ApiAnswer> {
        let request = self.client.post(format!("{}{path}", self.base)).json(body);
        self.send(request.header("idempotency-key", key)).await
    }

    /// Patches with a body.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<ApiAnswer> {
        self.send(self.client.patch(format!("{}{path}", self.base)).json(body))
            .await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<ApiAnswer> {
        let response = request.bearer_auth(&self.key).send().await?;
        let status = response.status().as_u16();
        let body = response.bytes().await?;
        let json = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body).context("not JSON")?
        };
        Ok(ApiAnswer { status, json })
    }
}

/// A client that relies on no process-wide TLS provider, and on nothing of the environment.
///
/// # Panics
/// If this machine can't make an HTTP client.
pub fn http_client() -> reqwest::Client {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows the default versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .timeout(DEADLINE)
        .build()
        .expect("a client with a given TLS configuration can be made")
}
