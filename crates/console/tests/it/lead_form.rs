//! Lead forms as visitors meet them: nobody is signed in, and no script runs.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use crate::app::{Browser, Page, TestConsole};

const WHOLE: [(&str, &str); 4] = [
    ("f-name", "Zoë <b>"),
    ("f-email", "zoe@example.com"),
    ("f-phone", ""),
    ("f-message", "Two\r\nlines & \"quotes\""),
];

async fn client(console: &TestConsole) -> String {
    let body = json!({"name": "Acme Corp", "leadWebhookUrl": "http://127.0.0.1:9/leads"});
    let created = console.api(Method::POST, "/v1/clients", Some(&body)).await;
    created["id"].as_str().expect("an id").to_owned()
}

async fn set(console: &TestConsole, client: &str, change: Value) {
    console
        .api(Method::PATCH, &format!("/v1/clients/{client}/settings"), Some(&change))
        .await;
}

async fn leads(console: &TestConsole, client: &str) -> Vec<Value> {
    let list = console
        .api(Method::GET, &format!("/v1/clients/{client}/leads"), None)
        .await;
    list["items"].as_array().expect("items").clone()
}

fn hidden(page: &Page, name: &str) -> String {
    let (_, rest) = page
        .body
        .split_once(&format!("name=\"{name}\" value=\""))
        .expect("a hidden field");
    rest.split('"').next().expect("its end").to_owned()
}

/// Opens the form, and sends it after so long.
async fn fill(console: &TestConsole, client: &str, seconds: u64, fields: &[(&str, &str)]) -> Page {
    let browser = console.browser();
    let token = hidden(&browser.get(&format!("/forms/{client}")).await, "token");
    console.clock.advance(Duration::from_secs(seconds));
    send(&browser, client, &token, fields).await
}

async fn send(browser: &Browser<'_>, client: &str, token: &str, fields: &[(&str, &str)]) -> Page {
    let all = [&[("token", token)], fields].concat();
    let headers = [("origin", "https://console.example"), ("sec-fetch-site", "same-origin")];
    browser
        .send_with(Method::POST, &format!("/forms/{client}"), &all, &headers)
        .await
}

