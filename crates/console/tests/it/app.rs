//! The console as a browser meets it: pages, forms and a cookie.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request};
use sensei_api::ApiState;
use sensei_console::{ConsoleState, router};
use sensei_dispatcher::{Dispatcher, Egress, EgressOptions, Limits, Registry};
use sensei_domain::{ManualClock, Timestamp};
use sensei_persistence::{DatabaseUrl, MasterKey, Retention, Store, StoreOptions};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

/// The admin's key of every test.
pub(crate) const ADMIN: &str = "sk_admin-of-the-tests-0123456789abcdef";

pub(crate) struct TestConsole {
    pub(crate) router: Router,
    pub(crate) api: Router,
    pub(crate) store: Store,
    pub(crate) clock: ManualClock,
    egress: Egress,
    _folder: TempDir,
}

/// A browser with the cookie of one session, or none.
#[derive(Clone)]
pub(crate) struct Browser<'a> {
    console: &'a TestConsole,
    pub(crate) cookie: Option<String>,
}

/// An answer, read as text.
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl TestConsole {
    pub(crate) async fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let clock = ManualClock::at("2026-11-24T10:30:00.000Z".parse::<Timestamp>().expect("a time"));
        let options = StoreOptions {
            database: DatabaseUrl::Sqlite(folder.path().join("sensei.db")),
            master_key: MasterKey::generate(),
            previous_master_key: None,
            lease: Duration::from_mins(1),
            clock: Arc::new(clock.clone()),
        };
        let store = Store::open(options).await.expect("a fresh database opens");
        store.ensure_admin_key(ADMIN).await.expect("the admin's key can be set");
        let allow = vec!["127.0.0.0/8".parse().expect("a network")];
        let egress = EgressOptions {
            allow,
            ..EgressOptions::default()
        };
        let egress = Egress::new(egress).expect("an egress guard");
        let state = ApiState::new(
            store.clone(),
            egress.clone(),
            Registry::standard(),
            Arc::new(clock.clone()),
        );
        let api = sensei_api::router(state);
        let retention = Retention {
            attempts: Some(Duration::from_hours(36)),
            ..Retention::default()
        };
        let state = ConsoleState::new(store.clone(), api.clone(), Arc::new(clock.clone())).with_retention(retention);
        Self {
            router: router(state),
            api,
            store,
            clock,
            egress,
            _folder: folder,
        }
    }

    /// Delivers what waits, for as long as it is kept.
    pub(crate) fn deliver(&self) -> Dispatcher {
        let (egress, clock) = (self.egress.clone(), Arc::new(self.clock.clone()));
        let started = Dispatcher::start(&self.store, egress, Registry::standard(), Limits::default(), clock);
        started.expect("leases are long enough")
    }

    /// A browser in which nobody is signed in.
    pub(crate) fn browser(&self) -> Browser<'_> {
        Browser {
            console: self,
            cookie: None,
        }
    }

    /// A browser in which this key has signed in.
    pub(crate) async fn signed_in(&self, key: &str) -> Browser<'_> {
        let mut browser = self.browser();
        let page = browser.send(Method::POST, "/admin/sign-in", &[("key", key)]).await;
        assert_eq!(page.status, 303, "{}", page.body);
        browser.take_cookie(&page);
        browser
    }

    /// The API, called as the admin, which does it.
    pub(crate) async fn api(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let page = self.try_api(method, path, body).await;
        assert!(page.status < 300, "{path}: {} {}", page.status, page.body);
        serde_json::from_str(&page.body).unwrap_or(Value::Null)
    }

    /// The API, called as the admin, whatever it answers.
    pub(crate) async fn try_api(&self, method: Method, path: &str, body: Option<&Value>) -> Page {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {ADMIN}"))
            .header("content-type", "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
            .expect("a request");
        Page::read(self.api.clone().oneshot(request).await.expect("an answer")).await
    }
}

impl Browser<'_> {
    pub(crate) async fn get(&self, path: &str) -> Page {
        self.send(Method::GET, path, &[]).await
    }

    /// Opens a page and sends a form from it, with the token that it has.
    pub(crate) async fn submit(&self, from: &str, to: &str, fields: &[(&str, &str)]) -> Page {
        let csrf = self.get(from).await.csrf();
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend(fields);
        self.send(Method::POST, to, &all).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, fields: &[(&str, &str)]) -> Page {
        self.send_with(method, path, fields, &[]).await
    }

    pub(crate) async fn send_with(
        &self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Page {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "console.example")
            .header("content-type", "application/x-www-form-urlencoded");
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(form)).expect("a request");
        Page::read(self.console.router.clone().oneshot(request).await.expect("an answer")).await
    }

    pub(crate) fn take_cookie(&mut self, page: &Page) {
        let cookie = page.header("set-cookie").split(';').next().expect("a cookie");
        self.cookie = Some(cookie.to_owned());
    }
}

impl Page {
    async fn read(response: axum::response::Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    /// A header's text; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// A page of this status; fails with what it is.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{}", self.body);
        &self.body
    }

    /// Where it leads to.
    #[track_caller]
    pub(crate) fn leads_to(&self) -> &str {
        assert_eq!(self.status, 303, "{}", self.body);
        self.header("location")
    }

    /// The token of its forms.
    #[track_caller]
    pub(crate) fn csrf(&self) -> String {
        let (_, rest) = self
            .body
            .split_once(r#"name="csrf" value=""#)
            .expect("a form with its token");
        rest.split('"').next().expect("its end").to_owned()
    }
}
