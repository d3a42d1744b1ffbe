//! What was sent, as far as it is kept or known.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::json_text::pretty;
use crate::page::text;
use crate::shown::AttemptShown;

/// A request, for the page.
#[derive(Debug, Clone)]
pub(super) struct RequestShown {
    pub(super) method: String,
    /// As the attempt has logged it; empty if none was made.
    pub(super) url: String,
    /// Name, value, and whether that is the value itself and not words about it.
    pub(super) headers: Vec<(&'static str, String, bool)>,
    /// The event, with line breaks.
    pub(super) body: Option<String>,
    /// Whether the body is the very one that is sent.
    pub(super) is_as_sent: bool,
    pub(super) curl: String,
    /// Why there is no body.
    pub(super) absent: &'static str,
}

impl RequestShown {
    /// `sent` is the event's body as [`sent`] finds it.
    pub(super) fn of(
        delivery: &Value,
        sent: Option<&str>,
        attempt: Option<&AttemptShown>,
        destination: Option<&Value>,
    ) -> Self {
        let none = Value::Null;
        let config = destination.map_or(&none, |destination| &destination["config"]);
        let given = |name: &str| config[name].as_str().filter(|text| !text.is_empty());
        let kind = match text(delivery, "destinationKind") {
            "" => destination.map_or("", |destination| text(destination, "kind")),
            kind => kind,
        };
        let is_webhook = kind == "webhook";
        let is_plain_body = matches!(given("body"), None | Some("json"));
        let is_untouched = destination.is_some_and(|destination| destination["template"].is_null());
        let is_as_sent = is_webhook && is_plain_body && is_untouched;
        let method = given("method").filter(|_| is_webhook).unwrap_or("POST").to_owned();
        let url = attempt.and_then(|attempt| attempt.url.clone()).unwrap_or_default();
        let content_type = if is_plain_body {
            "application/json"
        } else {
            "as the destination's form of body has it"
        };
        let mut headers = vec![("content-type", content_type.to_owned(), is_plain_body)];
        headers.push((
            "user-agent",
            format!("Sensei-Webhooks/{}", env!("CARGO_PKG_VERSION")),
            true,
        ));
        if is_webhook || matches!(kind, "zapier" | "make" | "") {
            headers.push(("webhook-id", text(delivery, "eventId").to_owned(), true));
            headers.push(("webhook-timestamp", "made anew for each attempt".to_owned(), false));
            headers.push((
                "webhook-signature",
                "made anew for each attempt, of the id, the time and the body".to_owned(),
                false,
            ));
        }
        if is_webhook && !config["auth"].is_null() {
            headers.push(("authorization", "the destination's credentials".to_owned(), false));
        }
        let id = text(delivery, "eventId");
        Self {
            curl: sent.map(|sent| curl(&method, &url, id, sent)).unwrap_or_default(),
            body: sent.map(pretty),
            absent: if delivery.get("event").is_some() {
                "The lead was erased, and with it what was sent."
            } else {
                "What was sent isn't kept any more."
            },
            method,
            url,
            headers,
            is_as_sent,
        }
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    event: Option<Event<'a>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
}

/// The event's body in the API's answer, byte for byte; an answer may hold it as JSON or as a text.
pub(super) fn sent(answer: &str) -> Option<String> {
    let answer = serde_json::from_str::<Answer<'_>>(answer).ok()?;
    let body = answer.event?.body?.get();
    if body == "null" {
        return None;
    }
    Some(serde_json::from_str::<String>(body).unwrap_or_else(|_| body.to_owned()))
}

/// A command for a POSIX shell.
fn curl(method: &str, url: &str, id: &str, body: &str) -> String {
    let url = if url.is_empty() { "https://…" } else { url };
    format!(
        "curl --request {method} {} \\\n  --header 'content-type: application/json' \\\n  --header {} \\\n  --data-raw {}",
        quoted(url),
        quoted(&format!("webhook-id: {id}")),
        quoted(body),
    )
}

/// One word of a shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_gets_out_of_a_shells_quotes() {
        for (text, word) in [
            ("a", "'a'"),
            ("it's", r"'it'\''s'"),
            ("$(rm) `x` \"\\", "'$(rm) `x` \"\\'"),
            ("'; rm -rf /; '", r"''\''; rm -rf /; '\'''"),
        ] {
            assert_eq!(quoted(text), word);
        }
    }

    #[test]
    fn body_is_said_to_be_the_one_that_was_sent_only_if_it_is() {
        let answer = r#"{"eventId": "e", "event": {"body": {"b":1,"a":"x"}}}"#;
        let delivery = serde_json::from_str::<Value>(answer).expect("JSON");
        for (destination, is_as_sent) in [
            (
                json!({"kind": "webhook", "template": null, "config": {"url": "u"}}),
                true,
            ),
            (
                json!({"kind": "webhook", "template": null, "config": {"body": "json"}}),
                true,
            ),
            (
                json!({"kind": "webhook", "template": null, "config": {"body": "form"}}),
                false,
            ),
            (
                json!({"kind": "webhook", "template": {"body": "x"}, "config": {}}),
                false,
            ),
            (json!({"kind": "slack", "template": null, "config": {}}), false),
        ] {
            let shown = RequestShown::of(&delivery, sent(answer).as_deref(), None, Some(&destination));
            assert_eq!(shown.is_as_sent, is_as_sent, "{destination}");
        }
        let shown = RequestShown::of(&delivery, sent(answer).as_deref(), None, None);
        assert!(!shown.is_as_sent, "a deleted one isn't known");
        assert!(shown.body.is_some_and(|body| body.contains('\n')));
        assert!(shown.curl.contains(r#"--data-raw '{"b":1,"a":"x"}'"#), "{}", shown.curl);
        let erased = RequestShown::of(&json!({"event": {"body": null}}), None, None, None);
        assert_eq!(sent(r#"{"event": {"body": null}}"#), None);
        assert_eq!(
            sent(r#"{"event": {"body": "{\"a\":1}"}}"#).as_deref(),
            Some(r#"{"a":1}"#)
        );
        assert_eq!(sent("{}"), None);
        assert!(erased.body.is_none() && erased.absent.contains("erased"));
    }
}
