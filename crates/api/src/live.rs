//! What happens, as it happens: one task reads for all streams of this process, and makes each event once.
//!
//! Four times a second it reads what is new of the clients that somebody looks at, all of them in one read a table, and how the deliveries are now
//! that weren't done when they were last seen. What it makes of that is one piece of text a client, which all streams of this client share.
//! Capture and delivery never wait for it: they know nothing of it. A stream that can't keep up misses a piece, is ended, and begins anew where
//! it was.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sensei_domain::{ClientId, DeliveryId, DeliveryState, LeadId, Timestamp};
use sensei_persistence::{Sighting, Store, StoreError};
use serde::Serialize;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::leads::LeadView;
use crate::logged_delivery::LoggedDeliveryView;

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
/// What was seen is remembered for longer than is looked back.
const REMEMBERED: Duration = Duration::from_mins(1);
/// Deliveries that aren't done yet are looked at for as long as they are among so many.
const WATCHED: usize = 2_000;
/// Rows that are read at once. Beyond, a stream is told to begin anew.
const MOST: u32 = 20_000;
/// Pieces that a stream may be behind: some seconds. They are kept once for all streams of a client.
const PIECES: usize = 16;
/// A stream that was away for longer shows the page anew.
const LONGEST_AWAY: Duration = Duration::from_hours(1);
/// As does one that has missed more.
const MOST_MISSED: u32 = 5_000;

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
    clients: BTreeMap<ClientId, broadcast::Sender<Bytes>>,
    /// Whether there is a task that reads.
    is_read: bool,
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
}

impl Live {
    /// Hears of a client from now on.
    pub(crate) fn listen(&self, store: &Store, client: ClientId) -> broadcast::Receiver<Bytes> {
        let mut looked_at = self.0.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = looked_at
            .clients
            .entry(client)
            .or_insert_with(|| broadcast::channel(PIECES).0);
        let receiver = sender.subscribe();
        if !looked_at.is_read {
            looked_at.is_read = true;
            let (live, store) = (self.clone(), store.clone());
            tokio::spawn(async move {
                let closing = live.0.closing.clone();
                closing.run_until_cancelled(live.read(store)).await;
            });
        }
        receiver
    }

