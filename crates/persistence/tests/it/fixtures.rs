//! Databases to test on, and what tests put into them.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, QueryResult, Statement};
use sensei_domain::{ClientId, Clock as _, DeliveryState, LeadId, ManualClock, NewLead, Timestamp};
use sensei_persistence::{
    Actor, CaptureError, CaptureLead, CaptureRequest, Captured, Client, CreatedClient, DatabaseUrl, Delivery,
    DeliveryFilter, MasterKey, NewClient, Page, Store, StoreOptions,
};
use sensei_test_support::PostgresServer;
use serde_json::{Value, json};

pub(crate) const LEASE: Duration = Duration::from_mins(1);
pub(crate) const ALL: Page = Page {
    limit: 1_000,
    before: None,
};
pub(crate) const URL: &str = "https://example.com/hook?token=t0ken";
/// Longer than anything here may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// An empty database, and what stores are opened with on it.
pub(crate) struct TestDatabase {
    pub(crate) url: DatabaseUrl,
    pub(crate) clock: ManualClock,
    pub(crate) master_key: MasterKey,
    kept: Kept,
}

enum Kept {
    Folder {
        _folder: tempfile::TempDir,
    },
    Server {
        _database: sensei_test_support::Database<'static>,
    },
    Nothing,
}

impl TestDatabase {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = DatabaseUrl::Sqlite(folder.path().join("sensei.db"));
        Self::new(url, Kept::Folder { _folder: folder })
    }

    pub(crate) fn postgres() -> Option<Self> {
        let database = PostgresServer::shared()?.database();
        let url = DatabaseUrl::Postgres(database.url().to_owned());
        Some(Self::new(url, Kept::Server { _database: database }))
    }

    /// A database that somebody else keeps.
    pub(crate) fn of_server(database: &sensei_test_support::Database<'_>) -> Self {
        Self::new(DatabaseUrl::Postgres(database.url().to_owned()), Kept::Nothing)
    }

    fn new(url: DatabaseUrl, kept: Kept) -> Self {
        let clock = ManualClock::at("2026-11-24T10:30:00Z".parse().expect("a time"));
        Self {
            url,
            clock,
            master_key: MasterKey::generate(),
            kept,
        }
    }

    pub(crate) fn options(&self) -> StoreOptions {
        StoreOptions {
            database: self.url.clone(),
            master_key: self.master_key.clone(),
            previous_master_key: None,
            lease: LEASE,
            clock: Arc::new(self.clock.clone()),
        }
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(self.options()).await.expect("the database opens")
    }

    pub(crate) fn clock_millis(&self) -> i64 {
        self.clock.now().as_millis()
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self.kept, Kept::Folder { .. })
    }

    /// Another connection than the store's, a single one.
    pub(crate) async fn connection(&self) -> DatabaseConnection {
        let url = match &self.url {
            DatabaseUrl::Sqlite(path) => format!("sqlite://{}", path.display()),
            DatabaseUrl::Postgres(url) => url.clone(),
        };
        let connection = Database::connect(
            ConnectOptions::new(url)
                .max_connections(1)
                .sqlx_logging(false)
                .to_owned(),
        );
        connection.await.expect("a second connection")
    }

    /// Waits until somebody waits for another's lock (PostgreSQL).
    pub(crate) async fn somebody_waits_for_a_lock(&self) {
        let waiting = "SELECT count(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        soon(async { while self.number(waiting).await == 0 {} }).await;
    }

    /// Rows of a query by another connection than the store's.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<QueryResult> {
        let connection = self.connection().await;
        let statement = Statement::from_string(connection.get_database_backend(), sql);
        let rows = connection.query_all_raw(statement).await.expect("the query is right");
        connection.close().await.expect("it closes");
        rows
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.rows(sql).await;
    }

    /// The one number that a query gives.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.rows(sql).await[0].try_get_by_index(0).expect("a number")
    }

    /// Waits until a query gives this number.
    pub(crate) async fn until_number(&self, sql: &str, wanted: i64) {
        soon(async { while self.number(sql).await != wanted {} }).await;
    }

    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.rows(sql).await;
        rows.iter()
            .map(|row| row.try_get_by_index(0).expect("a text"))
            .collect()
    }

    /// Rows in the tables that a capture writes to: leads, events, deliveries, idempotency keys.
    pub(crate) async fn captured_rows(&self) -> [i64; 4] {
        let mut rows = [0; 4];
        for (count, table) in rows
            .iter_mut()
            .zip(["leads", "events", "deliveries", "idempotency_keys"])
        {
            *count = self.number(&format!("SELECT count(*) FROM {table}")).await;
        }
        rows
    }
}

/// Runs claims on both databases.
macro_rules! on_both {
    ($($claim:ident),+ $(,)?) => {$(
        mod $claim {
            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                super::$claim(&crate::fixtures::TestDatabase::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                if let Some(database) = crate::fixtures::TestDatabase::postgres() {
                    super::$claim(&database).await;
                }
            }
        }
    )+};
}
pub(crate) use on_both;

/// Waits for something that will happen, and fails loudly if it doesn't.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it happens in time")
}

pub(crate) async fn create(store: &Store, name: &str, url: Option<&str>) -> CreatedClient {
    let new = NewClient {
        name: name.parse().expect("a name"),
        lead_webhook_url: url.map(|url| url.parse().expect("a URL")),
    };
    store
        .create_client(new, &Actor::System)
        .await
        .expect("the client is created")
}

/// Acme Corp, with a Lead Webhook URL.
pub(crate) async fn acme(store: &Store) -> Client {
    create(store, "Acme Corp", Some(URL)).await.client
}

/// As another process makes it, whose clock this is: ids of this one never go back.
pub(crate) fn id_of_another_process(at: Timestamp) -> LeadId {
    let millis = u128::try_from(at.as_millis()).expect("after 1970");
    let text = format!("{:032x}", (millis << 80) | (7 << 76) | (8 << 60) | 1);
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| text[part].to_owned());
    parts.join("-").parse().expect("an id")
}

pub(crate) fn lead(json: &Value) -> NewLead {
    NewLead::from_json(json).expect("a valid lead")
}

pub(crate) fn john() -> NewLead {
    lead(
        &json!({"name": "John Doe", "email": "john@example.com", "phone": "+1234567890",
                 "message": "I need a quote", "sessionId": "s-1"}),
    )
}

/// A request that captures so many leads.
pub(crate) fn request(client: ClientId, at: Timestamp, leads: usize) -> CaptureRequest {
    let leads = (0..leads)
        .map(|_| CaptureLead {
            id: LeadId::new(at),
            lead: john(),
        })
        .collect();
    CaptureRequest {
        client_id: client,
        leads,
        captured_at: at,
        idempotency: None,
    }
}

/// Captures a lead and says which it is.
pub(crate) async fn capture(store: &Store, client: ClientId) -> LeadId {
    let request = request(client, store.now(), 1);
    let id = request.leads[0].id;
    let captured: Result<Captured, CaptureError> = soon(store.capture(request)).await;
    assert_eq!(captured.expect("it is captured"), Captured::Now);
    id
}

pub(crate) async fn deliveries(store: &Store, client: ClientId) -> Vec<Delivery> {
    store
        .deliveries(client, DeliveryFilter::default(), ALL)
        .await
        .expect("the log is read")
}

pub(crate) async fn states(store: &Store, client: ClientId) -> Vec<DeliveryState> {
    deliveries(store, client)
        .await
        .into_iter()
        .map(|delivery| delivery.state)
        .collect()
}
