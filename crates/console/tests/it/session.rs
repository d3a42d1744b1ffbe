//! Signing in and out, and what others can't do with somebody's session.

use std::time::Duration;

use axum::http::Method;
use sensei_persistence::{Access, Scope};
use serde_json::json;

use crate::app::{ADMIN, Browser, TestConsole};

const NAME: [(&str, &str); 1] = [("name", "Acme")];

#[tokio::test]
async fn who_isnt_signed_in_is_asked_to_and_comes_back() {
    let console = TestConsole::new().await;
    let browser = console.browser();
    let page = browser.get("/admin/clients?cursor=a").await;
    assert_eq!(page.leads_to(), "/admin/sign-in?next=%2Fadmin%2Fclients%3Fcursor%3Da");
    assert_eq!(page.header("hx-redirect"), page.header("location"));
    let page = browser
        .send(
            Method::POST,
            "/admin/sign-in",
            &[("key", ADMIN), ("next", "/admin/clients?cursor=a")],
        )
        .await;
    assert_eq!(page.leads_to(), "/admin/clients?cursor=a");
    let cookie = page.header("set-cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && !cookie.contains("Secure"),
        "{cookie}"
    );
    let page = browser
        .send_with(
            Method::POST,
            "/admin/sign-in",
            &[("key", ADMIN)],
            &[("origin", "https://console.example")],
        )
        .await;
    let cookie = page.header("set-cookie");
    assert!(
        cookie.starts_with("__Host-sensei=") && cookie.contains("Secure"),
        "{cookie}"
    );
}

#[tokio::test]
async fn only_a_secret_key_in_force_signs_in() {
    let console = TestConsole::new().await;
    let client = console
        .api(Method::POST, "/v1/clients", Some(&json!({"name": "Acme"})))
        .await;
    let publishable = client["publishableKey"].as_str().expect("a key");
    for (key, words) in [
        ("", "isn&#39;t valid"),
        ("sk_no", "isn&#39;t valid"),
        (publishable, "publishable key"),
    ] {
        let page = console
            .browser()
            .send(Method::POST, "/admin/sign-in", &[("key", key)])
            .await;
        assert!(page.expect(422).contains(words), "{}", page.body);
        assert_eq!(page.header("set-cookie"), "");
    }
}

#[tokio::test]
async fn a_session_ends_by_signing_out_by_time_and_with_its_key() {
    let console = TestConsole::new().await;
    let browser = console.signed_in(ADMIN).await;
    let out = browser.submit("/admin/clients", "/admin/sign-out", &[]).await;
    assert_eq!(out.leads_to(), "/admin/sign-in");
    assert_eq!(
        browser.get("/admin/clients").await.status,
        303,
        "the cookie is worth nothing any more"
    );

    let browser = console.signed_in(ADMIN).await;
    console.clock.advance(sensei_persistence::SESSION);
    assert_eq!(browser.get("/admin/clients").await.status, 303);

    let key = json!({"kind": "secret", "name": "Ann"});
    let made = console.api(Method::POST, "/v1/keys", Some(&key)).await;
    let browser = console.signed_in(made["key"].as_str().expect("a key")).await;
    browser.get("/admin/clients").await.expect(200);
    let path = format!("/v1/keys/{}", made["id"].as_str().expect("an id"));
    console.api(Method::DELETE, &path, None).await;
    assert_eq!(browser.get("/admin/clients").await.status, 303);
}

