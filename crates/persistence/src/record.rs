//! Recording attempts: the log entry and what follows for the delivery, written together.
//!
//! Promises that an outcome is stored once, however often it has to be tried: a lease carries one
//! attempt, so an attempt that is logged under its lease already was written by a commit whose answer
//! got lost. A stale attempt (the lease is somebody else's by now) is logged, but moves nothing,
//! except that a success still succeeds a delivery that is pending. An attempt that somebody asked for is outside
//! the schedule: unless it succeeds, the delivery goes back to where it was (`redeliver`). The place in the lane is given
//! back after the commit: when the log can't be written, delivery stops, bounded.
//!
//! Mostly a row is as it was when it was handed over: then it is moved on without being read (`known`). Where one isn't, or nobody
//! knows how it was, all are read and locked first (`read`).

pub(crate) mod known;
mod progress;
pub(crate) mod read;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::DbErr;

use crate::error::StoreError;
use crate::group_commit::Batched;
use crate::health;
use crate::health_keeper;
use crate::job::{AttemptRecord, KnownRow, Recording};
use crate::live::Outcome;
use crate::multi_row::Written;
use crate::store::{Shared, Store};

impl Store {
    /// Stores an attempt's outcome, soon. Never fails: it is tried until it is stored, and its place is
    /// kept until then. Only a store that closes gives up; the delivery is then attempted again.
    pub fn record(&self, recording: Recording) {
        let meters = &self.shared().meters;
        meters.outcome_waits();
        if self.recordings().send(recording).is_err() {
            meters.outcomes_done(1);
            tracing::warn!("an attempt ended after the store closed; its delivery will be attempted again");
        }
    }
}

/// The task that commits outcomes.
pub(crate) struct Recordings {
    shared: Arc<Shared>,
}

impl Recordings {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl Recordings {
    /// The quick way, if there is one: `None`, and nothing is written, where a row isn't as it was.
    async fn write_known(&self, known: &[(&Recording, KnownRow)]) -> Result<Option<bool>, DbErr> {
        let (connections, facts) = (&self.shared.connections, known::facts(known));
        let now = self.shared.clock.now();
        if let Some(healthy) = self.shared.failing.all_well(&facts) {
            let committer = &connections.committer;
            let written = if connections.is_sqlite() {
                known::write_rows(committer, known, now).await?
            } else {
                known::write_at_once(committer, known, healthy, now).await?
            };
            match written {
                Written::All => return Ok(Some(false)),
                Written::Others => return Ok(None),
                Written::Nothing => {}
            }
        }
        let transaction = connections.begin_batch().await?;
        if !known::write(&transaction, known, now).await? {
            transaction.rollback().await?;
            return Ok(None);
        }
        let is_urgent = health::note(&transaction, &self.shared, &facts).await?;
        transaction.commit().await?;
        Ok(Some(is_urgent))
    }
}

#[async_trait]
impl Batched for Recordings {
    type Item = Recording;
    /// Whether something must follow at once for a destination's health.
    type Done = bool;

    async fn write(&self, items: &[Recording]) -> Result<bool, DbErr> {
        if let Some(known) = known::all_known(items)
            && let Some(is_urgent) = self.write_known(&known).await?
        {
            return Ok(is_urgent);
        }
        let transaction = self.shared.connections.begin_batch().await?;
        let mut rows = read::lock_deliveries(&transaction, items).await?;
        let facts = read::write(&transaction, items, &mut rows, self.shared.clock.now()).await?;
        let is_urgent = health::note(&transaction, &self.shared, &facts).await?;
        transaction.commit().await?;
        Ok(is_urgent)
    }

    fn committed(&self, items: Vec<Recording>, is_urgent: bool) {
        self.shared.meters.outcomes_done(items.len());
        self.shared.told.tell(items.iter().map(|item| Outcome {
            delivery_id: item.delivery_id,
            client_id: item.known.map(|known| known.client_id),
        }));
        drop(items);
        if is_urgent {
            let shared = Arc::clone(&self.shared);
            self.shared
                .background
                .spawn(async move { health_keeper::keep_at_once(&shared).await });
        }
    }

    fn failed(&self, mut items: Vec<Recording>, error: &StoreError) -> Vec<Recording> {
        let source = error as &dyn std::error::Error;
        tracing::error!(
            error = source,
            attempts = items.len(),
            "outcomes could not be stored; trying again"
        );
        if !error.is_transient() {
            // A text is all in a recording that a database could object to, and never worth an outcome.
            for AttemptRecord {
                error,
                response_snippet,
                request_url,
                ..
            } in items.iter_mut().map(|i| &mut i.attempt)
            {
                (*error, *response_snippet, *request_url) = (None, None, None);
            }
        }
        items
    }

    fn measured(&self, outcomes: usize, took: Duration) {
        self.shared.meters.outcome_batches.add(outcomes, took);
    }

    fn weight(_: &Recording) -> usize {
        1
    }
}
