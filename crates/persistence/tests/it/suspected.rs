//! Leads that are suspected: kept back, released once, erased, forgotten.

use std::time::Duration;

use sensei_domain::{DeliveryState, LeadId, Suspicion};
use sensei_persistence::{
    Actor, Answer, Captured, Idempotency, KeyedRequest, Lead, Page, ReleaseError, Retention, Store, Suspected,
};

use crate::fixtures::{ALL, TestDatabase, acme, capture, create, deliveries, on_both, request, soon, states};
use crate::lanes::Lanes;

on_both!(
    suspected_lead_is_kept_and_not_delivered,
    released_lead_is_delivered_once_however_many_release_it,
    released_lead_takes_its_place_in_a_lane,
    suspected_lead_is_erased_forgotten_and_deleted,
    suspected_request_takes_effect_once,
    only_what_is_kept_back_is_released,
);

const REASONS: [Suspicion; 2] = [Suspicion::TooFast, Suspicion::FormReused];

async fn suspect(store: &Store, client: sensei_domain::ClientId) -> LeadId {
    let request = request(client, store.now(), 1);
    let id = request.leads[0].id;
    let captured = soon(store.capture_suspected(request, REASONS.to_vec())).await;
    assert_eq!(captured.expect("it is captured"), Captured::Now);
    id
}

async fn release(store: &Store, client: sensei_domain::ClientId, id: LeadId) -> Result<Lead, ReleaseError> {
    soon(store.release_lead(client, id, &Actor::System)).await
}

