//! A store on a real database and a dispatcher with a kind that answers from a script: what the engine's tests act in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, QueryResult, Statement};
use sensei_dispatcher::{Dispatcher, Egress, EgressOptions, Limits, Registry, Scripted, Step};
use sensei_domain::{
    ClientId, Clock as _, DeliveryState, DestinationId, LeadId, ManualClock, NewLead, Outcome, WebhookUrl,
};
use sensei_persistence::{
    Actor, CaptureLead, CaptureRequest, Captured, Delivery, DeliveryFilter, MasterKey, NewClient, Page, SettingsChange,
    Store, StoreOptions,
};

pub(crate) const LIMIT: Duration = Duration::from_secs(30);
pub(crate) const SILENT: Step = Step::Answer(Outcome::Unavailable { retry_after: None });

/// A dispatcher on a database of its own.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) clock: ManualClock,
    pub(crate) receiver: Scripted,
    pub(crate) dispatcher: Option<Dispatcher>,
    pub(crate) limits: Limits,
    database: String,
}

impl World {
    /// A dispatcher on a database of its own. The folder goes when it is dropped, so it is kept beside.
    pub(crate) async fn new(limits: Limits) -> (Self, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database = format!("sqlite://{}/sensei.db", folder.path().display());
        let clock = ManualClock::at("2024-11-24T10:30:00.000Z".parse().expect("a time"));
        let receiver = Scripted::named("webhook");
        (
            Self::on(&database, limits, clock, MasterKey::generate(), receiver).await,
            folder,
        )
    }

    pub(crate) async fn on(
        database: &str,
        limits: Limits,
        clock: ManualClock,
        master_key: MasterKey,
        receiver: Scripted,
    ) -> Self {
        let options = StoreOptions {
            database: database.parse().expect("a database"),
            master_key,
            previous_master_key: None,
            lease: Duration::from_mins(1),
            clock: Arc::new(clock.clone()),
        };
        let store = Store::open(options).await.expect("opened");
        let mut world = Self {
            store,
            clock,
            receiver,
            dispatcher: None,
            limits,
            database: database.to_owned(),
        };
        world.start();
        world
    }

    pub(crate) fn start(&mut self) {
        let egress = Egress::new(EgressOptions::default()).expect("a way out");
        let registry = Registry::with(vec![Arc::new(self.receiver.clone())]);
        let clock = Arc::new(self.clock.clone());
        let started = Dispatcher::start(&self.store, egress, registry, self.limits, clock);
        self.dispatcher = Some(started.expect("leases are long enough"));
    }

    pub(crate) async fn client(&self) -> ClientId {
        let new = NewClient {
            name: "Acme Corp".parse().expect("a name"),
            lead_webhook_url: Some("https://receiver.example/hook".parse().expect("a URL")),
        };
        self.store
            .create_client(new, &Actor::System)
            .await
            .expect("created")
            .client
            .id
    }

    /// Where a client's leads are sent.
    pub(crate) async fn destination(&self, client: ClientId) -> DestinationId {
        let settings = self.store.settings(client).await.expect("read").expect("a client");
        settings.destination_id.expect("it has a URL")
    }

    /// Writes into the rows of a client's destinations what no call of the store changes yet.
    pub(crate) async fn set_destination(&self, client: ClientId, what: &str) {
        let id = client.as_uuid().simple().to_string();
        let of_client = match &*self.database {
            sqlite if sqlite.starts_with("sqlite:") => format!("x'{id}'"),
            _ => format!("'{id}'::uuid"),
        };
        self.rows(&format!(
            "UPDATE destinations SET {what}, version = version + 1 WHERE client_id = {of_client}"
        ))
        .await;
    }

    /// The one number that a query gives.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.rows(sql).await[0].try_get_by_index(0).expect("a number")
    }

    async fn rows(&self, sql: &str) -> Vec<QueryResult> {
        let mut options = ConnectOptions::new(&self.database);
        options.max_connections(1).sqlx_logging(false);
        let connection = Database::connect(options).await.expect("another connection");
        let statement = Statement::from_string(connection.get_database_backend(), sql);
        let rows = connection.query_all_raw(statement).await.expect(sql);
        connection.close().await.expect("it closes");
        rows
    }

    /// Waits until a query gives this number.
    pub(crate) async fn until_number(&self, sql: &str, wanted: i64) {
        let deadline = Instant::now() + LIMIT;
        loop {
            let number = self.number(sql).await;
            if number == wanted {
                return;
            }
            assert!(Instant::now() < deadline, "{sql}: {number}, not {wanted}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A client whose leads come and go by way of the sweeper, so that it has looked at all that is due.
    pub(crate) async fn passer_by(&self) {
        let other = self.client().await;
        self.capture(other, 2 * self.limits.lane_capacity).await;
        self.until_all(other, &[DeliveryState::Succeeded]).await;
    }

    pub(crate) async fn set_url(&self, client: ClientId, url: Option<&str>) {
        let url = url.map(|url| url.parse::<WebhookUrl>().expect("a URL"));
        let change = SettingsChange {
            lead_webhook_url: Some(url),
            ..SettingsChange::default()
        };
        self.store
            .change_settings(client, change, &Actor::System)
            .await
            .expect("changed")
            .expect("a client");
    }

    pub(crate) async fn capture(&self, client: ClientId, leads: usize) {
        let lead = serde_json::json!({"name": "John Doe", "email": "john@example.com"});
        let new_lead = || CaptureLead {
            id: LeadId::new(self.clock.now()),
            lead: NewLead::from_json(&lead).expect("valid"),
        };
        let request = CaptureRequest {
            client_id: client,
            leads: (0..leads).map(|_| new_lead()).collect(),
            captured_at: self.clock.now(),
            idempotency: None,
        };
        assert_eq!(self.store.capture(request).await.expect("captured"), Captured::Now);
    }

    pub(crate) async fn deliveries(&self, client: ClientId) -> Vec<Delivery> {
        let filter = DeliveryFilter {
            state: None,
            destination_id: None,
            lead_id: None,
            since: None,
            until: None,
        };
        self.store
            .deliveries(
                client,
                filter,
                Page {
                    limit: 200,
                    before: None,
                },
            )
            .await
            .expect("read")
    }

    /// Waits until every delivery of the client is in one of these states and none is under way.
    pub(crate) async fn until_all(&self, client: ClientId, states: &[DeliveryState]) -> Vec<Delivery> {
        self.until(client, |deliveries| {
            deliveries.iter().all(|delivery| states.contains(&delivery.state))
        })
        .await
    }

    pub(crate) async fn until(&self, client: ClientId, condition: impl Fn(&[Delivery]) -> bool) -> Vec<Delivery> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let deliveries = self.deliveries(client).await;
            if condition(&deliveries) {
                return deliveries;
            }
            assert!(Instant::now() < deadline, "{deliveries:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
