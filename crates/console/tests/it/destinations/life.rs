//! A destination once it is there: paused, resumed, tested, deleted, and whose it is.

use axum::http::Method;
use sensei_test_support::Receiver;
use serde_json::json;

use super::{client, destination, plain, read, submit, webhook};
use crate::app::{ADMIN, TestConsole};

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
    // What failed since, not what was captured since: that was captured before it failed.
    let criteria = &began["items"][0]["criteria"];
    assert!(
        criteria["completedSince"].is_string() && criteria["since"].is_null(),
        "{criteria}"
    );

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
