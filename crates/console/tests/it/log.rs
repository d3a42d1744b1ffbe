//! The pages of the delivery log: what they show of leads, deliveries and recoveries, and what they let happen.

use std::time::Duration;

use axum::http::Method;
use sensei_domain::{LeadId, Timestamp};
use sensei_persistence::Retention;
use serde_json::json;

use crate::acme::{Acme, jane};
use crate::app::{ADMIN, TestConsole};

#[tokio::test]
async fn an_empty_log_says_what_to_do() {
    let console = TestConsole::new().await;
    let browser = console.signed_in(ADMIN).await;
    let acme = Acme::new(&console).await;
    for (path, words) in [
        ("/leads", "No leads yet"),
        ("/deliveries", "No deliveries yet"),
        ("/deliveries?state=failed", "No delivery is like that"),
        ("/recoveries", "None yet."),
    ] {
        let page = browser.get(&acme.page(path)).await;
        assert!(page.expect(200).contains(words), "{path}: {}", page.body);
    }
}

#[tokio::test]
async fn a_lead_is_shown_with_where_it_went() {
    let console = TestConsole::new().await;
    let browser = console.signed_in(ADMIN).await;
    let acme = Acme::new(&console).await;
    let lead = acme.lead(&console, &jane()).await;
    let list = browser.get(&acme.page("/leads")).await;
    assert!(
        list.expect(200).contains(&acme.page(&format!("/leads/{lead}"))),
        "{}",
        list.body
    );
    assert!(list.body.contains("jane@example.com"));
    let page = browser.get(&acme.page(&format!("/leads/{lead}"))).await;
    for words in ["Jane Doe", "A quote, please", "budget", "10k", "Lead Webhook URL"] {
        assert!(page.expect(200).contains(words), "{words}: {}", page.body);
    }
    let delivery = acme.delivery(&console).await;
    assert!(page.body.contains(&acme.page(&format!("/deliveries/{delivery}"))));
}

#[tokio::test]
async fn a_lead_is_erased_only_by_who_means_it() {
    let console = TestConsole::new().await;
    let browser = console.signed_in(ADMIN).await;
    let acme = Acme::new(&console).await;
    let lead = acme.page(&format!("/leads/{}", acme.lead(&console, &jane()).await));
    let erase = format!("{lead}/erase");
    let page = browser.submit(&lead, &erase, &[]).await;
    assert!(page.expect(422).contains("Tick the box") && page.body.contains("Jane Doe"));
    let page = browser.submit(&lead, &erase, &[("sure", "yes")]).await;
    assert_eq!(page.leads_to(), format!("{lead}?done=erased"));
    let page = browser.get(&lead).await;
    assert!(
        page.expect(200).contains("Erased lead") && !page.body.contains("Jane"),
        "{}",
        page.body
    );
    let delivery = acme.page(&format!("/deliveries/{}", acme.delivery(&console).await));
    let page = browser.get(&delivery).await;
    assert!(
        page.expect(200).contains("Cancelled") && !page.body.contains("Jane"),
        "{}",
        page.body
    );
    // What can't be redelivered says why.
    let page = browser.submit(&delivery, &format!("{delivery}/redeliver"), &[]).await;
    assert!(page.expect(409).contains("was cancelled"), "{}", page.body);
}

