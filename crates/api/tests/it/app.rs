//! The router on a store of its own, and requests to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request};
use bytes::Bytes;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use sensei_api::{ApiState, router};
use sensei_dispatcher::{ATTEMPT_DEADLINE, Egress, EgressOptions, Registry};
use sensei_domain::{ManualClock, Timestamp};
use sensei_persistence::{DatabaseUrl, MasterKey, Store, StoreOptions};
use sensei_test_support::PostgresServer;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

/// The admin's key of every test.
pub(crate) const ADMIN: &str = "sk_admin-of-the-tests-0123456789abcdef";
/// What the egress guard of the tests lets through.
pub(crate) const RECEIVER: &str = "http://127.0.0.1:9/leads";

const TABLES: [&str; 12] = [
    "clients",
    "destinations",
    "destination_health",
    "leads",
    "suspected_leads",
    "events",
    "deliveries",
    "attempts",
    "recoveries",
    "api_keys",
    "idempotency_keys",
    "audit_log",
];

pub(crate) struct TestApp {
    pub(crate) router: Router,
    pub(crate) store: Store,
    pub(crate) clock: ManualClock,
    /// What the router was made of.
    pub(crate) state: ApiState,
    pub(crate) egress: Egress,
    pub(crate) database: DatabaseConnection,
    _folder: Option<TempDir>,
}

/// A client of the test, with the keys that reach it.
pub(crate) struct TestClient {
    pub(crate) id: String,
    pub(crate) publishable_key: String,
    pub(crate) path: String,
}

impl TestApp {
    /// On SQLite.
    pub(crate) async fn new() -> Self {
        Self::with(Registry::standard(), ATTEMPT_DEADLINE).await
    }

    /// On SQLite, with these kinds of destinations and this deadline of an attempt.
    pub(crate) async fn with(registry: Registry, deadline: Duration) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("sensei.db");
        let url = format!("sqlite://{}?mode=ro", path.display());
        Self::open(DatabaseUrl::Sqlite(path), url, Some(folder), registry, deadline).await
    }

    /// On PostgreSQL, where there is one.
    pub(crate) async fn on_postgres() -> Option<Self> {
        Self::on_postgres_with(Registry::standard()).await
    }

    pub(crate) async fn on_postgres_with(registry: Registry) -> Option<Self> {
        let database = PostgresServer::shared()?.database();
        let url = database.url().to_owned();
        // Its tables go with the server.
        std::mem::forget(database);
        let database = DatabaseUrl::Postgres(url.clone());
        Some(Self::open(database, url, None, registry, ATTEMPT_DEADLINE).await)
    }

    async fn open(
        database: DatabaseUrl,
        url: String,
        folder: Option<TempDir>,
        registry: Registry,
        deadline: Duration,
    ) -> Self {
        let clock = ManualClock::at("2024-11-24T10:30:00.000Z".parse::<Timestamp>().expect("a time"));
        let options = StoreOptions {
            database,
            master_key: MasterKey::generate(),
            previous_master_key: None,
            lease: Duration::from_mins(1),
            clock: Arc::new(clock.clone()),
        };
        let store = Store::open(options).await.expect("a fresh database opens");
        store.ensure_admin_key(ADMIN).await.expect("the admin's key can be set");
        let allow = vec!["127.0.0.0/8".parse().expect("a network")];
        let egress = Egress::new(EgressOptions {
            allow,
            deadline,
            ..EgressOptions::default()
        })
        .expect("an egress guard");
        let state = ApiState::new(store.clone(), egress.clone(), registry, Arc::new(clock.clone()));
        let database = Database::connect(url).await.expect("the database can be read");
        Self {
            router: router(state.clone()),
            store,
            clock,
            state,
            egress,
            database,
            _folder: folder,
        }
    }

    pub(crate) fn get(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::GET, path)
    }

    pub(crate) fn delete(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::DELETE, path)
    }

    pub(crate) fn post(&self, path: impl Into<String>, body: &Value) -> Call<'_> {
        self.call(Method::POST, path).json(body)
    }

    pub(crate) fn patch(&self, path: impl Into<String>, body: &Value) -> Call<'_> {
        self.call(Method::PATCH, path).json(body)
    }

    pub(crate) fn call(&self, method: Method, path: impl Into<String>) -> Call<'_> {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {ADMIN}").parse().expect("a header"));
        Call {
            app: self,
            method,
            path: path.into(),
            headers,
            peer: None,
            body: Body::empty(),
        }
    }

    /// A client with the name and a Lead Webhook URL.
    pub(crate) async fn client(&self, name: &str) -> TestClient {
        let body = json!({"name": name, "leadWebhookUrl": RECEIVER});
        let created = self.post("/v1/clients", &body).send().await.expect(201);
        let id = text(&created, "/id");
        let path = format!("/v1/clients/{id}");
        TestClient {
            id,
            publishable_key: text(&created, "/publishableKey"),
            path,
        }
    }

    /// A destination of the client with this name; its path.
    pub(crate) async fn destination(&self, client: &TestClient, name: &str) -> String {
        let path = format!("{}/destinations", client.path);
        let made = self.post(&*path, &new_destination(name)).send().await.expect(201);
        format!("{path}/{}", text(&made, "/id"))
    }

    /// How many rows each table has.
    pub(crate) async fn counts(&self) -> Vec<(&'static str, i64)> {
        let mut counts = Vec::new();
        for table in TABLES {
            let sql = format!("SELECT count(*) AS rows_there FROM {table}");
            let statement = Statement::from_string(self.database.get_database_backend(), sql);
            let row = self
                .database
                .query_one_raw(statement)
                .await
                .expect("rows can be counted")
                .expect("a row");
            counts.push((table, row.try_get("", "rows_there").expect("a number")));
        }
        counts
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        self.counts()
            .await
            .into_iter()
            .find(|(name, _)| *name == table)
            .expect("a table")
            .1
    }
}

