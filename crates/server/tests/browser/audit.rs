//! What must hold of every page: nothing that the browser complains of, nothing from elsewhere, nothing heavy, nothing that is wider than
//! the screen, and nothing that axe-core finds.

use std::path::Path;

use anyhow::{Context, Result};
use sensei_test_support::{Browser, Seen};
use serde_json::{Value, json};

pub(crate) const AXE: &str = include_str!("vendored/axe-4.14.1.min.js");

/// A first view asks for the page, a style and two scripts at the most; a stream begins after it.
const MOST_REQUESTS: usize = 4;
const MOST_BYTES: u64 = 150_000;

/// WCAG 2.2 AA, and what is good practice beyond. The size of targets is the one rule of 2.2 that axe has switched off by default.
const RUN_AXE: &str = r"
    return axe.run(document, {
        runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
        rules: {'target-size': {enabled: true}},
        resultTypes: ['violations'],
    }).then((found) => ({
        rules: found.passes.length,
        violations: found.violations.map((rule) => rule.id + ': ' + rule.nodes.slice(0, 3)
            .map((node) => node.target.join(' ') + ' ' + node.html.slice(0, 160) + ' ' + node.failureSummary).join(' | ')),
    }));
";
const TOO_WIDE: &str = r"
    const page = document.scrollingElement;
    if (page.scrollWidth <= page.clientWidth) return [];
    const over = [...document.querySelectorAll('body *')].filter((node) => node.getBoundingClientRect().right > page.clientWidth + 1);
    return [`the page is ${page.scrollWidth} px wide on ${page.clientWidth} px: `
        + over.slice(0, 5).map((node) => node.outerHTML.slice(0, 120)).join(' | ')];
";
/// Enough that axe has looked at the page at all.
const LEAST_RULES: u64 = 8;

/// One look at a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub(crate) width: u32,
    pub(crate) is_dark: bool,
}

impl View {
    /// `360-dark`
    fn name(self) -> String {
        format!("{}-{}", self.width, if self.is_dark { "dark" } else { "light" })
    }

    /// Looks at pages in this way from now on, each as one who comes for the first time.
    pub(crate) async fn begin(self, browser: &Browser) -> Result<()> {
        browser.be(self.width, self.is_dark).await?;
        let never = json!({"cacheDisabled": true});
        browser.devtools("Network.setCacheDisabled", &never).await.map(drop)
    }

    /// What is wrong with the page that has just been opened, by `seen` and as it is. `status` is the one that it is to have.
    pub(crate) async fn faults(self, browser: &Browser, origin: &str, status: u16, seen: &Seen) -> Result<Vec<String>> {
        let mut faults = complaints(seen, status);
        faults.extend(
            seen.strangers(origin)
                .into_iter()
                .map(|url| format!("asks another origin: {url}")),
        );
        // A page that answers a form was opened before; what came then counts no more.
        let shown = seen.requests.iter().rposition(|request| request.kind == "Document");
        let view = &seen.requests[shown.unwrap_or_default()..];
        let view: Vec<_> = view.iter().filter(|request| !request.is_stream()).collect();
        let bytes: u64 = view.iter().map(|request| request.bytes).sum();
        if view.is_empty() || bytes == 0 {
            faults.push("nothing was seen of its requests".to_owned());
        }
        if view.len() > MOST_REQUESTS {
            faults.push(format!("{} requests: {view:?}", view.len()));
        }
        if bytes > MOST_BYTES {
            faults.push(format!("{bytes} bytes: {view:?}"));
        }
        faults.extend(strings(&browser.run(TOO_WIDE, &json!([])).await?));
        faults.extend(axe(browser).await?);
        Ok(faults)
    }

    /// Keeps a picture of the page.
    pub(crate) async fn keep(self, browser: &Browser, folder: &Path, page: &str) -> Result<()> {
        let file = folder.join(format!("{page}-{}.png", self.name()));
        let picture = browser.picture().await?;
        std::fs::write(&file, picture).with_context(|| file.display().to_string())
    }
}

/// What axe-core finds.
pub(crate) async fn axe(browser: &Browser) -> Result<Vec<String>> {
    browser.run(AXE, &json!([])).await?;
    let found = browser.run(RUN_AXE, &json!([])).await?;
    let mut violations = strings(&found["violations"]);
    if found["rules"].as_u64() < Some(LEAST_RULES) {
        violations.push(format!("axe hardly looked: {found}"));
    }
    Ok(violations)
}

/// What the browser complains of, but for the status that the page is to have.
fn complaints(seen: &Seen, status: u16) -> Vec<String> {
    let wanted = format!("the server responded with a status of {status} ");
    let complaints = seen.complaints.iter();
    complaints
        .filter(|complaint| status < 400 || !complaint.contains(&wanted))
        .map(|complaint| format!("the browser complains: {complaint}"))
        .collect()
}

fn strings(value: &Value) -> Vec<String> {
    let list = value.as_array().into_iter().flatten();
    list.map(|text| text.as_str().unwrap_or_default().to_owned()).collect()
}