#[tokio::test]
async fn filters_are_kept_from_page_to_page_and_wrong_ones_are_told() {
    let console = TestConsole::new().await;
    let browser = console.signed_in(ADMIN).await;
    let acme = Acme::new(&console).await;
    for number in 0..51 {
        let lead = json!({"name": format!("Lead {number}"), "email": "a@example.com"});
        acme.lead(&console, &lead).await;
    }
    let path = acme.page("/deliveries?state=pending&window=24h");
    let page = browser.get(&path).await;
    let next = page
        .expect(200)
        .split(" href=\"")
        .filter_map(|part| part.split('"').next())
        .find(|href| href.contains("cursor="))
        .expect("an older page");
    let next = next.replace("&#38;", "&");
    assert!(next.starts_with(&path), "{next}");
    let page = browser.get(&next).await;
    assert_eq!(page.expect(200).matches("data-key=").count(), 1, "{}", page.body);
    assert!(page.body.contains("Newest"));

    let page = browser
        .get(&acme.page("/deliveries?state=%22%3E%3Cscript%3E&q=kept"))
        .await;
    assert!(page.expect(400).contains("can&#39;t be searched for") || page.body.contains("can't be searched for"));
    assert!(
        page.body.contains("value=\"kept\"") && !page.body.contains("<script>"),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn a_live_part_is_the_page_without_what_is_around_it() {
    let console = TestConsole::new().await;
    let browser = console.signed_in(ADMIN).await;
    let acme = Acme::new(&console).await;
    let lead = acme.lead(&console, &jane()).await;
    let delivery = acme.delivery(&console).await;
    for path in [
        "/leads".to_owned(),
        "/deliveries".to_owned(),
        format!("/leads/{lead}"),
        format!("/deliveries/{delivery}"),
    ] {
        let part = browser.get(&acme.page(&format!("{path}?part=live"))).await;
        assert!(!part.expect(200).contains("<html"), "{path}");
        let whole = browser.get(&acme.page(&path)).await;
        assert!(
            whole.expect(200).contains(part.body.trim()),
            "{path}: one template makes both"
        );
    }
}

#[tokio::test]
async fn what_failed_is_sent_again_after_its_number_is_known() {
    let console = TestConsole::new().await;
    let browser = console.signed_in(ADMIN).await;
    let acme = Acme::new(&console).await;
    let page = browser.get(&acme.page("/deliveries?state=failed&q=x")).await;
    assert!(!page.body.contains("/deliveries/redeliver?"), "{}", page.body);
    let page = browser.get(&acme.page("/deliveries?state=failed&window=7d")).await;
    let confirm = acme.page("/deliveries/redeliver?state=failed&#38;window=7d");
    assert!(page.expect(200).contains(&confirm), "{}", page.body);
    let page = browser
        .get(&acme.page("/deliveries/redeliver?state=failed&window=7d"))
        .await;
    assert!(page.expect(200).contains("There is nothing to send."), "{}", page.body);

    let token_from = acme.page("/recoveries");
    let fields = [("state", "failed"), ("destinationId", acme.destination.as_str())];
    let begun = browser
        .submit(&token_from, &acme.page("/deliveries/redeliver"), &fields)
        .await;
    let to = begun.leads_to().to_owned();
    assert!(to.starts_with(&acme.page("/recoveries/")), "{to}");
    let page = browser.get(&to).await;
    for words in [
        "It has begun",
        "Running",
        "Redelivery of many",
        "to Lead Webhook URL",
        "Stop",
    ] {
        assert!(page.expect(200).contains(words), "{words}: {}", page.body);
    }
    // The same again is refused, in words.
    let again = browser
        .submit(&token_from, &acme.page("/deliveries/redeliver"), &fields)
        .await;
    assert!(again.expect(409).contains("Nothing was sent."), "{}", again.body);
    let recovery = to.split('?').next().expect("a path");
    let stopped = browser.submit(&to, &format!("{recovery}/cancel"), &[]).await;
    assert_eq!(stopped.leads_to(), format!("{recovery}?done=stopped"));
    let page = browser.get(recovery).await;
    assert!(
        page.expect(200).contains("Stopped") && !page.body.contains("every 1s"),
        "{}",
        page.body
    );
    assert!(browser.get(&token_from).await.expect(200).contains(recovery));
}

#[tokio::test]
async fn earlier_leads_are_replayed_to_a_new_destination() {
    let console = TestConsole::new().await;
    let browser = console.signed_in(ADMIN).await;
    let acme = Acme::new(&console).await;
    let (from, to) = (acme.page("/recoveries"), acme.page("/recoveries/replay"));
    let page = browser
        .submit(&from, &to, &[("destinationId", &acme.destination)])
        .await;
    assert!(page.expect(422).contains("Tick the box"), "{}", page.body);
    let page = browser
        .submit(&from, &to, &[("destinationId", "x"), ("sure", "yes")])
        .await;
    assert!(page.expect(422).contains("Choose a destination"), "{}", page.body);
    let wrong = [
        ("destinationId", acme.destination.as_str()),
        ("sure", "yes"),
        ("since", "soon"),
    ];
    let page = browser.submit(&from, &to, &wrong).await;
    assert!(
        page.expect(422).contains("wasn't begun") || page.body.contains("wasn&#39;t begun"),
        "{}",
        page.body
    );
    let page = browser
        .submit(&from, &to, &[("destinationId", &acme.destination), ("sure", "yes")])
        .await;
    let page = browser.get(page.leads_to()).await;
    assert!(page.expect(200).contains("Replay of earlier leads"), "{}", page.body);
}

#[tokio::test]
async fn another_clients_things_are_nowhere() {
    let console = TestConsole::new().await;
    let (acme, other) = (Acme::new(&console).await, Acme::new(&console).await);
    let lead = other.lead(&console, &jane()).await;
    let delivery = other.delivery(&console).await;
    let unknown = LeadId::new("2026-11-24T10:30:00.000Z".parse::<Timestamp>().expect("a time"));
    let key = json!({"kind": "secret", "clientId": acme.id, "name": "theirs"});
    let key = console.api(Method::POST, "/v1/keys", Some(&key)).await;
    let own = console.signed_in(key["key"].as_str().expect("a key")).await;
    let admin = console.signed_in(ADMIN).await;
    for (path, is_admins) in [
        (other.page(""), true),
        (other.page("/leads"), true),
        (other.page("/leads.csv"), true),
        (other.page(&format!("/leads/{lead}")), true),
        (other.page("/deliveries"), true),
        (other.page("/deliveries/redeliver?state=failed"), true),
        (other.page(&format!("/deliveries/{delivery}")), true),
        (other.page("/recoveries"), true),
        (other.page("/stream"), true),
        (acme.page(&format!("/leads/{lead}")), false),
        (acme.page(&format!("/deliveries/{delivery}")), false),
        (acme.page(&format!("/recoveries/{unknown}")), false),
        (acme.page("/leads/none"), false),
        (acme.page("/deliveries/..%2F..%2Fkeys"), false),
        (format!("/admin/clients/{unknown}/leads"), false),
    ] {
        let page = own.get(&path).await;
        assert_eq!(page.status, 404, "{path}: {}", page.body);
        assert!(
            page.body.contains("Nothing here") && !page.body.contains("Jane"),
            "{path}"
        );
        if !is_admins {
            assert_eq!(admin.get(&path).await.status, 404, "{path}");
        }
    }
    for path in ["", "/leads", "/deliveries", "/recoveries"] {
        own.get(&acme.page(path)).await.expect(200);
    }
    for path in ["/redeliver", "/cancel"] {
        let to = other.page(&format!("/deliveries/{delivery}{path}"));
        let page = own.submit(&acme.page(""), &to, &[]).await;
        assert_eq!(page.status, 404, "{path}");
    }
    let erase = other.page(&format!("/leads/{lead}/erase"));
    assert_eq!(own.submit(&acme.page(""), &erase, &[("sure", "yes")]).await.status, 404);
    let kept = console
        .api(Method::GET, &other.api(&format!("/leads/{lead}")), None)
        .await;
    assert_eq!(kept["name"], "Jane Doe");
}

#[tokio::test]
async fn what_people_take_elsewhere_has_a_button_that_copies_it() {
    let console = TestConsole::new().await;
    let browser = console.signed_in(ADMIN).await;
    let acme = Acme::new(&console).await;
    let lead = acme.lead(&console, &jane()).await;
    let delivery = acme.delivery(&console).await;
    let key = [("name", "page"), ("kind", "publishable")];
    let settings = acme.page("/settings");
    let made = browser.submit(&settings, &format!("{settings}/keys"), &key).await;
    let pages = [
        (
            browser.get(&acme.page(&format!("/leads/{lead}"))).await,
            vec!["lead-id"],
        ),
        (
            browser.get(&acme.page(&format!("/deliveries/{delivery}"))).await,
            vec!["delivery-id", "event-id", "curl"],
        ),
        (
            browser
                .get(&acme.page(&format!("/destinations/{}/secret", acme.destination)))
                .await,
            vec!["secret"],
        ),
        (browser.get(&acme.page("/settings/form")).await, vec!["line"]),
        (made, vec!["made-key", "line"]),
    ];
    for (page, ids) in pages {
        let body = page.expect(200);
        for id in ids {
            assert_eq!(body.matches(&format!("id=\"{id}\"")).count(), 1, "{id}: {body}");
            assert!(body.contains(&format!("data-copy=\"{id}\" hidden>")), "{id}: {body}");
        }
    }
}

#[tokio::test]
async fn a_leads_own_page_doesnt_name_it_in_each_row() {
    let console = TestConsole::new().await;
    let browser = console.signed_in(ADMIN).await;
    let acme = Acme::new(&console).await;
    let lead = acme.lead(&console, &jane()).await;
    let delivery = acme.page(&format!("/deliveries/{}", acme.delivery(&console).await));
    let column = "<td data-label=\"Lead\">";
    let list = browser.get(&acme.page("/deliveries")).await;
    assert!(list.expect(200).contains(column), "{}", list.body);
    for path in [format!("/leads/{lead}"), format!("/leads/{lead}?part=live")] {
        let page = browser.get(&acme.page(&path)).await;
        let body = page.expect(200);
        assert!(body.contains(&delivery) && !body.contains(column), "{path}: {body}");
    }
}

#[tokio::test]
async fn attempts_that_are_gone_are_told_with_how_long_they_are_kept() {
    let console = TestConsole::new().await;
    let acme = Acme::new(&console).await;
    let delivery = acme.test(&console).await;
    console.clock.advance(Duration::from_hours(40));
    let retention = Retention {
        attempts: Some(Duration::from_hours(36)),
        ..Retention::default()
    };
    let gone = console.store.forget_old(&retention).await.expect("what is old goes");
    assert!(gone > 0);
    let browser = console.signed_in(ADMIN).await;
    let page = browser
        .get(&acme.page(&format!("/deliveries/{delivery}?tab=response")))
        .await;
    assert!(
        page.expect(200)
            .contains("older than the log is kept: attempts are kept for 36 hours."),
        "{}",
        page.body
    );
}
