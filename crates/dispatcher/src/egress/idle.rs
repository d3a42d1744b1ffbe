//! Connections that wait for the next request to the same host.
//!
//! Each is kept for [`IDLE_LIMIT`]: its time is looked at when it is taken, and a task closes those that nobody takes, as long as there are any.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::connection::Connection;

/// Node's servers close idle connections after 5 s. A request that meets the close is lost, and without a
/// retry so is its lead.
const IDLE_LIMIT: Duration = Duration::from_secs(4);
/// At least as many as attempts to one host run at once, else each of the others connects anew.
const IDLE_PER_HOST: usize = 256;
/// How often those that nobody takes are closed.
const CLOSED_EVERY: Duration = Duration::from_secs(1);

/// Idle connections of one scheme, by host and port as a URL has them.
#[derive(Default)]
pub(super) struct Idle(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    hosts: HashMap<String, Vec<(Connection, Instant)>>,
    /// Whether the task runs.
    is_watched: bool,
}

impl Idle {
    /// The one that was used last, if it is still good.
    pub(super) async fn take(&self, host: &str) -> Option<Connection> {
        loop {
            let (mut connection, since) = self.pop(host)?;
            if since.elapsed() < IDLE_LIMIT && connection.is_ready().await {
                return Some(connection);
            }
        }
    }

    fn pop(&self, host: &str) -> Option<(Connection, Instant)> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.hosts.get_mut(host)?.pop()
    }

    /// Keeps a connection whose last answer was read to its end.
    pub(super) async fn put(&self, host: &str, mut connection: Connection) {
        if !connection.is_ready().await {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match kept.hosts.get_mut(host) {
            Some(others) if others.len() >= IDLE_PER_HOST => return,
            Some(others) => others.push((connection, now)),
            None => drop(kept.hosts.insert(host.to_owned(), vec![(connection, now)])),
        }
        if !std::mem::replace(&mut kept.is_watched, true) {
            tokio::spawn(close_old(Arc::downgrade(&self.0)));
        }
    }
}

/// Runs until there is none.
async fn close_old(kept: Weak<Mutex<Kept>>) {
    loop {
        sleep(CLOSED_EVERY).await;
        let Some(kept) = kept.upgrade() else { return };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.hosts.retain(|_, connections| {
            // The oldest come first.
            let old = connections.partition_point(|(_, since)| since.elapsed() >= IDLE_LIMIT);
            connections.drain(..old);
            !connections.is_empty()
        });
        if kept.hosts.is_empty() {
            kept.is_watched = false;
            return;
        }
    }
}
