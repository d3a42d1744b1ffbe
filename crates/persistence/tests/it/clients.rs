//! Clients and what ends with them.

use sensei_domain::ClientId;
use sensei_persistence::{Actor, Page};

use crate::fixtures::{ALL, TestDatabase, URL, acme, capture, create, on_both};
use crate::lanes::{DELIVERED, Lanes, claim_all, record};

on_both!(
    client_is_created_with_all_it_needs,
    clients_are_listed_newest_first_page_by_page,
    renamed_client_is_named_so_in_later_events,
    deleted_client_takes_everything_with_it,
    changes_are_audited,
);

async fn client_is_created_with_all_it_needs(database: &TestDatabase) {
    let store = database.open().await;
    let created = create(&store, "Acme Corp", Some(URL)).await;
    let client = store.client(created.client.id).await.expect("read").expect("there");
    assert_eq!(client, created.client);
    assert_eq!((client.name.as_str(), client.created_at), ("Acme Corp", store.now()));
    assert_eq!(store.settings(client.id).await.expect("read"), Some(created.settings));
    assert!(created.publishable_key.text.starts_with("pk_"));
    assert_eq!(created.publishable_key.key.client_id, Some(client.id));
    assert_eq!(store.client(ClientId::new(store.now())).await.expect("read"), None);
}

async fn clients_are_listed_newest_first_page_by_page(database: &TestDatabase) {
    let store = database.open().await;
    let mut created = Vec::new();
    for number in 0..5 {
        database.clock.advance(std::time::Duration::from_millis(1));
        created.push(create(&store, &format!("Client {number}"), None).await.client);
    }
    created.reverse();
    let mut listed = Vec::new();
    let mut before = None;
    loop {
        let page = store.clients(Page { limit: 2, before }).await.expect("listed");
        let Some(last) = page.last() else { break };
        before = Some(last.id.as_uuid());
        listed.extend(page);
    }
    assert_eq!(listed, created);
}

async fn renamed_client_is_named_so_in_later_events(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    capture(&store, client.id).await;
    // Ids of one millisecond are in order only if one thread made them.
    database.clock.advance(std::time::Duration::from_millis(1));
    let name = "Acme \"Ltd\"".parse().expect("a name");
    let renamed = store
        .rename_client(client.id, name, &Actor::System)
        .await
        .expect("renamed")
        .expect("there");
    assert_eq!(renamed.name, "Acme \"Ltd\"");
    assert_eq!(store.client(client.id).await.expect("read"), Some(renamed));
    capture(&store, client.id).await;
    let mut jobs = claim_all(&store).await;
    jobs.sort_by_key(|job| job.event_id);
    let bodies = jobs
        .iter()
        .map(|job| String::from_utf8_lossy(&job.body).into_owned())
        .collect::<Vec<_>>();
    assert!(bodies[0].contains(r#""clientName":"Acme Corp""#), "{}", bodies[0]);
    assert!(bodies[1].contains(r#""clientName":"Acme \"Ltd\"""#), "{}", bodies[1]);
    let nobody = ClientId::new(store.now());
    let name = "Nobody".parse().expect("a name");
    assert_eq!(
        store
            .rename_client(nobody, name, &Actor::System)
            .await
            .expect("no error"),
        None
    );
}

async fn deleted_client_takes_everything_with_it(database: &TestDatabase) {
    let store = database.open().await;
    let (deleted, kept) = (
        create(&store, "Gone", Some(URL)).await,
        create(&store, "Kept", Some(URL)).await,
    );
    for client in [&deleted, &kept] {
        capture(&store, client.client.id).await;
    }
    let jobs = claim_all(&store).await;
    for job in &jobs {
        record(&store, job, DELIVERED).await;
    }
    for client in [&deleted, &kept] {
        let access = store.authenticate(&client.publishable_key.text).await.expect("read");
        assert!(access.is_some(), "it is in the cache now");
    }
    let (lanes, _jobs) = Lanes::with_room(0, &store);
    assert!(
        store
            .delete_client(deleted.client.id, &Actor::System)
            .await
            .expect("deleted")
    );
    assert!(
        !store
            .delete_client(deleted.client.id, &Actor::System)
            .await
            .expect("no error")
    );
    assert_eq!(
        Some(lanes.changed.lock().expect("no panic")[0]),
        deleted.settings.destination_id
    );
    for table in [
        "leads",
        "events",
        "deliveries",
        "attempts",
        "destinations",
        "api_keys",
        "clients",
    ] {
        assert_eq!(
            database.number(&format!("SELECT count(*) FROM {table}")).await,
            1,
            "{table}"
        );
    }
    assert_eq!(store.clients(ALL).await.expect("listed"), [kept.client]);
    assert_eq!(
        store.authenticate(&deleted.publishable_key.text).await.expect("read"),
        None
    );
    assert!(
        store
            .authenticate(&kept.publishable_key.text)
            .await
            .expect("read")
            .is_some()
    );
}

async fn changes_are_audited(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let key = sensei_domain::KeyId::new(store.now());
    let name = "Other".parse().expect("a name");
    store
        .rename_client(client.id, name, &Actor::Key(key))
        .await
        .expect("renamed");
    store.delete_client(client.id, &Actor::Key(key)).await.expect("deleted");
    let entries = database
        .texts("SELECT actor || ' ' || action || ' ' || subject FROM audit_log ORDER BY id")
        .await;
    let id = client.id;
    assert!(entries.contains(&format!("system client.created {id}")), "{entries:?}");
    assert!(
        entries.contains(&format!("key:{key} client.renamed {id}")),
        "{entries:?}"
    );
    assert!(
        entries.contains(&format!("key:{key} client.deleted {id}")),
        "{entries:?}"
    );
    let actions = database.texts("SELECT action FROM audit_log ORDER BY action").await;
    assert_eq!(
        actions,
        [
            "client.created",
            "client.deleted",
            "client.renamed",
            "destination.created",
            "key.created"
        ]
    );
}
