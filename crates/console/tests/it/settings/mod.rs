//! A client's Settings page, as it is documented: Admin → Clients → [Client] → Settings → "Lead Webhook URL" → "Save settings".

use axum::http::Method;
use sensei_test_support::Receiver;
use serde_json::{Value, json};

use crate::app::{ADMIN, Browser, TestConsole};

mod lead_form;
mod secrets;

const LEAD: &str = r#"{"name": "Ann", "email": "ann@example.com"}"#;

/// A client, and the path of its settings.
pub(crate) async fn client(console: &TestConsole, name: &str) -> (String, String) {
    let client = console
        .api(Method::POST, "/v1/clients", Some(&json!({"name": name})))
        .await;
    let id = client["id"].as_str().expect("an id").to_owned();
    let path = format!("/admin/clients/{id}/settings");
    (id, path)
}

pub(crate) async fn settings(console: &TestConsole, client: &str) -> Value {
    console
        .api(Method::GET, &format!("/v1/clients/{client}/settings"), None)
        .await
}

/// A browser in which the client's own key has signed in.
async fn own<'a>(console: &'a TestConsole, client: &str) -> Browser<'a> {
    let key = json!({"kind": "secret", "name": "own", "clientId": client});
    let key = console.api(Method::POST, "/v1/keys", Some(&key)).await;
    console.signed_in(key["key"].as_str().expect("a key")).await
}

#[tokio::test]
async fn the_documented_path_sets_the_url_word_for_word() {
    let console = TestConsole::new().await;
    let (id, path) = client(&console, "Acme").await;
    let browser = console.signed_in(ADMIN).await;
    let clients = browser.get("/admin/clients").await;
    assert!(clients.body.contains(&format!("href=\"/admin/clients/{id}\"")));
    let page = browser.get(&path).await;
    let body = page.expect(200);
    assert!(body.contains(&format!("href=\"{path}\" aria-current=\"page\">Settings</a>")));
    assert!(body.contains(">Lead Webhook URL</label>"), "{body}");
    assert!(body.contains("<button>Save settings</button>"));

    let fields = [
        ("name", "Acme Corp"),
        ("leadWebhookUrl", "http://127.0.0.1:9/leads"),
        ("retry", "custom"),
        ("retryDelays", "5s, 5m"),
        ("includeCustomFields", "yes"),
        ("operationalEvents", "yes"),
    ];
    let saved = browser.submit(&path, &path, &fields).await;
    assert_eq!(saved.leads_to(), format!("{path}?done=saved"));
    let page = browser.get(saved.leads_to()).await;
    let body = page.expect(200);
    assert!(body.contains("Saved."));
    assert!(body.contains("value=\"http://127.0.0.1:9/leads\"") && body.contains("value=\"5s, 5m\""));
    let set = settings(&console, &id).await;
    assert_eq!(set["leadWebhookUrl"], "http://127.0.0.1:9/leads");
    assert_eq!(
        (&set["includeCustomFields"], &set["operationalEvents"]),
        (&json!(true), &json!(true))
    );
    let destination = set["destinationId"].as_str().expect("an id");
    let destination = format!("/v1/clients/{id}/destinations/{destination}");
    let destination = console.api(Method::GET, &destination, None).await;
    assert_eq!(
        destination["retry"],
        json!({"policy": "custom", "delays": ["5s", "5m"]})
    );
    let named = console.api(Method::GET, &format!("/v1/clients/{id}"), None).await;
    assert_eq!(named["name"], "Acme Corp");
}

