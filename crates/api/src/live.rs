//! What happens, as it happens: one task reads for all streams of this process, and makes each event once.
//!
//! Four times a second it reads what is new of the clients that somebody looks at, all of them in one read a table, and how the deliveries are now
//! that weren't done when they were last seen. What it makes of that is one piece of text a client, which all streams of this client share.
//! Capture and delivery never wait for it: they know nothing of it. A stream that can't keep up misses a piece, is ended, and begins anew where
//! it was.

mod missed;
mod seen;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sensei_domain::{ClientId, Timestamp};
use sensei_persistence::{Store, StoreError};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

pub(crate) use self::missed::{begun, missed};
use self::seen::{Rows, Seen};

/// How often is looked. Something is shown within a second, the page's own pace included.
const EVERY: Duration = Duration::from_millis(250);
/// How far back is looked for what was committed out of the order of ids: a moment where all is written by this process, and as far as clocks
/// may differ where others write too.
const BACK: Duration = Duration::from_secs(2);
const BACK_IF_SHARED: Duration = Duration::from_secs(6);
/// Every so many rounds it is looked for as far back as a commit may take: it waits for another one, and each is given up after ten seconds.
/// A delivery made before, and done soon after, is found as well.
const FAR: u32 = 8;
const FAR_BACK: Duration = Duration::from_secs(25);
/// How far back is read how things stand before a client is looked at: farther than is looked back later.
const STANDING_BACK: Duration = Duration::from_secs(30);
/// Pieces that a stream may be behind: some seconds. They are kept once for all streams of a client.
const PIECES: usize = 16;

/// The streams of this process. A cheap handle.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    looked_at: Mutex<LookedAt>,
    closing: CancellationToken,
}

#[derive(Debug, Default)]
struct LookedAt {
    clients: BTreeMap<ClientId, Watched>,
    /// Whether there is a task that reads.
    is_read: bool,
}

/// A client that somebody looks at.
#[derive(Debug)]
struct Watched {
    sender: broadcast::Sender<Bytes>,
    standing: Standing,
}

/// How a client's rows stood before its first stream began: that is known to who looks at it, and nothing later is.
#[derive(Debug)]
enum Standing {
    /// Being read. It isn't looked at yet.
    Unknown,
    Known(Rows),
    /// By the task that reads.
    Taken,
}

/// From when on everything is to be told: what was committed before has been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position(Timestamp);

impl Position {
    /// As a stream's events carry it; opaque to who reads them.
    pub(crate) fn to_token(self) -> String {
        format!("1-{:x}", self.0.as_millis())
    }

    pub(crate) fn from_token(token: &str) -> Option<Self> {
        let millis = i64::from_str_radix(token.strip_prefix("1-")?, 16).ok()?;
        Some(Self(Timestamp::from_millis(millis)))
    }

    /// An event without data tells the position alone: a browser keeps it, and shows nothing.
    fn alone(self) -> String {
        format!("id: {}\n\n", self.to_token())
    }

    /// Says that all is to be shown anew.
    fn reset(self) -> String {
        format!("event: reset\nid: {}\ndata: {{}}\n\n", self.to_token())
    }
}

impl Live {
    /// Hears of a client from now on. What was committed before isn't told.
    pub(crate) async fn listen(
        &self,
        store: &Store,
        client: ClientId,
    ) -> Result<broadcast::Receiver<Bytes>, StoreError> {
        let (receiver, is_known) = self.subscribe(client);
        let standing = if is_known {
            None
        } else {
            Some(Rows::since(store, &[client], back(store.now(), STANDING_BACK)).await?)
        };
        let mut looked_at = self.looked_at();
        if let Some(rows) = standing
            && let Some(watched) = looked_at.clients.get_mut(&client)
            && matches!(watched.standing, Standing::Unknown)
        {
            watched.standing = Standing::Known(rows);
        }
        if !looked_at.is_read {
            looked_at.is_read = true;
            let (live, store) = (self.clone(), store.clone());
            tokio::spawn(async move {
                let closing = live.0.closing.clone();
                closing.run_until_cancelled(live.read(store)).await;
            });
        }
        Ok(receiver)
    }

