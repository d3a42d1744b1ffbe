//! Destinations that clients make, change and delete.

use std::sync::Arc;

use bytes::Bytes;
use sensei_domain::{ClientId, DeliveryState, DestinationId, DestinationStatus, Filter, RateLimit, RetryPolicy};
use sensei_persistence::{
    Actor, Answer, ChangeError, Destination, DestinationChange, DestinationConfig, LEAD_WEBHOOK, NewDestination, Store,
};
use serde_json::json;

use crate::fixtures::{ALL, TestDatabase, acme, capture, on_both, request, soon, states};
use crate::lanes::Lanes;

mod changes;

on_both!(
    made_destination_gets_what_is_captured_from_then_on,
    secrets_of_a_config_are_sealed,
    name_is_unique_among_the_living_of_a_client,
    deleted_destination_cancels_what_is_bound_for_it,
    deleting_a_destination_cancels_all_that_waits_for_it,
    destination_of_another_client_is_out_of_reach,
);

fn config(url: &str) -> DestinationConfig {
    DestinationConfig::new(json!({ "url": url }), [])
}

pub(crate) fn new_destination(name: &str) -> NewDestination {
    NewDestination {
        kind: "webhook".to_owned(),
        name: name.parse().expect("a name"),
        config: config("https://crm.example.com/"),
        template: None,
        retry: RetryPolicy::Standard,
        rate_limit: None,
        ordered: false,
        filter: None,
    }
}

pub(crate) fn named(destination: &Destination) -> Answer {
    Answer {
        status: 201,
        body: Bytes::from(destination.id.to_string()),
        holds_secret: false,
    }
}

pub(crate) async fn make(store: &Store, client: ClientId, name: &str) -> Result<Destination, ChangeError> {
    let new = new_destination(name);
    let once = store.create_destination(client, &new, None, named, &Actor::System);
    Ok(once.await?.done.expect("without a key it always takes effect"))
}

async fn change(store: &Store, of: &Destination, change: DestinationChange) -> Result<Arc<Destination>, ChangeError> {
    store
        .change_destination(of.client_id, of.id, &change, &Actor::System)
        .await
}

fn limit() -> RateLimit {
    RateLimit::from_json(&json!({"requests": 5, "per": "second"}), "").expect("a limit")
}

pub(crate) fn with_phone() -> Filter {
    Filter::from_json(&json!({"path": "data.phone", "exists": true}), "").expect("a filter")
}

fn renamed(name: &str) -> DestinationChange {
    DestinationChange {
        name: Some(name.parse().expect("a name")),
        ..DestinationChange::default()
    }
}

async fn lead_webhook(store: &Store, client: ClientId) -> Arc<Destination> {
    let all = store.destinations(client, ALL).await.expect("read");
    let found = all.into_iter().find(|destination| destination.name == LEAD_WEBHOOK);
    found.expect("it has a URL")
}

async fn made_destination_gets_what_is_captured_from_then_on(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    capture(&store, client.id).await;
    let made = make(&store, client.id, "CRM").await.expect("made");
    assert_eq!((made.version, made.status), (1, DestinationStatus::Active));
    let read = store
        .destination(client.id, made.id)
        .await
        .expect("read")
        .expect("there");
    assert_eq!(
        (&*read.name, &read.config, &read.retry),
        ("CRM", &made.config, &RetryPolicy::Standard)
    );
    assert_eq!(read.secret.expose(), made.secret.expose());
    capture(&store, client.id).await;
    let bound = format!(
        "SELECT count(*) FROM deliveries d JOIN destinations t ON t.id = d.destination_id WHERE t.name = '{}'",
        made.name
    );
    assert_eq!(database.number(&bound).await, 1);
    let nobody = ClientId::new(store.now());
    let failed = make(&store, nobody, "CRM").await;
    assert!(matches!(failed, Err(ChangeError::UnknownClient)), "{failed:?}");
}

async fn secrets_of_a_config_are_sealed(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let with = |token: &str| DestinationConfig::new(json!({"channel": "leads", "token": token}), ["token"]);
    let new = NewDestination {
        config: with("s3cret-1"),
        ..new_destination("Board")
    };
    let made = store
        .create_destination(client.id, &new, None, named, &Actor::System)
        .await;
    let made = made.expect("made").done.expect("it takes effect");
    assert_eq!(made.config, with("s3cret-1"));
    let change_to = |token| DestinationChange {
        config: Some(with(token)),
        ..DestinationChange::default()
    };
    let same = change(&store, &made, change_to("s3cret-1")).await.expect("no error");
    assert_eq!(
        same.version, 1,
        "sealed anew it would be another text, but it is the same"
    );
    let changed = change(&store, &made, change_to("s3cret-2")).await.expect("changed");
    assert_eq!((changed.version, &changed.config), (2, &with("s3cret-2")));
    assert!(!format!("{changed:?}").contains("s3cret"), "{changed:?}");
    let moved = DestinationConfig::new(json!({"channel": "sales", "token": "s3cret-1"}), ["token"]);
    let stale = DestinationChange {
        config: Some(moved),
        kept_secrets: vec!["token".to_owned()],
        ..DestinationChange::default()
    };
    let moved = change(&store, &made, stale).await.expect("changed");
    let expected = json!({"channel": "sales", "token": "s3cret-2"});
    assert_eq!(
        *moved.config.expose(),
        expected,
        "who leaves the secret as it is doesn't bring back the one before"
    );
    change(&store, &made, change_to("s3cret-2"))
        .await
        .expect("changed back");

    let column = database
        .texts("SELECT config FROM destinations WHERE name = 'Board'")
        .await
        .remove(0);
    assert!(column.contains("leads") && !column.contains("s3cret"), "{column}");
    store.close().await;
    drop(store);
    let store = database.open().await;
    let read = store
        .destination(client.id, made.id)
        .await
        .expect("read")
        .expect("there");
    assert_eq!(read.config, with("s3cret-2"));
}

