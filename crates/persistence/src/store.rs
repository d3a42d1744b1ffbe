//! The store as others hold it: its connections, its committing tasks, its end.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};
use sensei_domain::{Clock, DestinationId, Timestamp};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::capture::{self, Captures};
use crate::connection::Connections;
use crate::directory::Directory;
use crate::due::DueRound;
use crate::error::{OpenError, StoreError, Unready};
use crate::group_commit::{self, GroupLimits};
use crate::health::KnownFailing;
use crate::index_merges::Merging;
use crate::job::{Handover, Recording};
use crate::jobs::Jobs;
use crate::key_cache::KeyCache;
use crate::live::Told;
use crate::lock::DatabaseLock;
use crate::master_key_marks;
use crate::master_keys::MasterKeys;
use crate::meters::StoreMeters;
use crate::options::{DatabaseUrl, StoreOptions};
use crate::pace::SharedPace;
use crate::record::Recordings;
use crate::rollups;
use crate::search;
use crate::wal;

/// Leads that may wait for the commit task; more are told to come back.
pub(crate) const LEADS_WAITING: usize = 16_384;
/// A batch of captures is closed at this many leads.
const CAPTURE_LIMITS: GroupLimits = GroupLimits {
    weight: 256,
    linger: Duration::ZERO,
};
/// Nobody waits for an outcome to be stored, so outcomes wait for company: a crash repeats these deliveries.
const RECORD_LIMITS: GroupLimits = GroupLimits {
    weight: 512,
    linger: Duration::from_millis(20),
};
/// Beyond this, leases would end early or late by what matters.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// The database of Sensei Webhooks. A cheap handle; all clones are the same store.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    captures: mpsc::Sender<capture::Pending>,
    /// A permit for each lead that may wait.
    room_for_leads: Arc<Semaphore>,
    recordings: mpsc::UnboundedSender<Recording>,
    committing: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// What the store's parts share.
pub(crate) struct Shared {
    pub(crate) connections: Connections,
    pub(crate) directory: Directory,
    pub(crate) keys: KeyCache,
    pub(crate) failing: KnownFailing,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) lease: Duration,
    /// Writes that nobody waits for, until the store closes.
    pub(crate) background: TaskTracker,
    /// Where the search for due destinations goes on.
    pub(crate) due_round: Mutex<DueRound>,
    /// Where the search for what can be released goes on.
    pub(crate) held_after: Mutex<Uuid>,
    /// Destinations whose held deliveries are released first, as somebody resumed them here.
    pub(crate) resumed: Mutex<BTreeSet<DestinationId>>,
    /// Where the turns of recoveries go on.
    pub(crate) recovered_after: Mutex<Uuid>,
    /// Until when there are ids that were ahead of the clock, in milliseconds.
    pub(crate) ids_reach: AtomicI64,
    /// Rows that are added up together for charts.
    pub(crate) adding_up: SharedPace,
    /// Leads that are put into the index of their words together.
    pub(crate) indexing: SharedPace,
    /// How the parts of that index are merged.
    pub(crate) merging: Mutex<Merging>,
    pub(crate) meters: StoreMeters,
    /// Who shows what happens.
    pub(crate) told: Told,
    pub(crate) jobs: Jobs,
    handover: Mutex<Option<Arc<dyn Handover>>>,
    closing: CancellationToken,
    lock: Mutex<Option<DatabaseLock>>,
}