    /// Also whether it is known how the client stood before.
    fn subscribe(&self, client: ClientId) -> (broadcast::Receiver<Bytes>, bool) {
        let mut looked_at = self.looked_at();
        let watched = looked_at.clients.entry(client).or_insert_with(|| Watched {
            sender: broadcast::channel(PIECES).0,
            standing: Standing::Unknown,
        });
        let is_known = !matches!(watched.standing, Standing::Unknown);
        (watched.sender.subscribe(), is_known)
    }

    fn looked_at(&self) -> MutexGuard<'_, LookedAt> {
        self.0.looked_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has ended the streams, or will.
    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.0.closing
    }

    /// Those that somebody still listens to, and how the new ones among them stood; the task ends when there is nobody.
    fn clients(&self) -> Option<(Vec<ClientId>, Vec<Rows>)> {
        let mut looked_at = self.looked_at();
        looked_at
            .clients
            .retain(|_, watched| watched.sender.receiver_count() > 0);
        looked_at.is_read = !looked_at.clients.is_empty();
        if !looked_at.is_read {
            return None;
        }
        let (mut clients, mut standings) = (Vec::new(), Vec::new());
        for (client, watched) in &mut looked_at.clients {
            match std::mem::replace(&mut watched.standing, Standing::Taken) {
                Standing::Unknown => {
                    watched.standing = Standing::Unknown;
                    continue;
                }
                Standing::Known(rows) => standings.push(rows),
                Standing::Taken => {}
            }
            clients.push(*client);
        }
        Some((clients, standings))
    }

    async fn read(self, store: Store) {
        let mut outcomes = store.outcomes();
        let mut seen = Seen::default();
        let (mut near, mut far) = (store.now(), store.now());
        let mut rounds = 1_u32;
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some((clients, standings)) = self.clients() else {
                return;
            };
            for rows in standings {
                seen.note(rows);
            }
            let now = store.now();
            let is_far = rounds.is_multiple_of(FAR);
            let from = floor(&store, near);
            let touched = outcomes.take().into_iter();
            let touched =
                touched.filter(|outcome| outcome.client_id.is_none_or(|of| clients.binary_search(&of).is_ok()));
            seen.touch(touched.map(|outcome| outcome.delivery_id));
            match seen
                .look(&store, &clients, from, is_far.then(|| back(far, FAR_BACK)))
                .await
            {
                Ok(changes) => {
                    self.tell(changes.into_pieces(Position(from), &clients));
                    // What is read in the next round begins here. Ids of this process don't go back where the clock does.
                    let next = |before: Timestamp| if store.is_shared() { now } else { before.max(now) };
                    near = next(near);
                    far = if is_far { next(far) } else { far };
                    rounds = rounds.wrapping_add(1);
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::debug!(error, "what happens could not be read; tried again");
                }
            }
        }
    }

    fn tell(&self, pieces: BTreeMap<ClientId, String>) {
        let looked_at = self.looked_at();
        for (client, piece) in pieces {
            if let Some(watched) = looked_at.clients.get(&client) {
                // Whoever was there may have gone.
                watched.sender.send(Bytes::from(piece)).ok();
            }
        }
    }
}

/// What is committed after this moment has ids from then on, unless its commit took long.
fn floor(store: &Store, at: Timestamp) -> Timestamp {
    back(at, if store.is_shared() { BACK_IF_SHARED } else { BACK })
}

fn back(at: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_millis(at.as_millis() - i64::try_from(by.as_millis()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_is_written_and_nothing_else_is_one() {
        let position = Position(Timestamp::from_millis(1_732_444_200_123));
        assert_eq!(Position::from_token(&position.to_token()), Some(position));
        for wrong in ["", "1-", "2-1935d2", "1-x", "1-ffffffffffffffffffff"] {
            assert_eq!(Position::from_token(wrong), None, "{wrong}");
        }
    }
}
