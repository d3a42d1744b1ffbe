//! Deleting a client bit by bit, while others write.

use sensei_domain::LeadId;
use sensei_persistence::{Actor, CaptureLead, CaptureRequest};
use serde_json::json;

use crate::fixtures::{ALL, TestDatabase, create, lead, on_both, request, soon};
use crate::search::{capture, find, index};

on_both!(
    deletion_lets_others_write_in_between,
    deletion_that_was_cut_off_goes_on_when_it_is_called_again,
);

async fn deletion_lets_others_write_in_between(database: &TestDatabase) {
    let store = database.open().await;
    let deleted = create(&store, "Gone", None).await.client.id;
    let other = create(&store, "Other Inc", None).await.client.id;
    soon(store.capture(request(deleted, store.now(), 1_000)))
        .await
        .expect("captured");
    index(database, &store).await;
    let deleting = tokio::spawn({
        let store = store.clone();
        async move { store.delete_client(deleted, &Actor::System).await }
    });
    // In each state of the deletion that is seen, somebody else has captured before the next one.
    let mut seen = std::collections::BTreeSet::new();
    let count = "SELECT count(*) FROM leads WHERE client_id NOT IN (SELECT id FROM clients WHERE name = 'Other Inc')";
    while !deleting.is_finished() {
        capture(&store, other, &json!({"name": "Anna", "email": "anna@example.com"})).await;
        // Of who is being deleted as well, as long as he is there.
        let late = CaptureRequest {
            client_id: deleted,
            leads: vec![CaptureLead {
                id: LeadId::new(store.now()),
                lead: lead(&json!({"name": "Late", "email": "late@example.com"})),
            }],
            captured_at: store.now(),
            idempotency: None,
        };
        match soon(store.capture(late)).await {
            Ok(_) | Err(sensei_persistence::CaptureError::UnknownClient) => {}
            Err(error) => panic!("{error:?}"),
        }
        seen.insert(database.number(count).await / 100);
    }
    assert!(deleting.await.expect("no panic").expect("deleted"));
    assert!(seen.len() >= 3, "{seen:?}");
    assert_eq!(database.number(count).await, 0);
    assert_eq!(find(&store, other, "late").await, []);
    let kept = store.leads(other, ALL).await.expect("read").len();
    assert_eq!(find(&store, other, "anna").await.len(), kept);
}

async fn deletion_that_was_cut_off_goes_on_when_it_is_called_again(database: &TestDatabase) {
    let store = database.open().await;
    let deleted = create(&store, "Gone", None).await.client.id;
    let kept = create(&store, "Other Inc", None).await.client.id;
    let others = capture(&store, kept, &json!({"name": "John", "email": "john@example.com"})).await;
    soon(store.capture(request(deleted, store.now(), 1_000)))
        .await
        .expect("captured");
    soon(store.capture(request(deleted, store.now(), 1_000)))
        .await
        .expect("captured");
    index(database, &store).await;
    let deleting = tokio::spawn({
        let store = store.clone();
        async move { store.delete_client(deleted, &Actor::System).await }
    });
    soon(async { while database.number("SELECT count(*) FROM leads").await > 1_900 {} }).await;
    soon(store.close()).await;
    let cut = deleting.await.expect("no panic");
    assert!(matches!(cut, Err(sensei_persistence::StoreError::Closed)), "{cut:?}");
    let store = database.open().await;
    assert!(store.client(deleted).await.expect("read").is_some());
    let left = store.leads(deleted, ALL).await.expect("read").len();
    assert!(left > 0);
    assert!(store.delete_client(deleted, &Actor::System).await.expect("deleted"));
    assert_eq!(database.captured_rows().await[..2], [1, 1]);
    assert_eq!(find(&store, kept, "john").await, [others]);
    let count = if database.is_sqlite() {
        "SELECT count(*) FROM searchable_leads"
    } else {
        "SELECT count(*) FROM lead_words"
    };
    assert_eq!(database.number(count).await, 1);
}
