//! What visitors, receivers and clients wrote is text on every page, whatever it is.

use axum::http::Method;
use sensei_test_support::Receiver;
use serde_json::{Value, json};

use crate::acme::Acme;
use crate::app::{ADMIN, Browser, TestConsole};

/// Ends an attribute of either kind, a title, a textarea and a script, and is markup.
const HOSTILE: &str = "\"'></title></textarea></script><i-am-markup data-evil=\"1\" onload='alert(1)'>{{7*7}}";

/// The page has it as text, and nowhere as anything else.
#[track_caller]
fn is_text(path: &str, body: &str) {
    assert!(!body.contains("<i-am-markup"), "{path}: {body}");
    assert!(
        !body.contains("data-evil=\"1\"") && !body.contains("onload='"),
        "{path}: {body}"
    );
    assert!(!body.contains('\0') && !body.contains('\u{1b}'), "{path}: {body}");
    let scripts = body.matches("<script").count();
    assert_eq!(
        scripts,
        body.matches("<script src=\"/admin/assets/").count(),
        "{path}: {body}"
    );
}

/// What there is to see of a client to whom only hostile things happen.
async fn pages(console: &TestConsole, receiver: &Receiver) -> Vec<String> {
    let acme = Acme::sending_to(console, HOSTILE, &receiver.url()).await;
    let destination = json!({"kind": "webhook", "name": format!("{HOSTILE}B"), "config": {"url": receiver.url()}});
    console
        .api(Method::POST, &acme.api("/destinations"), Some(&destination))
        .await;
    let lead = json!({
        "name": HOSTILE,
        "email": "a'\"<b>@example.com",
        "phone": "\"><i-am-markup>",
        "message": format!("=HYPERLINK(\"x\")\n{HOSTILE}\u{202e}\u{7f}"),
        "sessionId": HOSTILE,
        "custom": {HOSTILE: HOSTILE, "nested": {HOSTILE: [HOSTILE, "\u{1b}[31m\u{202e}"]}},
    });
    let lead = hostile_lead(console, &acme, lead).await;
    let ofs_lead = acme.delivery(console).await;

    receiver.set_status(500);
    receiver.set_body(format!("{HOSTILE}\u{0}\u{1b}[31m"));
    let failed = acme.test(console).await;
    receiver.set_status(301);
    receiver.set_header("location", "/\"'><i-am-markup data-evil=\"1\">");
    let redirected = acme.test(console).await;

    let criteria = json!({"state": "failed", "destinationId": acme.destination});
    let recovery = console
        .api(Method::POST, &acme.api("/deliveries/redeliver"), Some(&criteria))
        .await;
    let recovery = recovery["id"].as_str().expect("an id");
    let mut paths = vec![
        "/admin/clients".to_owned(),
        "/admin/operator".to_owned(),
        "/admin/operator/audit".to_owned(),
    ];
    for path in [
        "",
        "/leads",
        "/leads?q=%22%3E%3Ci-am-markup%3E",
        "/deliveries",
        "/deliveries?q=%22%3E%3Ci-am-markup%3E&state=%22%3E%3Ci-am-markup%3E",
        "/deliveries/redeliver?state=failed",
        "/recoveries",
    ] {
        paths.push(acme.page(path));
    }
    paths.push(acme.page(&format!("/recoveries/{recovery}")));
    paths.push(acme.page(&format!("/leads/{lead}")));
    for delivery in [ofs_lead, failed, redirected] {
        for tab in ["request", "response"] {
            paths.push(acme.page(&format!("/deliveries/{delivery}?tab={tab}")));
        }
    }
    paths
}

/// Leaves out what a lead may not hold at all.
async fn hostile_lead(console: &TestConsole, acme: &Acme, mut lead: Value) -> String {
    for field in ["email", "phone", "sessionId"] {
        let mut alone = json!({"name": "n", "email": "a@example.com"});
        alone[field] = lead[field].clone();
        let sent = console.try_api(Method::POST, &acme.api("/leads"), Some(&alone)).await;
        if sent.status == 422 {
            lead[field] = json!("b@example.com");
        }
    }
    acme.lead(console, &lead).await
}

async fn all_are_text(browser: &Browser<'_>, paths: &[String]) {
    let mut shown = 0;
    for path in paths {
        let page = browser.get(path).await;
        assert!(
            matches!(page.status, 200 | 400 | 404),
            "{path}: {} {}",
            page.status,
            page.body
        );
        is_text(path, &page.body);
        shown += usize::from(page.body.contains("&#60;i-am-markup"));
    }
    assert!(
        shown > paths.len() / 2,
        "the data is shown on {shown} of {} pages",
        paths.len()
    );
}

#[tokio::test]
async fn whatever_somebody_wrote_is_text_on_every_page() {
    let console = TestConsole::new().await;
    let receiver = Receiver::start();
    let paths = pages(&console, &receiver).await;
    let browser = console.signed_in(ADMIN).await;
    all_are_text(&browser, &paths).await;
    let parts = paths
        .iter()
        .map(|path| format!("{path}{}part=live", if path.contains('?') { '&' } else { '?' }));
    for path in parts {
        is_text(&path, &browser.get(&path).await.body);
    }
}
