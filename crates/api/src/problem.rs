//! Problems as they are answered (RFC 9457).
//!
//! A handler returns a [`Problem`]; the exchange around it writes the document, because only that knows the
//! request's id. What went wrong inside is logged where it becomes a problem and never answered.

use std::error::Error;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sensei_domain::{Fault, Faults};
use sensei_persistence::{CaptureError, ChangeError, KeyReused, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::cors;
use crate::problem_kind::ProblemKind;
use crate::request_id::RequestId;

/// What a caller should wait, in seconds, when the commit queue is full: it empties many times in that.
const OVERLOADED_RETRY_AFTER: u16 = 1;
/// What a caller should wait, in seconds, when the database is away: about as long as a restart takes.
const UNAVAILABLE_RETRY_AFTER: u16 = 5;

/// Why a request wasn't done.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    kind: ProblemKind,
    detail: String,
    errors: Vec<ProblemError>,
    retry_after: Option<u16>,
    is_wrong_key: bool,
    /// The web page that may read it.
    reader: Option<HeaderValue>,
}

/// One thing that is wrong with a request, and where it stands.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub(crate) struct ProblemError {
    /// Where in the body: a JSON pointer (RFC 6901); empty for the whole body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/email")]
    pub(crate) pointer: Option<String>,
    /// Which parameter of the path or the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "cursor")]
    pub(crate) parameter: Option<String>,
    /// Which header.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "idempotency-key")]
    pub(crate) header: Option<String>,
    /// What is wrong with it, in words.
    pub(crate) detail: String,
}

/// Why a request wasn't done (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub(crate) struct ProblemView {
    /// Identifies the problem; stable.
    #[serde(rename = "type")]
    #[schema(example = "/problems/invalid-body")]
    uri: &'static str,
    /// The problem in words, the same for all of its type.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What happened this time.
    detail: String,
    /// The request's id, also in the header `x-request-id`: name it when asking for help.
    request_id: String,
    /// All that is wrong with the request, each with its place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<ProblemError>,
}

impl Problem {
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            is_wrong_key: false,
            reader: None,
        }
    }

    /// The request's path, query or headers are wrong in these places.
    pub(crate) fn invalid_request(errors: Vec<ProblemError>) -> Self {
        let detail = in_words(errors.iter().map(|error| {
            let place = error
                .parameter
                .as_deref()
                .or(error.header.as_deref())
                .unwrap_or_default();
            (place, error.detail.as_str())
        }));
        Self {
            errors,
            ..Self::new(ProblemKind::InvalidRequest, detail)
        }
    }

    /// No key, or one that isn't valid.
    pub(crate) fn unauthorized(is_wrong_key: bool) -> Self {
        let detail = if is_wrong_key {
            "the API key is not valid: it is mistyped or was revoked"
        } else {
            "send a secret key as `Authorization: Bearer sk_…`"
        };
        Self {
            is_wrong_key,
            ..Self::new(ProblemKind::Unauthorized, detail)
        }
    }

    /// Lets a web page of this origin read it.
    pub(crate) fn readable_by(self, origin: Option<&HeaderValue>) -> Self {
        Self {
            reader: origin.cloned(),
            ..self
        }
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(ProblemKind::NotFound, format!("there is no such {what}"))
    }

    /// The same words whether the client doesn't exist or the key doesn't reach it.
    pub(crate) fn unknown_client() -> Self {
        Self::not_found("client")
    }

    pub(crate) fn key_reused() -> Self {
        Self::new(
            ProblemKind::IdempotencyKeyReused,
            "this Idempotency-Key came with another body within the last 24 hours; nothing was stored",
        )
    }

    pub(crate) fn no_such_route() -> Self {
        Self::new(
            ProblemKind::NoSuchRoute,
            "nothing is served at this path; /openapi.json lists what is",
        )
    }

    pub(crate) fn internal() -> Self {
        Self::new(
            ProblemKind::Internal,
            "the request failed; its id helps us to find out why",
        )
    }

    fn unavailable() -> Self {
        let detail = "the database can't be reached or written now. It is unknown whether the request took effect; a \
                      request with an Idempotency-Key can be repeated safely";
        Self {
            retry_after: Some(UNAVAILABLE_RETRY_AFTER),
            ..Self::new(ProblemKind::Unavailable, detail)
        }
    }

    pub(crate) fn deadline_exceeded(seconds: u64) -> Self {
        let detail = format!(
            "the request took longer than {seconds} s. It is unknown whether it took effect; a request with an \
             Idempotency-Key can be repeated safely"
        );
        Self {
            retry_after: Some(UNAVAILABLE_RETRY_AFTER),
            ..Self::new(ProblemKind::DeadlineExceeded, detail)
        }
    }

    /// As many as may be are under way; nothing was done.
    pub(crate) fn too_many(detail: impl Into<String>, retry_after: u16) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(ProblemKind::TooManyRequests, detail)
        }
    }

    /// An equal request takes longer than it is waited for.
    pub(crate) fn equal_under_way() -> Self {
        Self::new(
            ProblemKind::Conflict,
            "an equal request with this Idempotency-Key is still under way: repeat this one later to get its answer",
        )
    }

    /// The service can't serve now, and why.
    pub(crate) fn not_ready(detail: String) -> Self {
        Self {
            retry_after: Some(UNAVAILABLE_RETRY_AFTER),
            ..Self::new(ProblemKind::Unavailable, detail)
        }
    }

    /// The whole answer.
    pub(crate) fn render(self, id: &RequestId) -> Response {
        let status = self.kind.status();
        let headers = self.headers();
        let view = ProblemView {
            uri: self.kind.uri(),
            title: self.kind.title(),
            status: status.as_u16(),
            detail: self.detail,
            request_id: id.as_str().to_owned(),
            errors: self.errors,
        };
        let body = serde_json::to_vec(&view).expect("texts and numbers become JSON");
        (status, headers, body).into_response()
    }

    fn headers(&self) -> axum::http::HeaderMap {
        let mut headers = axum::http::HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.kind.status() == StatusCode::UNAUTHORIZED {
            // RFC 6750, section 3: without a key no error code, with a wrong one `invalid_token`.
            let challenge = if self.is_wrong_key {
                r#"Bearer error="invalid_token""#
            } else {
                "Bearer"
            };
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if self.reader.is_some() {
            cors::readable(&mut headers, self.reader.as_ref());
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        headers
    }
}

/// Carries the problem to the exchange, which writes it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Logs what went wrong: the caller learns only whether to come back.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::KeyUnderWay) {
            Self::equal_under_way()
        } else if error.is_transient() {
            tracing::warn!(error = &error as &dyn Error, "a request met an unavailable database");
            Self::unavailable()
        } else {
            tracing::error!(error = &error as &dyn Error, "a request failed in the store");
            Self::internal()
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::UnknownClient => Self::unknown_client(),
            ChangeError::UnknownDestination => Self::not_found("destination"),
            ChangeError::NameTaken => Self::new(
                ProblemKind::Conflict,
                "another destination of this client has this name: choose one of its own",
            ),
            ChangeError::ChangedMeanwhile => Self::new(
                ProblemKind::Conflict,
                "the destination has been changed meanwhile, and its secrets stay where they were given for: read it, and send the change again",
            ),
            ChangeError::TooManyDestinations => Self::new(ProblemKind::Conflict, error.to_string()),
            ChangeError::NameReserved => {
                Faults::one("/name", "is kept for the destination of the Lead Webhook URL").into()
            }
            ChangeError::HooksName => Self::new(
                ProblemKind::Conflict,
                "the destination of a hook keeps its name, and no other gets such a name: the app that has subscribed finds its hook by it",
            ),
            ChangeError::NameFixed => Self::new(
                ProblemKind::Conflict,
                "the destination of the Lead Webhook URL keeps its name: it is found by it",
            ),
            ChangeError::KeyReused(KeyReused) => Self::key_reused(),
            ChangeError::Store(error) => error.into(),
        }
    }
}

