//! Capturing: whole, durable, shared, and nobody else's fault.

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use sea_orm::ConnectionTrait as _;
use sensei_domain::{ClientId, DeliveryState, LeadCreated, Trigger};
use sensei_persistence::{Actor, CaptureError, Captured, SettingsChange, StoreError};
use serde_json::json;

use crate::fixtures::{
    ALL, TestDatabase, URL, acme, capture, create, deliveries, lead, on_both, request, soon, states,
};
use crate::lanes::{Lanes, claim_all};

on_both!(
    lead_event_and_delivery_are_written_together,
    lead_is_read_back_as_it_was_given,
    client_without_destination_has_its_leads_kept,
    unknown_client_leaves_nothing_behind,
    concurrent_captures_share_transactions,
    request_that_fails_fails_alone,
    leads_for_an_unreadable_destination_are_kept,
    many_clients_are_captured_for_in_one_batch,
    thousand_leads_of_a_request_are_all_there,
    batches_of_any_size_are_all_there,
    delivery_with_a_place_is_born_leased_and_handed_over,
    delivery_without_a_place_is_born_due,
    lead_of_a_caller_that_hung_up_is_handed_over,
    deleted_client_captures_nothing_more,
    custom_fields_are_sent_only_where_they_are_wanted,
    closed_store_says_so,
    leads_that_wait_are_bounded,
);

async fn lead_event_and_delivery_are_written_together(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let id = capture(&store, client.id).await;
    assert_eq!(database.captured_rows().await, [1, 1, 1, 0]);
    let [delivery] = &deliveries(&store, client.id).await[..] else {
        panic!("one delivery")
    };
    assert_eq!(
        (delivery.lead_id, delivery.state, delivery.attempt_count),
        (Some(id), DeliveryState::Pending, 0)
    );
    assert_eq!((delivery.due_at, delivery.created_at), (Some(store.now()), store.now()));
    let jobs = claim_all(&store).await;
    let event: LeadCreated = serde_json::from_slice(&jobs[0].body).expect("an event");
    assert_eq!(
        (&*event.data.name, &*event.data.client_name, event.data.id),
        ("John Doe", "Acme Corp", id)
    );
    assert_eq!((jobs[0].event_id, jobs[0].trigger), (delivery.event_id, Trigger::First));
}

async fn lead_is_read_back_as_it_was_given(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let mut wanted = request(client.id, store.now(), 1);
    let custom = json!({"budget": 10_000, "plan": "é\"\u{1F600}"});
    wanted.leads[0].lead = lead(&json!({"name": "Zoë \"Z\" \u{1F600}", "email": "zoe@example.com", "custom": custom}));
    let id = wanted.leads[0].id;
    soon(store.capture(wanted)).await.expect("it is captured");
    let found = store
        .lead(client.id, id)
        .await
        .expect("it is read")
        .expect("it is there");
    assert_eq!(
        (found.name.as_str(), found.email.as_str()),
        ("Zoë \"Z\" \u{1F600}", "zoe@example.com")
    );
    assert_eq!((found.phone, found.message, found.session_id), (None, None, None));
    assert_eq!(found.custom.map(serde_json::Value::Object), Some(custom));
    assert_eq!(
        (found.client_id, found.created_at, found.erased_at),
        (client.id, store.now(), None)
    );
    let other = create(&store, "Other", None).await.client;
    assert_eq!(store.lead(other.id, id).await.expect("it is read"), None);
}

async fn client_without_destination_has_its_leads_kept(database: &TestDatabase) {
    let store = database.open().await;
    let client = create(&store, "Quiet", None).await.client;
    capture(&store, client.id).await;
    assert_eq!(database.captured_rows().await, [1, 1, 0, 0]);
}

async fn unknown_client_leaves_nothing_behind(database: &TestDatabase) {
    let store = database.open().await;
    acme(&store).await;
    let answer = soon(store.capture(request(ClientId::new(store.now()), store.now(), 3))).await;
    assert!(matches!(answer, Err(CaptureError::UnknownClient)), "{answer:?}");
    assert_eq!(database.captured_rows().await, [0, 0, 0, 0]);
}

