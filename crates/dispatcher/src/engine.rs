//! The engine: takes deliveries from the store, attempts them, and gives the outcomes back.
//!
//! Promises that an attempt starts only if its deadline ends before its lease does, that each attempt ends within its
//! deadline and alone (a panic fails that attempt), that what follows is `judge`'s word, and that every outcome
//! is handed to [`Store::record`] with its place, which stays taken until it is stored. Leaves to others: what
//! may start (`lanes`), finding what nobody holds (`sweeper`), and how a destination is reached ([`Transport`]).
//!
//! [`Transport`]: crate::Transport

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use sensei_domain::{Clock, DestinationId};
use sensei_persistence::{Destination, Handover, Job, Place, Refreshed, Store};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::attempt;
use crate::bound::BoundTransports;
use crate::egress::Egress;
use crate::lanes::{Lanes, Next, Waiting};
use crate::limits::Limits;
use crate::sweeper;
use crate::transports::Registry;

/// An attempt must be over, and its outcome on the way to the log, this long before its lease ends.
const LEASE_MARGIN: Duration = Duration::from_secs(5);
/// Between tries to read again while the database is away.
const REREAD_PAUSE: Duration = Duration::from_millis(500);

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
    lanes: Mutex<Lanes<Held>>,
    /// Something is due in the database that the sweeper should fetch now.
    pub(crate) fetch: Notify,
    /// No new work.
    pub(crate) stopping: CancellationToken,
    /// Attempts under way are given up.
    pub(crate) given_up: CancellationToken,
    pub(crate) tasks: TaskTracker,
    is_empty: watch::Sender<bool>,
}

/// A delivery that this process holds, with its place in the lane.
pub(crate) struct Held {
    pub(crate) job: Job,
    pub(crate) place: Taken,
}

impl Waiting for Held {
    fn read_at(&self) -> Instant {
        self.job.read_at
    }
}

/// A place in a lane, given back when dropped.
pub(crate) struct Taken {
    engine: Arc<Engine>,
    destination: DestinationId,
}

impl Dispatcher {
    /// Starts to attempt what the store captures from now on, and what it has due.
    pub fn start(store: &Store, egress: Egress, registry: Registry, limits: Limits, clock: Arc<dyn Clock>) -> Self {
        let engine = Arc::new(Engine {
            egress,
            clock,
            transports: BoundTransports::new(registry),
            lanes: Mutex::new(Lanes::new(limits)),
            fetch: Notify::new(),
            stopping: CancellationToken::new(),
            given_up: CancellationToken::new(),
            tasks: TaskTracker::new(),
            is_empty: watch::Sender::new(true),
            store: store.clone(),
        });
        store.set_handover(Arc::new(EngineHandover(Arc::downgrade(&engine))));
        engine.tasks.spawn(sweeper::run(Arc::clone(&engine)));
        Self { engine }
    }

    /// Waits until nothing is in memory: all attempts have ended and are recorded.
    pub async fn settled(&self) {
        // The sender lives as long as the engine, so waiting can't fail.
        let _ = self.engine.is_empty.subscribe().wait_for(|is_empty| *is_empty).await;
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
        {
            let mut lanes = self.lanes();
            if !lanes.is_closed() {
                lanes.enqueue(destination, held);
            }
            // Once closed it is dropped: its lease ends, or the next start frees it.
        }
        self.begin();
    }

    /// Begins all that may begin now.
    pub(crate) fn begin(self: &Arc<Self>) {
        loop {
            let next = self.lanes().next(Instant::now());
            match next {
                None => return,
                Some(Next::Start(destination, held)) => {
                    let running = Running {
                        engine: Arc::clone(self),
                        destination,
                    };
                    self.tasks.spawn(async move { running.engine.attempt(held).await });
                }
                Some(Next::Reread(destination, stale)) => {
                    let engine = Arc::clone(self);
                    self.tasks.spawn(async move {
                        let fresh = engine.reread(stale).await;
                        if engine.stopping.is_cancelled() {
                            return engine.give_up(fresh).await;
                        }
                        engine.lanes().reread(destination, fresh);
                        engine.begin();
                    });
                }
            }
        }
    }