#[tokio::test]
async fn a_person_fills_in_the_form_and_is_told_that_it_is_sent() {
    let console = TestConsole::new().await;
    let client = client(&console).await;
    // Its own page is always allowed.
    set(&console, &client, json!({"allowedOrigins": ["https://acme.example"]})).await;
    let answer = fill(&console, &client, 3, &WHOLE).await;
    let to = answer.leads_to().to_owned();
    let page = console.browser().get(&to).await;
    assert!(page.expect(200).contains("Thank you. Your message has been sent."));
    let leads = leads(&console, &client).await;
    let lead = &leads[0];
    assert_eq!((leads.len(), &lead["name"]), (1, &json!("Zoë <b>")));
    assert_eq!(
        (&lead["message"], &lead["phone"]),
        (&json!("Two\r\nlines & \"quotes\""), &Value::Null)
    );
    assert_eq!(lead["suspected"], Value::Null);
    let deliveries = console
        .api(Method::GET, &format!("/v1/clients/{client}/deliveries"), None)
        .await;
    assert_eq!(deliveries["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn what_is_wrong_stands_beside_its_field_and_what_was_typed_stays() {
    let console = TestConsole::new().await;
    let client = client(&console).await;
    let browser = console.browser();
    let opened = browser.get(&format!("/forms/{client}")).await;
    let token = hidden(&opened, "token");
    console.clock.advance(Duration::from_secs(1));
    let wrong = [
        ("f-name", " "),
        ("f-email", "zoe@"),
        ("f-message", "</textarea><script>alert(1)</script>"),
    ];
    let page = send(&browser, &client, &token, &wrong).await;
    let body = page.expect(422);
    assert!(body.contains("Please correct the marked fields."), "{body}");
    assert!(
        body.contains(r#"id="f-name-wrong"><span aria-hidden="true">⚠ </span>Please fill this in."#),
        "{body}"
    );
    assert!(
        body.contains(r#"id="f-email-wrong"><span aria-hidden="true">⚠ </span>Please check this."#),
        "{body}"
    );
    assert!(body.contains(r#"value="zoe@""#) && !body.contains("<script"), "{body}");
    assert_eq!(body.matches("aria-invalid").count(), 2);
    assert!(leads(&console, &client).await.is_empty());
    // The form is as old as it was: the corrected one passes.
    assert_eq!(hidden(&page, "token"), token);
    console.clock.advance(Duration::from_secs(1));
    send(&browser, &client, &token, &WHOLE).await.leads_to();
    let leads = leads(&console, &client).await;
    assert_eq!((leads.len(), &leads[0]["suspected"]), (1, &Value::Null));
}

#[tokio::test]
async fn a_form_that_is_sent_twice_is_one_lead() {
    let console = TestConsole::new().await;
    let client = client(&console).await;
    let browser = console.browser();
    let token = hidden(&browser.get(&format!("/forms/{client}")).await, "token");
    console.clock.advance(Duration::from_secs(3));
    for minutes in [0, 0, 10] {
        console.clock.advance(Duration::from_mins(minutes));
        send(&browser, &client, &token, &WHOLE).await.leads_to();
    }
    let leads = leads(&console, &client).await;
    assert_eq!((leads.len(), &leads[0]["suspected"]), (1, &Value::Null));
}

#[tokio::test]
async fn programs_are_told_the_same_and_their_leads_kept_back() {
    let console = TestConsole::new().await;
    let client = client(&console).await;
    let trapped = [&WHOLE[..], &[("link", "buy\nnow")]].concat();
    fill(&console, &client, 3, &trapped).await.leads_to();
    fill(
        &console,
        &client,
        1,
        &[("f-name", "Fast"), ("f-email", "fast@example.com")],
    )
    .await
    .leads_to();
    let none = [("f-name", "None"), ("f-email", "none@example.com")];
    send(&console.browser(), &client, "", &none).await.leads_to();
    let reasons = leads(&console, &client)
        .await
        .into_iter()
        .map(|lead| lead["suspected"]["reasons"].clone());
    let expected = [json!(["no-form"]), json!(["too-fast"]), json!(["hidden-field-filled"])];
    assert_eq!(reasons.collect::<Vec<_>>(), expected);
    let deliveries = console
        .api(Method::GET, &format!("/v1/clients/{client}/deliveries"), None)
        .await;
    assert_eq!(deliveries["items"], json!([]));
}

#[tokio::test]
async fn who_sends_too_much_keeps_what_he_typed() {
    let console = TestConsole::new().await;
    let client = client(&console).await;
    let mut last = None;
    // The client's limit: no address is known here.
    for number in 0..301 {
        let email = format!("zoe{number}@example.com");
        let fields = [("f-name", "Zoë"), ("f-email", &*email)];
        last = Some(send(&console.browser(), &client, "", &fields).await);
    }
    let last = last.expect("a page");
    let body = last.expect(429);
    assert!(
        body.contains("Nothing you typed is lost") && body.contains("zoe300@example.com"),
        "{body}"
    );
}

#[tokio::test]
async fn fields_words_and_looks_are_the_clients() {
    let console = TestConsole::new().await;
    let client = client(&console).await;
    let form = json!({
        "lang": "de",
        "fields": [
            {"name": "name", "label": "Ihr Name"}, {"name": "email", "label": "E-Mail"},
            {"name": "size", "label": "Größe <i>", "type": "select", "options": ["<S>", "L"]},
            {"name": "terms", "label": "Einverstanden", "type": "checkbox", "required": true},
        ],
        "texts": {"title": "Kontakt", "submit": "Absenden", "sent": "Danke!", "required": "Bitte ausfüllen.", "optional": "freiwillig"},
        "theme": {"accent": "#ffd400", "radius": 12, "scheme": "dark"},
    });
    set(&console, &client, json!({"form": form})).await;
    let path = format!("/forms/{client}");
    let page = console.browser().get(&path).await;
    let body = page.expect(200);
    for part in [
        r#"<html lang="de" dir="ltr" class="dark">"#,
        "<h1>Kontakt</h1>",
        "<button>Absenden</button>",
        "Größe &#60;i&#62; <small>(freiwillig)</small>",
        "<option>&#60;S&#62;</option>",
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
    let style = console.browser().get(&format!("{path}/style.css")).await;
    assert!(
        style
            .expect(200)
            .starts_with(":root { --accent: #ffd400; --on-accent: #000000; --radius: 12px; }")
    );
    let fields = [("f-name", "Zoë"), ("f-email", "zoe@example.com"), ("f-size", "<S>")];
    let page = fill(&console, &client, 3, &fields).await;
    let body = page.expect(422);
    assert!(
        body.contains("Bitte ausfüllen.") && body.contains("<option selected>&#60;S&#62;</option>"),
        "{body}"
    );
    let fields = [&fields[..], &[("f-terms", "on")]].concat();
    let answer = fill(&console, &client, 3, &fields).await;
    let sent = console.browser().get(answer.leads_to()).await;
    assert!(sent.expect(200).contains("Danke!"));
    let lead = leads(&console, &client).await.remove(0);
    assert_eq!(lead["custom"], json!({"size": "<S>", "terms": true}));
}

#[tokio::test]
async fn where_there_is_no_form_it_is_said() {
    let console = TestConsole::new().await;
    let client = client(&console).await;
    set(&console, &client, json!({"form": {"enabled": false}})).await;
    for path in [
        format!("/forms/{client}"),
        format!("/forms/{client}/sent"),
        format!("/forms/{client}/style.css"),
        "/forms/0193a2b5-0000-7000-8000-000000000001".to_owned(),
        "/forms/nonsense".to_owned(),
        "/forms/%20%3Cscript%3E".to_owned(),
    ] {
        let page = console.browser().get(&path).await;
        assert!(
            page.expect(404).contains("No form here") && !page.body.contains("<script"),
            "{path}"
        );
    }
    send(&console.browser(), &client, "", &WHOLE).await.expect(404);
    assert!(leads(&console, &client).await.is_empty());
}

#[tokio::test]
async fn a_form_is_framed_nowhere_by_itself_and_runs_nothing() {
    let console = TestConsole::new().await;
    let client = client(&console).await;
    for path in [
        format!("/forms/{client}"),
        format!("/forms/{client}/sent"),
        "/forms/nonsense".to_owned(),
    ] {
        let page = console.browser().get(&path).await;
        let policy = page.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("script-src") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(
            (page.header("x-frame-options"), page.header("cache-control")),
            ("DENY", "no-store")
        );
        assert_eq!(
            (page.header("x-content-type-options"), page.header("set-cookie")),
            ("nosniff", "")
        );
        for word in ["<script", " style=", "javascript:", "onload="] {
            assert!(!page.body.contains(word), "{word}");
        }
    }
}

#[tokio::test]
async fn a_clients_own_pages_may_frame_its_form() {
    let console = TestConsole::new().await;
    let (client, other) = (client(&console).await, client(&console).await);
    let named = json!({"allowedOrigins": ["https://acme.example"], "frameAncestors": ["https://app.product.example"]});
    set(&console, &client, named).await;
    let wrong = fill(&console, &client, 3, &[("f-name", "")]).await;
    wrong.expect(422);
    let browser = console.browser();
    for page in [
        browser.get(&format!("/forms/{client}")).await,
        browser.get(&format!("/forms/{client}/sent")).await,
        wrong,
    ] {
        let policy = page.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none';")
                && policy.ends_with("frame-ancestors 'self' https://acme.example https://app.product.example"),
            "{policy}"
        );
        assert_eq!(page.header("x-frame-options"), "");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
    }
    // Nor another's, nor one that isn't there.
    set(&console, &client, json!({"form": {"enabled": false}})).await;
    for of in [client, other] {
        let page = browser.get(&format!("/forms/{of}")).await;
        let policy = page.header("content-security-policy");
        assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
        assert_eq!(page.header("x-frame-options"), "DENY");
    }
}

#[tokio::test]
async fn any_page_may_load_the_script() {
    let console = TestConsole::new().await;
    for (path, kind) in [
        ("/embed.js", "text/javascript; charset=utf-8"),
        ("/embed.css", "text/css; charset=utf-8"),
    ] {
        let file = console.browser().get(path).await;
        assert!(
            !file.expect(200).is_empty() && file.body.len() < 6_000,
            "{path}: {} bytes",
            file.body.len()
        );
        assert_eq!(file.header("content-type"), kind);
        assert_eq!(file.header("access-control-allow-origin"), "*");
        assert_eq!(file.header("cross-origin-resource-policy"), "cross-origin");
        assert_eq!(file.header("set-cookie"), "");
    }
}
