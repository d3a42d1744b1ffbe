//! What goes on beside a steady load: somebody who searches, retention, checkpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
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

/// Settings by which retention forgets half of the history, from the start on.
const FORGETFUL: [(&str, &str); 4] = [
    ("SENSEI_KEEP_EVERY", "1s"),
    ("SENSEI_KEEP_ATTEMPTS", "10d"),
    ("SENSEI_KEEP_DELIVERIES", "10d"),
    ("SENSEI_KEEP_LEADS", "10d"),
];
/// Those of the history: what is captured meanwhile has other leases.
const OLD_ATTEMPTS: &str = "SELECT count(*) FROM attempts WHERE lease <= 200000 AND lease > 0";

/// Starts the system anew, with retention at work.
pub(super) async fn start_retaining(system: &mut System) -> Result<()> {
    system.end().await?;
    for (name, value) in FORGETFUL {
        system.set(name, value);
    }
    system.start_again().await.map(drop)
}

/// How many attempts of the history there are.
pub(super) async fn old_attempts(system: &System) -> Result<usize> {
    let connection = system.connect().await?;
    let count = one_number(&connection, OLD_ATTEMPTS).await?;
    connection.close().await?;
    usize::try_from(count).context("a count")
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
