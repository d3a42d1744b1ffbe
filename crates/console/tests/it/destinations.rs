//! Destinations: chosen by kind, made by the form of its schema, checked, changed, paused, tested, deleted.

use axum::http::Method;
use sensei_test_support::Receiver;
use serde_json::{Value, json};

use crate::app::{ADMIN, Browser, TestConsole};

/// A client, and the path of its destinations.
async fn client(console: &TestConsole) -> (String, String) {
    let client = console
        .api(Method::POST, "/v1/clients", Some(&json!({"name": "Acme"})))
        .await;
    let id = client["id"].as_str().expect("an id").to_owned();
    let path = format!("/admin/clients/{id}/destinations");
    (id, path)
}

/// A destination of a kind by the API, and the path of its page.
async fn destination(console: &TestConsole, client: &str, body: Value) -> String {
    let path = format!("/v1/clients/{client}/destinations");
    let made = console.api(Method::POST, &path, Some(&body)).await;
    format!(
        "/admin/clients/{client}/destinations/{}",
        made["id"].as_str().expect("an id")
    )
}

async fn read(console: &TestConsole, page: &str) -> Value {
    console.api(Method::GET, &page.replacen("/admin", "/v1", 1), None).await
}

fn webhook(url: &str) -> Value {
    json!({"kind": "webhook", "name": "CRM", "config": {"url": url}})
}

/// The fields of a form that an example config fills.
fn filled(config: &Value) -> Vec<(String, String)> {
    let fields = config.as_object().expect("an object").iter();
    let fields = fields.map(|(key, value)| {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Array(lines) => lines
                .iter()
                .map(|line| line.as_str().expect("a text"))
                .collect::<Vec<_>>()
                .join("\r\n"),
            other => panic!("{key}: {other}"),
        };
        (format!("config/{key}"), value)
    });
    fields.collect()
}

/// Submits a form with some of its fields.
async fn submit(browser: &Browser<'_>, from: &str, to: &str, fields: &[(String, String)]) -> crate::app::Page {
    let fields = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    browser.submit(from, to, &fields.collect::<Vec<_>>()).await
}