async fn concurrent_captures_share_transactions(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let (_lanes, _jobs) = Lanes::with_room(1_000, &store);
    let captures = (0..200).map(|_| store.capture(request(client.id, store.now(), 1)));
    for answer in soon(join_all(captures)).await {
        assert_eq!(answer.expect("it is captured"), Captured::Now);
    }
    // Deliveries that are born together have one lease.
    let transactions = database.number("SELECT count(DISTINCT lease) FROM deliveries").await;
    assert!(transactions <= 20, "200 captures took {transactions} transactions");
}

async fn request_that_fails_fails_alone(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    database.execute(if database.is_sqlite() {
        "CREATE TRIGGER refusal BEFORE INSERT ON leads WHEN NEW.name = 'Refused' BEGIN SELECT RAISE(ABORT, 'no'); END"
    } else {
        "ALTER TABLE leads ADD CONSTRAINT refusal CHECK (name <> 'Refused')"
    })
    .await;
    let captures = (0..60).map(|number| {
        let mut request = request(client.id, store.now(), 1);
        if number % 20 == 0 {
            request.leads[0].lead = lead(&json!({"name": "Refused", "email": "r@example.com"}));
        }
        store.capture(request)
    });
    let answers = soon(join_all(captures)).await;
    for (number, answer) in answers.iter().enumerate() {
        let is_internal = matches!(answer, Err(CaptureError::Store(StoreError::Internal(_))));
        assert_eq!(is_internal, number % 20 == 0, "{number}: {answer:?}");
        assert_eq!(answer.is_ok(), number % 20 != 0, "{number}: {answer:?}");
    }
    assert_eq!(database.captured_rows().await, [57, 57, 57, 0]);
}

