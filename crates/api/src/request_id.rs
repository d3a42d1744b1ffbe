//! The id of a request: the caller's own, if it is fit to be logged, or a new one.

use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// Carries the id, in and out.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Longer ones are no ids.
const MAX_LENGTH: usize = 128;

/// Names one request in answers and logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(String);

impl RequestId {
    /// The id that the caller sent, if it is one, or a new one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let sent = headers.get(HEADER).and_then(|value| value.to_str().ok());
        sent.filter(|text| is_id(text))
            .map_or_else(Self::draw, |text| Self(text.to_owned()))
    }

    fn draw() -> Self {
        Self(uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn as_header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("letters, digits and four marks make a header")
    }
}

/// Letters, digits, `-`, `_`, `.`, `:`: nothing that could forge a line of a log.
fn is_id(text: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    !text.is_empty() && text.len() <= MAX_LENGTH && text.bytes().all(is_fit)
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(sent: &'static str) -> RequestId {
        RequestId::of(&HeaderMap::from_iter([(HEADER, HeaderValue::from_static(sent))]))
    }

    #[test]
    fn a_callers_id_is_kept_if_it_is_fit_to_be_logged() {
        assert_eq!(id_for("req_1:a.b-C").as_str(), "req_1:a.b-C");
        for unfit in ["", "two words", "a\"b", "a=b"] {
            assert_eq!(id_for(unfit).as_str().len(), 36, "{unfit}");
        }
        assert_ne!(RequestId::of(&HeaderMap::new()), RequestId::of(&HeaderMap::new()));
    }
}
