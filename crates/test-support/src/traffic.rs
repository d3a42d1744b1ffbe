//! What a browser's logs tell of its pages: what they asked for, and what was wrong with them.

use serde_json::Value;

/// What was seen since the last look.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// All requests that went to a network, in their order.
    pub requests: Vec<Request>,
    /// Errors and warnings of the console: scripts that fail, what a policy forbids, what can't be loaded.
    pub complaints: Vec<String>,
}

/// A request of a page.
#[derive(Debug, Clone)]
pub struct Request {
    id: String,
    /// Where to.
    pub url: String,
    /// What for, in the browser's words: `Document`, `Script`, `EventSource`.
    pub kind: String,
    /// What came over the network, headers included; 0 for what is still coming.
    pub bytes: u64,
}

impl Seen {
    /// The requests that went elsewhere than to this origin, e.g. `http://127.0.0.1:8080`.
    pub fn strangers(&self, origin: &str) -> Vec<&str> {
        let home = format!("{origin}/");
        self.requests
            .iter()
            .map(|request| request.url.as_str())
            .filter(|url| !url.starts_with(&home))
            .collect()
    }
}

/// Reads the performance log and the browser's.
pub(crate) fn gather(performance: &Value, browser: &Value) -> Seen {
    let mut seen = Seen::default();
    for entry in list(performance) {
        let message = entry["message"].as_str().unwrap_or_default();
        let event: Value = serde_json::from_str(message).unwrap_or_default();
        let (method, told) = (&event["message"]["method"], &event["message"]["params"]);
        let id = text(&told["requestId"]);
        match method.as_str() {
            Some("Network.requestWillBeSent") => seen.begin(id, told),
            Some("Network.loadingFinished") => {
                let requests = seen.requests.iter_mut().rev();
                if let Some(request) = requests.into_iter().find(|request| request.id == id) {
                    // A number that may be written as a float, of whole bytes.
                    let bytes = told["encodedDataLength"].to_string();
                    request.bytes = bytes.split('.').next().unwrap_or_default().parse().unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    for entry in list(browser) {
        if matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING")) {
            seen.complaints.push(text(&entry["message"]));
        }
    }
    seen
}

impl Seen {
    fn begin(&mut self, id: String, told: &Value) {
        let url = text(&told["request"]["url"]);
        if url.starts_with("http") || url.starts_with("ws") {
            self.requests.push(Request {
                id,
                url,
                kind: text(&told["type"]),
                bytes: 0,
            });
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