async fn leads_for_an_unreadable_destination_are_kept(database: &TestDatabase) {
    let store = database.open().await;
    let damaged = create(&store, "Damaged", Some(URL)).await.client;
    let secret = database.texts("SELECT sealed_secret FROM destinations").await.remove(0);
    database
        .execute("UPDATE destinations SET sealed_secret = 'nonsense'")
        .await;
    let sound = acme(&store).await;
    let (lanes, mut jobs) = Lanes::with_room(1_000, &store);
    let captures = [damaged.id, sound.id, damaged.id].map(|client| store.capture(request(client, store.now(), 1)));
    for answer in soon(join_all(captures)).await {
        answer.expect("it is captured");
    }
    let handed_over = std::iter::from_fn(|| jobs.try_recv().ok()).collect::<Vec<_>>();
    assert_eq!(handed_over.len(), 1);
    assert_eq!(handed_over[0].destination.client_id, sound.id);
    assert_eq!(lanes.room(), 999, "no place is taken in vain");
    assert_eq!(states(&store, damaged.id).await, [DeliveryState::Pending; 2]);
    assert!(claim_all(&store).await.is_empty(), "claiming doesn't fail either");
    let mended = format!("UPDATE destinations SET sealed_secret = '{secret}' WHERE sealed_secret = 'nonsense'");
    database.execute(&mended).await;
    assert_eq!(claim_all(&store).await.len(), 2, "nothing is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn capture_that_waited_for_a_change_sees_it() {
    let Some(database) = TestDatabase::postgres() else {
        return;
    };
    let store = database.open().await;
    let client = acme(&store).await;
    let changing = database.connection().await;
    let run = async |sql: &str| changing.execute_unprepared(sql).await.expect("it runs");
    run("BEGIN").await;
    run("SELECT id FROM clients FOR UPDATE").await;
    run("UPDATE destinations SET deleted_at = 1").await;
    let capture = tokio::spawn({
        let (store, request) = (store.clone(), request(client.id, store.now(), 1));
        async move { store.capture(request).await }
    });
    database.somebody_waits_for_a_lock().await;
    run("COMMIT").await;
    soon(capture).await.expect("no panic").expect("it is captured");
    assert_eq!(
        database.captured_rows().await,
        [1, 1, 0, 0],
        "no delivery to a deleted destination"
    );
}

async fn many_clients_are_captured_for_in_one_batch(database: &TestDatabase) {
    let store = database.open().await;
    let mut clients = Vec::new();
    for number in 0..21 {
        clients.push(create(&store, &format!("Client {number}"), Some(URL)).await.client.id);
    }
    let captures = clients
        .iter()
        .cycle()
        .take(84)
        .map(|&client| store.capture(request(client, store.now(), 1)));
    for answer in soon(join_all(captures)).await {
        answer.expect("it is captured");
    }
    for &client in &clients {
        assert_eq!(store.leads(client, ALL).await.expect("they are read").len(), 4);
        assert_eq!(deliveries(&store, client).await.len(), 4);
    }
}

async fn thousand_leads_of_a_request_are_all_there(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let (_lanes, mut jobs) = Lanes::with_room(10, &store);
    soon(store.capture(request(client.id, store.now(), 1_000)))
        .await
        .expect("they are captured");
    assert_eq!(database.captured_rows().await, [1_000, 1_000, 1_000, 0]);
    assert_eq!(
        database
            .number("SELECT count(*) FROM deliveries WHERE lease IS NOT NULL")
            .await,
        10
    );
    let handed_over = std::iter::from_fn(|| jobs.try_recv().ok()).count();
    assert_eq!(handed_over, 10);
}

async fn batches_of_any_size_are_all_there(database: &TestDatabase) {
    let store = database.open().await;
    let (client, without) = (acme(&store).await, create(&store, "Globex", None).await.client);
    let (mut leads, mut deliveries) = (0, 0);
    for size in (1..=25).chain([95, 96, 97, 127, 128, 129]) {
        for (client, delivered) in [(client.id, size), (without.id, 0)] {
            let number = usize::try_from(size).expect("small");
            let request = request(client, store.now(), number);
            soon(store.capture(request)).await.expect("they are captured");
            leads += size;
            deliveries += delivered;
        }
        assert_eq!(database.captured_rows().await, [leads, leads, deliveries, 0], "{size}");
    }
}

/// Of a client that was read before a batch is one insert into a view, unless it was changed since.
#[tokio::test(flavor = "multi_thread")]
async fn leads_of_a_known_client_are_one_statement_on_sqlite() {
    let database = TestDatabase::sqlite();
    let store = database.open().await;
    let client = acme(&store).await;
    capture(&store, client.id).await;
    let seen = "INSERT INTO store_facts (name, value) VALUES ('seen', NEW.lead_id)";
    database
        .execute(&format!(
            "CREATE TRIGGER seen INSTEAD OF INSERT ON captures BEGIN {seen}; END"
        ))
        .await;
    let seen = "SELECT count(*) FROM store_facts WHERE name = 'seen'";
    capture(&store, client.id).await;
    assert_eq!(database.number(seen).await, 1);
    assert_eq!(database.captured_rows().await, [2, 2, 2, 0]);

    database.execute("DELETE FROM store_facts WHERE name = 'seen'").await;
    database.execute("UPDATE clients SET name = 'Acme Corporation'").await;
    capture(&store, client.id).await;
    assert_eq!(database.number(seen).await, 0, "it was undone with the rest");
    assert_eq!(database.captured_rows().await, [3, 3, 3, 0]);
    let body = database
        .texts("SELECT CAST(body AS TEXT) FROM events ORDER BY id DESC LIMIT 1")
        .await;
    assert!(body[0].contains("\"clientName\":\"Acme Corporation\""), "{body:?}");
    capture(&store, client.id).await;
    assert_eq!(database.number(seen).await, 1);
}

async fn delivery_with_a_place_is_born_leased_and_handed_over(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let (lanes, mut jobs) = Lanes::with_room(1, &store);
    capture(&store, client.id).await;
    let job = jobs.try_recv().expect("handed over before the caller is answered");
    let [delivery] = &deliveries(&store, client.id).await[..] else {
        panic!("one delivery")
    };
    assert_eq!((job.delivery_id, job.event_id), (delivery.id, delivery.event_id));
    assert_eq!(
        (delivery.due_at, lanes.room()),
        (None, 0),
        "leased, and the place is taken"
    );
    let due_at = database.number("SELECT due_at FROM deliveries").await;
    assert_eq!(due_at, store.now().after(store.lease()).as_millis());
    assert!(
        store
            .due_destinations()
            .await
            .expect("it is read")
            .destinations
            .is_empty()
    );
}

async fn delivery_without_a_place_is_born_due(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let (lanes, mut jobs) = Lanes::with_room(0, &store);
    capture(&store, client.id).await;
    jobs.try_recv().expect_err("there was no room");
    let due = store.due_destinations().await.expect("it is read").destinations;
    assert_eq!(*lanes.left_behind.lock().expect("no panic"), due);
    assert_eq!(due.len(), 1);
}

async fn lead_of_a_caller_that_hung_up_is_handed_over(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let (_lanes, mut jobs) = Lanes::with_room(1, &store);
    let mut waiting = Box::pin(store.capture(request(client.id, store.now(), 1)));
    // Polled once, so that it is under way; then nobody waits any more.
    assert!((&mut waiting).now_or_never().is_none());
    drop(waiting);
    soon(jobs.recv()).await.expect("it is handed over");
    assert_eq!(database.captured_rows().await, [1, 1, 1, 0]);
}

async fn deleted_client_captures_nothing_more(database: &TestDatabase) {
    let store = database.open().await;
    let (kept, deleted) = (acme(&store).await, acme(&store).await);
    let captures = (0..40).map(|number| {
        let client = if number % 2 == 0 { kept.id } else { deleted.id };
        store.capture(request(client, store.now(), 1))
    });
    let (answers, removed) = tokio::join!(join_all(captures), store.delete_client(deleted.id, &Actor::System));
    assert!(removed.expect("it is deleted"));
    for (number, answer) in answers.iter().enumerate() {
        let is_unknown = matches!(answer, Err(CaptureError::UnknownClient));
        assert!(
            answer.is_ok() || (number % 2 == 1 && is_unknown),
            "{number}: {answer:?}"
        );
    }
    assert_eq!(
        database.captured_rows().await,
        [20, 20, 20, 0],
        "only the other client's are there"
    );
    assert_eq!(states(&store, kept.id).await.len(), 20);
}

async fn custom_fields_are_sent_only_where_they_are_wanted(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    for wanted in [false, true] {
        let change = SettingsChange {
            include_custom_fields: Some(wanted),
            ..SettingsChange::default()
        };
        store
            .change_settings(client.id, change, &Actor::System)
            .await
            .expect("changed");
        let mut request = request(client.id, store.now(), 1);
        request.leads[0].lead = lead(&json!({"name": "J", "email": "j@example.com", "custom": {"a": 1}}));
        soon(store.capture(request)).await.expect("it is captured");
        let jobs = claim_all(&store).await;
        let body = String::from_utf8_lossy(&jobs[0].body);
        assert_eq!(body.contains(r#""custom":{"a":1}"#), wanted, "{body}");
    }
}

async fn closed_store_says_so(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    soon(store.close()).await;
    let answer = soon(store.capture(request(client.id, store.now(), 1))).await;
    assert!(
        matches!(answer, Err(CaptureError::Store(StoreError::Closed))),
        "{answer:?}"
    );
    assert!(matches!(store.client(client.id).await, Err(StoreError::Closed)));
    assert!(store.check().await.is_err());
    database
        .open()
        .await
        .client(client.id)
        .await
        .expect("it opens again")
        .expect("and has it all");
}

async fn leads_that_wait_are_bounded(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    // Leads count, not requests: sixteen of these fit, and few can be committed while the others are polled.
    let captures = (0..40).map(|_| store.capture(request(client.id, store.now(), 1_000)));
    let mut captures = captures.map(Box::pin).collect::<Vec<_>>();
    let refused = captures
        .iter_mut()
        .filter_map(futures_util::FutureExt::now_or_never)
        .collect::<Vec<_>>();
    assert!(!refused.is_empty() && refused.len() <= 24, "{}", refused.len());
    assert!(
        refused
            .iter()
            .all(|answer| matches!(answer, Err(CaptureError::Overloaded))),
        "{refused:?}"
    );
    drop(captures);
    soon(store.close()).await;
}