fn plain(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    let fields = fields.iter();
    fields
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[tokio::test]
async fn every_kinds_example_can_be_made_by_its_form_and_its_secrets_are_never_shown() {
    let console = TestConsole::new().await;
    let (id, list) = client(&console).await;
    let browser = console.signed_in(ADMIN).await;
    let kinds = console.api(Method::GET, "/v1/destination-kinds", None).await;
    let kinds = kinds["items"].as_array().expect("kinds");
    assert_eq!(kinds.len(), 16);
    let cards = browser.get(&format!("{list}/new")).await;
    for kind in kinds {
        let name = kind["kind"].as_str().expect("a name");
        let form = format!("{list}/new/{name}");
        let cards = cards.expect(200);
        assert!(cards.contains(&format!("href=\"{form}\"")), "{name}");
        assert!(cards.contains(kind["docsUrl"].as_str().expect("a URL")), "{name}");

        let page = browser.get(&form).await;
        let body = page.expect(200);
        let schema = &kind["configSchema"];
        for key in schema["properties"].as_object().expect("fields").keys() {
            assert!(
                body.contains(&format!("name=\"config/{key}\""))
                    || body.contains(&format!("name=\"config/{key}.key.0\"")),
                "{name}: {key}"
            );
        }
        let mut example = kind["example"].clone();
        if name == "email" {
            // The example's is a number of zeros, as some ids of others are.
            example["password"] = "of-the-mailbox".into();
        }
        let mut fields = filled(&example);
        fields.push(("name".to_owned(), format!("{name} <i>one</i>")));
        fields.push(("retry".to_owned(), "standard".to_owned()));
        let limit = &kind["rateLimit"];
        if limit.is_object() {
            assert!(
                body.contains(&format!("name=\"requests\" value=\"{}\"", limit["requests"])),
                "{name}"
            );
            fields.push(("requests".to_owned(), limit["requests"].to_string()));
            fields.push(("burst".to_owned(), limit["burst"].to_string()));
        }
        fields.push(("per".to_owned(), limit["per"].as_str().unwrap_or("second").to_owned()));
        let checked = submit(&browser, &form, &format!("{form}/check"), &fields).await;
        assert!(
            checked.expect(200).contains("This can be saved."),
            "{name}: {}",
            checked.body
        );
        assert!(checked.body.contains("What a sample lead would be"), "{name}");
        let made = submit(&browser, &form, &form, &fields).await;
        let page = made.leads_to().split('?').next().expect("a path").to_owned();

        let saved = read(&console, &page).await;
        let mut shown = example;
        let mut secrets = Vec::new();
        for field in kind["secretFields"].as_array().expect("fields") {
            let field = field.as_str().expect("a name");
            if let Some(secret) = shown.get_mut(field) {
                secrets.push(secret.as_str().expect("a secret").to_owned());
                *secret = "********".into();
            }
        }
        assert_eq!((&saved["config"], &saved["rateLimit"]), (&shown, limit), "{name}");
        assert_eq!((&saved["template"], &saved["filter"]), (&Value::Null, &Value::Null));
        for path in [
            list.clone(),
            page.clone(),
            format!("{page}/edit"),
            format!("{page}/preview"),
            format!("{page}/delete"),
            format!("/admin/clients/{id}/settings"),
        ] {
            let shown = browser.get(&path).await;
            let shown = shown.expect(200);
            assert!(!shown.contains("<i>one"), "{name} {path}");
            for secret in &secrets {
                assert!(!shown.contains(secret), "{name} {path} shows {secret}: {shown}");
            }
        }
        // Saved as it is opened, it stays as it is.
        let mut again = fields.clone();
        for (field, value) in &mut again {
            if secrets.contains(value) && field.starts_with("config/") {
                "********".clone_into(value);
            }
        }
        again.push(("version".to_owned(), saved["version"].to_string()));
        let edit = format!("{page}/edit");
        let kept = submit(&browser, &edit, &edit, &again).await;
        assert_eq!(kept.leads_to(), format!("{page}?done=saved"), "{name}");
        assert_eq!(read(&console, &page).await["config"], saved["config"], "{name}");
    }
}

#[tokio::test]
async fn a_webhooks_choices_maps_and_secrets_are_kept() {
    let console = TestConsole::new().await;
    let (_, list) = client(&console).await;
    let browser = console.signed_in(ADMIN).await;
    let form = format!("{list}/new/webhook");
    let mut fields = plain(&[
        ("name", "CRM"),
        ("retry", "custom"),
        ("retryDelays", "5s"),
        ("config/url", "http://127.0.0.1:9/a"),
        ("config/method", "PUT"),
        ("config/auth", "basic"),
        ("config/auth@basic/username", "ann"),
        ("config/auth@basic/password", "top-secret"),
        // Of another choice: it doesn't count.
        ("config/auth@bearer/token", "unused-token"),
        ("config/headers.key.0", "X-Team"),
        ("config/headers.value.0", "sales"),
        ("config/secretHeaders.key.0", "X-Token"),
        ("config/secretHeaders.value.0", "hidden-value"),
        ("requests", "30"),
        ("per", "minute"),
        ("burst", ""),
        ("ordered", "yes"),
        ("filterMode", "all"),
        ("filter.path.1", "data.message"),
        ("filter.operator.1", "contains"),
        ("filter.value.1", "enterprise"),
        ("filter.ignoreCase.1", "yes"),
        ("template/body", "{\"who\": {{ data.name }}}"),
    ]);
    let made = submit(&browser, &form, &form, &fields).await;
    let page = made.leads_to().split('?').next().expect("a path").to_owned();
    let saved = read(&console, &page).await;
    assert_eq!(
        saved["config"],
        json!({"url": "http://127.0.0.1:9/a", "method": "PUT",
            "auth": {"type": "basic", "username": "ann", "password": "********"},
            "headers": {"X-Team": "sales"}, "secretHeaders": {"X-Token": "********"}})
    );
    assert_eq!(
        saved["filter"],
        json!({"all": [{"path": "data.message", "contains": "enterprise", "ignoreCase": true}]})
    );
    assert_eq!(
        saved["rateLimit"],
        json!({"requests": 30, "per": "minute", "burst": 30})
    );
    assert_eq!(saved["template"], json!({"body": "{\"who\": {{ data.name }}}"}));
    assert_eq!(saved["ordered"], true);

    let edit = format!("{page}/edit");
    let body = browser.get(&edit).await.body;
    assert!(!body.contains("top-secret") && !body.contains("hidden-value") && !body.contains("unused-token"));
    for shown in [
        "value=\"sales\"",
        "value=\"ann\"",
        "value=\"enterprise\"",
        "value=\"basic\" selected",
        "{&#34;who&#34;: {{ data.name }}}",
    ] {
        assert!(body.contains(shown), "{shown}: {body}");
    }
    // Elsewhere: the secrets must be given again, and that is said by each.
    for (name, value) in &mut fields {
        match name.as_str() {
            "config/url" => "http://127.0.0.2:9/a".clone_into(value),
            "config/auth@basic/password" | "config/secretHeaders.value.0" => "********".clone_into(value),
            _ => {}
        }
    }
    fields.push(("version".to_owned(), saved["version"].to_string()));
    let page_again = submit(&browser, &edit, &edit, &fields).await;
    let body = page_again.expect(422);
    assert!(
        body.contains("id=\"config-auth-basic-password-wrong\">must be given again"),
        "{body}"
    );
    assert_eq!(read(&console, &page).await, saved);
}

#[tokio::test]
async fn what_is_wrong_stands_by_its_field_and_what_was_typed_is_kept() {
    let console = TestConsole::new().await;
    let (id, list) = client(&console).await;
    let browser = console.signed_in(ADMIN).await;
    let form = format!("{list}/new/email");
    let fields = plain(&[
        ("name", ""),
        ("config/host", "smtp.acme.example"),
        ("config/port", "many"),
        ("config/from", "\"><script>alert(1)</script>"),
        ("config/to", "sales@acme.example\r\nnobody"),
        ("config/security", "tls"),
        ("retry", "custom"),
        ("retryDelays", "soon"),
        ("requests", "0"),
        ("per", "minute"),
        ("filterMode", "any"),
        ("filter.path.0", "data.phone"),
        ("filter.operator.0", "regex"),
        ("filter.value.0", "("),
        ("template/subject", "Lead {{ data.name }}"),
    ]);
    let page = submit(&browser, &form, &form, &fields).await;
    let body = page.expect(422);
    for id in [
        "name",
        "config-port",
        "config-from",
        "config-to",
        "retry",
        "requests",
        "filter-0",
    ] {
        assert!(body.contains(&format!("id=\"{id}-wrong\">")), "{id}: {body}");
    }
    for typed in [
        "value=\"many\"",
        "sales@acme.example\nnobody",
        "value=\"soon\"",
        "value=\"(\"",
        "Lead {{ data.name }}<",
    ] {
        assert!(body.contains(typed), "{typed}: {body}");
    }
    assert!(
        body.contains("value=\"tls\" selected") && !body.contains("<script>alert"),
        "{body}"
    );
    let made = console
        .api(Method::GET, &format!("/v1/clients/{id}/destinations"), None)
        .await;
    assert_eq!(made["items"], json!([]));

    // Without the token, nothing; a kind that isn't one, nothing.
    let forged = browser.send(Method::POST, &form, &[("name", "a")]).await;
    forged.expect(403);
    browser.get(&format!("{list}/new/fax")).await.expect(404);
    // A template that is none.
    let fields = plain(&[
        ("name", "Chat"),
        (
            "config/url",
            "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXX",
        ),
        ("retry", "standard"),
        ("template/text", "{{ data.name"),
    ]);
    let slack = format!("{list}/new/slack");
    let page = submit(&browser, &slack, &slack, &fields).await;
    let body = page.expect(422);
    assert!(
        body.contains("id=\"template-text-wrong\">") && body.contains(">{{ data.name</textarea>"),
        "{body}"
    );
    // A filter that isn't JSON.
    let fields = plain(&[
        ("name", "CRM"),
        ("config/url", "http://127.0.0.1:9/"),
        ("retry", "standard"),
        ("filterMode", "json"),
        ("filterJson", "{\"not\":"),
    ]);
    let form = format!("{list}/new/webhook");
    let page = submit(&browser, &form, &form, &fields).await;
    let body = page.expect(422);
    assert!(
        body.contains("id=\"filter-wrong\">must be") && body.contains("{&#34;not&#34;:</textarea>"),
        "{body}"
    );
}

#[tokio::test]
async fn a_form_is_checked_while_it_is_filled_and_nothing_is_saved() {
    let console = TestConsole::new().await;
    let (id, list) = client(&console).await;
    let browser = console.signed_in(ADMIN).await;
    let form = format!("{list}/new/slack");
    let page = browser.get(&form).await;
    assert!(
        page.body
            .contains(&format!("hx-post=\"{form}/check\" hx-trigger=\"change"))
    );
    let csrf = page.csrf();
    let headers = [("hx-request", "true"), ("x-csrf-token", csrf.as_str())];
    let check = format!("{form}/check");
    let wrong = [
        ("name", ""),
        ("config/url", "https://evil.example/"),
        ("retry", "standard"),
    ];
    let part = browser.send_with(Method::POST, &check, &wrong, &headers).await;
    let body = part.expect(200);
    assert!(!body.contains("<html") && body.contains("Not ready yet"), "{body}");
    assert!(
        body.contains("id=\"config-url-wrong\" hx-swap-oob=\"true\">must be an incoming webhook&#39;s URL"),
        "{body}"
    );
    // Nobody is told that what he hasn't come to is empty.
    assert!(
        body.contains("id=\"name-wrong\" hx-swap-oob=\"true\" hidden></p>"),
        "{body}"
    );

    let url = "https://hooks.slack.com/services/T00000000/B00000000/SeCrEtSeCrEt";
    let right = [
        ("name", "Sales"),
        ("config/url", url),
        ("retry", "standard"),
        ("template/title", "Hello {{ data.name }}"),
    ];
    let part = browser.send_with(Method::POST, &check, &right, &headers).await;
    let body = part.expect(200);
    assert!(
        body.contains("This can be saved.") && body.contains("Hello Sample Lead"),
        "{body}"
    );
    assert!(!body.contains("SeCrEtSeCrEt"), "{body}");
    let made = console
        .api(Method::GET, &format!("/v1/clients/{id}/destinations"), None)
        .await;
    assert_eq!(made["items"], json!([]), "nothing is saved by a check");

    // Of one that is there: as it would be after the change.
    let page = destination(&console, &id, webhook("http://127.0.0.1:9/a")).await;
    let before = read(&console, &page).await;
    let fields = [
        ("name", "CRM"),
        ("config/url", "http://127.0.0.1:9/b"),
        ("retry", "standard"),
        ("version", "1"),
    ];
    let part = browser
        .send_with(Method::POST, &format!("{page}/check"), &fields, &headers)
        .await;
    assert!(part.expect(200).contains("http://127.0.0.1:9/b"), "{}", part.body);
    assert_eq!(read(&console, &page).await, before);
}

#[tokio::test]
async fn a_change_over_somebody_elses_is_said() {
    let console = TestConsole::new().await;
    let (id, _) = client(&console).await;
    let browser = console.signed_in(ADMIN).await;
    let page = destination(&console, &id, webhook("http://127.0.0.1:9/a")).await;
    let edit = format!("{page}/edit");
    assert!(browser.get(&edit).await.body.contains("name=\"version\" value=\"1\""));
    let api = page.replacen("/admin", "/v1", 1);
    console.api(Method::PATCH, &api, Some(&json!({"ordered": true}))).await;
    let fields = plain(&[
        ("name", "CRM 2"),
        ("config/url", "http://127.0.0.1:9/b"),
        ("retry", "none"),
        ("version", "1"),
    ]);
    let conflict = submit(&browser, &edit, &edit, &fields).await;
    let body = conflict.expect(409);
    assert!(body.contains("Somebody has changed this destination"), "{body}");
    assert!(
        body.contains("value=\"CRM 2\"") && body.contains("name=\"version\" value=\"2\""),
        "{body}"
    );
    assert_eq!(read(&console, &page).await["name"], "CRM");
    let mut again = fields;
    again.retain(|(name, _)| name != "version");
    again.push(("version".to_owned(), "2".to_owned()));
    submit(&browser, &edit, &edit, &again).await.leads_to();
    assert_eq!(read(&console, &page).await["name"], "CRM 2");

    // Another's name.
    destination(&console, &id, webhook("http://127.0.0.1:9/c")).await;
    again.retain(|(name, _)| name != "version" && name != "name");
    again.extend(plain(&[("name", "CRM"), ("version", "3")]));
    let taken = submit(&browser, &edit, &edit, &again).await;
    assert!(
        taken
            .expect(409)
            .contains("another destination of this client has this name")
    );
}

#[tokio::test]
async fn a_destination_is_paused_resumed_and_deleted() {
    let console = TestConsole::new().await;
    let (id, list) = client(&console).await;
    let browser = console.signed_in(ADMIN).await;
    assert!(browser.get(&list).await.expect(200).contains("Leads go nowhere yet"));
    let page = destination(&console, &id, webhook("http://127.0.0.1:9/a?token=abc")).await;
    let shown = browser.get(&list).await.body;
    assert!(
        shown.contains("http://127.0.0.1:9/a?…") && !shown.contains("token=abc"),
        "{shown}"
    );

    let paused = browser.submit(&list, &format!("{page}/pause"), &[]).await;
    let body = browser.get(paused.leads_to()).await.body;
    assert!(
        body.contains("Paused: events are held back") && body.contains("</span> Paused"),
        "{body}"
    );
    let lead = json!({"name": "Ann", "email": "ann@example.com"});
    console
        .api(Method::POST, &format!("/v1/clients/{id}/leads"), Some(&lead))
        .await;

    let discard = format!("{page}/discard");
    assert!(
        browser
            .get(&discard)
            .await
            .expect(200)
            .contains("Discard what is held for CRM?")
    );
    let done = browser.submit(&discard, &discard, &[]).await;
    assert_eq!(done.leads_to(), format!("{page}?done=discarding"));
    let recoveries = format!("/v1/clients/{id}/recoveries");
    let began = console.api(Method::GET, &recoveries, None).await;
    assert_eq!(began["items"][0]["kind"], "discard");

    let resumed = browser
        .submit(&page, &format!("{page}/resume"), &[("redeliver", "yes")])
        .await;
    assert_eq!(resumed.leads_to(), format!("{page}?done=redelivering"));
    assert_eq!(read(&console, &page).await["status"], "active");
    let began = console.api(Method::GET, &recoveries, None).await;
    assert_eq!(began["items"][0]["kind"], "redeliver");

    let delete = format!("{page}/delete");
    assert!(browser.get(&delete).await.expect(200).contains("Delete CRM?"));
    let gone = browser.submit(&delete, &delete, &[]).await;
    assert_eq!(gone.leads_to(), format!("{list}?done=deleted"));
    browser.get(&page).await.expect(404);
}

#[tokio::test]
async fn a_lead_webhook_keeps_its_name_and_is_tested_from_its_page() {
    let console = TestConsole::new().await;
    let receiver = Receiver::start();
    receiver.set_status(418);
    receiver.set_body("<b>short</b> and stout");
    let (id, list) = client(&console).await;
    let browser = console.signed_in(ADMIN).await;
    let settings = json!({"leadWebhookUrl": receiver.url()});
    let settings = console
        .api(Method::PATCH, &format!("/v1/clients/{id}/settings"), Some(&settings))
        .await;
    let page = format!("{list}/{}", settings["destinationId"].as_str().expect("an id"));
    let edit = format!("{page}/edit");
    assert!(browser.get(&edit).await.expect(200).contains("keeps its name"));
    let url = receiver.url();
    let fields = [("config/url", url.as_str()), ("retry", "standard"), ("version", "1")];
    browser.submit(&edit, &edit, &fields).await.leads_to();
    let saved = read(&console, &page).await;
    assert_eq!(
        (&saved["name"], &saved["retry"]["policy"]),
        (&json!("lead-webhook"), &json!("standard"))
    );

    let tested = browser.submit(&page, &format!("{page}/test"), &[]).await;
    let body = tested.expect(200);
    assert!(
        body.contains("didn&#39;t arrive") && body.contains("answered 418"),
        "{body}"
    );
    assert!(body.contains("&#60;b&#62;short&#60;/b&#62; and stout"), "{body}");
    let seen = browser.get(&list).await.body;
    assert!(seen.contains("0 of 1 arrived"), "{seen}");
}

#[tokio::test]
async fn a_client_sees_its_own_destinations_and_no_others() {
    let console = TestConsole::new().await;
    let (id, list) = client(&console).await;
    let (other, others) = client(&console).await;
    let key = json!({"kind": "secret", "name": "own", "clientId": id});
    let key = console.api(Method::POST, "/v1/keys", Some(&key)).await;
    let browser = console.signed_in(key["key"].as_str().expect("a key")).await;
    let form = format!("{list}/new/webhook");
    let fields = plain(&[
        ("name", "\"><script>x</script>"),
        ("config/url", "http://127.0.0.1:9/"),
        ("retry", "none"),
    ]);
    let made = submit(&browser, &form, &form, &fields).await;
    let page = made.leads_to().split('?').next().expect("a path").to_owned();
    for path in [
        &list,
        &page,
        &format!("{page}/edit"),
        &format!("{page}/delete"),
        &format!("{page}/secret"),
    ] {
        let shown = browser.get(path).await;
        let shown = shown.expect(200);
        assert!(
            shown.contains("&#60;script&#62;x") && !shown.contains("<script>x"),
            "{path}: {shown}"
        );
    }

    let theirs = destination(&console, &other, webhook("http://127.0.0.1:9/")).await;
    let theirs_by_own_path = theirs.replacen(&other, &id, 1);
    for path in ["", "/edit", "/preview", "/secret", "/delete", "/discard"] {
        for page in [&theirs, &theirs_by_own_path] {
            browser.get(&format!("{page}{path}")).await.expect(404);
        }
    }
    for action in [
        "/pause", "/resume", "/edit", "/check", "/test", "/secret", "/delete", "/discard",
    ] {
        for page in [&theirs, &theirs_by_own_path] {
            browser
                .submit(&list, &format!("{page}{action}"), &[("version", "1")])
                .await
                .expect(404);
        }
    }
    browser.get(&others).await.expect(404);
    browser.get(&format!("{others}/new")).await.expect(404);
    assert_eq!(read(&console, &theirs).await["status"], "active");
}

#[tokio::test]
async fn lists_show_another_row_without_saving_or_checking() {
    let console = TestConsole::new().await;
    let (id, list) = client(&console).await;
    let browser = console.signed_in(ADMIN).await;
    let new = format!("{list}/new/webhook");
    let saved = destination(&console, &id, webhook("http://127.0.0.1:9/a")).await;
    let before = read(&console, &saved).await;
    for (page, check) in [
        (new.clone(), format!("{new}/check")),
        (format!("{saved}/edit"), format!("{saved}/check")),
    ] {
        for (more, row) in [
            ("config/headers", "config/headers.key."),
            ("config/secretHeaders", "config/secretHeaders.key."),
            ("filter", "filter.path."),
        ] {
            let rows = |body: &str| body.matches(&format!("name=\"{row}")).count();
            let opened = browser.get(&page).await;
            let button = format!("name=\"more\" value=\"{more}\" formaction=\"{check}#");
            assert!(opened.expect(200).contains(&button), "{more}: {}", opened.body);
            let shown = rows(&opened.body);
            // As a browser sends it: all rows, and the button that was pressed. The URL is wrong, and nobody is told yet.
            let numbers = (0..shown).map(|number| (format!("{row}{number}"), String::new()));
            let mut fields = numbers.collect::<Vec<_>>();
            fields.extend(plain(&[
                ("more", more),
                ("name", "C<R>M"),
                ("config/url", "nowhere"),
                ("filterMode", "all"),
            ]));
            fields[0].1 = "X-Team".to_owned();
            let grown = submit(&browser, &page, &check, &fields).await;
            let body = grown.expect(200);
            assert_eq!(rows(body), shown + 1, "{more}");
            for typed in ["value=\"X-Team\"", "value=\"C&#60;R&#62;M\"", "value=\"nowhere\""] {
                assert!(body.contains(typed), "{more} {typed}: {body}");
            }
            assert!(
                !body.contains("aria-invalid") && !body.contains("Not ready yet"),
                "{more}: {body}"
            );
        }
    }
    assert_eq!(read(&console, &saved).await, before);
    let all = console
        .api(Method::GET, &format!("/v1/clients/{id}/destinations"), None)
        .await;
    assert_eq!(all["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn what_is_paused_says_which_button_to_press() {
    let console = TestConsole::new().await;
    let (id, _) = client(&console).await;
    let browser = console.signed_in(ADMIN).await;
    let settings = json!({"leadWebhookUrl": "http://127.0.0.1:9/leads"});
    let settings = console
        .api(Method::PATCH, &format!("/v1/clients/{id}/settings"), Some(&settings))
        .await;
    let main = settings["destinationId"].as_str().expect("an id");
    let page = format!("/admin/clients/{id}/destinations/{main}");
    let paused = browser.submit(&page, &format!("{page}/pause"), &[]).await;
    let body = browser.get(paused.leads_to()).await.body;
    assert!(body.contains("Press Resume: what is held is then sent."), "{body}");
    assert!(!body.contains("set the status"), "{body}");
    // And it is called as in the settings, wherever it is named.
    for path in [
        format!("/admin/clients/{id}/destinations"),
        page.clone(),
        format!("{page}/edit"),
        format!("{page}/secret"),
        format!("{page}/delete"),
        format!("{page}/discard"),
        format!("{page}/preview"),
    ] {
        let shown = browser.get(&path).await;
        let body = shown.expect(200);
        assert!(
            body.contains("Lead Webhook URL") && !body.contains("lead-webhook"),
            "{path}: {body}"
        );
    }
}
