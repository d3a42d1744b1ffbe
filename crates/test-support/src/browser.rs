//! A real browser as a person uses it: pages are opened, links and buttons called by their words, fields by their labels.
//!
//! Waits are for what is to be there, up to a limit that fails with what the page shows instead.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::chromium::{Chromium, Programs};
use crate::traffic::{Seen, gather};

const LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);
/// How much of a page is seen at once, in pixels.
const HEIGHT: u32 = 900;
const PICTURE_TRIES: u32 = 3;
const FIND: &str = include_str!("find_element.js");
/// The key under which the protocol names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys that aren't characters, as the protocol writes them.
pub mod keys {
    /// To the next thing that takes the focus.
    pub const TAB: &str = "\u{e004}";
    /// Follows a link, presses a button, sends a form.
    pub const ENTER: &str = "\u{e007}";
    /// Held with others until the end of what is pressed.
    pub const SHIFT: &str = "\u{e008}";
    /// Closes what is open.
    pub const ESCAPE: &str = "\u{e00c}";
}

/// What is looked for on a page, as its user would name it.
#[derive(Debug, Clone, Copy)]
pub enum By<'a> {
    /// A CSS selector.
    Css(&'a str),
    /// A link by its words.
    Link(&'a str),
    /// A button by its words.
    Button(&'a str),
    /// A field by its label.
    Field(&'a str),
}

impl<'a> By<'a> {
    fn parts(self) -> [&'a str; 2] {
        match self {
            Self::Css(what) => ["css", what],
            Self::Link(what) => ["link", what],
            Self::Button(what) => ["button", what],
            Self::Field(what) => ["field", what],
        }
    }
}

/// One window of a browser of its own, with nothing kept from before. It ends with this value.
#[derive(Debug)]
pub struct Browser {
    chromium: Chromium,
    /// The width of [`Browser::be`], if it was called.
    width: Mutex<Option<u32>>,
}

impl Browser {
    /// A browser, or `None` with a loud word where none is installed; where `CI=true` nothing may be skipped, and it panics.
    ///
    /// # Panics
    /// If one is installed and doesn't start.
    pub async fn start() -> Option<Self> {
        let programs = Programs::find_or_skip()?;
        let chromium = Chromium::start(&programs).await;
        let chromium = chromium.expect("Chromium is installed, so it starts");
        Some(Self {
            chromium,
            width: Mutex::new(None),
        })
    }

    /// Opens a page, and waits until it is loaded.
    pub async fn open(&self, url: &str) -> Result<()> {
        let opened = self.chromium.call("/url", &json!({"url": url})).await;
        opened.map(drop).with_context(|| format!("{url} doesn't open"))
    }

    /// Loads the page anew.
    pub async fn reload(&self) -> Result<()> {
        self.chromium.call("/refresh", &json!({})).await.map(drop)
    }

    /// Where it is.
    pub async fn url(&self) -> Result<String> {
        let url = self.chromium.ask("/url").await?;
        url.as_str().map(str::to_owned).context("a page has a URL")
    }

    /// Waits until it is elsewhere than where a URL contains this; answers with where.
    pub async fn leads_away_from(&self, part: &str) -> Result<String> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let url = self.url().await?;
            if !url.contains(part) {
                return Ok(url);
            }
            ensure!(Instant::now() < deadline, "still there: {}", self.shown().await);
            tokio::time::sleep(POLL).await;
        }
    }

    /// Clicks on what is named, once it is there.
    pub async fn click(&self, by: By<'_>) -> Result<()> {
        let element = self.find(by).await?;
        let clicked = self
            .chromium
            .call(&format!("/element/{element}/click"), &json!({}))
            .await;
        clicked.map(drop).with_context(|| format!("{by:?}"))
    }

    /// Types into what is named, once it is there, in place of what it holds.
    pub async fn fill(&self, by: By<'_>, text: &str) -> Result<()> {
        let element = self.find(by).await?;
        let path = format!("/element/{element}");
        self.chromium.call(&format!("{path}/clear"), &json!({})).await?;
        let typed = self
            .chromium
            .call(&format!("{path}/value"), &json!({"text": text}))
            .await;
        typed.map(drop).with_context(|| format!("{by:?}"))
    }

    /// Presses keys, wherever the focus is. See [`keys`].
    pub async fn press(&self, text: &str) -> Result<()> {
        let is_held = |key: &char| keys::SHIFT.starts_with(*key);
        let mut actions = Vec::new();
        for key in text.chars() {
            actions.push(json!({"type": "keyDown", "value": key}));
            if !is_held(&key) {
                actions.push(json!({"type": "keyUp", "value": key}));
            }
        }
        for key in text.chars().filter(is_held) {
            actions.push(json!({"type": "keyUp", "value": key}));
        }
        let body = json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]});
        self.chromium.call("/actions", &body).await.map(drop)
    }

    /// Presses Tab until what is named has the focus, as who uses no mouse does.
    ///
    /// # Errors
    /// If it hasn't after as many presses as a page can need.
    pub async fn tab_to(&self, by: By<'_>) -> Result<()> {
        const MOST: usize = 200;
        let wanted = self.find(by).await?;
        for _ in 0..MOST {
            self.press(keys::TAB).await?;
            let active = self.chromium.ask("/element/active").await;
            if active.is_ok_and(|active| active[ELEMENT] == wanted.as_str()) {
                return Ok(());
            }
        }
        bail!("{by:?} can't be reached by Tab on {}", self.url().await?)
    }

    /// Waits until what is named can be seen.
    pub async fn sees(&self, by: By<'_>) -> Result<()> {
        self.find(by).await.map(drop)
    }

    /// Whether what is named can be seen right now.
    pub async fn has(&self, by: By<'_>) -> Result<bool> {
        Ok(!self.run(FIND, &json!(by.parts())).await?.is_null())
    }

    /// The words within what is named, as they are shown.
    pub async fn text(&self, by: By<'_>) -> Result<String> {
        let element = self.find(by).await?;
        let text = self.chromium.ask(&format!("/element/{element}/text")).await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// What a field holds.
    pub async fn value(&self, by: By<'_>) -> Result<String> {
        let element = self.find(by).await?;
        let value = self.chromium.ask(&format!("/element/{element}/property/value")).await?;
        Ok(value.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the page shows a text.
    pub async fn reads(&self, text: &str) -> Result<()> {
        self.reads_within(text, LIMIT).await
    }

    /// As [`Browser::reads`], within a time that matters.
    pub async fn reads_within(&self, text: &str, limit: Duration) -> Result<()> {
        const SHOWS: &str = "return document.body.innerText.includes(arguments[0])";
        let deadline = Instant::now() + limit;
        // A page that is just being left can't be asked.
        while !self.run(SHOWS, &json!([text])).await.is_ok_and(|shown| shown == true) {
            if Instant::now() >= deadline {
                bail!("{text:?} isn't shown after {limit:?}: {}", self.shown().await);
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Runs a function's body in the page; a promise is waited for.
    pub async fn run(&self, script: &str, arguments: &Value) -> Result<Value> {
        self.chromium
            .call("/execute/sync", &json!({"script": script, "args": arguments}))
            .await
    }

    /// A `DevTools` command, e.g. `Network.clearBrowserCache`.
    pub async fn devtools(&self, command: &str, parameters: &Value) -> Result<Value> {
        let body = json!({"cmd": command, "params": parameters});
        let answer = self.chromium.call("/goog/cdp/execute", &body).await;
        answer.with_context(|| command.to_owned())
    }

    /// Shows pages from now on as a screen of this width would, and for a system that is dark or light.
    pub async fn be(&self, width: u32, is_dark: bool) -> Result<()> {
        *self.width.lock().expect("no holder panics") = Some(width);
        self.resize(width, HEIGHT).await?;
        let theme = if is_dark { "dark" } else { "light" };
        let theme = json!({"features": [{"name": "prefers-color-scheme", "value": theme}]});
        self.devtools("Emulation.setEmulatedMedia", &theme).await.map(drop)
    }

    /// Cuts the page off from all networks, or connects it again.
    pub async fn be_offline(&self, is_offline: bool) -> Result<()> {
        let conditions = json!({"offline": is_offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
        self.devtools("Network.emulateNetworkConditions", &conditions)
            .await
            .map(drop)
    }

    async fn resize(&self, width: u32, height: u32) -> Result<()> {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.devtools("Emulation.setDeviceMetricsOverride", &size)
            .await
            .map(drop)
    }

    /// The whole page as a PNG, what has to be scrolled to included. The page must have been given a width, by [`Browser::be`].
    pub async fn picture(&self) -> Result<Vec<u8>> {
        let width = *self.width.lock().expect("no holder panics");
        let width = width.context("the width is given first")?;
        let height = self
            .run("return document.documentElement.scrollHeight", &json!([]))
            .await?;
        let height = height.as_u64().context("a page has a height")?;
        self.resize(width, u32::try_from(height)?.max(HEIGHT)).await?;
        let picture = self.picture_of_window().await;
        self.resize(width, HEIGHT).await?;
        picture
    }

    /// What is to be seen of the page without scrolling, as a PNG.
    pub async fn picture_of_window(&self) -> Result<Vec<u8>> {
        // A headless Chromium sometimes draws no frame for it. chromedriver gives up after a while, unlike the DevTools
        // command of the same purpose, and the next one comes.
        let mut tries = 1;
        let picture = loop {
            match self.chromium.ask("/screenshot").await {
                Ok(picture) => break picture,
                Err(error) if tries == PICTURE_TRIES => return Err(error),
                Err(_) => tries += 1,
            }
        };
        Ok(STANDARD.decode(picture.as_str().context("a picture")?)?)
    }

    /// What pages have asked for, and what the browser has found wrong with them, since it was last asked. Waits until what was asked for
    /// has come, but for streams.
    pub async fn seen(&self) -> Result<Seen> {
        let deadline = Instant::now() + LIMIT;
        let mut entries = Vec::new();
        loop {
            let log = self.chromium.call("/se/log", &json!({"type": "performance"})).await?;
            entries.extend(log.as_array().cloned().unwrap_or_default());
            let seen = gather(&entries);
            if seen.is_complete() || Instant::now() >= deadline {
                let complaints = self.chromium.call("/se/log", &json!({"type": "browser"})).await?;
                return Ok(seen.with_complaints(&complaints));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn find(&self, by: By<'_>) -> Result<String> {
        let deadline = Instant::now() + LIMIT;
        loop {
            // A page that is just being left can't be asked.
            if let Ok(found) = self.run(FIND, &json!(by.parts())).await
                && let Some(id) = found[ELEMENT].as_str()
            {
                return Ok(id.to_owned());
            }
            ensure!(
                Instant::now() < deadline,
                "{by:?} isn't there after {LIMIT:?}: {}",
                self.shown().await
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// For a failure's message.
    async fn shown(&self) -> String {
        const WORDS: &str = "return location.href + '\\n' + document.body.innerText";
        let words = self.run(WORDS, &json!([])).await;
        words.map_or_else(
            |error| error.to_string(),
            |words| words.as_str().unwrap_or_default().to_owned(),
        )
    }
}
