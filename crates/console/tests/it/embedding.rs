//! A client's own view within the pages of a product, and nothing else within anybody's.

use axum::http::Method;
use serde_json::json;

use crate::app::{ADMIN, Browser, Page, TestConsole};

const PRODUCT: &str = "https://app.product.example";

fn is_closed(page: &Page) -> bool {
    page.header("content-security-policy")
        .contains("frame-ancestors 'none'")
        && page.header("x-frame-options") == "DENY"
}

/// The path of a link to a client's own view.
async fn link(console: &TestConsole, client: &str) -> String {
    let path = format!("/v1/clients/{client}/sign-in-links");
    let link = console.api(Method::POST, &path, Some(&json!({}))).await;
    link["path"].as_str().expect("a path").to_owned()
}

async fn client(console: &TestConsole, ancestors: &[&str]) -> String {
    let client = console
        .api(Method::POST, "/v1/clients", Some(&json!({"name": "Acme"})))
        .await;
    let id = client["id"].as_str().expect("an id").to_owned();
    let settings = json!({"frameAncestors": ancestors});
    console
        .api(Method::PATCH, &format!("/v1/clients/{id}/settings"), Some(&settings))
        .await;
    id
}

/// A browser that has opened a link by https, as one within another page.
async fn opened<'a>(console: &'a TestConsole, link: &str) -> (Browser<'a>, Page) {
    let mut browser = console.browser();
    let headers = [("x-forwarded-proto", "https"), ("sec-fetch-dest", "iframe")];
    let page = browser.send_with(Method::GET, link, &[], &headers).await;
    assert_eq!(page.status, 303, "{}", page.body);
    browser.take_cookie(&page);
    (browser, page)
}

#[tokio::test]
async fn a_clients_own_view_can_be_embedded_where_its_settings_say() {
    let console = TestConsole::new().await;
    let id = client(&console, &[PRODUCT, "http://localhost:3000"]).await;
    let link = link(&console, &id).await;
    let (browser, page) = opened(&console, &link).await;
    let cookie = page.header("set-cookie");
    for part in [
        "__Host-sensei=",
        "HttpOnly",
        "Secure",
        "SameSite=None",
        "Partitioned",
        "Path=/",
    ] {
        assert!(cookie.contains(part), "{part}: {cookie}");
    }
    let settings = format!("/admin/clients/{id}/settings");
    let missing = format!("/admin/clients/{id}/destinations/0");
    for (path, status) in [(&settings, 200), (&missing, 404)] {
        let page = browser.get(path).await;
        page.expect(status);
        let policy = page.header("content-security-policy");
        assert!(
            policy.ends_with("frame-ancestors 'self' https://app.product.example http://localhost:3000"),
            "{policy}"
        );
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert_eq!(page.header("x-frame-options"), "");
    }
    // Its forms are still nobody else's.
    let csrf = browser.get(&settings).await.csrf();
    let fields = [("csrf", csrf.as_str()), ("name", "Other"), ("retry", "none")];
    let headers = [("origin", PRODUCT), ("sec-fetch-site", "cross-site")];
    browser
        .send_with(Method::POST, &settings, &fields, &headers)
        .await
        .expect(403);

    // A page of its own gets the usual cookie: a browser would keep two by the same name.
    let headers = [("x-forwarded-proto", "https"), ("sec-fetch-dest", "document")];
    let page = console.browser().send_with(Method::GET, &link, &[], &headers).await;
    let cookie = page.header("set-cookie");
    assert!(
        cookie.contains("SameSite=Lax") && !cookie.contains("Partitioned"),
        "{cookie}"
    );

    // Without https a browser would send it back from nowhere but the page itself.
    let page = console.browser().get(&link).await;
    assert!(
        page.header("set-cookie").contains("SameSite=Lax"),
        "{}",
        page.header("set-cookie")
    );
}

#[tokio::test]
async fn nothing_else_can_be_embedded() {
    let console = TestConsole::new().await;
    let embedded = client(&console, &[PRODUCT]).await;
    let plain = client(&console, &[]).await;
    // An admin sees the same pages, never within others.
    let admin = console.signed_in(ADMIN).await;
    assert!(is_closed(
        &admin.get(&format!("/admin/clients/{embedded}/settings")).await
    ));
    // Nor does a client that hasn't said so.
    let (browser, page) = opened(&console, &link(&console, &plain).await).await;
    let cookie = page.header("set-cookie");
    assert!(
        cookie.contains("SameSite=Lax") && !cookie.contains("Partitioned"),
        "{cookie}"
    );
    assert!(is_closed(
        &browser.get(&format!("/admin/clients/{plain}/settings")).await
    ));
    // Nor who isn't signed in.
    let nobody = console.browser();
    assert!(is_closed(
        &nobody.get(&format!("/admin/clients/{embedded}/settings")).await
    ));
    assert!(is_closed(&nobody.get("/admin/sign-in").await));
    let link = console.api(Method::POST, "/v1/sign-in-links", Some(&json!({}))).await;
    let (browser, page) = opened(&console, link["path"].as_str().expect("a path")).await;
    assert!(page.header("set-cookie").contains("SameSite=Lax"));
    assert!(is_closed(&browser.get("/admin/clients").await));
    // Taken back, it ends at once.
    let (browser, _) = opened(&console, &self::link(&console, &embedded).await).await;
    let settings = format!("/v1/clients/{embedded}/settings");
    console
        .api(Method::PATCH, &settings, Some(&json!({"frameAncestors": null})))
        .await;
    assert!(is_closed(
        &browser.get(&format!("/admin/clients/{embedded}/settings")).await
    ));
}

#[tokio::test]
async fn a_product_shows_one_clients_view_after_anothers() {
    let console = TestConsole::new().await;
    let (one, other) = (client(&console, &[PRODUCT]).await, client(&console, &[PRODUCT]).await);
    let closed = client(&console, &[]).await;
    let (browser, _) = opened(&console, &link(&console, &one).await).await;
    let to_other = link(&console, &other).await;
    let within = |site| {
        vec![
            ("x-forwarded-proto", "https"),
            ("sec-fetch-dest", "iframe"),
            ("sec-fetch-site", site),
        ]
    };
    let page = browser
        .send_with(Method::GET, &to_other, &[], &within("cross-site"))
        .await;
    assert_eq!(page.status, 303);
    assert!(page.header("set-cookie").contains("Partitioned"));
    // Of the same site, what is set there is also set for who opens the console by itself.
    let page = browser
        .send_with(Method::GET, &to_other, &[], &within("same-site"))
        .await;
    assert!(page.expect(200).contains("instead?"));
    assert!(page.header("content-security-policy").ends_with(PRODUCT));
    let to_closed = link(&console, &closed).await;
    let page = browser
        .send_with(Method::GET, &to_closed, &[], &within("cross-site"))
        .await;
    assert!(page.expect(200).contains("instead?"));
}