async fn suspected_lead_is_kept_and_not_delivered(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    // Together with others, so that some of a batch are and some aren't.
    let mut tasks = Vec::new();
    for number in 0..20 {
        let (store, client) = (store.clone(), client.id);
        tasks.push(tokio::spawn(async move {
            match number % 2 {
                0 => suspect(&store, client).await,
                _ => capture(&store, client).await,
            }
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!(database.captured_rows().await, [20, 10, 10, 0]);
    let leads = store.leads(client.id, ALL).await.expect("listed");
    let (suspected, trusted) = leads
        .into_iter()
        .partition::<Vec<_>, _>(|lead| lead.suspected.is_some());
    assert_eq!((suspected.len(), trusted.len()), (10, 10));
    let expected = Suspected {
        reasons: REASONS.to_vec(),
        at: store.now(),
    };
    assert_eq!(suspected[0].suspected, Some(expected));
    let ids = |leads: &[Lead]| leads.iter().map(|lead| lead.id).collect::<Vec<_>>();
    for (is_suspected, expected) in [(true, suspected), (false, trusted)] {
        let (mut listed, mut before) = (Vec::new(), None);
        loop {
            let page = store
                .leads_by_suspicion(client.id, is_suspected, Page { limit: 4, before })
                .await;
            let page = page.expect("listed");
            let Some(last) = page.last() else { break };
            before = Some(last.id.as_uuid());
            listed.extend(page);
        }
        assert_eq!(ids(&listed), ids(&expected));
        assert!(listed.iter().all(|lead| lead.suspected.is_some() == is_suspected));
    }
}

async fn released_lead_is_delivered_once_however_many_release_it(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let id = suspect(&store, client.id).await;
    database.clock.advance(Duration::from_hours(1));
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let (store, client) = (store.clone(), client.id);
        tasks.push(tokio::spawn(async move { release(&store, client, id).await }));
    }
    for task in tasks {
        assert_eq!(task.await.expect("no panic").expect("released").id, id);
    }
    assert_eq!(database.captured_rows().await, [1, 1, 1, 0]);
    let delivery = deliveries(&store, client.id).await.remove(0);
    assert_eq!((delivery.lead_id, delivery.state), (Some(id), DeliveryState::Pending));
    assert_eq!((delivery.due_at, delivery.created_at), (Some(store.now()), store.now()));
    let lead = store.lead(client.id, id).await.expect("read").expect("there");
    assert_eq!(lead.suspected, None);
    let noted = "SELECT count(*) FROM audit_log WHERE action = 'lead.released'";
    assert_eq!(database.number(noted).await, 1);
    let told = "SELECT CAST(created_at AS BIGINT) FROM events";
    assert_eq!(database.number(told).await, database.clock_millis());
    let left = store.leads_by_suspicion(client.id, true, ALL).await.expect("listed");
    assert!(left.is_empty());
}

async fn released_lead_takes_its_place_in_a_lane(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let (_lanes, mut jobs) = Lanes::with_room(1, &store);
    let (first, second) = (suspect(&store, client.id).await, suspect(&store, client.id).await);
    release(&store, client.id, first).await.expect("released");
    let job = soon(jobs.recv()).await.expect("a job");
    let delivery = deliveries(&store, client.id).await.remove(0);
    assert_eq!((job.delivery_id, delivery.lead_id), (delivery.id, Some(first)));
    let body = serde_json::from_slice::<serde_json::Value>(&job.body).expect("JSON");
    assert_eq!(
        (&body["event"], &body["data"]["name"]),
        (&"lead.created".into(), &"John Doe".into())
    );
    // There is no place left: the row is enough.
    release(&store, client.id, second).await.expect("released");
    assert_eq!(states(&store, client.id).await, [DeliveryState::Pending; 2]);
}

async fn suspected_lead_is_erased_forgotten_and_deleted(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let marks = "SELECT count(*) FROM suspected_leads";
    let erased = suspect(&store, client.id).await;
    store
        .erase_lead(client.id, erased, &Actor::System)
        .await
        .expect("erased");
    assert_eq!(database.number(marks).await, 0);
    assert!(matches!(
        release(&store, client.id, erased).await,
        Err(ReleaseError::Erased)
    ));

    suspect(&store, client.id).await;
    database.clock.advance(Duration::from_hours(48));
    let kept = suspect(&store, client.id).await;
    let retention = Retention {
        leads: Some(Duration::from_hours(24)),
        ..Retention::default()
    };
    soon(store.forget_old(&retention)).await.expect("forgotten");
    assert_eq!(database.number(marks).await, 1);
    let left = store.leads(client.id, ALL).await.expect("listed");
    assert_eq!(left.iter().map(|lead| lead.id).collect::<Vec<_>>(), [kept]);

    assert!(store.delete_client(client.id, &Actor::System).await.expect("deleted"));
    assert_eq!(database.number(marks).await, 0);
}

async fn suspected_request_takes_effect_once(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let answer = Answer {
        status: 201,
        body: "first".into(),
        holds_secret: false,
    };
    let keyed = || Idempotency {
        request: KeyedRequest {
            key: "k".to_owned(),
            method: "POST",
            path: "/leads".to_owned(),
            fingerprint: [7; 32],
        },
        answer: answer.clone(),
    };
    let mut first = request(client.id, store.now(), 1);
    first.idempotency = Some(keyed());
    assert_eq!(store.capture(first).await.expect("captured"), Captured::Now);
    // Repeated, it looks otherwise to the gate: it is the same all the same.
    let mut again = request(client.id, store.now(), 1);
    again.idempotency = Some(keyed());
    let again = store
        .capture_suspected(again, REASONS.to_vec())
        .await
        .expect("captured");
    assert_eq!(again, Captured::Before(answer));
    assert_eq!(database.captured_rows().await, [1, 1, 1, 1]);
    assert_eq!(database.number("SELECT count(*) FROM suspected_leads").await, 0);
}

async fn only_what_is_kept_back_is_released(database: &TestDatabase) {
    let store = database.open().await;
    let (client, other) = (acme(&store).await, acme(&store).await);
    let (trusted, suspected) = (capture(&store, client.id).await, suspect(&store, client.id).await);
    assert!(matches!(
        release(&store, client.id, trusted).await,
        Err(ReleaseError::NeverSuspected)
    ));
    assert!(matches!(
        release(&store, other.id, suspected).await,
        Err(ReleaseError::Unknown)
    ));
    let none = LeadId::new(store.now());
    assert!(matches!(
        release(&store, client.id, none).await,
        Err(ReleaseError::Unknown)
    ));
    assert_eq!(database.captured_rows().await, [2, 1, 1, 0]);
    // Without a destination there is an event, for a replay to one that comes later.
    let nowhere = create(&store, "Nowhere Inc", None).await.client;
    let kept = suspect(&store, nowhere.id).await;
    release(&store, nowhere.id, kept).await.expect("released");
    assert_eq!(database.captured_rows().await, [3, 2, 1, 0]);
}
