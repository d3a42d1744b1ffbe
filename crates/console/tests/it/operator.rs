//! What only an admin sees, and how clients do at a glance.

use std::time::Duration;

use axum::http::Method;
use serde_json::json;

use crate::acme::{Acme, jane};
use crate::app::{ADMIN, TestConsole};

#[tokio::test]
async fn only_an_admin_sees_the_operators_pages() {
    let console = TestConsole::new().await;
    let acme = Acme::new(&console).await;
    acme.lead(&console, &jane()).await;
    let key = json!({"kind": "secret", "clientId": acme.id, "name": "theirs"});
    let key = console.api(Method::POST, "/v1/keys", Some(&key)).await;
    let own = console.signed_in(key["key"].as_str().expect("a key")).await;
    for path in ["/admin/operator", "/admin/operator/audit", "/admin/clients"] {
        let page = own.get(path).await;
        assert_eq!(page.status, 403, "{path}: {}", page.body);
        assert!(!page.body.contains("Acme"), "{path}: {}", page.body);
    }
    let page = own.get(&acme.page("")).await;
    assert!(!page.expect(200).contains("/admin/operator"), "{}", page.body);

    let browser = console.signed_in(ADMIN).await;
    let page = browser.get("/admin/operator").await;
    for words in ["Version", "SQLite", "Pending", "Oldest due", "Open breakers", "Jobs"] {
        assert!(page.expect(200).contains(words), "{words}: {}", page.body);
    }
    let part = browser.get("/admin/operator?part=live").await;
    assert!(
        !part.expect(200).contains("<html") && part.body.contains("every 5s"),
        "{}",
        part.body
    );
    let page = browser.get("/admin/operator/audit").await;
    assert!(page.expect(200).contains(&acme.id), "{}", page.body);
    let page = browser.get("/admin/operator/audit?clientId=x").await;
    assert!(page.expect(400).contains("searched for"), "{}", page.body);
}

#[tokio::test]
async fn clients_are_found_by_name_and_their_health_is_seen() {
    let console = TestConsole::new().await;
    let browser = console.signed_in(ADMIN).await;
    Acme::new(&console).await;
    Acme::sending_to(&console, "Other & Sons", "http://127.0.0.1:9/x").await;
    let page = browser.get("/admin/clients").await;
    assert!(
        page.expect(200).contains("Quiet") && page.body.contains("Acme"),
        "{}",
        page.body
    );
    let page = browser.get("/admin/clients?q=SONS").await;
    assert!(
        page.expect(200).contains("Other &#38; Sons") && !page.body.contains("Acme"),
        "{}",
        page.body
    );
    let page = browser.get("/admin/clients?q=nobody").await;
    assert!(page.expect(200).contains("No client is called that"), "{}", page.body);
}

#[tokio::test]
async fn leads_are_searched_and_saved_as_a_table() {
    let console = TestConsole::new().await;
    let browser = console.signed_in(ADMIN).await;
    let acme = Acme::new(&console).await;
    acme.lead(&console, &jane()).await;
    acme.lead(&console, &json!({"name": "=1+1", "email": "max@example.com"}))
        .await;
    let search = acme.page("/leads?q=quote");
    // A search may be a moment behind what was captured.
    let found = async {
        while !browser.get(&search).await.expect(200).contains("Jane Doe") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), found)
        .await
        .expect("it is found");
    let page = browser.get(&search).await;
    assert!(!page.body.contains("max@example.com"), "{}", page.body);
    assert!(page.body.contains(&acme.page("/leads.csv?q=quote")), "{}", page.body);
    let file = browser.get(&acme.page("/leads.csv")).await;
    assert!(
        file.expect(200).contains("'=1+1") && file.body.contains("Jane Doe"),
        "{}",
        file.body
    );
    // What the search leaves out the file leaves out as well.
    let suspected = browser.get(&acme.page("/leads.csv?suspected=true")).await;
    assert!(!suspected.expect(200).contains("Jane Doe"), "{}", suspected.body);
    assert!(file.header("content-type").starts_with("text/csv"));
    assert!(file.header("content-disposition").starts_with("attachment"));
}
