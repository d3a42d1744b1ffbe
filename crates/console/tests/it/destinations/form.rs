//! The form of a destination: wrong, checked while it is filled, overtaken by somebody else, and with more rows.

use axum::http::Method;
use serde_json::json;

use super::{client, destination, plain, read, submit, webhook};
use crate::app::{ADMIN, TestConsole};

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
