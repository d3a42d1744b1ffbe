//! The header `Idempotency-Key`: what makes a POST safe to repeat.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sensei_persistence::{Answer, Captured, KeyedRequest, Once};

use crate::problem::{Problem, ProblemError};

pub(crate) const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// On an answer that an equal request got before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
pub(crate) const MAX_LENGTH: usize = 255;

/// The key of a request that can be repeated, if it has one.
pub(crate) struct IdempotencyKey(Option<String>);

impl IdempotencyKey {
    /// What the store needs to know the request again. The path is the API's own, wherever it is nested.
    pub(crate) fn request(self, path: String, fingerprint: impl FnOnce() -> [u8; 32]) -> Option<KeyedRequest> {
        self.0.map(|key| KeyedRequest {
            key,
            method: "POST",
            path,
            fingerprint: fingerprint(),
        })
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        read(&parts.headers).map(Self)
    }
}

fn read(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let wrong = |detail| Problem::invalid_request(vec![ProblemError::of_header(HEADER.as_str(), detail)]);
    if values.next().is_some() {
        return Err(wrong("must be given once"));
    }
    let is_key =
        |text: &&str| (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let key = value.to_str().ok().filter(is_key);
    key.map(|key| Some(key.to_owned()))
        .ok_or_else(|| wrong("must be 1 to 255 visible ASCII characters"))
}

/// The answer of a request that takes effect once.
pub(crate) fn respond<T>(once: Once<T>) -> Response {
    response(once.answer, once.done.is_none())
}

/// The answer of a capture: what was made for it, or what an equal request got before.
pub(crate) fn respond_captured(captured: Captured, answer: Answer) -> Response {
    match captured {
        Captured::Now => response(answer, false),
        Captured::Before(before) => response(before, true),
    }
}

/// An answer that an equal request got before.
pub(crate) fn respond_before(answer: Answer) -> Response {
    response(answer, true)
}

fn response(answer: Answer, is_replayed: bool) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let mut response = (status, json, answer.body).into_response();
    if is_replayed {
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// Serializes what is answered, once: the same bytes are stored and sent.
pub(crate) fn answer(status: StatusCode, body: &impl serde::Serialize) -> Answer {
    let body = serde_json::to_vec(body).expect("a view becomes JSON").into();
    Answer {
        status: status.as_u16(),
        body,
        holds_secret: false,
    }
}

/// As [`answer`], for a body that holds a secret: it is stored encrypted.
pub(crate) fn secret_answer(status: StatusCode, body: &impl serde::Serialize) -> Answer {
    Answer {
        holds_secret: true,
        ..answer(status, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii_of_at_most_255_characters() {
        let longest = "k".repeat(MAX_LENGTH);
        for (text, is_key) in [
            ("a", true),
            ("~!-_", true),
            (&*longest, true),
            ("", false),
            ("a b", false),
            ("é", false),
        ] {
            let headers = HeaderMap::from_iter([(HEADER, HeaderValue::from_bytes(text.as_bytes()).expect("a header"))]);
            assert_eq!(read(&headers).is_ok(), is_key, "{text}");
        }
        let too_long = HeaderMap::from_iter([(HEADER, HeaderValue::from_str(&(longest + "k")).expect("a header"))]);
        assert!(read(&too_long).is_err());
        assert!(matches!(read(&HeaderMap::new()), Ok(None)));
    }
}