impl TestClient {
    pub(crate) fn leads(&self) -> String {
        format!("{}/leads", self.path)
    }

    pub(crate) fn settings(&self) -> String {
        format!("{}/settings", self.path)
    }
}

/// A request on its way.
pub(crate) struct Call<'a> {
    app: &'a TestApp,
    method: Method,
    path: String,
    headers: HeaderMap,
    peer: Option<SocketAddr>,
    body: Body,
}

impl Call<'_> {
    pub(crate) fn key(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    pub(crate) fn without(mut self, header: &str) -> Self {
        self.headers.remove(header);
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().expect("a header's value"));
        self
    }

    /// As if it came over a connection from this address.
    pub(crate) fn peer(mut self, address: &str) -> Self {
        self.peer = Some(SocketAddr::new(address.parse().expect("an address"), 50_000));
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.raw(body.to_string())
    }

    pub(crate) fn raw(self, body: impl Into<Body>) -> Self {
        let mut call = self.header("content-type", "application/json");
        call.body = body.into();
        call
    }

    pub(crate) async fn send(self) -> Answer {
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.path.parse().expect("a path");
        *request.headers_mut() = self.headers;
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        let response = self
            .app
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("the router always answers");
        Answer::read(response).await
    }

    /// Sends the request, and checks that it met this problem and that nothing was written.
    pub(crate) async fn refused(self, status: u16, problem: &str) -> Value {
        let app = self.app;
        let before = app.counts().await;
        let answer = self.send().await;
        assert_eq!(app.counts().await, before, "a rejected request changes nothing");
        answer.problem(status, problem)
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) async fn read(response: axum::response::Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.expect("the answer's body");
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body of an answer of this status.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        self.json()
    }

    /// The problem of an answer that is one, with all that a problem has.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, name: &str) -> Value {
        let problem = self.expect(status);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(problem["type"], format!("/problems/{name}"));
        assert_eq!(problem["status"], status);
        assert_eq!(problem["requestId"].as_str(), self.header("x-request-id"));
        problem
    }
}

/// A text within a document.
#[track_caller]
pub(crate) fn text(document: &Value, pointer: &str) -> String {
    let text = document.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_else(|| panic!("no text at {pointer} of {document}"))
        .to_owned()
}

/// The places that a problem names, and nothing else of it.
pub(crate) fn places(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let place = |error: &Value, key: &str| error.get(key).is_some();
    errors
        .iter()
        .map(|error| {
            let key = ["pointer", "parameter", "header"]
                .into_iter()
                .find(|key| place(error, key));
            error[key.expect("each error has its place")].as_str().expect("text")
        })
        .collect()
}

pub(crate) fn lead() -> Value {
    json!({"name": "John Doe", "email": "john@example.com"})
}

/// A webhook of this name.
pub(crate) fn new_destination(name: &str) -> Value {
    json!({"kind": "webhook", "name": name, "config": {"url": "http://127.0.0.1:9/crm"}})
}
