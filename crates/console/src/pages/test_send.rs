//! A test send and its answer, on a page of its own or within the page that asked.

use askama::Template;
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use sensei_domain::{ClientId, DestinationId};
use serde_json::Value;

use crate::asked::Ids;
use crate::failure::Failure;
use crate::form::Form;
use crate::page::{Frame, show, text};
use crate::pages::below;
use crate::state::ConsoleState;

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new().route("/clients/{client}/destinations/{destination}/test", post(test))
}

/// What came of a test.
struct Answer {
    is_delivered: bool,
    /// In words.
    outcome: String,
    status: Option<u64>,
    error: Option<String>,
    duration_ms: u64,
    url: Option<String>,
    snippet: Option<String>,
    /// Where the log shows it.
    delivery: Option<String>,
}

/// Within the page that asked.
#[derive(Template)]
#[template(path = "test_answer.html")]
struct AnswerPart {
    answer: Answer,
}

#[derive(Template)]
#[template(path = "test_send.html")]
struct TestPage {
    frame: Frame,
    path: String,
    name: String,
    answer: Answer,
}

impl Answer {
    fn of(attempt: &Value, client: &str) -> Self {
        let given = |name: &str| attempt[name].as_str().map(str::to_owned);
        let is_delivered = text(attempt, "outcome") == "delivered";
        let outcome = if is_delivered {
            "The test lead arrived."
        } else {
            "The test lead didn't arrive."
        };
        Self {
            is_delivered,
            outcome: outcome.to_owned(),
            status: attempt["statusCode"].as_u64(),
            error: given("error").filter(|_| !is_delivered),
            duration_ms: attempt["durationMs"].as_u64().unwrap_or_default(),
            url: given("requestUrl"),
            snippet: given("responseSnippet").filter(|snippet| !snippet.is_empty()),
            delivery: given("deliveryId").map(|id| format!("/admin/clients/{client}/deliveries/{id}")),
        }
    }

    /// Nothing was sent, or nobody knows.
    fn refused(words: String) -> Self {
        Self {
            is_delivered: false,
            outcome: "No test lead was sent.".to_owned(),
            status: None,
            error: Some(words),
            duration_ms: 0,
            url: None,
            snippet: None,
            delivery: None,
        }
    }
}

async fn test(
    Ids((client, destination)): Ids<(ClientId, DestinationId)>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Failure> {
    let (frame, destination) = below::destination(&form.viewer, client, destination, "Test").await?;
    let client = frame.client.as_ref().map_or("", |client| &client.id);
    let answer = match form.viewer.api.act(&format!("{}/test", destination.api)).await {
        Ok(attempt) => Answer::of(&attempt, client),
        Err(refused)
            if matches!(
                refused.status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
            ) =>
        {
            Answer::refused(refused.detail)
        }
        Err(refused) => return Err(refused.into()),
    };
    if headers.contains_key("hx-request") {
        return Ok(show(&AnswerPart { answer }));
    }
    Ok(show(&TestPage {
        frame,
        name: destination.name(),
        path: destination.page,
        answer,
    }))
}
