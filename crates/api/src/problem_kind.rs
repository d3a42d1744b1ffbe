//! The problems there are. Their `type` is part of the contract: it never changes its meaning.

use axum::http::StatusCode;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $status:ident, $name:literal, $title:literal;)+) => {
        /// What kind of problem a request met.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum ProblemKind {
            $($(#[$doc])* $kind,)+
        }

        impl ProblemKind {
            /// All of them, for the documentation.
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// The problem's `type`, a relative URI that identifies it.
            pub(crate) const fn uri(self) -> &'static str {
                match self {
                    $(Self::$kind => concat!("/problems/", $name),)+
                }
            }

            /// The same words for every problem of this kind.
            pub(crate) const fn title(self) -> &'static str {
                match self {
                    $(Self::$kind => $title,)+
                }
            }

            /// The HTTP status it is answered with.
            pub(crate) const fn status(self) -> StatusCode {
                match self {
                    $(Self::$kind => StatusCode::$status,)+
                }
            }
        }
    };
}

kinds! {
    /// A part of the path, the query or a header isn't what it must be.
    InvalidRequest = BAD_REQUEST, "invalid-request", "The request is invalid";
    /// The body is empty or no JSON.
    NotJson = BAD_REQUEST, "not-json", "The body is not JSON";
    /// No key, or one that isn't valid.
    Unauthorized = UNAUTHORIZED, "unauthorized", "An API key is needed";
    /// The key is valid but may not do this.
    Forbidden = FORBIDDEN, "forbidden", "The API key may not do this";
    /// The thing isn't there, or is another client's.
    NotFound = NOT_FOUND, "not-found", "There is no such thing";
    /// Nothing is served at this path.
    NoSuchRoute = NOT_FOUND, "no-such-route", "There is no such route";
    /// The path is served, but not by this method.
    MethodNotAllowed = METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed here";
    /// What is asked for contradicts how things stand.
    Conflict = CONFLICT, "conflict", "The request conflicts with the present state";
    /// The body is larger than is read.
    BodyTooLarge = PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large";
    /// The body isn't declared to be JSON.
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body must be JSON";
    /// Fields of the body aren't what they must be.
    InvalidBody = UNPROCESSABLE_ENTITY, "invalid-body", "The body is invalid";
    /// The idempotency key came with another body before.
    IdempotencyKeyReused = UNPROCESSABLE_ENTITY, "idempotency-key-reused", "The idempotency key was used with another body";
    /// As many as may be are under way.
    TooManyRequests = TOO_MANY_REQUESTS, "too-many-requests", "Too many requests";
    /// Our fault.
    Internal = INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side";
    /// The database can't be reached or written now.
    Unavailable = SERVICE_UNAVAILABLE, "unavailable", "The service is unavailable for the moment";
    /// More requests wait than can be kept.
    Overloaded = SERVICE_UNAVAILABLE, "overloaded", "Too many requests are waiting";
    /// The request took longer than it may.
    DeadlineExceeded = SERVICE_UNAVAILABLE, "deadline-exceeded", "The request took too long";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_documented_with_its_type_status_and_title() {
        let page = include_str!("../../../docs/errors.md");
        for kind in ProblemKind::ALL {
            let row = format!("| `{}` | {} | {} |", kind.uri(), kind.status().as_u16(), kind.title());
            assert!(page.contains(&row), "docs/errors.md lacks the row\n{row}");
        }
    }
}
