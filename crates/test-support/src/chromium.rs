//! A Chromium of a test's own, driven through `chromedriver` by the `WebDriver` protocol: JSON over HTTP.
//!
//! Promises that neither outlives its [`Chromium`], nor its profile, which is a temporary one. Nothing of it is on the
//! network but what a page asks for. Chromium's own additions to the protocol are used too: its logs, and its
//! `DevTools` commands.

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api::http_client;
use crate::binary::Process;

/// A start reads some hundred MB from the disk, on a machine that is busy with other tests.
const START_LIMIT: Duration = Duration::from_mins(1);
/// What chromedriver prints before the port that it has chosen.
const STARTED: &str = "started successfully on port ";
/// How long the last of its processes may take to let go of the profile.
const END_LIMIT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// The programs' names; Debian's, and those of others.
const DRIVERS: [&str; 1] = ["chromedriver"];
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The browser runs no GPU, no sandbox (tests may run as root in a container), and no errand of its own; it draws whoever looks.
const FLAGS: [&str; 15] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--hide-scrollbars",
    "--window-size=1280,900",
];

/// One window of a browser, with its protocol's session.
#[derive(Debug)]
pub(crate) struct Chromium {
    client: reqwest::Client,
    session: String,
    /// The browser itself: chromedriver's end wouldn't end it.
    browser: Option<u32>,
    driver: Process,
    profile: Option<TempDir>,
}

/// Both programs, where they are installed.
#[derive(Debug)]
pub(crate) struct Programs {
    driver: PathBuf,
    browser: PathBuf,
}

impl Programs {
    pub(crate) fn find() -> Option<Self> {
        Some(Self {
            driver: on_path(&DRIVERS)?,
            browser: on_path(&BROWSERS)?,
        })
    }

    /// As [`Programs::find`]; says loudly that tests are skipped, or panics where `CI=true`.
    pub(crate) fn find_or_skip() -> Option<Self> {
        let found = Self::find();
        if found.is_none() {
            assert!(
                env::var("CI").as_deref() != Ok("true"),
                "Chromium or its chromedriver is not installed, and with CI=true no test may be skipped"
            );
            // Not `eprintln`: the test harness would keep that to itself when the test passes.
            writeln!(
                std::io::stderr(),
                "SKIPPED: Chromium is not installed (apt-get install chromium chromium-driver), its tests are not run"
            )
            .ok();
        }
        found
    }
}

impl Chromium {
    pub(crate) async fn start(programs: &Programs) -> Result<Self> {
        let profile = tempfile::Builder::new().prefix("sensei-chromium-").tempdir()?;
        let mut command = Command::new(&programs.driver);
        // What they leave that are killed goes with the profile.
        command.env("TMPDIR", profile.path());
        command.arg("--port=0").stdin(Stdio::null());
        let mut driver = Process::spawn(command)?;
        driver.wait_output(STARTED, START_LIMIT).await?;
        let output = driver.output();
        let (_, port) = output.split_once(STARTED).context("it was waited for")?;
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        let mut chromium = Self {
            client: http_client(),
            session: format!("http://127.0.0.1:{port}/session"),
            browser: None,
            driver,
            profile: None,
        };
        let begun = chromium.call("", &capabilities(programs, profile.path())).await;
        chromium.profile = Some(profile);
        let begun = begun.with_context(|| format!("no browser was started: {}", chromium.driver.output()))?;
        let browser = begun["capabilities"]["goog:processID"].as_u64();
        chromium.browser = browser.and_then(|id| id.try_into().ok());
        let id = begun["sessionId"].as_str().context("a session has an id")?;
        chromium.session = format!("{}/{id}", chromium.session);
        Ok(chromium)
    }

    /// Calls a command of the session, and answers with its value.
    pub(crate) async fn call(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.client.post(format!("{}{path}", self.session)).json(body);
        Self::answer(path, request).await
    }

    /// Asks for something of the session.
    pub(crate) async fn ask(&self, path: &str) -> Result<Value> {
        Self::answer(path, self.client.get(format!("{}{path}", self.session))).await
    }

    async fn answer(path: &str, request: reqwest::RequestBuilder) -> Result<Value> {
        let mut answer: Value = request.send().await?.json().await?;
        let value = answer["value"].take();
        if let Some(error) = value["error"].as_str() {
            let message = value["message"].as_str().unwrap_or_default();
            bail!("{path}: {error}: {}", message.lines().next().unwrap_or_default());
        }
        Ok(value)
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        if let Some(browser) = self.browser {
            // It is chromedriver's child still, so that nobody else can have its number.
            let family = family(browser);
            let ids = family.iter().map(ToString::to_string);
            Command::new("kill").arg("-KILL").args(ids).status().ok();
        }
        self.driver.kill();
        if let Some(profile) = self.profile.take() {
            remove(profile.path());
        }
    }
}

/// A process and all that it has started: those of a browser that were only to notice its end would write to the profile once more.
/// Where there is no `/proc`, the process alone.
fn family(process: u32) -> Vec<u32> {
    let mut found = vec![process];
    let mut next = 0;
    while let Some(parent) = found.get(next) {
        // Each thread has the processes that it has started.
        for thread in fs::read_dir(format!("/proc/{parent}/task"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            found.extend(
                children
                    .split_ascii_whitespace()
                    .filter_map(|id| id.parse::<u32>().ok()),
            );
        }
        next += 1;
    }
    found
}

/// Removes the profile, to which a process that ends may write a last time.
#[expect(
    clippy::disallowed_methods,
    reason = "polls for the end of processes that aren't our children, while a value is dropped"
)]
fn remove(profile: &Path) {
    let deadline = Instant::now() + END_LIMIT;
    while fs::remove_dir_all(profile).is_err() && profile.exists() && Instant::now() < deadline {
        std::thread::sleep(POLL);
    }
}

fn capabilities(programs: &Programs, profile: &Path) -> Value {
    let mut flags: Vec<_> = FLAGS.iter().map(|flag| Value::from(*flag)).collect();
    flags.push(format!("--user-data-dir={}", profile.display()).into());
    // Else it begins with a page of its own, which asks for this and that.
    flags.push("about:blank".into());
    json!({"capabilities": {"alwaysMatch": {
        "browserName": "chrome",
        "timeouts": {"pageLoad": 60_000, "script": 60_000},
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        "goog:chromeOptions": {
            "binary": programs.browser,
            "args": flags,
            "perfLoggingPrefs": {"enableNetwork": true, "enablePage": false},
        },
    }}})
}

fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let folders: Vec<_> = env::split_paths(&path).collect();
    let mut candidates = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    candidates.find(|candidate| candidate.is_file())
}
