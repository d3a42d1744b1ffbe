//! What goes on beside a steady load: somebody who searches, retention, checkpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use sensei_domain::SystemClock;
use sensei_persistence::{MasterKey, Retention, Store, StoreOptions};
use tokio::task::JoinHandle;

use super::history_rows::one_number;
use crate::api::Api;
use crate::system::System;

/// Between a page that was read and the next that is asked for.
const THINKS: Duration = Duration::from_millis(50);
/// Pages that somebody follows before looking for something else.
const FOLLOWED: usize = 5;
const FILTERS: [&str; 4] = [
    "limit=200",
    "state=succeeded&limit=200",
    "state=failed&limit=200",
    "since=2020-01-01T00:00:00.000Z&until=2099-01-01T00:00:00.000Z&limit=200",
];

/// Pages and filters through a client's log, until it is stopped.
pub(super) async fn search(client: Api) -> Result<()> {
    for filter in FILTERS.iter().cycle() {
        let mut cursor = String::new();
        for _ in 0..FOLLOWED {
            let page = client.log(&format!("{filter}{cursor}")).await?;
            tokio::time::sleep(THINKS).await;
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
    }
    Ok(())
}

/// A second process's retention, the product's own, on the same `PostgreSQL`: it forgets half of the history.
pub(super) struct Retaining {
    store: Store,
    passes: JoinHandle<Result<()>>,
    connection: sea_orm::DatabaseConnection,
    before: i64,
}

/// Those of the history: what is captured meanwhile has other leases.
const OLD_ATTEMPTS: &str = "SELECT count(*) FROM attempts WHERE lease <= 200000 AND lease > 0";
const KEPT: Duration = Duration::from_hours(10 * 24);

impl Retaining {
    pub(super) async fn start(system: &System) -> Result<Self> {
        let store = Box::pin(Store::open(StoreOptions {
            database: system.database(),
            master_key: MasterKey::load_or_create(&system.master_key())?,
            lease: Duration::from_mins(1),
            clock: Arc::new(SystemClock),
        }))
        .await?;
        let connection = system.connect().await?;
        let before = one_number(&connection, OLD_ATTEMPTS).await?;
        let retention = Retention {
            attempts: Some(KEPT),
            deliveries: Some(KEPT),
            leads: Some(KEPT),
        };
        let passing = store.clone();
        let passes = tokio::spawn(async move {
            passing.forget_old(&retention).await?;
            Ok(())
        });
        Ok(Self {
            store,
            passes,
            connection,
            before,
        })
    }

    /// How many attempts it has removed.
    pub(super) async fn end(self) -> Result<usize> {
        let removed = self.before - one_number(&self.connection, OLD_ATTEMPTS).await?;
        if self.passes.is_finished() {
            self.passes.await??;
        } else {
            self.passes.abort();
        }
        self.store.close().await;
        self.connection.close().await?;
        usize::try_from(removed).context("retention doesn't add rows")
    }
}

/// Counts the checkpoints of SQLite's log: each raises the number of pages that are back in the database file
/// (`nBackfill`, after the two headers of the log's index, sqlite.org/walformat.html).
pub(super) struct Checkpoints {
    count: Arc<AtomicUsize>,
    watching: JoinHandle<()>,
}

const BACK_IN_FILE: usize = 96;
const LOOK: Duration = Duration::from_millis(5);

impl Checkpoints {
    /// `None` where the database isn't SQLite.
    pub(super) fn watch(system: &System) -> Option<Self> {
        let mut index = system.database().sqlite_path()?.as_os_str().to_owned();
        index.push("-shm");
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let watching = tokio::spawn(async move {
            let mut before = 0;
            loop {
                let now = std::fs::read(&index).ok();
                let now = now.and_then(|index| Some(*index.get(BACK_IN_FILE..)?.first_chunk::<4>()?));
                let now = now.map_or(0, u32::from_ne_bytes);
                if now > before {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                before = now;
                tokio::time::sleep(LOOK).await;
            }
        });
        Some(Self { count, watching })
    }

    /// How many there were until now.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.watching.abort();
    }
}
