//! What the pages work with.

use std::sync::Arc;

use axum::Router;
use sensei_domain::{Clock, Timestamp};
use sensei_persistence::{Retention, Store};

/// What the pages work with. A cheap handle.
#[derive(Clone)]
pub struct ConsoleState(Arc<Parts>);

#[derive(Clone)]
struct Parts {
    store: Store,
    api: Router,
    clock: Arc<dyn Clock>,
    retention: Option<Retention>,
}

impl ConsoleState {
    /// Keeps sessions in this store, and reads and changes everything else by this API, `sensei_api::router`.
    pub fn new(store: Store, api: Router, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Parts {
            store,
            api,
            clock,
            retention: None,
        }))
    }

    /// Shows for how long this server keeps things.
    #[must_use]
    pub fn with_retention(mut self, retention: Retention) -> Self {
        Arc::make_mut(&mut self.0).retention = Some(retention);
        self
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn api(&self) -> Router {
        self.0.api.clone()
    }

    pub(crate) fn retention(&self) -> Option<&Retention> {
        self.0.retention.as_ref()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }
}
