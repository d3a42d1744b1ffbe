//! The running system: the store, the dispatcher and the API, started and stopped in the right order.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use sensei_api::ApiState;
use sensei_console::ConsoleState;
use sensei_dispatcher::{Dispatcher, Egress, EgressError, LeaseTooShort, Registry};
use sensei_domain::{Clock, SystemClock};
use sensei_persistence::{
    Actor, KeyKind, MasterKey, MasterKeyError, NewKey, OpenError, Resealing, Scope, Store, StoreError, StoreOptions,
};

use crate::config::Config;
use crate::metrics::{self, Watched};

/// How long attempts in flight may take to end at shutdown. Those cut off are made again at the next start.
const DISPATCHER_DEADLINE: Duration = Duration::from_secs(10);
const FIRST_KEY_NAME: &str = "first admin key";

/// A running Sensei Webhooks server without a socket of its own: mount its [`Sensei::router`].
pub struct Sensei {
    store: Store,
    dispatcher: Dispatcher,
    api: ApiState,
    router: Router,
    metrics: Router,
    first_admin_key: Option<String>,
}

impl Sensei {
    /// Opens the database, bringing its schema up to date, and starts to deliver what is due.
    ///
    /// Needs a tokio runtime, which must run until [`Sensei::shutdown`] has returned.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let egress = Egress::new(config.egress.clone())?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = open_store(&config, Arc::clone(&clock)).await?;
        let registry = Registry::standard();
        let started = Dispatcher::start(
            &store,
            egress.clone(),
            registry.clone(),
            config.limits,
            Arc::clone(&clock),
        );
        let dispatcher = match started {
            Ok(dispatcher) => dispatcher,
            Err(error) => {
                store.close().await;
                return Err(StartError::Lease(error));
            }
        };
        // Last of what may fail: a key that was made is told once.
        let first_admin_key = match ensure_admin_key(&store, &config).await {
            Ok(key) => key,
            Err(error) => {
                dispatcher.shutdown(DISPATCHER_DEADLINE).await;
                store.close().await;
                return Err(StartError::AdminKey(error));
            }
        };
        store.keep_house(config.retention);
        store.reseal_in_background();
        store.roll_up_in_background();
        store.index_in_background();
        let metrics = metrics::router(Watched {
            store: store.clone(),
            dispatcher: dispatcher.watch(),
        });
        let api = ApiState::new(store.clone(), egress, registry, Arc::clone(&clock))
            .with_breakers(dispatcher.breakers())
            .with_trusted_proxies(config.trusted_proxies.clone())
            .with_watch(dispatcher.watch());
        let api_router = sensei_api::router(api.clone());
        let state = ConsoleState::new(store.clone(), api_router.clone(), clock).with_retention(config.retention);
        let console = sensei_console::router(state);
        Ok(Self {
            store,
            dispatcher,
            router: api_router.merge(console),
            api,
            metrics,
            first_admin_key,
        })
    }

    /// The routes of the API (`/v1/…`, `/healthz`, …), of the console (`/admin`) and of lead forms (`/forms`, `/embed.js`), to serve or to merge
    /// with another router. Serve it with the peers' addresses (`into_make_service_with_connect_info::<SocketAddr>`), by which leads of web pages
    /// are limited; without, they are limited per client alone.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// `/metrics` of this server, for an address that only the operator reaches: it asks for no key.
    pub fn metrics_router(&self) -> Router {
        self.metrics.clone()
    }

    /// The admin key that this start made, because there was none and the configuration named none.
    ///
    /// Only its hash is kept: it can't be asked again later.
    pub fn first_admin_key(&self) -> Option<&str> {
        self.first_admin_key.as_deref()
    }

    /// A path below the server's address that signs in to the console with a secret key's rights, for as long; `None` when the key isn't
    /// in force. Whoever has it can use it until then.
    pub async fn sign_in_path(&self, key: &str, valid_for: Duration) -> Result<Option<String>, StoreError> {
        let access = self.store.authenticate(key).await?;
        let secret = access.filter(|access| access.kind == KeyKind::Secret);
        Ok(secret.map(|access| {
            let token = self.store.sign_in_link(access.key_id, access.scope, valid_for);
            format!("/admin/sign-in/{token}")
        }))
    }

    /// Waits until nothing is being delivered.
    pub async fn settled(&self) {
        self.dispatcher.settled().await;
    }

    /// Ends the live streams: what they are sent by has no other end. When no more requests are taken.
    pub fn end_streams(&self) {
        self.api.end_streams();
    }

    /// Ends the attempts in flight, at most 10 s, stores what came of them, and closes the database. Test sends are given
    /// up.
    ///
    /// Stop serving the router before: requests are answered 503 from here on.
    pub async fn shutdown(self) {
        tokio::join!(self.api.shutdown(), self.dispatcher.shutdown(DISPATCHER_DEADLINE));
        self.store.close().await;
    }
}

