//! The engine: takes deliveries from the store, attempts them, and gives the outcomes back.
//!
//! Promises that an attempt starts only if its deadline ends before its lease does, that each attempt ends within its
//! deadline and alone (a panic fails that attempt), that what follows is `judge`'s word, and that every outcome
//! is handed to [`Store::record`] with its place, which stays taken until it is stored. Leaves to others: what
//! may start (`lanes`), finding what nobody holds (`sweeper`), and how a destination is reached ([`Transport`]).
//!
//! [`Transport`]: crate::Transport

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use sensei_domain::{Clock, DeliveryId, DestinationId};
use sensei_persistence::{Destination, Store};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::attempt::{self, Said};
use crate::bound::BoundTransports;
use crate::breakers::{BreakerState, Breakers};
use crate::egress::Egress;
use crate::lanes::{LaneCounts, Lanes, Next, Turn};
use crate::limits::Limits;
use crate::meters::Meters;
use crate::pace::Terms;
use crate::place::{EngineHandover, Held, Taken};
use crate::rate_timer;
use crate::sweeper;
use crate::tidy;
use crate::transports::Registry;

/// An attempt must be over, and its outcome on the way to the log, this long before its lease ends.
const LEASE_MARGIN: Duration = Duration::from_secs(5);
/// A lease must exceed an attempt's deadline by this much: what is left is the time that a delivery may wait in memory.
const LEASE_EXCEEDS_DEADLINE: Duration = Duration::from_secs(10);

/// Attempts deliveries in this process. Dropped without [`Dispatcher::shutdown`], it stops as a killed process would.
#[derive(Debug)]
pub struct Dispatcher {
    engine: Arc<Engine>,
}

/// What the dispatcher's tasks share.
pub(crate) struct Engine {
    pub(crate) store: Store,
    pub(crate) egress: Egress,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) transports: BoundTransports,
    pub(crate) meters: Meters,
    lanes: Mutex<Lanes<Held>>,
    /// What is in memory, by id: never fetched again, however late its outcome is stored.
    held: Mutex<HashSet<DeliveryId>>,
    /// Something is due in the database that the sweeper should fetch now.
    pub(crate) fetch: Notify,
    /// A lane waits for a token, and maybe for an earlier one than any other.
    pub(crate) waits_for_token: Notify,
    /// No new work.
    pub(crate) stopping: CancellationToken,
    /// Attempts under way are given up.
    pub(crate) given_up: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// The last place was given back.
    emptied: watch::Sender<()>,
}

/// Leases too short for any attempt to start under them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the lease ({lease:?}) must exceed an attempt's deadline ({deadline:?}) by {LEASE_EXCEEDS_DEADLINE:?} at least"
)]
pub struct LeaseTooShort {
    lease: Duration,
    deadline: Duration,
}