impl Shared {
    pub(crate) fn handover(&self) -> Option<Arc<dyn Handover>> {
        self.handover.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends what runs for as long as the store is open.
    pub(crate) const fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Tells who attempts deliveries here that some are due at once for these destinations.
    pub(crate) fn left_behind(&self, destinations: impl IntoIterator<Item = DestinationId>) {
        if let Some(handover) = self.handover() {
            destinations
                .into_iter()
                .for_each(|destination| handover.left_behind(destination));
        }
    }

    /// Tells the lanes of this process that what they hold for these destinations may be out of date.
    pub(crate) fn changed(&self, destinations: impl IntoIterator<Item = DestinationId>) {
        if let Some(handover) = self.handover() {
            destinations
                .into_iter()
                .for_each(|destination| handover.changed(destination));
        }
    }

    /// Tells who attempts deliveries here that this destination's receiver may be there again.
    pub(crate) fn may_be_back(&self, destination: DestinationId) {
        if let Some(handover) = self.handover() {
            handover.may_be_back(destination);
        }
    }

    /// Tells who attempts deliveries here that this destination's receiver is another.
    pub(crate) fn receiver_changed(&self, destination: DestinationId) {
        if let Some(handover) = self.handover() {
            handover.receiver_changed(destination);
        }
    }
}

impl Store {
    /// Opens a database: locks it (SQLite), brings its schema up to date, refuses what isn't durable or was
    /// sealed under another master key, and takes back what a dead process had leased (SQLite).
    pub async fn open(options: StoreOptions) -> Result<Self, OpenError> {
        let (lock, database) = match options.database {
            DatabaseUrl::Sqlite(path) => {
                let (lock, path) = DatabaseLock::take(&path)?;
                (Some(lock), DatabaseUrl::Sqlite(path))
            }
            server @ DatabaseUrl::Postgres(_) => (None, server),
        };
        let connections = Connections::open(&database).await?;
        let master_keys = MasterKeys::new(options.master_key, options.previous_master_key);
        master_key_marks::refuse_other_keys(&connections.writer, &master_keys).await?;
        let shared = Arc::new(Shared {
            failing: KnownFailing::read(&connections).await.map_err(StoreError::from)?,
            directory: Directory::new(master_keys),
            keys: KeyCache::default(),
            clock: options.clock,
            lease: options.lease,
            background: TaskTracker::new(),
            due_round: Mutex::default(),
            held_after: Mutex::new(Uuid::nil()),
            resumed: Mutex::default(),
            recovered_after: Mutex::new(Uuid::nil()),
            ids_reach: AtomicI64::new(0),
            adding_up: SharedPace::new(connections.is_sqlite(), rollups::STEP, rollups::SQLITE_STEP),
            indexing: SharedPace::new(connections.is_sqlite(), search::STEP, search::SQLITE_STEP),
            merging: Mutex::new(Merging::new()),
            meters: StoreMeters::new(),
            told: Told::new(),
            jobs: Jobs::default(),
            handover: Mutex::new(None),
            closing: CancellationToken::new(),
            lock: Mutex::new(lock),
            connections,
        });
        let (captures, waiting) = mpsc::channel(LEADS_WAITING);
        let closing = shared.closing.clone();
        let capturing = Captures::new(Arc::clone(&shared));
        let capturing = tokio::spawn(group_commit::run(capturing, waiting, CAPTURE_LIMITS, closing.clone()));
        let (recordings, waiting) = mpsc::unbounded_channel();
        let recording = Recordings::new(Arc::clone(&shared));
        let recording = tokio::spawn(group_commit::run(recording, waiting, RECORD_LIMITS, closing.clone()));
        let store = Self {
            captures,
            room_for_leads: Arc::new(Semaphore::new(LEADS_WAITING)),
            recordings,
            committing: Arc::new(Mutex::new(vec![capturing, recording])),
            shared,
        };
        if store.connections().is_sqlite() {
            store.free_dead_leases().await?;
            let (shared, closing) = (Arc::downgrade(store.shared()), closing.clone());
            let putting_back = async move { closing.run_until_cancelled(wal::put_back(shared)).await };
            store.shared.background.spawn(putting_back);
        }
        Ok(store)
    }

    /// Names who attempts deliveries in this process. Before anything is captured; until then deliveries
    /// are born due and unleased.
    pub fn set_handover(&self, handover: Arc<dyn Handover>) {
        *self.shared.handover.lock().unwrap_or_else(PoisonError::into_inner) = Some(handover);
    }

    /// Writes what was accepted, for some seconds at most, and closes the database. Later calls answer
    /// [`StoreError::Closed`].
    pub async fn close(&self) {
        self.shared.closing.cancel();
        let committing = std::mem::take(&mut *self.committing.lock().unwrap_or_else(PoisonError::into_inner));
        for task in committing {
            if let Err(error) = task.await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a committing task had ended early"
                );
            }
        }
        self.shared.background.close();
        self.shared.background.wait().await;
        self.shared.connections.close().await;
        // The dispatcher holds the store, and the store it: one must let go.
        self.shared
            .handover
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        self.shared.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Whether the database answers and, on PostgreSQL, its clock agrees with ours.
    pub async fn check(&self) -> Result<(), Unready> {
        let reader = &self.connections().reader;
        let sql = match reader.get_database_backend() {
            DatabaseBackend::Postgres => "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
            _ => "SELECT 1",
        };
        let row = reader
            .query_one_raw(Statement::from_string(reader.get_database_backend(), sql))
            .await;
        let row = row.map_err(|error| Unready::Database(error.into()))?;
        if self.connections().is_sqlite() {
            return Ok(());
        }
        let theirs = row
            .and_then(|row| row.try_get_by_index::<i64>(0).ok())
            .map_or(self.now(), Timestamp::from_millis);
        let ours = self.now();
        let apart = ours.since(theirs).max(theirs.since(ours));
        if apart > CLOCK_TOLERANCE {
            Err(Unready::Clock {
                seconds: apart.as_secs(),
            })
        } else {
            Ok(())
        }
    }

    /// The time by the store's clock.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// For how long this store leases a delivery.
    pub fn lease(&self) -> Duration {
        self.shared.lease
    }

    /// SQLite's `synchronous` as it is on the connection that writes: 2 is FULL, a sync before each commit's end.
    pub async fn sync_mode(&self) -> Result<i64, StoreError> {
        let statement = Statement::from_string(DatabaseBackend::Sqlite, "PRAGMA synchronous");
        let row = self.connections().writer.query_one_raw(statement).await?;
        let row = row.ok_or(StoreError::Unreadable {
            what: "synchronous setting",
        })?;
        Ok(i64::from(row.try_get_by_index::<i32>(0)?))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.shared.connections
    }

    pub(crate) fn captures(&self) -> &mpsc::Sender<capture::Pending> {
        &self.captures
    }

    pub(crate) fn room_for_leads(&self) -> &Arc<Semaphore> {
        &self.room_for_leads
    }

    pub(crate) fn recordings(&self) -> &mpsc::UnboundedSender<Recording> {
        &self.recordings
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("connections", &self.shared.connections)
            .finish_non_exhaustive()
    }
}