impl From<CaptureError> for Problem {
    fn from(error: CaptureError) -> Self {
        match error {
            CaptureError::UnknownClient => Self::unknown_client(),
            CaptureError::KeyReused => Self::key_reused(),
            CaptureError::Overloaded => Self {
                retry_after: Some(OVERLOADED_RETRY_AFTER),
                ..Self::new(
                    ProblemKind::Overloaded,
                    "too many leads wait to be stored; this one wasn't",
                )
            },
            // The store has logged it, once for all the leads of the batch.
            CaptureError::Store(error) if error.is_transient() => Self::unavailable(),
            CaptureError::Store(_) => Self::internal(),
        }
    }
}

impl From<Faults> for Problem {
    fn from(faults: Faults) -> Self {
        let detail = in_words(
            faults
                .iter()
                .map(|fault| (fault.pointer.as_str(), fault.detail.as_str())),
        );
        let errors = faults.into_vec().into_iter().map(ProblemError::from).collect();
        Self {
            errors,
            ..Self::new(ProblemKind::InvalidBody, detail)
        }
    }
}

impl From<Fault> for ProblemError {
    fn from(Fault { pointer, detail }: Fault) -> Self {
        Self {
            pointer: Some(pointer),
            detail,
            ..Self::default()
        }
    }
}

impl ProblemError {
    pub(crate) fn of_parameter(parameter: &str, detail: impl Into<String>) -> Self {
        Self {
            parameter: Some(parameter.to_owned()),
            detail: detail.into(),
            ..Self::default()
        }
    }

    pub(crate) fn of_header(header: &str, detail: impl Into<String>) -> Self {
        Self {
            header: Some(header.to_owned()),
            detail: detail.into(),
            ..Self::default()
        }
    }
}

/// The first thing that is wrong, and how many more there are.
fn in_words<'a>(mut errors: impl ExactSizeIterator<Item = (&'a str, &'a str)>) -> String {
    let more = errors.len().saturating_sub(1);
    let Some((place, detail)) = errors.next() else {
        return String::new();
    };
    let first = if place.is_empty() {
        format!("the body {detail}")
    } else {
        format!("{place} {detail}")
    };
    if more == 0 {
        first
    } else {
        format!("{first} (and {more} more)")
    }
}
