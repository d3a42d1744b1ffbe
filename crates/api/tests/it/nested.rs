//! The router as a part of another application.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use axum::routing::get;
use tower::ServiceExt;

use crate::app::{ADMIN, Answer, TestApp, lead};

#[tokio::test]
async fn the_router_nests_with_all_it_promises() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let outer = Router::new()
        .route("/", get(async || "the host's own page"))
        .nest("/webhooks-api", app.router.clone());
    let send = async |method: Method, path: &str, body: String| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {ADMIN}"))
            .header("content-type", "application/json")
            .body(Body::from(body))
            .expect("a request");
        Answer::read(outer.clone().oneshot(request).await.expect("the router always answers")).await
    };

    let path = format!("/webhooks-api{}", client.leads());
    let captured = send(Method::POST, &path, lead().to_string()).await.expect(201);
    let read = send(
        Method::GET,
        &format!("{path}/{}", captured["id"].as_str().expect("an id")),
        String::new(),
    )
    .await;
    assert_eq!(read.expect(200), captured);
    let get = async |path: &str| send(Method::GET, path, String::new()).await;
    get("/webhooks-api/v1/nothing").await.problem(404, "no-such-route");
    get("/webhooks-api/v1/clients/1").await.problem(400, "invalid-request");
    send(Method::PUT, "/webhooks-api/v1/clients", String::new())
        .await
        .problem(405, "method-not-allowed");

    let document = get("/webhooks-api/openapi.json").await.expect(200);
    assert!(document["paths"]["/v1/clients"].is_object());
    let redirect = get("/webhooks-api/docs").await;
    assert_eq!((redirect.status, redirect.header("location")), (308, Some("docs/")));
    let page = get("/webhooks-api/docs/").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html")));
    assert!(String::from_utf8_lossy(&page.body).contains("swagger-ui"));
    let start = get("/webhooks-api/docs/swagger-initializer.js").await;
    assert!(String::from_utf8_lossy(&start.body).contains("\"../openapi.json\""));

    // What isn't ours stays the host's.
    assert_eq!(get("/").await.body, "the host's own page");
    assert_eq!(get("/elsewhere").await.header("content-type"), None);
}