impl fmt::Debug for Sensei {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sensei").finish_non_exhaustive()
    }
}

/// Brings the database's schema up to date and does nothing else.
pub async fn migrate(config: &Config) -> Result<(), StartError> {
    let store = open_store(config, Arc::new(SystemClock)).await?;
    store.close().await;
    Ok(())
}

/// Encrypts every secret in the database with the master key in use that the previous one still encrypts.
pub async fn rotate_secrets(config: &Config) -> Result<Resealing, RotateError> {
    let store = open_store(config, Arc::new(SystemClock)).await?;
    let resealed = if store.has_previous_master_key() {
        store.reseal().await.map_err(RotateError::Store)
    } else {
        Err(RotateError::NoPreviousKey {
            file: config.previous_master_key_file(),
        })
    };
    store.close().await;
    resealed
}

/// Why secrets weren't all encrypted anew. The texts are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The database can't be used.
    #[error(transparent)]
    Start(#[from] StartError),
    /// There is one key only.
    #[error(
        "there is no previous master key: set SENSEI_PREVIOUS_MASTER_KEY to the one whose place another takes, or, where \
         the key is kept in a file, move that to {file}"
    )]
    NoPreviousKey {
        /// Where it would be looked for.
        file: PathBuf,
    },
    /// The database failed meanwhile.
    #[error("some secrets are still encrypted with the previous master key: run this again")]
    Store(#[source] StoreError),
}

/// Why the system can't start. The texts are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no master key to encrypt secrets with.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The database can't be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The way out can't be made, e.g. without any certificates.
    #[error("webhooks could not be sent")]
    Egress(#[from] EgressError),
    /// No attempt could end before its lease.
    #[error(transparent)]
    Lease(#[from] LeaseTooShort),
    /// The first admin key can't be stored.
    #[error("the first admin key can't be stored")]
    AdminKey(#[source] StoreError),
}

async fn open_store(config: &Config, clock: Arc<dyn Clock>) -> Result<Store, StartError> {
    let (master_key, file) = match &config.master_key {
        Some(key) => (key.clone(), None),
        None => (
            MasterKey::load_or_create(&config.master_key_file())?,
            MasterKey::load(&config.previous_master_key_file())?,
        ),
    };
    let database = config.database.clone();
    Ok(Store::open(StoreOptions {
        database,
        master_key,
        previous_master_key: config.previous_master_key.clone().or(file),
        lease: config.lease,
        clock,
    })
    .await?)
}

/// Makes sure that somebody can administer this server; returns the key if it was made here.
async fn ensure_admin_key(store: &Store, config: &Config) -> Result<Option<String>, StoreError> {
    if let Some(key) = &config.admin_key {
        store.ensure_admin_key(key.expose()).await?;
        return Ok(None);
    }
    if store.has_admin_key().await? {
        return Ok(None);
    }
    let key = NewKey {
        kind: KeyKind::Secret,
        scope: Scope::Admin,
        name: FIRST_KEY_NAME.to_owned(),
    };
    let created = store.create_key(key, &Actor::System).await?;
    Ok(created.map(|created| created.text))
}
