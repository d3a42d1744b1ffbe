//! What goes on beside a steady load: somebody who searches, retention, checkpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use sea_orm::ConnectionTrait as _;
use tokio::task::JoinHandle;

use super::console::Viewer;
use super::history_rows::one_number;
use crate::api::Api;
use crate::system::System;

/// Between a page that was read and the next that is asked for.
const THINKS: Duration = Duration::from_millis(50);
/// Nearly that of an attempt.
const DEADLINE_MILLIS: i64 = 14_000;
/// Pages that somebody follows before looking for something else.
const FOLLOWED: usize = 5;
const FILTERS: [&str; 3] = ["limit=200", "state=succeeded&limit=200", "state=failed&limit=200"];
/// Of the console: searches among them.
const PAGES: [&str; 8] = [
    "/clients/{client}",
    "/clients/{client}/leads",
    "/clients/{client}/leads?q=john",
    "/clients/{client}/leads?q=nobody",
    "/clients/{client}/deliveries",
    "/clients/{client}/deliveries?q=john",
    "/clients/{client}/deliveries?q=nobody",
    "/clients/{client}/deliveries?statusCode=5xx",
];

/// Somebody who looks and searches until he is stopped.
pub(super) struct Search {
    pages: Arc<AtomicUsize>,
    searching: JoinHandle<Result<()>>,
}

impl Search {
    /// Begins, signed in to the console.
    pub(super) fn begin(client: Api) -> Self {
        let pages = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&pages);
        Self {
            pages,
            searching: tokio::spawn(async move { search(&client, &counted).await }),
        }
    }

    /// Stops it. How many pages he has seen; an error if one was refused.
    pub(super) async fn stop(self) -> Result<usize> {
        if self.searching.is_finished() {
            self.searching.await??;
        } else {
            self.searching.abort();
        }
        Ok(self.pages.load(Ordering::Relaxed))
    }
}

async fn search(client: &Api, seen: &AtomicUsize) -> Result<()> {
    let viewer = Viewer::sign_in(client).await?;
    let looked = async || {
        seen.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(THINKS).await;
    };
    for filter in FILTERS.iter().cycle() {
        for page in PAGES {
            viewer.look(page).await?;
            looked().await;
        }
        let mut cursor = String::new();
        for _ in 0..FOLLOWED {
            let page = client.log(&format!("{filter}{cursor}")).await?;
            looked().await;
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
    }
    Ok(())
}

/// How many attempts have failed, and how many of them by the deadline.
pub(super) async fn failed_attempts(system: &System) -> Result<[usize; 2]> {
    let connection = system.connect().await?;
    let mut counts = [0; 2];
    for (count, least) in counts.iter_mut().zip([0, DEADLINE_MILLIS]) {
        let sql = format!("SELECT count(*) FROM attempts WHERE outcome <> 'delivered' AND duration_ms >= {least}");
        *count = usize::try_from(one_number(&connection, &sql).await?).context("a count")?;
    }
    connection.close().await?;
    Ok(counts)
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

/// Counts checkpoints. Those of SQLite's log run by themselves: each raises the number of pages that are back in the database file
/// (`nBackfill`, after the two headers of the log's index, sqlite.org/walformat.html). On PostgreSQL one is asked for now and then.
pub(super) struct Checkpoints {
    count: Arc<AtomicUsize>,
    watching: JoinHandle<()>,
}

const BACK_IN_FILE: usize = 96;
const LOOK: Duration = Duration::from_millis(5);
/// Between two of PostgreSQL's.
const BETWEEN: Duration = Duration::from_secs(3);

impl Checkpoints {
    pub(super) async fn watch(system: &System) -> Result<Self> {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let database = system.database();
        let Some(path) = database.sqlite_path() else {
            let connection = system.connect().await?;
            let watching = tokio::spawn(async move {
                while connection.execute_unprepared("CHECKPOINT").await.is_ok() {
                    counted.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(BETWEEN).await;
                }
            });
            return Ok(Self { count, watching });
        };
        let mut index = path.as_os_str().to_owned();
        index.push("-shm");
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
        Ok(Self { count, watching })
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
