//! What a stream begins with: what happened since its reader was here, or a moment before he came.

use std::time::Duration;

use bytes::Bytes;
use sensei_domain::ClientId;
use sensei_persistence::{Store, StoreError};

use super::seen::Changes;
use super::{FAR_BACK, Position, back, floor};

/// A stream that was away for longer shows the page anew.
const LONGEST_AWAY: Duration = Duration::from_hours(1);
/// As does one that has missed more.
const MOST_MISSED: u32 = 5_000;
/// What was done within this after it was made is found by when it was made (`Store::sightings_since`).
const SOON: Duration = Duration::from_secs(5);

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
        return Ok(Bytes::from(Position(now).reset()));
    };
    let earlier = back(since, late);
    // Deliveries first: of what is captured in between, the lead is told before them.
    let mut sightings = store
        .sightings_since(&[client], back(earlier, SOON), MOST_MISSED)
        .await?;
    let leads = store.leads_since(&[client], earlier, MOST_MISSED).await?;
    let most = MOST_MISSED as usize;
    if leads.len() >= most || sightings.len() >= most {
        return Ok(Bytes::from(Position(now).reset()));
    }
    sightings.retain(|sighting| sighting.is_since(earlier));
    sightings.extend(store.retries_since(client, earlier).await?);
    let mut changes = Changes::default();
    let leads = leads.into_iter().map(|(_, id)| id).collect();
    let deliveries = sightings.into_iter().map(|sighting| sighting.id).collect();
    changes.add(store, leads, deliveries).await?;
    let piece = changes.into_pieces(Position(since), &[client]).remove(&client);
    // All until then is told. Also of nothing: who is cut off before the first event is to come back with a position.
    let piece = piece.unwrap_or_default() + &Position(now).alone();
    Ok(Bytes::from(piece))
}