    /// What has ended the streams, or will.
    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.0.closing
    }

    /// Those that somebody still listens to; the task ends when there is nobody.
    fn clients(&self) -> Option<Vec<ClientId>> {
        let mut looked_at = self.0.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        looked_at.clients.retain(|_, sender| sender.receiver_count() > 0);
        looked_at.is_read = !looked_at.clients.is_empty();
        looked_at.is_read.then(|| looked_at.clients.keys().copied().collect())
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
            let Some(clients) = self.clients() else { return };
            let now = store.now();
            let is_far = rounds.is_multiple_of(FAR);
            let from = floor(&store, near);
            let touched = outcomes.take().into_iter();
            let touched =
                touched.filter(|outcome| outcome.client_id.is_none_or(|of| clients.binary_search(&of).is_ok()));
            seen.touched.extend(touched.map(|outcome| outcome.delivery_id));
            match seen.look(&store, &clients, from, back(far, FAR_BACK), is_far).await {
                Ok(changes) => {
                    self.tell(changes.into_pieces(Position(from), &clients));
                    // What is read in the next round begins here.
                    near = now;
                    far = if is_far { now } else { far };
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
        let looked_at = self.0.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        for (client, piece) in pieces {
            if let Some(sender) = looked_at.clients.get(&client) {
                // Whoever was there may have gone.
                sender.send(Bytes::from(piece)).ok();
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

/// What was shown already.
#[derive(Default)]
struct Seen {
    leads: HashMap<LeadId, Instant>,
    deliveries: HashMap<DeliveryId, (Sighting, Instant)>,
    /// Outcomes were stored of these.
    touched: Vec<DeliveryId>,
    /// Who was looked at in the last round.
    clients: Vec<ClientId>,
}

impl Seen {
    /// What is new since `from`, and, where it is looked far back, since `far`.
    async fn look(
        &mut self,
        store: &Store,
        clients: &[ClientId],
        from: Timestamp,
        far: Timestamp,
        is_far: bool,
    ) -> Result<Changes, StoreError> {
        let now = Instant::now();
        let mut changes = Changes::default();
        let is_new = |client: &ClientId| self.clients.binary_search(client).is_err();
        // Before what is near: what is committed between the two is found there, and told.
        let before = if is_far || clients.iter().any(is_new) {
            Some((
                store.leads_since(clients, far, MOST).await?,
                store.sightings_since(clients, far, MOST).await?,
            ))
        } else {
            None
        };
        let mut leads = store.leads_since(clients, from, MOST).await?;
        let mut sightings = store.sightings_since(clients, from, MOST).await?;
        // Some that nobody has seen may be among those that aren't read.
        changes.is_too_much = leads.len() >= MOST as usize || sightings.len() >= MOST as usize;
        if let Some(before) = before {
            self.add_far(before, &mut leads, &mut sightings);
        }
        let mut watched = self.watched(clients);
        watched.extend(self.touched.iter().copied());
        for some in watched.chunks(WATCHED) {
            sightings.extend(store.sightings_of(some.to_vec()).await?);
        }
        let new = leads.iter().filter(|(_, id)| !self.leads.contains_key(id));
        let new = new.map(|(_, id)| *id).collect::<Vec<_>>();
        let is_new = |sighting: &&Sighting| {
            clients.binary_search(&sighting.client_id).is_ok()
                && self
                    .deliveries
                    .get(&sighting.id)
                    .is_none_or(|(before, _)| before != *sighting)
        };
        let changed = sightings.iter().filter(is_new).map(|sighting| sighting.id);
        changes.add(store, new, changed.collect()).await?;
        // Only now: what could not be read is read again.
        self.touched.clear();
        self.clients = clients.to_vec();
        self.leads.extend(leads.into_iter().map(|(_, id)| (id, now)));
        let sightings = sightings.into_iter().map(|sighting| (sighting.id, (sighting, now)));
        self.deliveries.extend(sightings);
        self.leads.retain(|_, at| now.duration_since(*at) < REMEMBERED);
        self.deliveries
            .retain(|_, (_, at)| now.duration_since(*at) < REMEMBERED);
        Ok(changes)
    }

    /// Adds what is new since long ago. Of a client who wasn't looked at before all that is known already: it was there before somebody looked.
    fn add_far(
        &mut self,
        (far_leads, far_sightings): (Vec<(ClientId, LeadId)>, Vec<Sighting>),
        leads: &mut Vec<(ClientId, LeadId)>,
        sightings: &mut Vec<Sighting>,
    ) {
        let now = Instant::now();
        let near = leads.iter().map(|(_, id)| *id).collect::<HashSet<_>>();
        for (client, id) in far_leads.into_iter().filter(|(_, id)| !near.contains(id)) {
            if self.clients.binary_search(&client).is_ok() {
                leads.push((client, id));
            } else {
                self.leads.insert(id, now);
            }
        }
        let near = sightings.iter().map(|sighting| sighting.id).collect::<HashSet<_>>();
        for sighting in far_sightings.into_iter().filter(|far| !near.contains(&far.id)) {
            if self.clients.binary_search(&sighting.client_id).is_ok() {
                sightings.push(sighting);
            } else {
                self.deliveries.insert(sighting.id, (sighting, now));
            }
        }
    }

    /// The newest that weren't done when they were last seen.
    fn watched(&self, clients: &[ClientId]) -> Vec<DeliveryId> {
        let unfinished = self.deliveries.values().filter(|(sighting, _)| {
            matches!(sighting.state, DeliveryState::Pending | DeliveryState::Held)
                && clients.binary_search(&sighting.client_id).is_ok()
        });
        let mut ids = unfinished.map(|(sighting, _)| sighting.id).collect::<Vec<_>>();
        ids.sort_unstable_by(|one, other| other.cmp(one));
        ids.truncate(WATCHED);
        ids
    }
}

/// Events to be told, by client, the leads first.
#[derive(Default)]
struct Changes {
    /// Whoever looks is to show all anew.
    is_too_much: bool,
    events: BTreeMap<ClientId, Vec<(&'static str, String)>>,
}

impl Changes {
    async fn add(&mut self, store: &Store, leads: Vec<LeadId>, deliveries: Vec<DeliveryId>) -> Result<(), StoreError> {
        for some in leads.chunks(WATCHED) {
            for lead in store.leads_by_id(some.to_vec()).await? {
                self.push(lead.client_id, "lead", &LeadView::from(lead));
            }
        }
        for some in deliveries.chunks(WATCHED) {
            for logged in store.logged(some.to_vec()).await? {
                let client = logged.delivery.client_id;
                self.push(client, "delivery", &LoggedDeliveryView::from(logged));
            }
        }
        Ok(())
    }

    fn push(&mut self, client: ClientId, name: &'static str, view: &impl Serialize) {
        let json = serde_json::to_string(view).expect("a view is JSON");
        self.events.entry(client).or_default().push((name, json));
    }

    /// Each client's events as its streams carry them.
    fn into_pieces(self, position: Position, clients: &[ClientId]) -> BTreeMap<ClientId, String> {
        if self.is_too_much {
            let pieces = clients.iter().map(|client| (*client, reset(position)));
            return pieces.collect();
        }
        let token = position.to_token();
        let pieces = self.events.into_iter().map(|(client, events)| {
            let mut piece = String::new();
            for (name, json) in events {
                // JSON as it is written here has no line breaks.
                write!(piece, "event: {name}\nid: {token}\ndata: {json}\n\n").expect("a String takes all");
            }
            (client, piece)
        });
        pieces.collect()
    }
}

/// What a stream begins with that was at this position before: what it missed, or, when that is too much, that it is to show all anew.
pub(crate) async fn missed(store: &Store, client: ClientId, position: Option<Position>) -> Result<Bytes, StoreError> {
    told_since(store, client, position, FAR_BACK).await
}

/// What a stream begins with that wasn't there before: what came a little before, since the page it is for was made a moment ago.
pub(crate) async fn begun(store: &Store, client: ClientId) -> Result<Bytes, StoreError> {
    told_since(store, client, Some(Position(floor(store, store.now()))), Duration::ZERO).await
}

/// What happened since a position, and of what is older by `late` at most what may have been committed since.
async fn told_since(
    store: &Store,
    client: ClientId,
    position: Option<Position>,
    late: Duration,
) -> Result<Bytes, StoreError> {
    let now = floor(store, store.now());
    let Some(Position(since)) = position.filter(|Position(since)| now.since(*since) < LONGEST_AWAY) else {
        return Ok(Bytes::from(reset(Position(now))));
    };
    let earlier = back(since, late);
    let (leads, mut sightings) = (
        store.leads_since(&[client], earlier, MOST_MISSED).await?,
        store.sightings_since(&[client], earlier, MOST_MISSED).await?,
    );
    let most = MOST_MISSED as usize;
    if leads.len() >= most || sightings.len() >= most {
        return Ok(Bytes::from(reset(Position(now))));
    }
    sightings.extend(store.retries_since(client, since).await?);
    let mut ids = sightings.into_iter().map(|sighting| sighting.id).collect::<Vec<_>>();
    ids.sort_unstable();
    ids.dedup();
    let mut changes = Changes::default();
    let leads = leads.into_iter().map(|(_, id)| id).collect();
    changes.add(store, leads, ids).await?;
    let piece = changes.into_pieces(Position(since), &[client]).remove(&client);
    // Also of nothing: who is cut off before the first event is to come back with a position.
    let piece = piece.unwrap_or_default() + &at(Position(since.min(now)));
    Ok(Bytes::from(piece))
}

/// An event without data tells the position alone: a browser keeps it, and shows nothing.
fn at(position: Position) -> String {
    format!("id: {}\n\n", position.to_token())
}

fn reset(position: Position) -> String {
    format!("event: reset\nid: {}\ndata: {{}}\n\n", position.to_token())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_much_everybody_is_told_to_begin_anew() {
        let now = Timestamp::from_millis(1_732_444_200_123);
        let clients = [ClientId::new(now), ClientId::new(now)];
        let mut changes = Changes::default();
        changes.push(clients[0], "lead", &"some");
        changes.is_too_much = true;
        let pieces = changes.into_pieces(Position(now), &clients);
        let anew = reset(Position(now));
        assert_eq!(pieces, clients.map(|client| (client, anew.clone())).into());
    }

    #[test]
    fn a_position_is_read_as_it_is_written_and_nothing_else_is_one() {
        let position = Position(Timestamp::from_millis(1_732_444_200_123));
        assert_eq!(Position::from_token(&position.to_token()), Some(position));
        for wrong in ["", "1-", "2-1935d2", "1-x", "1-ffffffffffffffffffff"] {
            assert_eq!(Position::from_token(wrong), None, "{wrong}");
        }
    }
}