#[tokio::test]
async fn a_form_of_another_site_or_session_changes_nothing() {
    let console = TestConsole::new().await;
    let browser = console.signed_in(ADMIN).await;
    let csrf = browser.get("/admin/clients/new").await.csrf();
    let other = console.signed_in(ADMIN).await.get("/admin/clients/new").await.csrf();
    assert_ne!(csrf, other);
    let (none, of_other) = (vec![NAME[0]], vec![NAME[0], ("csrf", other.as_str())]);
    let ours = vec![NAME[0], ("csrf", csrf.as_str())];
    for (fields, headers) in [
        (&none, vec![]),
        (&of_other, vec![]),
        (&ours, vec![("origin", "https://evil.example")]),
        (&ours, vec![("sec-fetch-site", "cross-site")]),
        (&ours, vec![("sec-fetch-site", "same-site")]),
    ] {
        let page = browser
            .send_with(Method::POST, "/admin/clients", fields, &headers)
            .await;
        assert!(page.expect(403).contains("Nothing was changed"), "{headers:?}");
    }
    let clients = console.api(Method::GET, "/v1/clients", None).await;
    assert_eq!(clients["items"], json!([]));
    let sign_in = [("origin", "https://evil.example")];
    let page = browser
        .send_with(Method::POST, "/admin/sign-in", &[("key", ADMIN)], &sign_in)
        .await;
    page.expect(403);
}

#[tokio::test]
async fn a_session_isnt_fixed_beforehand() {
    let console = TestConsole::new().await;
    let mut browser = console.browser();
    browser.cookie = Some("sensei=known-to-the-attacker".to_owned());
    let page = browser.send(Method::POST, "/admin/sign-in", &[("key", ADMIN)]).await;
    assert!(!page.header("set-cookie").contains("known-to-the-attacker"));
    assert_eq!(
        browser.get("/admin/clients").await.status,
        303,
        "the planted cookie isn't signed in"
    );
}

