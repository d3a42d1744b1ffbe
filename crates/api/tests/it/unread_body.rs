//! Who is refused while he still sends: heard out, within bounds, so that he reads why.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Method;
use futures_util::StreamExt as _;

use crate::app::TestApp;

/// A body of two pieces, the second after the first was taken, and how many were.
fn in_two_pieces() -> (Body, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let pieces = futures_util::stream::iter(["{\"name\": ", "\"John\"}"]).then(move |piece| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(piece)
        }
    });
    (Body::from_stream(pieces), taken)
}

#[tokio::test]
async fn who_is_refused_is_heard_out_or_he_would_be_cut_off_before_he_reads_why() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    for refused in [
        app.call(Method::POST, client.leads())
            .header("authorization", "Bearer wrong"),
        app.call(Method::POST, "/v1/nowhere".to_owned()),
        app.call(Method::PUT, client.leads()),
        app.call(Method::POST, client.leads())
            .header("content-length", "300000"),
    ] {
        let (body, taken) = in_two_pieces();
        let answer = refused.raw(body).send().await;
        assert!((400..500).contains(&answer.status), "{}", answer.status);
        assert_eq!(taken.load(Ordering::Relaxed), 2, "{}", answer.status);
    }
    // Who asks first isn't waited for, and who sends too much not either.
    for (header, value) in [("expect", "100-continue"), ("content-length", "300000000")] {
        let (body, taken) = in_two_pieces();
        let refused = app
            .call(Method::POST, client.leads())
            .header("authorization", "Bearer wrong")
            .header(header, value);
        refused.raw(body).send().await.problem(401, "unauthorized");
        assert_eq!(taken.load(Ordering::Relaxed), 0, "{header}");
    }
}

#[tokio::test]
async fn who_is_refused_and_sends_no_more_is_answered_soon() {
    let app = TestApp::new().await;
    let body = Body::from_stream(futures_util::stream::pending::<Result<&str, Infallible>>());
    let begun = Instant::now();
    let refused = app.call(Method::POST, "/v1/nowhere".to_owned()).raw(body);
    refused.send().await.problem(404, "no-such-route");
    // Long before the deadline of a request, 30 s.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
