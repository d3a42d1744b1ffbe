//! In place of a way out: keeps the first request that somebody wants to send. Nothing is looked up, and nothing leaves.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use hyper::header::HeaderMap;

/// A request that wasn't sent.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// How: an HTTP method, or `SMTP`.
    pub(crate) method: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Where it is kept. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Option<Recorded>>>);

impl Recorder {
    /// Keeps it, if it is the first.
    pub(crate) fn keep(&self, recorded: Recorded) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get_or_insert(recorded);
    }

    /// What was kept.
    pub(crate) fn take(&self) -> Option<Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