#[tokio::test]
async fn what_is_wrong_stands_by_its_field_and_changes_nothing() {
    let console = TestConsole::new().await;
    let (id, path) = client(&console, "Acme").await;
    let browser = console.signed_in(ADMIN).await;
    let before = settings(&console, &id).await;
    for (fields, wrong, words) in [
        (
            [
                ("name", "New <i>name</i>"),
                ("leadWebhookUrl", "http://93.184.215.14/\"><script>"),
                ("retry", "none"),
                ("retryDelays", ""),
            ],
            "url-wrong",
            "Try <code>https://93.184.215.14/&#34;&#62;&#60;script&#62;</code>",
        ),
        (
            [
                ("name", ""),
                ("leadWebhookUrl", "https://hooks.example.com/"),
                ("retry", "none"),
                ("retryDelays", ""),
            ],
            "name-wrong",
            "must not be empty",
        ),
        (
            [
                ("name", "Other"),
                ("leadWebhookUrl", "https://hooks.example.com/"),
                ("retry", "custom"),
                ("retryDelays", "soon"),
            ],
            "retry-wrong",
            "value=\"soon\"",
        ),
    ] {
        let page = browser.submit(&path, &path, &fields).await;
        let body = page.expect(422);
        assert!(body.contains(&format!("id=\"{wrong}\"")), "{wrong}: {body}");
        assert!(body.contains(&format!(" {wrong}\" aria-invalid=\"true\"")), "{body}");
        assert!(body.contains(words), "{words}: {body}");
        assert!(!body.contains("<script>") && !body.contains("<i>name"), "{body}");
        assert_eq!(settings(&console, &id).await, before);
        let named = console.api(Method::GET, &format!("/v1/clients/{id}"), None).await;
        assert_eq!(named["name"], "Acme");
    }
}

#[tokio::test]
async fn an_emptied_url_asks_first_when_something_is_pending() {
    let console = TestConsole::new().await;
    let (id, path) = client(&console, "Acme").await;
    let browser = console.signed_in(ADMIN).await;
    let set = |url: &'static str| [("name", "Acme"), ("leadWebhookUrl", url), ("retry", "standard")];
    browser
        .submit(&path, &path, &set("http://127.0.0.1:9/a"))
        .await
        .leads_to();
    // Nothing pending: at once.
    browser.submit(&path, &path, &set("")).await.leads_to();
    assert_eq!(settings(&console, &id).await["leadWebhookUrl"], Value::Null);

    browser
        .submit(&path, &path, &set("http://127.0.0.1:9/a"))
        .await
        .leads_to();
    let lead = serde_json::from_str(LEAD).expect("JSON");
    console
        .api(Method::POST, &format!("/v1/clients/{id}/leads"), Some(&lead))
        .await;
    let asked = browser.submit(&path, &path, &set("")).await;
    let body = asked.expect(200);
    assert!(
        body.contains("1 delivery of this client is") && body.contains("Nothing is saved yet"),
        "{body}"
    );
    assert_eq!(settings(&console, &id).await["leadWebhookUrl"], "http://127.0.0.1:9/a");

    let mut confirmed = set("").to_vec();
    confirmed.push(("confirmed", "yes"));
    browser.submit(&path, &path, &confirmed).await.leads_to();
    assert_eq!(settings(&console, &id).await["leadWebhookUrl"], Value::Null);
    let stats = console.api(Method::GET, &format!("/v1/clients/{id}/stats"), None).await;
    assert_eq!(stats["deliveries"]["cancelled"], 1);
}

#[tokio::test]
async fn a_test_lead_is_answered_inline() {
    let console = TestConsole::new().await;
    let receiver = Receiver::start();
    let (id, path) = client(&console, "Acme").await;
    let browser = console.signed_in(ADMIN).await;
    let url = receiver.url();
    let fields = [("name", "Acme"), ("leadWebhookUrl", url.as_str()), ("retry", "none")];
    browser.submit(&path, &path, &fields).await.leads_to();
    let destination = settings(&console, &id).await["destinationId"]
        .as_str()
        .expect("an id")
        .to_owned();
    let page = browser.get(&path).await;
    let to = format!("/admin/clients/{id}/destinations/{destination}/test");
    assert!(page.body.contains(&format!("hx-post=\"{to}\"")));

    let whole = browser.submit(&path, &to, &[]).await;
    let body = whole.expect(200);
    assert!(
        body.contains("The test lead arrived.") && body.contains("answered 200"),
        "{body}"
    );
    assert!(body.contains("<h1>Test of Lead Webhook URL</h1>"));
    assert_eq!(receiver.received().len(), 1);
    assert_eq!(receiver.received()[0].header("sensei-test"), Some("true"));

    // Within the page: only the answer.
    let csrf = page.csrf();
    let headers = [("hx-request", "true"), ("x-csrf-token", csrf.as_str())];
    drop(receiver);
    let part = browser.send_with(Method::POST, &to, &[], &headers).await;
    let body = part.expect(200);
    assert!(!body.contains("<html") && body.contains("didn&#39;t arrive"), "{body}");
    assert!(body.contains("refused the connection"), "{body}");
}

