//! The sweeper: fetches deliveries that are due and held by nobody.
//!
//! One rule covers a crash between commit and hand-over, a dead process, a full lane and a scheduled retry: a row
//! that is due is leased, for each destination as many as its lane has places for (none while its breaker is open), and
//! attempted like any other.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use sensei_persistence::{Claim, Destination, StoreError};

use crate::engine::Engine;

/// Between two looks when nobody asks for one: how late a retry may come.
const INTERVAL: Duration = Duration::from_millis(500);
/// Between two tries while the database is away.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two times that what was counted is added up.
const FOLD_INTERVAL: Duration = Duration::from_secs(1);
/// Between two parts of a round over all destinations, at least.
const SHORTEST_REST: Duration = Duration::from_millis(1);
/// Lanes that want more for which one sweep fetches at most, beside those that have their look.
const WANTING: usize = 256;
/// At most so many are leased in one transaction, for so many destinations: leads are captured in between.
const LEASED_AT_ONCE: usize = 256;
const DESTINATIONS_AT_ONCE: usize = 32;

/// Sweeps until the dispatcher stops, whatever happens.
pub(crate) async fn run(engine: Arc<Engine>) {
    while AssertUnwindSafe(sweep_on(&engine)).catch_unwind().await.is_err() {
        tracing::error!("the sweeper panicked; it begins anew");
        tokio::time::sleep(PAUSE).await;
    }
}

/// A round of looks over all destinations.
#[derive(Default)]
struct Round {
    /// When it began; `None` when that isn't known, or a part of it failed.
    began: Option<Instant>,
    /// More of what is held is about to be due. It goes before what comes from now on: no lane has caught up yet.
    is_releasing: bool,
}

async fn sweep_on(engine: &Arc<Engine>) {
    let (mut is_away, mut round) = (false, Round::default());
    let (mut folded_at, mut is_folding) = (Instant::now(), true);
    let (mut recovered_at, mut is_recovering) = (Instant::now(), true);
    while !engine.stopping.is_cancelled() {
        if !is_away && (is_recovering || recovered_at.elapsed() >= INTERVAL) {
            recovered_at = Instant::now();
            is_recovering = some(engine.store.advance_recoveries(), "recoveries could not go on").await;
        }
        round.is_releasing = !is_away && some(engine.store.free_held(), "what is held could not be released").await;
        let begun = Instant::now();
        let pause = match sweep(engine, &mut round).await {
            Ok(swept) => {
                if std::mem::take(&mut is_away) {
                    tracing::info!("the database answers again");
                }
                if swept.more || is_recovering || round.is_releasing {
                    Duration::ZERO
                } else if swept.ends_round {
                    INTERVAL
                } else {
                    // The rest of the round soon, but half of the time is others'.
                    begun.elapsed().clamp(SHORTEST_REST, INTERVAL)
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut is_away, true) {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the database doesn't say what is due; trying until it does"
                    );
                }
                PAUSE
            }
        };
        if !is_away && (is_folding || folded_at.elapsed() >= FOLD_INTERVAL) {
            folded_at = Instant::now();
            is_folding = some(engine.store.fold_tallies(), "what was counted could not be added up").await;
        }
        if pause.is_zero() || (is_folding && !is_away) {
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = engine.fetch.notified(), if !is_away => {}
            () = engine.stopping.cancelled() => {}
        }
    }
}

/// What a sweep leaves to do.
struct Swept {
    /// Another one at once is worth it: more is due, and there was room for it.
    more: bool,
    /// Every destination had its look since the round began.
    ends_round: bool,
}

/// Fetches what there is room for: for lanes that want more, and for the destinations that have their look in this part of a round.
async fn sweep(engine: &Arc<Engine>, round: &mut Round) -> Result<Swept, StoreError> {
    let result = sweep_part(engine, round).await;
    if result.is_err() {
        // Not all that was due was dealt with: of this round nothing can be concluded.
        round.began = None;
    }
    result
}

async fn sweep_part(engine: &Arc<Engine>, round: &mut Round) -> Result<Swept, StoreError> {
    let mut due = engine.wanting(WANTING);
    let mut more = due.len() == WANTING;
    let began = Instant::now();
    let look = engine.store.due_destinations().await?;
    if look.begins_round {
        round.began = Some(began);
    }
    due.extend(look.destinations);
    due.sort_unstable();
    due.dedup();
    let mut left = &due[..];
    while !left.is_empty() && !engine.stopping.is_cancelled() {
        let mut claims = Vec::with_capacity(DESTINATIONS_AT_ONCE);
        let mut leased = 0;
        while let Some((&destination_id, rest)) = left.split_first()
            && leased < LEASED_AT_ONCE
            && claims.len() < DESTINATIONS_AT_ONCE
        {
            left = rest;
            let room = engine.room_to_fetch(destination_id).min(LEASED_AT_ONCE - leased);
            if room == 0 {
                // Fetched when its lane has room: a place that is given back wakes us.
                engine.note_behind(destination_id);
                continue;
            }
            leased += room;
            claims.push(Claim { destination_id, room });
        }
        more |= fetch(engine, &claims).await?;
    }
    if look.ends_round
        && let Some(began) = round.began.take()
        && !round.is_releasing
    {
        engine.round_ended(began);
    }
    Ok(Swept {
        more,
        ends_round: look.ends_round,
    })
}

/// Leases deliveries and offers them to their lanes. True if there are more for a lane that took some.
async fn fetch(engine: &Arc<Engine>, claims: &[Claim]) -> Result<bool, StoreError> {
    if claims.is_empty() {
        return Ok(false);
    }
    let mut more = false;
    let is_held = |delivery| engine.holds(delivery);
    let reserve = |destination: &Arc<Destination>, bytes| engine.take_place(destination, bytes);
    for claimed in engine.store.claim(claims, is_held, reserve).await? {
        if claimed.left {
            engine.note_behind(claimed.destination_id);
            if !claimed.jobs.is_empty() {
                engine.want(claimed.destination_id);
                more = true;
            }
        } else {
            engine.caught_up(claimed.destination_id);
        }
        for (job, place) in claimed.jobs {
            engine.offer(place.hold(job));
        }
    }
    Ok(more)
}

/// Does some of what isn't a sweep, unless it fails: then it is tried again. True if there is more to do that need not wait.
async fn some(work: impl Future<Output = Result<bool, StoreError>>, trouble: &str) -> bool {
    match work.await {
        Ok(more) => more,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "{trouble}; it is tried again");
            false
        }
    }
}
