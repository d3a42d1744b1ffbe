//! What streams were told already, and what is new of it.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use sensei_domain::{ClientId, DeliveryId, DeliveryState, LeadId, Timestamp};
use sensei_persistence::{Sighting, Store, StoreError};
use serde::Serialize;

use super::Position;
use crate::leads::LeadView;
use crate::logged_delivery::LoggedDeliveryView;

/// What was seen is remembered for longer than is looked back.
const REMEMBERED: Duration = Duration::from_mins(1);
/// Deliveries that aren't done yet are looked at for as long as they are among so many.
const WATCHED: usize = 2_000;
/// Rows that are read at once. Beyond, a stream is told to begin anew.
const MOST: u32 = 20_000;

/// Leads, and how deliveries stand.
#[derive(Debug)]
pub(super) struct Rows {
    leads: Vec<(ClientId, LeadId)>,
    sightings: Vec<Sighting>,
}

impl Rows {
    pub(super) async fn since(store: &Store, clients: &[ClientId], since: Timestamp) -> Result<Self, StoreError> {
        // Deliveries first: of what is captured in between, the lead is told before them.
        let sightings = store.sightings_since(clients, since, MOST).await?;
        Ok(Self {
            leads: store.leads_since(clients, since, MOST).await?,
            sightings,
        })
    }

    /// Some may be missing.
    const fn are_too_many(&self) -> bool {
        self.leads.len() >= MOST as usize || self.sightings.len() >= MOST as usize
    }
}

/// What was shown already.
#[derive(Default)]
pub(super) struct Seen {
    leads: HashMap<LeadId, Instant>,
    deliveries: HashMap<DeliveryId, (Sighting, Instant)>,
    /// Outcomes were stored of these.
    touched: Vec<DeliveryId>,
}

impl Seen {
    /// So it stands, as is known already.
    pub(super) fn note(&mut self, rows: Rows) {
        let now = Instant::now();
        self.leads.extend(rows.leads.into_iter().map(|(_, id)| (id, now)));
        let sightings = rows
            .sightings
            .into_iter()
            .map(|sighting| (sighting.id, (sighting, now)));
        self.deliveries.extend(sightings);
    }

    /// These may have changed.
    pub(super) fn touch(&mut self, deliveries: impl Iterator<Item = DeliveryId>) {
        self.touched.extend(deliveries);
    }

    /// What is new since `from`, and since `far`, where it is looked far back.
    pub(super) async fn look(
        &mut self,
        store: &Store,
        clients: &[ClientId],
        from: Timestamp,
        far: Option<Timestamp>,
    ) -> Result<Changes, StoreError> {
        let mut changes = Changes::default();
        let mut rows = Rows::since(store, clients, from).await?;
        // Some that nobody has seen may be among those that aren't read.
        changes.is_too_much = rows.are_too_many();
        if let Some(far) = far {
            let Rows { leads, sightings } = Rows::since(store, clients, far).await?;
            rows.leads.extend(leads);
            rows.sightings.extend(sightings);
        }
        let mut watched = self.watched(clients);
        watched.extend(self.touched.iter().copied());
        for some in watched.chunks(WATCHED) {
            rows.sightings.extend(store.sightings_of(some.to_vec()).await?);
        }
        let new = rows.leads.iter().filter(|(_, id)| !self.leads.contains_key(id));
        let new = new.map(|(_, id)| *id).collect::<Vec<_>>();
        let is_new = |sighting: &&Sighting| {
            clients.binary_search(&sighting.client_id).is_ok()
                && self
                    .deliveries
                    .get(&sighting.id)
                    .is_none_or(|(before, _)| before != *sighting)
        };
        let changed = rows.sightings.iter().filter(is_new).map(|sighting| sighting.id);
        changes.add(store, new, changed.collect()).await?;
        // Only now: what could not be read is read again. Of what was read twice the later stays.
        self.touched.clear();
        self.note(rows);
        let now = Instant::now();
        self.leads.retain(|_, at| now.duration_since(*at) < REMEMBERED);
        self.deliveries
            .retain(|_, (_, at)| now.duration_since(*at) < REMEMBERED);
        Ok(changes)
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
pub(super) struct Changes {
    /// Whoever looks is to show all anew.
    is_too_much: bool,
    events: BTreeMap<ClientId, Vec<(&'static str, String)>>,
}

impl Changes {
    /// Of these leads and deliveries, each once.
    pub(super) async fn add(
        &mut self,
        store: &Store,
        mut leads: Vec<LeadId>,
        mut deliveries: Vec<DeliveryId>,
    ) -> Result<(), StoreError> {
        leads.sort_unstable();
        leads.dedup();
        deliveries.sort_unstable();
        deliveries.dedup();
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
    pub(super) fn into_pieces(self, position: Position, clients: &[ClientId]) -> BTreeMap<ClientId, String> {
        if self.is_too_much {
            let pieces = clients.iter().map(|client| (*client, position.reset()));
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
        let anew = Position(now).reset();
        assert_eq!(pieces, clients.map(|client| (client, anew.clone())).into());
    }
}
