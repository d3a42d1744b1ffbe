//! What a webhook's body is made of an event: the event itself, the fields of a form, or an envelope of CloudEvents 1.0.

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use sensei_persistence::Job;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::egress::Failure;

/// How many names a form's field has at most: `data[custom][budget]`.
const NAMES: usize = 3;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// The event's body as it is.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// The event's body within an envelope (CloudEvents' JSON format, section 3).
    Structured,
    /// The event's body as it is, the envelope in headers (CloudEvents' HTTP binding, section 3.1).
    Binary,
}

/// A body, and the headers that tell of it.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) body: Bytes,
    pub(super) content_type: HeaderValue,
    pub(super) envelope: HeaderMap,
}

impl Content {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "json" => Self::Json,
            "form" => Self::Form,
            "cloudEventsStructured" => Self::Structured,
            "cloudEventsBinary" => Self::Binary,
            _ => return None,
        })
    }

    /// What is sent of a job, whose event this is or what a template made of it.
    pub(super) fn of(self, job: &Job, event: Bytes) -> Result<Made, Failure> {
        let (body, content_type, envelope) = match self {
            Self::Json => (event, "application/json", HeaderMap::new()),
            Self::Form => {
                let form = form(&read(&event)?);
                (form.into(), "application/x-www-form-urlencoded", HeaderMap::new())
            }
            Self::Structured => (
                structured(job, &event)?,
                "application/cloudevents+json",
                HeaderMap::new(),
            ),
            Self::Binary => (event, "application/json", binary(job)?),
        };
        Ok(Made {
            body,
            content_type: HeaderValue::from_static(content_type),
            envelope,
        })
    }
}

fn read(body: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::Ours(format!("the event can't be read ({error})")))
}

/// The fields of an event, named as PHP and its kin read them: `data[email]`. What is null is empty; what a lead's own field nests
/// is its JSON, for names of all that is within would make the form thousands of times as long as the event.
fn form(event: &Value) -> String {
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    flatten("", event, NAMES, &mut |name, text| {
        pairs.append_pair(name, text);
    });
    pairs.finish()
}

/// `names`: how many more a field may have.
fn flatten(name: &str, value: &Value, names: usize, add: &mut impl FnMut(&str, &str)) {
    match value {
        Value::Null => add(name, ""),
        Value::String(text) => add(name, text),
        Value::Object(fields) if names > 0 => {
            for (key, field) in fields {
                // A name that holds brackets must not seem to be several.
                let key = key.replace(['[', ']'], "_");
                let below = if name.is_empty() { key } else { format!("{name}[{key}]") };
                flatten(&below, field, names - 1, add);
            }
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => add(name, &value.to_string()),
    }
}

/// The attributes of an event's envelope, all of them texts.
fn attributes(job: &Job) -> Result<[(&'static str, String); 6], Failure> {
    let event = read(&job.body)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let data = &event["data"];
    // What it is about: a lead, or a destination.
    let subject = if data["id"].is_string() {
        &data["id"]
    } else {
        &data["destinationId"]
    };
    Ok([
        ("specversion", "1.0".to_owned()),
        ("id", job.event_id.to_string()),
        ("source", format!("/v1/clients/{}", text(&data["clientId"]))),
        ("type", text(&event["event"])),
        ("time", text(&event["timestamp"])),
        ("subject", text(subject)),
    ])
}

/// The event's bytes are the data as they are, white space and all.
fn structured(job: &Job, event: &[u8]) -> Result<Bytes, Failure> {
    let attributes = attributes(job)?.map(|(name, text)| format!("\"{name}\":{},", json!(text)));
    let envelope = format!(
        "{{{}\"datacontenttype\":\"application/json\",\"data\":",
        attributes.concat()
    );
    let mut body = envelope.into_bytes();
    body.extend_from_slice(event);
    body.push(b'}');
    Ok(body.into())
}

fn binary(job: &Job) -> Result<HeaderMap, Failure> {
    let headers = attributes(job)?.into_iter().map(|(name, text)| {
        let name = HeaderName::try_from(format!("ce-{name}")).expect("attributes have letters only");
        (name, encoded(&text))
    });
    Ok(headers.collect())
}

/// A text as a header's value: all but visible ASCII is percent-encoded, and so are quotes and what stands for encoding
/// (CloudEvents' HTTP binding, section 3.1.3.2).
fn encoded(text: &str) -> HeaderValue {
    let value = text.bytes().map(|byte| match byte {
        b'!'..=b'~' if !matches!(byte, b'"' | b'%') => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    let value = value.collect::<String>();
    HeaderValue::try_from(value).expect("it is visible ASCII")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_form_names_fields_by_their_way() {
        let event = json!({
            "event": "lead.created",
            "data": {"name": "Zoë & co=1", "phone": null, "custom": {"tags": ["a", {"b": true}], "n": 1.5, "x][email]": "y", "none": {}}}
        });
        let pairs = form_urlencoded::parse(form(&event).as_bytes())
            .into_owned()
            .collect::<std::collections::BTreeMap<_, _>>();
        let expected = [
            ("event", "lead.created"),
            ("data[name]", "Zoë & co=1"),
            ("data[phone]", ""),
            ("data[custom][tags]", r#"["a",{"b":true}]"#),
            ("data[custom][n]", "1.5"),
            ("data[custom][x__email_]", "y"),
            ("data[custom][none]", "{}"),
        ];
        assert_eq!(
            pairs,
            expected.map(|(name, text)| (name.to_owned(), text.to_owned())).into()
        );
    }

    #[test]
    fn a_form_is_as_long_as_its_event_however_that_is_nested() {
        let deep = (0..100).fold(json!(0), |inner, _| json!({"a": inner, "b": [0, 0, 0]}));
        for items in [json!(vec![0; 4_000]), deep] {
            let event = json!({"data": {"custom": {"items": items}}});
            let form = form(&event);
            // Each byte is three at most when it is encoded.
            assert!(form.len() <= 3 * event.to_string().len(), "{}", form.len());
            let name = "data[custom][items]".to_owned();
            let pairs = form_urlencoded::parse(form.as_bytes()).into_owned();
            assert_eq!(pairs.collect::<Vec<_>>(), [(name, items.to_string())]);
        }
    }

    #[test]
    fn an_attribute_is_encoded_as_the_binding_says() {
        let cases = [
            ("lead.created", "lead.created"),
            ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
            ("a\"b%c\r\nx: y", "a%22b%25c%0D%0Ax:%20y"),
        ];
        for (text, expected) in cases {
            assert_eq!(encoded(text), expected);
        }
    }

    proptest! {
        #[test]
        fn whatever_a_text_is_its_header_is_one_and_is_read_back(text in any::<String>()) {
            let value = encoded(&text);
            let value = value.to_str().expect("visible ASCII");
            prop_assert!(value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"'));
            let mut bytes = Vec::new();
            let mut rest = value;
            while let Some(first) = rest.chars().next() {
                if first == '%' {
                    bytes.push(u8::from_str_radix(&rest[1..3], 16).expect("two digits"));
                    rest = &rest[3..];
                } else {
                    bytes.push(u8::try_from(first).expect("ASCII"));
                    rest = &rest[1..];
                }
            }
            prop_assert_eq!(bytes, text.into_bytes());
        }
    }
}
