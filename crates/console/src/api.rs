//! The API as a page calls it: within the process, as whoever is signed in.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header, request};
use sensei_domain::{Fault, Faults};
use sensei_persistence::Access;
use serde::Deserialize;
use serde_json::Value;
use tower::ServiceExt as _;

/// Beyond what the API answers; an export is streamed and not read.
const LARGEST_ANSWER: usize = 16 << 20;

/// The API, called as somebody.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    router: Router,
    access: Access,
}

/// Why the API didn't do something.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    /// In words.
    pub(crate) detail: String,
    /// What is wrong with which field of the body.
    pub(crate) errors: Vec<FieldError>,
    /// To ask the operator with.
    pub(crate) request_id: String,
}

/// What is wrong with a field.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct FieldError {
    /// A JSON pointer into the body.
    pub(crate) pointer: String,
    /// In words that follow the field's name.
    pub(crate) detail: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Problem {
    detail: String,
    request_id: String,
    errors: Vec<FieldError>,
}

impl Refused {
    /// What the API would say of these faults, found before it was asked.
    pub(crate) fn of(faults: &Faults) -> Self {
        let errors = faults.into_iter().map(|Fault { pointer, detail }| FieldError {
            pointer: pointer.clone(),
            detail: detail.clone(),
        });
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            detail: faults.to_string(),
            errors: errors.collect(),
            request_id: String::new(),
        }
    }

    /// What is there isn't any more what was to be changed.
    pub(crate) fn conflict(words: &str) -> Self {
        Self {
            status: StatusCode::CONFLICT,
            detail: words.to_owned(),
            errors: Vec::new(),
            request_id: String::new(),
        }
    }

    /// What is wrong, in words: of each field by its name, not by its place in the body.
    pub(crate) fn in_words(&self) -> String {
        if self.errors.is_empty() {
            return self.detail.clone();
        }
        let faults = self.errors.iter().map(|FieldError { pointer, detail }| {
            let field = pointer.rsplit('/').next().unwrap_or_default();
            format!("“{}” {detail}.", spaced(field))
        });
        faults.collect::<Vec<_>>().join(" ")
    }

    /// How many things are wrong.
    pub(crate) fn faults(&self) -> usize {
        self.errors.len().max(1)
    }

    /// What is wrong with the field at this very JSON pointer.
    pub(crate) fn exactly_at(&self, pointer: &str) -> Option<&str> {
        let error = self.errors.iter().find(|error| error.pointer == pointer);
        error.map(|error| error.detail.as_str())
    }

    /// What is wrong with the field at this JSON pointer or below it.
    pub(crate) fn at(&self, pointer: &str) -> Option<&str> {
        let is_there = |error: &&FieldError| {
            error.pointer == pointer
                || error
                    .pointer
                    .strip_prefix(pointer)
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        self.errors.iter().find(is_there).map(|error| error.detail.as_str())
    }
}

/// `leadWebhookUrl` as people write it.
fn spaced(name: &str) -> String {
    let mut words = String::new();
    for (index, letter) in name.chars().enumerate() {
        if index > 0 && letter.is_uppercase() {
            words.push(' ');
        }
        match index {
            0 => words.extend(letter.to_uppercase()),
            _ => words.extend(letter.to_lowercase()),
        }
    }
    words.replace("Url", "URL").replace(" url", " URL")
}

impl Api {
    pub(crate) const fn new(router: Router, access: Access) -> Self {
        Self { router, access }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Refused> {
        self.send(Method::GET, path, None).await
    }

    /// As [`Api::get`], as the text that it is: the order of its keys is part of what was sent.
    pub(crate) async fn get_text(&self, path: &str) -> Result<String, Refused> {
        let body = self.file(path).await?.into_body();
        let body = axum::body::to_bytes(body, LARGEST_ANSWER).await.unwrap_or_default();
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Refused> {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Result<Value, Refused> {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Refused> {
        self.send(Method::DELETE, path, None).await
    }

    /// A POST without a body, as actions are.
    pub(crate) async fn act(&self, path: &str) -> Result<Value, Refused> {
        self.send(Method::POST, path, None).await
    }

    /// A file, streamed.
    pub(crate) async fn file(&self, path: &str) -> Result<Response<Body>, Refused> {
        let response = self.raw(Method::GET, path, None).await;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(Self::refused(response).await)
        }
    }

    /// A stream of events, from where the browser has left it.
    pub(crate) async fn stream(&self, path: &str, resumed: Option<HeaderValue>) -> Result<Response<Body>, Refused> {
        let mut request = Request::builder().uri(path).header(header::ACCEPT, "text/event-stream");
        if let Some(resumed) = resumed {
            request = request.header("last-event-id", resumed);
        }
        let response = self.call(request, Body::empty()).await;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(Self::refused(response).await)
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Refused> {
        let response = self.raw(method, path, body).await;
        if !response.status().is_success() {
            return Err(Self::refused(response).await);
        }
        let body = axum::body::to_bytes(response.into_body(), LARGEST_ANSWER).await;
        Ok(serde_json::from_slice(&body.unwrap_or_default()).unwrap_or(Value::Null))
    }

    async fn refused(response: Response<Body>) -> Refused {
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), LARGEST_ANSWER).await;
        let problem = serde_json::from_slice::<Problem>(&body.unwrap_or_default()).unwrap_or_default();
        Refused {
            status,
            detail: problem.detail,
            errors: problem.errors,
            request_id: problem.request_id,
        }
    }

    /// The answer as it is, for what is streamed.
    pub(crate) async fn raw(&self, method: Method, path: &str, body: Option<&Value>) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.call(request, body).await
    }

    async fn call(&self, request: request::Builder, body: Body) -> Response<Body> {
        let Ok(request) = request.extension(self.access).body(body) else {
            // A path that is none: nothing is there.
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        };
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
