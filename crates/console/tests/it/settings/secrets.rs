//! The Settings page's secrets: a destination's signing secret, and the client's keys.

use axum::http::Method;

use super::{client, settings};
use crate::app::{ADMIN, TestConsole};

#[tokio::test]
async fn the_signing_secret_is_shown_when_asked_for_and_replaced() {
    let console = TestConsole::new().await;
    let (id, path) = client(&console, "Acme").await;
    let browser = console.signed_in(ADMIN).await;
    let fields = [
        ("name", "Acme"),
        ("leadWebhookUrl", "http://127.0.0.1:9/"),
        ("retry", "none"),
    ];
    browser.submit(&path, &path, &fields).await.leads_to();
    let destination = settings(&console, &id).await["destinationId"]
        .as_str()
        .expect("an id")
        .to_owned();
    let secret_path = format!("/admin/clients/{id}/destinations/{destination}/secret");
    let page = browser.get(&path).await;
    assert!(page.body.contains(&secret_path) && !page.body.contains("whsec_"));
    let api = secret_path.replace("/admin", "/v1");
    let secret = console.api(Method::GET, &api, None).await["secret"]
        .as_str()
        .expect("a secret")
        .to_owned();
    assert!(browser.get(&secret_path).await.expect(200).contains(&secret));

    let wrong = [("overlap", "8d"), ("signature", "v1")];
    let page = browser.submit(&secret_path, &secret_path, &wrong).await;
    assert!(page.expect(422).contains("id=\"overlap-wrong\""), "{}", page.body);
    let right = [("overlap", "24h"), ("signature", "v1")];
    let to = browser.submit(&secret_path, &secret_path, &right).await;
    let page = browser.get(to.leads_to()).await;
    let body = page.expect(200);
    assert!(
        !body.contains(&secret) && body.contains("until 2026-11-25 10:30:00 UTC (in 1 day)"),
        "{body}"
    );
}

#[tokio::test]
async fn keys_are_made_shown_once_and_revoked() {
    let console = TestConsole::new().await;
    let (id, path) = client(&console, "Acme").await;
    let (other, _) = client(&console, "Other").await;
    let browser = console.signed_in(ADMIN).await;
    let to = format!("{path}/keys");
    let page = browser.submit(&path, &to, &[("name", ""), ("kind", "secret")]).await;
    assert!(page.expect(422).contains("id=\"key-name-wrong\""), "{}", page.body);
    let fields = [("name", "<b>CRM</b>"), ("kind", "secret")];
    let page = browser.submit(&path, &to, &fields).await;
    let body = page.expect(200);
    let (_, rest) = body.split_once("aria-label=\"The key\">").expect("the key");
    let key = rest.split('<').next().expect("its end").to_owned();
    assert!(key.starts_with("sk_") && body.contains("&#60;b&#62;CRM"), "{body}");
    console.signed_in(&key).await;

    let body = browser.get(&path).await.body;
    assert!(!body.contains(&key) && body.contains("&#60;b&#62;CRM"), "{body}");
    let keys = console.api(Method::GET, &format!("/v1/keys?clientId={id}"), None).await;
    assert_eq!(
        keys["items"].as_array().map(Vec::len),
        Some(2),
        "the publishable one too"
    );
    let made = keys["items"][0]["id"].as_str().expect("an id");
    let revoke = format!("{to}/{made}/revoke");
    assert!(browser.get(&revoke).await.expect(200).contains("Revoke this key?"));
    // By another client's path it isn't there.
    browser.get(&revoke.replace(&id, &other)).await.expect(404);
    let gone = browser.submit(&path, &revoke, &[]).await;
    assert_eq!(gone.leads_to(), format!("{path}?done=revoked#keys"));
    let signed_in = console
        .browser()
        .send(Method::POST, "/admin/sign-in", &[("key", &key)])
        .await;
    signed_in.expect(422);
}