impl Dispatcher {
    /// Starts to attempt what the store captures from now on, and what it has due.
    ///
    /// # Errors
    /// If the store's leases are too short for the deadline of an attempt.
    pub fn start(
        store: &Store,
        egress: Egress,
        registry: Registry,
        limits: Limits,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LeaseTooShort> {
        let (lease, deadline) = (store.lease(), egress.deadline());
        if lease < deadline + LEASE_EXCEEDS_DEADLINE {
            return Err(LeaseTooShort { lease, deadline });
        }
        let engine = Arc::new(Engine {
            egress,
            clock,
            transports: BoundTransports::new(registry),
            meters: Meters::new(),
            lanes: Mutex::new(Lanes::new(limits, lease.saturating_sub(deadline + LEASE_MARGIN))),
            held: Mutex::default(),
            fetch: Notify::new(),
            waits_for_token: Notify::new(),
            stopping: CancellationToken::new(),
            given_up: CancellationToken::new(),
            tasks: TaskTracker::new(),
            emptied: watch::Sender::new(()),
            store: store.clone(),
        });
        store.set_handover(Arc::new(EngineHandover(Arc::downgrade(&engine))));
        engine.tasks.spawn(sweeper::run(Arc::clone(&engine)));
        engine.tasks.spawn(tidy::run(Arc::clone(&engine)));
        engine.tasks.spawn(rate_timer::run(Arc::clone(&engine)));
        Ok(Self { engine })
    }

    /// What this destination's circuit breaker lets through in this process.
    pub fn breaker(&self, destination: DestinationId) -> BreakerState {
        self.engine.breaker(destination)
    }

    /// What the circuit breakers of this process let through, for who only looks.
    pub fn breakers(&self) -> Breakers {
        Breakers::of(&self.engine)
    }

    pub(crate) const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Waits until nothing is in memory: all attempts have ended and are recorded.
    pub async fn settled(&self) {
        let mut emptied = self.engine.emptied.subscribe();
        while !self.engine.lanes().is_empty() {
            if emptied.changed().await.is_err() {
                return;
            }
        }
    }

    /// Starts nothing more, gives back what waits, and lets attempts under way end until the deadline. Those that
    /// don't are dropped; their rows are attempted again by whoever comes next.
    pub async fn shutdown(&self, deadline: Duration) {
        let engine = &self.engine;
        engine.stopping.cancel();
        let waiting = engine.lanes().close();
        engine.give_up(waiting).await;
        engine.tasks.close();
        if tokio::time::timeout(deadline, engine.tasks.wait()).await.is_err() {
            tracing::warn!("attempts were still under way at the shutdown's deadline; they will be made again");
            engine.given_up.cancel();
            engine.tasks.wait().await;
        }
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.engine.stopping.cancel();
        self.engine.given_up.cancel();
        // What waits holds the engine; taken out first, since each place that is given back takes the lock.
        let waiting = self.engine.lanes().close();
        drop(waiting);
    }
}

impl Engine {
    /// Offers a delivery that this process holds.
    pub(crate) fn offer(self: &Arc<Self>, held: Held) {
        let destination = held.job.destination.id;
        let refused = self.lanes().enqueue(destination, held, Instant::now());
        match refused {
            Ok(()) => self.begin(),
            Err(late) => self.give_up_soon(vec![late]),
        }
    }

    /// Begins all that may begin now.
    pub(crate) fn begin(self: &Arc<Self>) {
        loop {
            let (next, is_earlier) = {
                let mut lanes = self.lanes();
                (lanes.next(Instant::now()), lanes.waits_for_earlier_token())
            };
            if is_earlier {
                self.waits_for_token.notify_one();
            }
            match next {
                None => return,
                Some(Next::Start(turn, mut held)) => {
                    held.place.begin();
                    let running = Running {
                        engine: Arc::clone(self),
                        turn,
                        said: Said::NOTHING,
                    };
                    self.tasks.spawn(running.attempt(held));
                }
                Some(Next::Reread(destination, stale)) => {
                    let engine = Arc::clone(self);
                    self.tasks.spawn(async move {
                        let read = AssertUnwindSafe(engine.reread(stale)).catch_unwind().await;
                        let fresh = read.unwrap_or_else(|_panic| {
                            tracing::error!("reading waiting deliveries again panicked; their leases will run out");
                            Vec::new()
                        });
                        let refused = engine.lanes().reread(destination, fresh, Instant::now());
                        if let Err(late) = refused {
                            engine.give_up(late).await;
                        }
                        engine.begin();
                    });
                }
            }
        }
    }

    async fn attempt(self: &Arc<Self>, held: Held) -> Said {
        if !self.outlasts_an_attempt(&held) {
            self.give_up(vec![held]).await;
            return Said::NOTHING;
        }
        tokio::select! {
            (recording, said) = attempt::make(self, held) => {
                self.store.record(recording);
                said
            }
            () = self.given_up.cancelled() => Said::NOTHING,
        }
    }

    /// Whether there is time for an attempt before the lease ends.
    pub(crate) fn outlasts_an_attempt(&self, held: &Held) -> bool {
        outlasts_an_attempt(held.job.leased_until, Instant::now(), self.egress.deadline())
    }

    /// As [`Engine::give_up`], without waiting for it.
    fn give_up_soon(self: &Arc<Self>, waiting: Vec<Held>) {
        let engine = Arc::clone(self);
        self.tasks.spawn(async move { engine.give_up(waiting).await });
    }