#[tokio::test]
async fn no_page_can_be_framed_or_load_from_elsewhere() {
    let console = TestConsole::new().await;
    for path in ["/admin/sign-in", "/admin/nowhere", "/admin/assets/a/b"] {
        let page = console.browser().get(path).await;
        assert!(
            page.header("content-security-policy")
                .contains("frame-ancestors 'none'"),
            "{path}"
        );
        assert!(
            page.header("content-security-policy").contains("default-src 'none'"),
            "{path}"
        );
        assert_eq!(page.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test]
async fn a_link_signs_in_to_what_it_was_made_for_and_for_as_long() {
    let console = TestConsole::new().await;
    let client = console
        .api(Method::POST, "/v1/clients", Some(&json!({"name": "Acme"})))
        .await;
    let id = client["id"].as_str().expect("an id");
    let admin = console.store.authenticate(ADMIN).await.expect("read").expect("a key");
    let scope = Scope::Client(id.parse().expect("an id"));
    let link = console.store.sign_in_link(admin.key_id, scope, Duration::from_mins(5));
    let mut browser = console.browser();
    let page = browser.get(&format!("/admin/sign-in/{link}")).await;
    assert_eq!(page.leads_to(), "/admin");
    browser.take_cookie(&page);
    assert_eq!(browser.get("/admin").await.leads_to(), format!("/admin/clients/{id}"));
    browser.get("/admin/clients").await.expect(403);

    for (token, after) in [(format!("{link}a"), 0), ("a".to_owned(), 0), (link, 300)] {
        console.clock.advance(Duration::from_secs(after));
        let page = console.browser().get(&format!("/admin/sign-in/{token}")).await;
        assert!(page.expect(403).contains("isn&#39;t valid any more"), "{}", page.body);
    }
}

#[tokio::test]
async fn by_https_only_the_cookie_that_this_host_alone_can_set_signs_in() {
    let console = TestConsole::new().await;
    let mut browser = console.signed_in(ADMIN).await;
    let https = [("x-forwarded-proto", "https")];
    let get = async |browser: &Browser<'_>, headers: &[(&str, &str)]| {
        let page = browser.send_with(Method::GET, "/admin/clients", &[], headers).await;
        page.status
    };
    let plain = browser.cookie.clone().expect("a cookie");
    assert!(plain.starts_with("sensei="), "{plain}");
    assert_eq!(get(&browser, &[]).await, 200);
    assert_eq!(get(&browser, &https).await, 303, "a neighbouring host may have set it");
    browser.cookie = Some(format!("__Host-{plain}"));
    assert_eq!(get(&browser, &https).await, 200);
}

/// A browser says by which way it came with what it sends, not when it opens a link.
#[tokio::test]
async fn who_came_by_a_link_through_a_proxy_that_tells_nothing_may_change_something() {
    let console = TestConsole::new().await;
    let admin = console.store.authenticate(ADMIN).await.expect("read").expect("a key");
    let mut browser = console.browser();
    let entered = browser.get(&link_for(&console, admin, None)).await;
    browser.take_cookie(&entered);
    let csrf = browser.get("/admin/clients/new").await.csrf();
    let from_here = [("origin", "https://console.example")];
    let fields = [("csrf", csrf.as_str()), NAME[0]];
    let made = browser
        .send_with(Method::POST, "/admin/clients", &fields, &from_here)
        .await;
    assert!(made.leads_to().starts_with("/admin/clients/"), "{}", made.leads_to());
}

/// A link to a client's own view, or to everything.
fn link_for(console: &TestConsole, admin: Access, client: Option<&str>) -> String {
    let scope = client.map_or(Scope::Admin, |id| Scope::Client(id.parse().expect("an id")));
    let token = console.store.sign_in_link(admin.key_id, scope, Duration::from_mins(5));
    format!("/admin/sign-in/{token}")
}

#[tokio::test]
async fn a_link_asks_who_is_signed_in_as_another_first() {
    let console = TestConsole::new().await;
    let admin = console.store.authenticate(ADMIN).await.expect("read").expect("a key");
    let named = json!({"name": "Acme <b>"});
    let client = console.api(Method::POST, "/v1/clients", Some(&named)).await;
    let id = client["id"].as_str().expect("an id");
    let link = link_for(&console, admin, Some(id));
    let mut browser = console.signed_in(ADMIN).await;

    let next = format!("{link}?next=%2Fadmin%2Fclients%2F{id}%2Fleads");
    let asked = browser.get(&next).await;
    let body = asked.expect(200);
    assert!(
        body.contains(
            "You are signed in as <strong>an admin</strong>. Sign in as <strong>Acme &#60;b&#62;</strong> instead?"
        ),
        "{body}"
    );
    assert_eq!(asked.header("set-cookie"), "");
    browser.get("/admin/clients").await.expect(200);
    // Nor by a form of somebody else's.
    let page = browser.send(Method::POST, &link, &[]).await;
    assert!(page.expect(403).contains("Nothing was changed"));
    assert_eq!(page.header("set-cookie"), "");

    let leads = format!("/admin/clients/{id}/leads");
    let entered = browser.submit(&next, &link, &[("next", leads.as_str())]).await;
    assert_eq!(entered.leads_to(), leads);
    browser.take_cookie(&entered);
    browser.get("/admin/clients").await.expect(403);
    // Who is that already isn't asked, and the other way round it is the same.
    let again = browser.get(&link).await;
    assert_eq!(again.leads_to(), "/admin");
    let back = link_for(&console, admin, None);
    assert!(browser.get(&back).await.expect(200).contains("instead?"));
    // What it was for is gone by the time of the answer.
    let csrf = browser.get(&back).await.csrf();
    console.clock.advance(Duration::from_mins(5));
    let late = browser.send(Method::POST, &back, &[("csrf", csrf.as_str())]).await;
    assert!(late.expect(403).contains("isn&#39;t valid any more"), "{}", late.body);
}

#[tokio::test]
async fn signing_in_leads_to_no_link() {
    let console = TestConsole::new().await;
    let admin = console.store.authenticate(ADMIN).await.expect("read").expect("a key");
    let link = link_for(&console, admin, None);
    let fields = [("key", ADMIN), ("next", link.as_str())];
    let page = console.browser().send(Method::POST, "/admin/sign-in", &fields).await;
    assert_eq!(page.leads_to(), "/admin");
}