async fn name_is_unique_among_the_living_of_a_client(database: &TestDatabase) {
    let store = database.open().await;
    let (client, other) = (acme(&store).await, acme(&store).await);
    let first = make(&store, client.id, "CRM").await.expect("made");
    make(&store, other.id, "CRM").await.expect("another client's");
    let taken = make(&store, client.id, "CRM").await;
    assert!(matches!(taken, Err(ChangeError::NameTaken)), "{taken:?}");
    let second = make(&store, client.id, "Board").await.expect("made");
    let taken = change(&store, &second, renamed("CRM")).await;
    assert!(matches!(taken, Err(ChangeError::NameTaken)), "{taken:?}");
    for reserved in [LEAD_WEBHOOK, "Lead-Webhook"] {
        let refused = change(&store, &second, renamed(reserved)).await;
        assert!(matches!(refused, Err(ChangeError::NameReserved)), "{refused:?}");
        let refused = make(&store, client.id, reserved).await;
        assert!(matches!(refused, Err(ChangeError::NameReserved)), "{refused:?}");
    }
    let is_deleted = store.delete_destination(client.id, first.id, &Actor::System).await;
    assert!(is_deleted.expect("deleted"));
    let renamed = change(&store, &second, renamed("CRM")).await.expect("the name is free");
    assert_eq!(renamed.name, "CRM");
}

async fn deleted_destination_cancels_what_is_bound_for_it(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let made = make(&store, client.id, "CRM").await.expect("made");
    capture(&store, client.id).await;
    let (lanes, _jobs) = Lanes::with_room(0, &store);
    let delete = async || store.delete_destination(client.id, made.id, &Actor::System).await;
    assert!(delete().await.expect("deleted"));
    assert!(!delete().await.expect("no error"), "twice");
    assert_eq!(*lanes.changed.lock().expect("no panic"), [made.id]);
    let mut found = states(&store, client.id).await;
    found.sort_by_key(|state| state.name());
    assert_eq!(found, [DeliveryState::Cancelled, DeliveryState::Pending]);
    assert!(store.destination(client.id, made.id).await.expect("read").is_none());
    let after = change(&store, &made, renamed("CRM 2")).await;
    assert!(matches!(after, Err(ChangeError::UnknownDestination)), "{after:?}");
    let kept = "SELECT config || sealed_secret FROM destinations WHERE deleted_at IS NOT NULL";
    assert_eq!(database.texts(kept).await, ["{}"]);
}

/// More than are cancelled at once, pending and held.
async fn deleting_a_destination_cancels_all_that_waits_for_it(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    for state in ["pending", "held"] {
        let made = make(&store, client.id, "CRM").await.expect("made");
        for _ in 0..6 {
            let captured = store.capture(request(client.id, store.now(), 100));
            soon(captured).await.expect("captured");
        }
        let of_it = "destinations WHERE name = 'CRM' AND deleted_at IS NULL";
        database
            .execute(&format!(
                "UPDATE deliveries SET state = '{state}' WHERE destination_id IN (SELECT id FROM {of_it})"
            ))
            .await;
        let deleted = store.delete_destination(client.id, made.id, &Actor::System).await;
        assert!(deleted.expect("deleted"));
    }
    assert_eq!(
        database
            .number("SELECT count(*) FROM deliveries WHERE state = 'cancelled'")
            .await,
        1_200
    );
    assert_eq!(
        database
            .number("SELECT count(*) FROM deliveries WHERE state = 'pending'")
            .await,
        1_200
    );
}

async fn destination_of_another_client_is_out_of_reach(database: &TestDatabase) {
    let store = database.open().await;
    let (client, other) = (acme(&store).await, acme(&store).await);
    let made = make(&store, client.id, "CRM").await.expect("made");
    let change = renamed("Mine");
    for stranger in [other.id, ClientId::new(store.now())] {
        let change = store.change_destination(stranger, made.id, &change, &Actor::System);
        assert!(matches!(change.await, Err(ChangeError::UnknownDestination)));
        let delete = store.delete_destination(stranger, made.id, &Actor::System);
        assert!(!delete.await.expect("no error"));
    }
    let nothing = store.change_destination(client.id, DestinationId::new(store.now()), &change, &Actor::System);
    assert!(matches!(nothing.await, Err(ChangeError::UnknownDestination)));
    let read = store
        .destination(client.id, made.id)
        .await
        .expect("read")
        .expect("there");
    assert_eq!((&*read.name, read.version), ("CRM", 1));
}