    /// Gives leases back, so that the deliveries are due at once for whoever has room.
    pub(crate) async fn give_up(self: &Arc<Self>, waiting: Vec<Held>) {
        if waiting.is_empty() {
            return;
        }
        let leases = waiting
            .iter()
            .map(|held| (held.job.delivery_id, held.job.lease))
            .collect::<Vec<_>>();
        if let Err(error) = self.store.release(&leases).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "leases could not be given back; they will run out"
            );
        }
        let destinations = waiting.iter().map(|held| held.job.destination.id).collect::<Vec<_>>();
        // The places first: the sweeper is to see the room.
        drop(waiting);
        for destination in destinations {
            self.fell_behind(destination);
        }
    }

    /// For how many deliveries that are due in the database this lane has room.
    pub(crate) fn room_to_fetch(&self, destination: DestinationId) -> usize {
        self.lanes().room_to_fetch(destination, Instant::now())
    }

    /// Takes a place for a delivery that is due in the database.
    pub(crate) fn take_place(self: &Arc<Self>, destination: &Destination, bytes: usize) -> Option<Taken> {
        let taken = self
            .lanes()
            .take(destination.id, Terms::of(destination), bytes, Instant::now());
        taken.then(|| Taken::new(Arc::clone(self), destination.id, bytes))
    }

    /// Takes a place for a delivery that is being captured.
    pub(crate) fn take_new_place(self: &Arc<Self>, destination: &Destination, bytes: usize) -> Option<Taken> {
        let taken = self
            .lanes()
            .take_new(destination.id, Terms::of(destination), bytes, Instant::now());
        taken.then(|| Taken::new(Arc::clone(self), destination.id, bytes))
    }

    /// A place is free again.
    pub(crate) fn give_back(&self, destination: DestinationId, bytes: usize, has_begun: bool) {
        let (wants_more, is_empty) = {
            let mut lanes = self.lanes();
            let wants_more = lanes.give_back(destination, bytes, has_begun, Instant::now());
            (wants_more, lanes.is_empty())
        };
        if wants_more {
            self.fetch.notify_one();
        }
        if is_empty {
            self.emptied.send_replace(());
        }
    }

    /// What waits for this destination must be read again.
    pub(crate) fn changed(self: &Arc<Self>, destination: DestinationId) {
        self.lanes().changed(destination, Instant::now());
        self.begin();
    }

    /// What a destination's circuit breaker lets through.
    pub(crate) fn breaker(&self, destination: DestinationId) -> BreakerState {
        let now = Instant::now();
        let stand = self.lanes().breaker(destination, now);
        BreakerState::of(stand, now, self.clock.now())
    }

    /// How much is in the lanes.
    pub(crate) fn lane_counts(&self) -> LaneCounts {
        self.lanes().counts(Instant::now())
    }

    /// When a lane that waits for a token may go on.
    pub(crate) fn next_token(&self) -> Option<Instant> {
        self.lanes().next_token()
    }

    pub(crate) fn holds(&self, delivery: DeliveryId) -> bool {
        self.held().contains(&delivery)
    }

    pub(crate) fn held(&self) -> MutexGuard<'_, HashSet<DeliveryId>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock is held for moments only, never across an await.
    pub(crate) fn lanes(&self) -> MutexGuard<'_, Lanes<Held>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// An attempt's turn, over when dropped, however that comes about.
struct Running {
    engine: Arc<Engine>,
    turn: Turn,
    said: Said,
}

impl Running {
    async fn attempt(mut self, held: Held) {
        self.said = self.engine.attempt(held).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let (Said { sign, pause }, now) = (self.said, Instant::now());
        let stopped = {
            let mut lanes = self.engine.lanes();
            // The rest first: a lane in which nothing is may be forgotten, unless its receiver rests.
            let rest = pause.map(|pause| lanes.pause(self.turn, pause, now));
            let mut stopped = lanes.ended(self.turn, sign, now, rand::random());
            stopped.extend(rest.into_iter().flatten());
            stopped
        };
        if !stopped.is_empty() {
            tracing::debug!(destination = %self.turn.destination, "a receiver is away; what waits for it is given back");
            self.engine.give_up_soon(stopped);
        }
        self.engine.begin();
    }
}

fn outlasts_an_attempt(leased_until: Instant, now: Instant, deadline: Duration) -> bool {
    leased_until >= now + deadline + LEASE_MARGIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_starts_only_if_it_and_its_margin_end_before_the_lease() {
        let (now, deadline) = (Instant::now(), Duration::from_secs(15));
        for (left, starts) in [
            (60_000, true),
            (20_000, true),
            (19_999, false),
            (15_000, false),
            (0, false),
        ] {
            let leased_until = now + Duration::from_millis(left);
            assert_eq!(
                outlasts_an_attempt(leased_until, now, deadline),
                starts,
                "{left} ms left"
            );
        }
        assert!(
            !outlasts_an_attempt(now, now + Duration::from_secs(1), deadline),
            "a lease that is over"
        );
    }
}
