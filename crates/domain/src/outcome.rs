//! What came of an attempt, in the receiver's terms: the same for every kind of destination.

use std::time::Duration;

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Accepted.
    Delivered,
    /// Not now, but worth repeating.
    Unavailable {
        /// How long the receiver asks us to wait (RFC 9110, section 10.2.3).
        retry_after: Option<Duration>,
    },
    /// The receiver refuses it, and would again.
    Rejected,
    /// There is no such receiver any more.
    Gone,
    /// The egress guard refused the address.
    Blocked,
    /// We failed before the request left.
    Ours,
}

impl Outcome {
    /// Its name in the API and the database.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Unavailable { .. } => "unavailable",
            Self::Rejected => "rejected",
            Self::Gone => "gone",
            Self::Blocked => "blocked",
            Self::Ours => "ours",
        }
    }
}
