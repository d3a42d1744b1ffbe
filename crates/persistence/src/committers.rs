//! The connection that batches are committed by: always the same one, as long as it answers.
//!
//! The process of PostgreSQL's behind a connection has plans and caches of its own, which are cold where several take turns: a sixth of
//! PostgreSQL's time for a lead. A connection that hangs in silence is left to itself, as giving it up can take the system's own time limits,
//! and the next one is used.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr};

use crate::connection::begin;

/// Pools of one connection each, of which one is used.
#[derive(Debug, Clone)]
pub(crate) struct Committers {
    pools: Arc<[DatabaseConnection]>,
    used: Arc<AtomicUsize>,
}

impl Committers {
    pub(crate) fn new(pools: impl IntoIterator<Item = DatabaseConnection>) -> Self {
        Self {
            pools: pools.into_iter().collect(),
            used: Arc::default(),
        }
    }

    /// The one that is used now.
    pub(crate) fn current(&self) -> &DatabaseConnection {
        &self.pools[self.used.load(Ordering::Relaxed) % self.pools.len()]
    }

    /// Begins a transaction that writes.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        begin(self.current()).await
    }

    /// The database was out of reach by the one that is used, which may hang: from now on it is the next.
    pub(crate) fn use_next(&self) {
        self.used.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn all(&self) -> &[DatabaseConnection] {
        &self.pools
    }
}
