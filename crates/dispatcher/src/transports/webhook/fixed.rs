//! Headers that a client gives its webhook, the same at every attempt.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use sensei_domain::{Fault, Faults, Fields};
use serde_json::Value;

/// How many a client may give.
pub(super) const MAX_HEADERS: usize = 20;
/// Bytes of all names and values: half of what servers commonly take in all (8 KiB).
pub(super) const MAX_BYTES: usize = 4_096;

/// What we say ourselves, and what belongs to the connection (RFC 9110, section 7.6.1).
const OURS: [&str; 15] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];
/// The beginnings of what we say ourselves.
const OUR_PREFIXES: [&str; 3] = ["ce-", "sensei-", "webhook-"];
/// What is a secret by its nature.
const CREDENTIALS: [&str; 2] = ["authorization", "cookie"];

/// Reads the fields `headers` and `secretHeaders`: all that is wrong, without a value that may be secret.
pub(super) fn read(fields: &mut Fields<'_>, has_auth: bool) -> HeaderMap {
    let mut read = Read {
        headers: HeaderMap::new(),
        bytes: 0,
        has_auth,
    };
    for (field, is_secret) in [("headers", false), ("secretHeaders", true)] {
        let faults = match fields.value(field) {
            None | Some(Value::Null) => continue,
            Some(Value::Object(given)) => {
                let given = given.iter();
                given
                    .filter_map(|(name, value)| {
                        let detail = read.add(name, value, is_secret).err()?;
                        Some(fault(field, name, detail))
                    })
                    .collect()
            }
            Some(_) => vec![fault_at(field, "must be an object of names and values")],
        };
        fields.nested(Faults::of(faults).map_or(Ok(()), Err));
    }
    if read.headers.len() > MAX_HEADERS {
        fields.fault("headers", format!("must be at most {MAX_HEADERS} with the secret ones"));
    }
    if read.bytes > MAX_BYTES {
        fields.fault(
            "headers",
            format!("must have at most {MAX_BYTES} bytes with the secret ones"),
        );
    }
    read.headers
}

struct Read {
    headers: HeaderMap,
    bytes: usize,
    has_auth: bool,
}

impl Read {
    fn add(&mut self, name: &str, value: &Value, is_secret: bool) -> Result<(), &'static str> {
        let value = value.as_str().ok_or("must be a string")?;
        self.bytes += name.len() + value.len();
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| "must be a header's name: letters, digits and hyphens, at most a few others")?;
        if OURS.contains(&name.as_str()) || OUR_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix)) {
            return Err("must not be given: we set this header ourselves, or the connection does");
        }
        if name == "authorization" && self.has_auth {
            return Err("must not be given beside auth, which sets it");
        }
        if !is_secret && CREDENTIALS.contains(&name.as_str()) {
            return Err("must be among secretHeaders, or be made by auth: it is a secret");
        }
        let mut value = visible(value).ok_or("must be visible ASCII, at least one character, spaces only within it")?;
        value.set_sensitive(is_secret);
        // They are refused already, and a map of far too many panics.
        if self.headers.len() > MAX_HEADERS {
            return Ok(());
        }
        match self.headers.insert(name, value) {
            None => Ok(()),
            Some(_) => Err("must be given once, however it is written and in whichever field"),
        }
    }
}

/// A header's value of visible ASCII characters, with spaces between some of them.
pub(super) fn visible(text: &str) -> Option<HeaderValue> {
    let is_visible = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let is_trimmed = !text.is_empty() && text.trim() == text;
    (is_visible && is_trimmed)
        .then(|| HeaderValue::try_from(text).ok())
        .flatten()
}

fn fault_at(field: &str, detail: &str) -> Fault {
    Fault {
        pointer: format!("/{field}"),
        detail: detail.to_owned(),
    }
}

/// A name is repeated only as far as it identifies the header.
fn fault(field: &str, name: &str, detail: &str) -> Fault {
    let name = name.chars().take(100).collect::<String>();
    let name = name.replace('~', "~0").replace('/', "~1");
    fault_at(&format!("{field}/{name}"), detail)
}
