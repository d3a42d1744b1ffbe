//! A client's Settings page, as it is documented: Admin → Clients → [Client] → Settings → "Lead Webhook URL" → "Save settings".

use axum::http::Method;
use sensei_test_support::Receiver;
use serde_json::{Value, json};

use crate::app::{ADMIN, Browser, TestConsole};

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
async fn a_lead_form_is_set_by_its_page() {
    let console = TestConsole::new().await;
    let (id, path) = client(&console, "Acme").await;
    let to = format!("{path}/form");
    let browser = own(&console, &id).await;
    assert!(browser.get(&path).await.body.contains(&to));
    let page = browser.get(&to).await;
    let body = page.expect(200);
    assert!(
        body.contains("&lt;script src=\"http://console.example/embed.js\""),
        "{body}"
    );
    assert!(body.contains(&format!("data-client=\"{id}\"")), "{body}");
    let before = settings(&console, &id).await;

    let fields = [
        ("enabled", "yes"),
        ("allowedOrigins", "https://www.acme.example\r\nhttps://acme.example"),
        ("lang", "de"),
        ("field.name.0", "email"),
        ("field.label.0", "E-Mail"),
        ("field.type.0", "email"),
        ("field.name.2", "name"),
        ("field.label.2", "Name"),
        ("field.type.2", "text"),
        ("field.options.2", "left over"),
        ("field.name.3", "budget"),
        ("field.label.3", "Budget <i>"),
        ("field.type.3", "select"),
        ("field.required.3", "yes"),
        ("field.options.3", "1k\r\n10k"),
        ("text.title", "Sprechen Sie uns an"),
        ("text.submit", "Senden"),
        ("accent", "#0a7f5a"),
        ("radius", "0"),
        ("scheme", "dark"),
    ];
    let saved = browser.submit(&to, &to, &fields).await;
    assert_eq!(saved.leads_to(), format!("{to}?done=saved"));
    let set = settings(&console, &id).await;
    assert_eq!(
        set["allowedOrigins"],
        json!(["https://www.acme.example", "https://acme.example"])
    );
    let form = &set["form"];
    assert_eq!((&form["enabled"], &form["lang"]), (&json!(true), &json!("de")));
    let names = form["fields"]
        .as_array()
        .expect("fields")
        .iter()
        .map(|field| &field["name"]);
    assert_eq!(names.collect::<Vec<_>>(), ["email", "name", "budget"]);
    assert_eq!(form["fields"][2]["options"], json!(["1k", "10k"]));
    assert_eq!(form["texts"]["title"], "Sprechen Sie uns an");
    assert_eq!(
        form["theme"],
        json!({"accent": "#0a7f5a", "radius": 0, "scheme": "dark"})
    );
    let body = browser.get(saved.leads_to()).await.body;
    assert!(
        body.contains("Saved.") && body.contains("Budget &#60;i&#62;") && body.contains("1k\n10k</textarea>"),
        "{body}"
    );

    let mut wrong = fields.to_vec();
    for (name, value) in &mut wrong {
        match *name {
            "allowedOrigins" => *value = "http://acme.example",
            "field.name.3" => *value = "na me",
            "lang" => *value = "the german language",
            "accent" => *value = "red",
            "radius" => *value = "round",
            _ => {}
        }
    }
    let page = browser.submit(&to, &to, &wrong).await;
    let body = page.expect(422);
    for id in ["origins", "field-2", "lang", "accent", "radius"] {
        assert!(body.contains(&format!("id=\"{id}-wrong\">")), "{id}: {body}");
    }
    for typed in [
        "value=\"na me\"",
        "value=\"red\"",
        "value=\"round\"",
        ">http://acme.example<",
    ] {
        assert!(body.contains(typed), "{typed}: {body}");
    }
    assert_eq!(settings(&console, &id).await, set);
    assert_ne!(before, set);

    let (_, others) = client(&console, "Other").await;
    browser.get(&format!("{others}/form")).await.expect(404);
    // A publishable key comes with the line to copy.
    let admin = console.signed_in(ADMIN).await;
    let key = [("name", "page"), ("kind", "publishable")];
    let made = admin.submit(&path, &format!("{path}/keys"), &key).await;
    assert!(made.expect(200).contains("data-key=\"pk_"), "{}", made.body);
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

#[tokio::test]
async fn a_lead_form_shows_another_row_without_saving() {
    let console = TestConsole::new().await;
    let (id, path) = client(&console, "Acme").await;
    let to = format!("{path}/form");
    let browser = console.signed_in(ADMIN).await;
    let before = settings(&console, &id).await;
    let rows = |body: &str| body.matches("name=\"field.name.").count();
    let shown = rows(browser.get(&to).await.expect(200));
    let numbers = (0..shown).map(|row| format!("field.name.{row}")).collect::<Vec<_>>();
    let mut fields = vec![("more", "fields"), ("field.label.0", "Who \"are\" you?")];
    fields.extend(numbers.iter().map(|name| (name.as_str(), "")));
    let more = browser.submit(&to, &to, &fields).await;
    let body = more.expect(200);
    assert_eq!(rows(body), shown + 1);
    assert!(body.contains("value=\"Who &#34;are&#34; you?\""), "{body}");
    assert_eq!(settings(&console, &id).await, before);
}
