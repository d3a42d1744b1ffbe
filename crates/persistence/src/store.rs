//! The store as others hold it: its connections, its committing tasks, its end.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseBackend, EntityTrait, QuerySelect, Statement};
use sensei_domain::{Clock, Timestamp};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::capture::{self, Captures};
use crate::connection::Connections;
use crate::directory::Directory;
use crate::entities::destinations;
use crate::error::{OpenError, StoreError, Unready};
use crate::group_commit::{self, GroupLimits};
use crate::job::{Handover, Recording};
use crate::keys::KeyCache;
use crate::lock::DatabaseLock;
use crate::master_key::MasterKey;
use crate::options::{DatabaseUrl, StoreOptions};
use crate::record::Recordings;

/// Requests that may wait for the commit task; more are told to come back.
const CAPTURES_WAITING: usize = 4_096;
/// A batch of captures is closed at this many leads.
const CAPTURE_LIMITS: GroupLimits = GroupLimits { weight: 256, linger: Duration::ZERO };
/// Nobody waits for an outcome to be stored, so outcomes wait for company: a crash repeats these deliveries.
const RECORD_LIMITS: GroupLimits = GroupLimits { weight: 512, linger: Duration::from_millis(20) };
/// Beyond this, leases would end early or late by what matters.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// The database of Sensei Webhooks. A cheap handle; all clones are the same store.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    captures: mpsc::Sender<capture::Pending>,
    recordings: mpsc::UnboundedSender<Recording>,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// What the store's parts share.
pub(crate) struct Shared {
    pub(crate) connections: Connections,
    pub(crate) directory: Directory,
    pub(crate) keys: KeyCache,
    pub(crate) handover: OnceLock<Arc<dyn Handover>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) lease: Duration,
    _lock: Option<DatabaseLock>,
}

impl Store {
    /// Opens a database: locks it (SQLite), brings its schema up to date, refuses what isn't durable or was
    /// sealed under another master key, and takes back what a dead process had leased (SQLite).
    pub async fn open(options: StoreOptions) -> Result<Self, OpenError> {
        let lock = options.database.sqlite_path().map(prepare_file).transpose()?;
        let connections = Connections::open(&options.database).await?;
        refuse_other_master_key(&connections, &options.master_key).await?;
        let shared = Arc::new(Shared {
            directory: Directory::new(options.master_key),
            keys: KeyCache::default(),
            handover: OnceLock::new(),
            clock: options.clock,
            lease: options.lease,
            _lock: lock,
            connections,
        });
        let (captures, waiting) = mpsc::channel(CAPTURES_WAITING);
        let capturing = group_commit::run(Captures::new(Arc::clone(&shared)), waiting, CAPTURE_LIMITS);
        let (recordings, waiting) = mpsc::unbounded_channel();
        let recording = group_commit::run(Recordings::new(Arc::clone(&shared)), waiting, RECORD_LIMITS);
        let tasks = Arc::new(Mutex::new(vec![tokio::spawn(capturing), tokio::spawn(recording)]));
        let store = Self { shared, captures, recordings, tasks };
        if matches!(options.database, DatabaseUrl::Sqlite(_)) {
            store.free_dead_leases().await?;
        }
        Ok(store)
    }
}