    async fn attempt(self: &Arc<Self>, held: Held) {
        let ends = Instant::now() + self.egress.deadline() + LEASE_MARGIN;
        if held.job.leased_until < ends {
            return self.give_up(vec![held]).await;
        }
        tokio::select! {
            recording = attempt::make(self, held) => self.store.record(recording),
            () = self.given_up.cancelled() => {}
        }
    }

    /// Reads deliveries again that have waited: what is no longer ours is dropped.
    async fn reread(self: &Arc<Self>, stale: Vec<Held>) -> Vec<Held> {
        let leases = stale
            .iter()
            .map(|held| (held.job.delivery_id, held.job.lease))
            .collect::<Vec<_>>();
        let read = loop {
            let read_at = Instant::now();
            match self.store.refresh(&leases).await {
                Ok(read) => break read.into_iter().map(move |refreshed| (refreshed, read_at)),
                Err(error) => {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "waiting deliveries can't be read again yet"
                    );
                    tokio::select! {
                        () = tokio::time::sleep(REREAD_PAUSE) => {}
                        () = self.stopping.cancelled() => return Vec::new(),
                    }
                }
            }
        };
        let fresh = stale
            .into_iter()
            .zip(read)
            .filter_map(|(mut held, (refreshed, read_at))| match refreshed {
                Refreshed::Current(destination) => {
                    held.job.destination = destination;
                    held.job.read_at = read_at;
                    Some(held)
                }
                Refreshed::Gone => None,
            });
        fresh.collect()
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

    /// Takes places for deliveries that are due in the database.
    pub(crate) fn take_places(self: &Arc<Self>, destination: DestinationId, wanted: usize) -> Vec<Taken> {
        let taken = self.lanes().take(destination, wanted);
        if taken > 0 {
            self.is_empty
                .send_if_modified(|is_empty| std::mem::replace(is_empty, false));
        }
        (0..taken)
            .map(|_| Taken {
                engine: Arc::clone(self),
                destination,
            })
            .collect()
    }

    /// Deliveries are due that have no place; the sweeper is told.
    pub(crate) fn fell_behind(&self, destination: DestinationId) {
        self.note_behind(destination);
        self.fetch.notify_one();
    }

    /// Deliveries are due that have no place, as the sweeper knows.
    pub(crate) fn note_behind(&self, destination: DestinationId) {
        self.lanes().fell_behind(destination);
    }

    pub(crate) fn caught_up(&self, destination: DestinationId) {
        self.lanes().caught_up(destination);
    }

    /// The lock is held for moments only, never across an await.
    fn lanes(&self) -> MutexGuard<'_, Lanes<Held>> {
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
    destination: DestinationId,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.engine.lanes().ended(self.destination);
        self.engine.begin();
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let (has_room, is_empty) = {
            let mut lanes = self.engine.lanes();
            (lanes.give_back(self.destination), lanes.is_empty())
        };
        if has_room {
            self.engine.fetch.notify_one();
        }
        if is_empty {
            self.engine.is_empty.send_replace(true);
        }
    }
}

/// The engine as the store sees it. The store doesn't keep a dispatcher alive that its owner has dropped.
struct EngineHandover(Weak<Engine>);

impl Handover for EngineHandover {
    fn reserve(&self, destination: &Arc<Destination>) -> Option<Box<dyn Place>> {
        let engine = self.0.upgrade()?;
        if !engine.lanes().take_new(destination.id) {
            return None;
        }
        engine
            .is_empty
            .send_if_modified(|is_empty| std::mem::replace(is_empty, false));
        Some(Box::new(Taken {
            destination: destination.id,
            engine,
        }))
    }

    fn left_behind(&self, destination: DestinationId) {
        if let Some(engine) = self.0.upgrade() {
            engine.fell_behind(destination);
        }
    }

    fn changed(&self, destination: DestinationId) {
        if let Some(engine) = self.0.upgrade() {
            engine.lanes().changed(destination, Instant::now());
        }
    }
}

impl Place for Taken {
    fn fill(self: Box<Self>, job: Job) {
        let engine = Arc::clone(&self.engine);
        engine.offer(Held { job, place: *self });
    }
}
