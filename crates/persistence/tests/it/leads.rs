//! Leads read and erased.

use std::time::Duration;

use sensei_domain::{DeliveryState, LeadId};
use sensei_persistence::{Actor, Page};

use crate::fixtures::{ALL, TestDatabase, acme, capture, deliveries, on_both, states};
use crate::lanes::{DELIVERED, Lanes, REFUSED, claim_all, record, recording};

on_both!(
    leads_are_listed_newest_first_page_by_page,
    erased_lead_leaves_no_personal_data,
    lead_of_another_client_is_not_erased,
    answer_to_an_erased_lead_is_not_kept,
);

async fn leads_are_listed_newest_first_page_by_page(database: &TestDatabase) {
    let store = database.open().await;
    let (client, other) = (acme(&store).await, acme(&store).await);
    let mut captured = Vec::new();
    for _ in 0..7 {
        database.clock.advance(Duration::from_millis(1));
        captured.push(capture(&store, client.id).await);
        capture(&store, other.id).await;
    }
    captured.reverse();
    let mut listed = Vec::new();
    let mut before = None;
    loop {
        let page = store.leads(client.id, Page { limit: 3, before }).await.expect("listed");
        let Some(last) = page.last() else { break };
        before = Some(last.id.as_uuid());
        listed.extend(page.iter().map(|lead| lead.id));
    }
    assert_eq!(listed, captured);
}

async fn erased_lead_leaves_no_personal_data(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let delivered = capture(&store, client.id).await;
    let job = claim_all(&store).await.remove(0);
    record(&store, &job, DELIVERED).await;
    let waiting = capture(&store, client.id).await;
    let (lanes, _jobs) = Lanes::with_room(0, &store);
    for id in [delivered, waiting] {
        assert!(store.erase_lead(client.id, id, &Actor::System).await.expect("erased"));
        assert!(
            store.erase_lead(client.id, id, &Actor::System).await.expect("no error"),
            "twice is no error"
        );
        let lead = store.lead(client.id, id).await.expect("read").expect("its row stays");
        assert_eq!(
            (lead.name.as_str(), lead.email.as_str(), lead.erased_at),
            ("", "", Some(store.now()))
        );
        assert_eq!(
            (lead.phone, lead.message, lead.session_id, lead.custom),
            (None, None, None, None)
        );
    }
    assert_eq!(lanes.changed.lock().expect("no panic").len(), 2);
    let mut found = states(&store, client.id).await;
    found.sort_by_key(|state| state.name());
    assert_eq!(found, [DeliveryState::Cancelled, DeliveryState::Succeeded]);
    assert_eq!(
        database
            .number("SELECT CAST(sum(length(body)) AS BIGINT) FROM events")
            .await,
        0
    );
    assert_eq!(
        database
            .number("SELECT count(*) FROM attempts WHERE coalesce(response_snippet, error, request_url) IS NOT NULL")
            .await,
        0
    );
    assert_eq!(
        database
            .number("SELECT count(*) FROM audit_log WHERE action = 'lead.erased'")
            .await,
        2
    );
    assert_eq!(store.leads(client.id, ALL).await.expect("listed").len(), 2);
}

async fn lead_of_another_client_is_not_erased(database: &TestDatabase) {
    let store = database.open().await;
    let (client, other) = (acme(&store).await, acme(&store).await);
    let id = capture(&store, client.id).await;
    assert!(!store.erase_lead(other.id, id, &Actor::System).await.expect("no error"));
    assert!(
        !store
            .erase_lead(client.id, LeadId::new(store.now()), &Actor::System)
            .await
            .expect("no error")
    );
    let lead = store.lead(client.id, id).await.expect("read").expect("there");
    assert_eq!((lead.name.as_str(), lead.erased_at), ("John Doe", None));
}

async fn answer_to_an_erased_lead_is_not_kept(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    for outcome in [DELIVERED, REFUSED] {
        let id = capture(&store, client.id).await;
        let job = claim_all(&store).await.remove(0);
        store.erase_lead(client.id, id, &Actor::System).await.expect("erased");
        let (mut recording, stored) = recording(&store, &job, outcome);
        let said = || Some("no such address: john@example.com".to_owned());
        let attempt = &mut recording.attempt;
        (attempt.response_snippet, attempt.error, attempt.request_url) = (said(), said(), said());
        store.record(recording);
        stored.await.expect_err("dropped");
        let health = store.health(&[job.destination.id]).await.expect("read");
        assert!(health.values().all(|health| health.last_error.is_none()), "{health:?}");
    }
    let delivery = deliveries(&store, client.id).await.remove(0);
    assert_eq!((delivery.state, delivery.attempt_count), (DeliveryState::Cancelled, 1));
    assert_eq!(
        database
            .number("SELECT count(*) FROM attempts WHERE coalesce(response_snippet, request_url) IS NOT NULL OR error LIKE '%john%'")
            .await,
        0
    );
}
