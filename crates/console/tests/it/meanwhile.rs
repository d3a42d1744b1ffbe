//! Settings that somebody else changes while a page is open: what wasn't touched stays, and what both have changed is told.

use axum::http::Method;
use serde_json::json;

use crate::app::{ADMIN, Page, TestConsole};
use crate::settings::{client, settings};

/// What a page's form says that whoever fills it in has seen.
fn seen(page: &Page) -> String {
    let (_, rest) = page.body.split_once("name=\"seen\" value=\"").expect("a form");
    let value = rest.split_once('"').expect("an attribute").0;
    value
        .replace("&#34;", "\"")
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
}

#[tokio::test]
async fn what_somebody_else_has_set_meanwhile_stays() {
    let console = TestConsole::new().await;
    let (id, path) = client(&console, "Acme").await;
    let browser = console.signed_in(ADMIN).await;
    let opened = seen(&browser.get(&path).await);
    // The URL is set elsewhere while this page is open, on which only the name is changed.
    let url = json!({"leadWebhookUrl": "http://127.0.0.1:9/leads"});
    let api = format!("/v1/clients/{id}/settings");
    console.api(Method::PATCH, &api, Some(&url)).await;
    let typed = [
        ("seen", opened.as_str()),
        ("name", "Acme Corp"),
        ("leadWebhookUrl", ""),
        ("retry", "none"),
    ];
    let saved = browser.submit(&path, &path, &typed).await;
    assert_eq!(saved.leads_to(), format!("{path}?done=saved"));
    assert_eq!(settings(&console, &id).await["leadWebhookUrl"], url["leadWebhookUrl"]);
    let named = console.api(Method::GET, &format!("/v1/clients/{id}"), None).await;
    assert_eq!(named["name"], "Acme Corp");

    // Both have changed the same: it is said, and nothing is saved before it is sent again.
    let mine = "http://127.0.0.1:9/mine";
    let typed = |seen| {
        [
            ("seen", seen),
            ("name", "Acme Corp"),
            ("leadWebhookUrl", mine),
            ("retry", "none"),
        ]
    };
    let page = browser.submit(&path, &path, &typed(&opened)).await;
    let body = page.expect(409);
    assert!(
        body.contains("Somebody has changed the same") && body.contains(mine),
        "{body}"
    );
    assert_eq!(settings(&console, &id).await["leadWebhookUrl"], url["leadWebhookUrl"]);
    let saved = browser.submit(&path, &path, &typed(&seen(&page))).await;
    assert_eq!(saved.leads_to(), format!("{path}?done=saved"));
    assert_eq!(settings(&console, &id).await["leadWebhookUrl"], mine);
}

#[tokio::test]
async fn a_form_that_somebody_else_has_changed_meanwhile_is_not_overwritten_unawares() {
    let console = TestConsole::new().await;
    let (id, path) = client(&console, "Acme").await;
    let path = format!("{path}/form");
    let browser = console.signed_in(ADMIN).await;
    let opened = seen(&browser.get(&path).await);
    let origins = json!({"allowedOrigins": ["https://www.example.com"]});
    console
        .api(Method::PATCH, &format!("/v1/clients/{id}/settings"), Some(&origins))
        .await;
    let typed = |seen| {
        [
            ("seen", seen),
            ("lang", "en"),
            ("field.name.0", "email"),
            ("field.label.0", "Email"),
            ("field.type.0", "email"),
            ("field.required.0", "yes"),
            ("field.name.1", "name"),
            ("field.label.1", "Name"),
            ("field.type.1", "text"),
            ("field.required.1", "yes"),
            ("accent", "#004499"),
            ("radius", "4"),
            ("scheme", "light"),
        ]
    };
    let page = browser.submit(&path, &path, &typed(&opened)).await;
    assert!(
        page.expect(409).contains("Somebody has changed this form"),
        "{}",
        page.body
    );
    assert_eq!(
        settings(&console, &id).await["allowedOrigins"],
        origins["allowedOrigins"]
    );
    let saved = browser.submit(&path, &path, &typed(&seen(&page))).await;
    assert_eq!(saved.status, 303, "{}", saved.body);
    assert_eq!(settings(&console, &id).await["allowedOrigins"], json!([]));
}
