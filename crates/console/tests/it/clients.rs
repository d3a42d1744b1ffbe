//! The list of clients, and a new one.

use axum::http::Method;
use serde_json::json;

use crate::app::{ADMIN, TestConsole};

#[tokio::test]
async fn an_empty_console_guides_to_the_first_client() {
    let console = TestConsole::new().await;
    let browser = console.signed_in(ADMIN).await;
    assert_eq!(browser.get("/admin").await.leads_to(), "/admin/clients");
    let page = browser.get("/admin/clients").await;
    assert!(page.expect(200).contains("Create the first client"));

    let fields = [
        ("name", "Acme <b>Corp</b>"),
        ("leadWebhookUrl", "http://127.0.0.1:9/leads"),
    ];
    let made = browser.submit("/admin/clients/new", "/admin/clients", &fields).await;
    assert!(made.leads_to().starts_with("/admin/clients/"));
    let page = browser.get("/admin/clients").await;
    assert!(page.expect(200).contains("Acme &#60;b&#62;Corp"), "{}", page.body);
}

#[tokio::test]
async fn what_is_wrong_with_a_new_client_stands_by_its_field() {
    let console = TestConsole::new().await;
    let browser = console.signed_in(ADMIN).await;
    let fields = [("name", "Acme"), ("leadWebhookUrl", "http://10.0.0.1/\"><script>")];
    let page = browser.submit("/admin/clients/new", "/admin/clients", &fields).await;
    let body = page.expect(422);
    assert!(
        body.contains("id=\"url-wrong\"") && body.contains("aria-describedby=\"url-wrong\""),
        "{body}"
    );
    assert!(body.contains("value=\"Acme\""), "what was typed is still there");
    assert!(!body.contains("<script>"), "{body}");
    let clients = console.api(Method::GET, "/v1/clients", None).await;
    assert_eq!(clients["items"], json!([]));
}
