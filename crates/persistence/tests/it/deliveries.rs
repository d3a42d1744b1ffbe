//! The delivery log.

use std::time::Duration;

use sensei_domain::{DeliveryId, DeliveryState};
use sensei_persistence::{DeliveryFilter, Page};

use crate::fixtures::{ALL, TestDatabase, acme, capture, deliveries, on_both};
use crate::lanes::{DELIVERED, REFUSED, claim_all, record};

on_both!(log_is_filtered_and_paged, delivery_of_another_client_is_not_found);

async fn log_is_filtered_and_paged(database: &TestDatabase) {
    let store = database.open().await;
    let (client, other) = (acme(&store).await, acme(&store).await);
    let mut leads = Vec::new();
    let began = store.now();
    for _ in 0..4 {
        leads.push(capture(&store, client.id).await);
        capture(&store, other.id).await;
        database.clock.advance(Duration::from_secs(1));
    }
    let mut jobs = claim_all(&store).await;
    jobs.retain(|job| job.destination.client_id == client.id);
    jobs.sort_by_key(|job| job.delivery_id);
    record(&store, &jobs[0], DELIVERED).await;
    record(&store, &jobs[1], REFUSED).await;

    let destination = jobs[0].destination.id;
    let at = |seconds| Some(began.after(Duration::from_secs(seconds)));
    let none = DeliveryFilter::default();
    let cases = [
        (none, vec![3, 2, 1, 0]),
        (
            DeliveryFilter {
                state: Some(DeliveryState::Pending),
                ..none
            },
            vec![3, 2],
        ),
        (
            DeliveryFilter {
                state: Some(DeliveryState::Failed),
                ..none
            },
            vec![1],
        ),
        (
            DeliveryFilter {
                state: Some(DeliveryState::Held),
                ..none
            },
            vec![],
        ),
        (
            DeliveryFilter {
                destination_id: Some(destination),
                ..none
            },
            vec![3, 2, 1, 0],
        ),
        (
            DeliveryFilter {
                lead_id: Some(leads[2]),
                ..none
            },
            vec![2],
        ),
        (
            DeliveryFilter {
                since: at(1),
                until: at(3),
                ..none
            },
            vec![2, 1],
        ),
        (
            DeliveryFilter {
                since: at(2),
                state: Some(DeliveryState::Succeeded),
                ..none
            },
            vec![],
        ),
    ];
    for (filter, expected) in cases {
        let mut found = Vec::new();
        let mut before = None;
        loop {
            let page = store
                .deliveries(client.id, filter, Page { limit: 2, before })
                .await
                .expect("read");
            let Some(last) = page.last() else { break };
            before = Some(last.id.as_uuid());
            found.extend(page.iter().map(|delivery| delivery.lead_id));
        }
        let expected = expected
            .into_iter()
            .map(|index: usize| Some(leads[index]))
            .collect::<Vec<_>>();
        assert_eq!(found, expected, "{filter:?}");
    }
    let others = jobs[0].destination.id;
    let filter = DeliveryFilter {
        destination_id: Some(others),
        ..none
    };
    assert!(
        store.deliveries(other.id, filter, ALL).await.expect("read").is_empty(),
        "another client's"
    );
}

async fn delivery_of_another_client_is_not_found(database: &TestDatabase) {
    let store = database.open().await;
    let (client, other) = (acme(&store).await, acme(&store).await);
    capture(&store, client.id).await;
    let id = deliveries(&store, client.id).await[0].id;
    let (delivery, attempts) = store.delivery(client.id, id).await.expect("read").expect("there");
    assert_eq!((delivery.id, attempts.len()), (id, 0));
    assert!(store.delivery(other.id, id).await.expect("read").is_none());
    assert!(
        store
            .delivery(client.id, DeliveryId::new(store.now()))
            .await
            .expect("read")
            .is_none()
    );
}
