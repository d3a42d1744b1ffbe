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
    is_over: bool,
    /// Where to.
    pub url: String,
    /// What for, in the browser's words: `Document`, `Script`, `EventSource`.
    pub kind: String,
    /// What came over the network, headers included; 0 for what is still coming.
    pub bytes: u64,
}

impl Request {
    /// Whether it is a stream of events, which doesn't end by itself.
    pub fn is_stream(&self) -> bool {
        self.kind == "EventSource"
    }
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

    /// Whether nothing is still coming, but for streams.
    pub(crate) fn is_complete(&self) -> bool {
        self.requests
            .iter()
            .all(|request| request.is_over || request.is_stream())
    }

    /// With what the browser's own log has.
    pub(crate) fn with_complaints(mut self, log: &Value) -> Self {
        for entry in log.as_array().into_iter().flatten() {
            if matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING")) {
                self.complaints.push(text(&entry["message"]));
            }
        }
        self
    }

    fn begin(&mut self, id: String, told: &Value) {
        // One that is led elsewhere begins again under the same name.
        self.end(&id, 0);
        let url = text(&told["request"]["url"]);
        if url.starts_with("http") || url.starts_with("ws") {
            self.requests.push(Request {
                id,
                is_over: false,
                url,
                kind: text(&told["type"]),
                bytes: 0,
            });
        }
    }

    fn end(&mut self, id: &str, bytes: u64) {
        let mut named = self.requests.iter_mut().rev().filter(|request| request.id == id);
        if let Some(request) = named.next() {
            (request.is_over, request.bytes) = (true, bytes);
        }
    }
}

/// Reads entries of the performance log.
pub(crate) fn gather(performance: &[Value]) -> Seen {
    let mut seen = Seen::default();
    for entry in performance {
        let message = entry["message"].as_str().unwrap_or_default();
        let event: Value = serde_json::from_str(message).unwrap_or_default();
        let (method, told) = (&event["message"]["method"], &event["message"]["params"]);
        let id = text(&told["requestId"]);
        match method.as_str() {
            Some("Network.requestWillBeSent") => seen.begin(id, told),
            Some("Network.loadingFinished") => {
                // A number that may be written as a float, of whole bytes.
                let bytes = told["encodedDataLength"].to_string();
                let bytes = bytes.split('.').next().unwrap_or_default().parse();
                seen.end(&id, bytes.unwrap_or_default());
            }
            Some("Network.loadingFailed") => seen.end(&id, 0),
            _ => {}
        }
    }
    seen
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