#[tokio::test]
async fn a_client_is_deleted_once_its_name_is_typed() {
    let console = TestConsole::new().await;
    let (id, path) = client(&console, "Acme").await;
    let browser = console.signed_in(ADMIN).await;
    let to = format!("{path}/delete");
    let page = browser.submit(&to, &to, &[("name", "acme")]).await;
    assert!(page.expect(422).contains("nothing was deleted"), "{}", page.body);
    let named = console.api(Method::GET, &format!("/v1/clients/{id}"), None).await;
    assert_eq!(named["name"], "Acme");
    let gone = browser.submit(&to, &to, &[("name", "Acme")]).await;
    assert_eq!(gone.leads_to(), "/admin/clients?done=deleted");
    browser.get(&path).await.expect(404);
}

#[tokio::test]
async fn a_client_manages_its_own_and_no_others_settings() {
    let console = TestConsole::new().await;
    let (id, path) = client(&console, "Acme").await;
    let (_, others) = client(&console, "Other").await;
    let browser = own(&console, &id).await;
    let body = browser.get(&path).await.body;
    assert!(!body.contains("operationalEvents") && !body.contains("Keys") && !body.contains("/settings/delete"));
    let fields = [
        ("name", "Acme"),
        ("leadWebhookUrl", "http://127.0.0.1:9/"),
        ("retry", "none"),
    ];
    browser.submit(&path, &path, &fields).await.leads_to();
    assert_eq!(settings(&console, &id).await["leadWebhookUrl"], "http://127.0.0.1:9/");

    browser.get(&others).await.expect(404);
    browser.submit(&path, &others, &fields).await.expect(404);
    let admins = browser
        .submit(&path, &format!("{path}/keys"), &[("name", "a"), ("kind", "secret")])
        .await;
    admins.expect(403);
    browser
        .submit(&path, &format!("{path}/delete"), &[("name", "Acme")])
        .await
        .expect(403);
    // Without its token nothing is changed.
    let forged = browser.send(Method::POST, &path, &fields).await;
    forged.expect(403);
}

#[tokio::test]
async fn who_may_embed_a_clients_view_is_set_by_an_admin() {
    let console = TestConsole::new().await;
    let (id, path) = client(&console, "Acme").await;
    let browser = console.signed_in(ADMIN).await;
    let set = |origins: &'static str| [("name", "Acme"), ("retry", "none"), ("frameAncestors", origins)];
    let page = browser
        .submit(&path, &path, &set("https://a.example\r\nhttp://b.example/\"><script>"))
        .await;
    let body = page.expect(422);
    assert!(body.contains("id=\"ancestors-wrong\">must"), "{body}");
    assert!(body.contains("https://a.example\nhttp://b.example/&#34;"), "{body}");
    assert_eq!(settings(&console, &id).await["frameAncestors"], json!([]));
    browser
        .submit(&path, &path, &set("https://a.example\r\n\r\nhttps://b.example"))
        .await
        .leads_to();
    let both = json!(["https://a.example", "https://b.example"]);
    assert_eq!(settings(&console, &id).await["frameAncestors"], both);
    assert!(
        browser
            .get(&path)
            .await
            .body
            .contains(">https://a.example\nhttps://b.example</textarea>")
    );
    // Who isn't one neither sees nor changes it.
    let own = own(&console, &id).await;
    assert!(!own.get(&path).await.body.contains("frameAncestors"));
    own.submit(&path, &path, &set("")).await.leads_to();
    assert_eq!(settings(&console, &id).await["frameAncestors"], both);
}

#[tokio::test]
async fn for_how_long_things_are_kept_is_told_and_who_decides_it() {
    let console = TestConsole::new().await;
    let (id, path) = client(&console, "Acme").await;
    let of_admin = console.signed_in(ADMIN).await.get(&path).await;
    let of_client = own(&console, &id).await.get(&path).await;
    for page in [&of_admin, &of_client] {
        let body = page.expect(200);
        for words in [
            "<dt>Leads</dt><dd>kept until they are erased</dd>",
            "<dt>Deliveries</dt><dd>removed 90 days after they were done</dd>",
            "<dt>Attempts</dt><dd>removed 36 hours after they began",
        ] {
            assert!(body.contains(words), "{words}: {body}");
        }
    }
    assert!(of_admin.body.contains("<code>keep_leads</code>"));
    assert!(!of_client.body.contains("keep_leads") && of_client.body.contains("whoever runs this server decides it"));
}
