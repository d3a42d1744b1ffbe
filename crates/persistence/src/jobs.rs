//! What this process does in the background, and when it last did.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sensei_domain::Timestamp;

use crate::store::Store;

/// Work in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackgroundJob {
    /// What it is.
    pub name: &'static str,
    /// When it was last done.
    pub last_run_at: Timestamp,
    /// How long that took.
    pub took: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Jobs(Mutex<BTreeMap<&'static str, BackgroundJob>>);

impl Jobs {
    /// Notes that something was done at a time.
    pub(crate) fn ran(&self, name: &'static str, last_run_at: Timestamp, took: Duration) {
        let job = BackgroundJob {
            name,
            last_run_at,
            took,
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, job);
    }
}

impl Store {
    /// What this process has done in the background so far, by name.
    pub fn jobs(&self) -> Vec<BackgroundJob> {
        let jobs = self.shared().jobs.0.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.values().copied().collect()
    }
}
