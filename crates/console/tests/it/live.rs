//! Pages that move: the stream as the browser gets it.

use std::time::Duration;

use axum::body::BodyDataStream;
use axum::http::{Method, Request};
use futures_util::StreamExt as _;
use serde_json::json;
use tower::ServiceExt as _;

use crate::acme::{Acme, jane};
use crate::app::{ADMIN, Browser, TestConsole};

const LIMIT: Duration = Duration::from_secs(20);

/// Opens a client's stream as whoever is signed in.
async fn stream(console: &TestConsole, browser: &Browser<'_>, path: &str, after: Option<&str>) -> BodyDataStream {
    let mut request = Request::builder()
        .uri(path)
        .header("cookie", browser.cookie.as_deref().expect("a session"));
    if let Some(after) = after {
        request = request.header("last-event-id", after);
    }
    let request = request.body(axum::body::Body::empty()).expect("a request");
    let answer = console.router.clone().oneshot(request).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    answer.into_body().into_data_stream()
}

/// What comes until this is in it.
async fn until(stream: &mut BodyDataStream, words: &str) -> String {
    let reading = async {
        let mut text = String::new();
        while !text.contains(words) {
            let chunk = stream.next().await.expect("it goes on").expect("a piece");
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
        text
    };
    tokio::time::timeout(LIMIT, reading).await.expect("it comes in time")
}

#[tokio::test]
async fn stream_tells_of_a_lead_as_it_comes_and_goes_on_where_it_was_left() {
    let console = TestConsole::new().await;
    let acme = Acme::new(&console).await;
    let browser = console.signed_in(ADMIN).await;
    let path = acme.page("/stream");
    let mut first = stream(&console, &browser, &path, None).await;
    let lead = acme.lead(&console, &jane()).await;
    let told = until(&mut first, &lead).await;
    assert!(told.contains("event: lead"), "{told}");
    drop(first);
    let position = told.lines().filter_map(|line| line.strip_prefix("id:")).next_back();
    let position = position.expect("a position").trim().to_owned();
    let missed = acme
        .lead(&console, &json!({"name": "Meanwhile", "email": "m@example.com"}))
        .await;
    let mut again = stream(&console, &browser, &path, Some(&position)).await;
    until(&mut again, &missed).await;
}

#[tokio::test]
async fn stream_is_only_for_who_may_see_the_client() {
    let console = TestConsole::new().await;
    let (acme, other) = (Acme::new(&console).await, Acme::new(&console).await);
    let key = json!({"kind": "secret", "clientId": acme.id, "name": "theirs"});
    let key = console.api(Method::POST, "/v1/keys", Some(&key)).await;
    let own = console.signed_in(key["key"].as_str().expect("a key")).await;
    let _open = stream(&console, &own, &acme.page("/stream"), None).await;
    assert_eq!(own.get(&other.page("/stream")).await.status, 404);
    let out = console.browser().get(&acme.page("/stream")).await;
    assert_eq!(out.status, 303, "who isn't signed in is sent to where one is");
}
