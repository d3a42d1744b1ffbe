//! The real program on a database of its own, a receiver, and a browser: what each test begins with.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sensei_test_support::{Api, Binary, Browser, By, Process, Receiver};
use serde_json::{Value, json};

pub(crate) const ADMIN_KEY: &str = "sk_test_0123456789abcdefghijklmnopqrstuvwxyz";
pub(crate) const LIMIT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);

/// Everything a test needs.
pub(crate) struct World {
    pub(crate) browser: Browser,
    pub(crate) api: Api,
    /// `http://` and the server's address.
    pub(crate) origin: String,
    /// Takes what is delivered.
    pub(crate) receiver: Receiver,
    _process: Process,
    _binary: Binary,
}

impl World {
    /// `None` where there is no browser.
    pub(crate) async fn start() -> Result<Option<Self>> {
        Self::start_with(|binary| binary).await
    }

    /// With more settings.
    pub(crate) async fn start_with(set: impl FnOnce(Binary) -> Binary) -> Result<Option<Self>> {
        let Some(browser) = Browser::start().await else {
            return Ok(None);
        };
        let binary = Binary::new(env!("CARGO_BIN_EXE_sensei"))
            .env("SENSEI_ADMIN_KEY", ADMIN_KEY)
            .env("SENSEI_EGRESS_ALLOW", "127.0.0.0/8");
        let binary = set(binary);
        let mut process = binary.start()?;
        let address = process.wait_ready(LIMIT).await?;
        Ok(Some(Self {
            browser,
            api: Api::new(address, ADMIN_KEY),
            origin: format!("http://{address}"),
            receiver: Receiver::start(),
            _process: process,
            _binary: binary,
        }))
    }

    /// Opens a page by its path.
    pub(crate) async fn open(&self, path: &str) -> Result<()> {
        self.browser.open(&format!("{}{path}", self.origin)).await
    }

    /// Signs in as the admin, by the key.
    pub(crate) async fn sign_in(&self) -> Result<()> {
        self.sign_in_with(ADMIN_KEY).await
    }

    /// Signs in by any key.
    pub(crate) async fn sign_in_with(&self, key: &str) -> Result<()> {
        self.open("/admin/sign-in").await?;
        self.browser.fill(By::Field("Secret key"), key).await?;
        self.browser.click(By::Button("Sign in")).await?;
        self.browser.leads_away_from("/sign-in").await.map(drop)
    }

    /// Makes something by the API, and answers with what was made.
    pub(crate) async fn make(&self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.api.post(path, body).await?;
        ensure!(answer.status < 300, "{path}: {answer:?}");
        Ok(answer.json)
    }

    /// As [`World::make`], and answers with its id.
    pub(crate) async fn make_id(&self, path: &str, body: &Value) -> Result<String> {
        text(&self.make(path, body).await?, "id")
    }

    /// Reads something by the API.
    pub(crate) async fn read(&self, path: &str) -> Result<Value> {
        let answer = self.api.get(path).await?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
        Ok(answer.json)
    }

    /// Makes a client, with a Lead Webhook URL or none; answers with its id.
    pub(crate) async fn client(&self, name: &str, url: Option<&str>) -> Result<String> {
        self.make_id("/v1/clients", &json!({"name": name, "leadWebhookUrl": url}))
            .await
    }

    /// Captures a lead; answers with its id.
    pub(crate) async fn lead(&self, client: &str, lead: &Value) -> Result<String> {
        self.make_id(&format!("/v1/clients/{client}/leads"), lead).await
    }

    /// Waits until something that is read by the API is as wanted, and answers with it.
    pub(crate) async fn until(&self, path: &str, is_wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let read = self.read(path).await?;
            if is_wanted(&read) {
                return Ok(read);
            }
            ensure!(Instant::now() < deadline, "{path} is still {read}");
            tokio::time::sleep(POLL).await;
        }
    }
}

/// A text within something of the API's.
pub(crate) fn text(value: &Value, name: &str) -> Result<String> {
    let found = value[name].as_str().map(str::to_owned);
    found.with_context(|| format!("{name} is missing in {value}"))
}

/// Where pictures of pages are kept: `target/e2e`.
pub(crate) fn artefacts() -> Result<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("e2e");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
