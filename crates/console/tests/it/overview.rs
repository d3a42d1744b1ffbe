//! A client's overview: the first steps, and what needs attention.

use std::time::{Duration, Instant};

use axum::http::Method;
use sensei_test_support::Receiver;
use serde_json::json;

use crate::acme::{Acme, jane};
use crate::app::{ADMIN, TestConsole};

#[tokio::test]
async fn a_new_client_is_led_step_by_step_and_then_left_alone() {
    let console = TestConsole::new().await;
    let browser = console.signed_in(ADMIN).await;
    let client = console
        .api(Method::POST, "/v1/clients", Some(&json!({"name": "Acme"})))
        .await;
    let here = format!("/admin/clients/{}", client["id"].as_str().expect("an id"));
    let page = browser.get(&here).await;
    assert!(page.expect(200).contains("Paste a URL") && page.body.contains(&format!("{here}/settings")));
    assert_eq!(page.body.matches("(done)").count(), 0);
    let test = format!("{here}/test");
    assert_eq!(
        browser.submit(&here, &test, &[]).await.leads_to(),
        format!("{here}/settings")
    );

    let receiver = Receiver::start();
    let settings = format!("/v1/clients/{}/settings", client["id"].as_str().expect("an id"));
    let url = json!({"leadWebhookUrl": receiver.url()});
    console.api(Method::PATCH, &settings, Some(&url)).await;
    let page = browser.get(&here).await;
    assert_eq!(page.expect(200).matches("(done)").count(), 1, "{}", page.body);
    let tested = browser.submit(&here, &test, &[]).await;
    let delivery = tested.leads_to().to_owned();
    assert_eq!(receiver.count(), 1);
    let page = browser.get(&delivery).await;
    for words in ["The test lead was sent.", "Delivered", "200", "None: this was a sample"] {
        assert!(page.expect(200).contains(words), "{words}: {}", page.body);
    }
    let page = browser.get(&here).await;
    assert_eq!(page.expect(200).matches("(done)").count(), 2, "{}", page.body);
    let leads = format!("/v1/clients/{}/leads", client["id"].as_str().expect("an id"));
    console.api(Method::POST, &leads, Some(&jane())).await;
    let page = browser.get(&here).await;
    assert!(!page.expect(200).contains("The first lead"), "{}", page.body);
}

#[tokio::test]
async fn what_failed_is_told_with_the_way_to_it() {
    let console = TestConsole::new().await;
    let browser = console.signed_in(ADMIN).await;
    let receiver = Receiver::start();
    let acme = Acme::sending_to(&console, "Acme", &receiver.url()).await;
    let page = browser.get(&acme.page("")).await;
    assert!(page.expect(200).contains("Nothing</span>"), "{}", page.body);
    receiver.set_status(404);
    receiver.set_body("no such hook");
    // A test counts for nothing.
    let failed = acme.test(&console).await;
    let page = browser.get(&acme.page("")).await;
    assert!(page.expect(200).contains("Nothing</span>"), "{}", page.body);
    let many = acme.page("/deliveries/redeliver?state=failed&window=7d");
    let page = browser.get(&many).await;
    assert!(page.expect(200).contains("There is nothing to send."), "{}", page.body);
    acme.lead(&console, &jane()).await;
    let _dispatcher = console.deliver();
    let both = acme.api("/deliveries?state=failed");
    let deadline = Instant::now() + Duration::from_secs(30);
    while console.api(Method::GET, &both, None).await["items"][1].is_null() {
        assert!(Instant::now() < deadline, "the receiver refuses it");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let page = browser.get(&acme.page("")).await;
    assert!(page.expect(200).contains("one delivery failed"), "{}", page.body);
    assert!(
        page.body.contains(&acme.page("/deliveries?state=failed&amp;window=7d"))
            || page.body.contains(&acme.page("/deliveries?state=failed&#38;window=7d"))
    );
    let page = browser.get(&acme.page(&format!("/deliveries/{failed}"))).await;
    for words in [
        "There is nothing at this URL.",
        "Check the path for a typing mistake",
        "Change the destination",
        &acme.page("/settings"),
        "Attempt 1",
        "Test",
        "curl --request POST",
        "made anew for each attempt",
    ] {
        assert!(page.expect(200).contains(words), "{words}: {}", page.body);
    }
    let page = browser
        .get(&acme.page(&format!("/deliveries/{failed}?tab=response")))
        .await;
    assert!(page.expect(200).contains("no such hook"), "{}", page.body);
}

#[tokio::test]
async fn only_windows_that_there_are_are_shown() {
    let console = TestConsole::new().await;
    let browser = console.signed_in(ADMIN).await;
    let acme = Acme::new(&console).await;
    for window in ["", "24h", "7d", "30d", "1y", "%22%3E"] {
        let page = browser.get(&acme.page(&format!("?window={window}"))).await;
        assert!(page.expect(200).contains("Success rate"), "{window}: {}", page.body);
        assert_eq!(
            page.body.matches("aria-current=\"page\">").count(),
            2,
            "a tab and a window: {}",
            page.body
        );
    }
}
