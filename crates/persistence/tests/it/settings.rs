//! The Lead Webhook URL's life as a destination.

use sea_orm::ConnectionTrait as _;
use sensei_domain::{ClientId, DeliveryState, DestinationStatus, LeadForm, RetryPolicy};
use sensei_persistence::{Actor, CaptureError, Destination, LEAD_WEBHOOK, Settings, SettingsChange, Store};
use std::sync::Arc;
use std::time::Duration;

use crate::fixtures::{ALL, TestDatabase, acme, capture, create, on_both, request, soon, states};
use crate::lanes::{DELIVERED, Lanes, claim_all, record};

on_both!(
    url_makes_a_destination,
    changed_url_is_another_version_with_the_same_secret,
    same_url_changes_nothing,
    emptied_url_deletes_the_destination_and_cancels_its_deliveries,
    url_after_an_emptied_one_is_a_new_destination,
    settings_of_nobody_are_none,
    other_settings_leave_the_url_alone,
    next_lead_goes_by_what_was_changed_meanwhile,
    form_and_origins_are_kept_until_they_are_taken_away,
);

async fn set(store: &Store, client: ClientId, url: Option<&str>) -> Settings {
    let url = url.map(|url| url.parse().expect("a URL"));
    let change = SettingsChange {
        lead_webhook_url: Some(url),
        ..SettingsChange::default()
    };
    let settings = store
        .change_settings(client, change, &Actor::System)
        .await
        .expect("changed")
        .expect("there");
    assert_eq!(
        store.settings(client).await.expect("read").as_ref(),
        Some(&settings),
        "what it says is what is there"
    );
    settings
}

async fn destination(store: &Store, client: ClientId) -> Arc<Destination> {
    let mut found = store.destinations(client, ALL).await.expect("read");
    assert_eq!(found.len(), 1);
    found.remove(0)
}

async fn url_makes_a_destination(database: &TestDatabase) {
    let store = database.open().await;
    let created = create(&store, "Acme Corp", None).await;
    assert_eq!(
        (created.settings.lead_webhook_url, created.settings.destination_id),
        (None, None)
    );
    let settings = set(&store, created.client.id, Some("https://example.com/a")).await;
    let made = destination(&store, created.client.id).await;
    assert_eq!(Some(made.id), settings.destination_id);
    assert_eq!(
        (made.kind.as_str(), made.name.as_str(), made.version),
        ("webhook", LEAD_WEBHOOK, 1)
    );
    assert_eq!(
        (made.status, &made.retry),
        (DestinationStatus::Active, &RetryPolicy::None)
    );
    assert_eq!(
        *made.config.expose(),
        serde_json::json!({"url": "https://example.com/a"})
    );
    assert!(made.secret.expose().starts_with("whsec_"));
    let alone = store
        .destination(created.client.id, made.id)
        .await
        .expect("read")
        .expect("there");
    assert_eq!(alone.id, made.id);
    let other = create(&store, "Other", None).await.client;
    assert!(
        store.destination(other.id, made.id).await.expect("read").is_none(),
        "nobody else's"
    );
}

async fn changed_url_is_another_version_with_the_same_secret(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let (lanes, _jobs) = Lanes::with_room(0, &store);
    let before = destination(&store, client.id).await;
    database.clock.advance(Duration::from_secs(1));
    set(&store, client.id, Some("https://example.com/b")).await;
    let after = destination(&store, client.id).await;
    assert_eq!(
        (after.id, after.version, after.secret.expose()),
        (before.id, 2, before.secret.expose())
    );
    assert_eq!(after.config.expose()["url"], "https://example.com/b");
    assert_eq!((after.created_at, after.updated_at), (before.created_at, store.now()));
    assert_eq!(*lanes.changed.lock().expect("no panic"), [before.id]);
}

async fn same_url_changes_nothing(database: &TestDatabase) {
    let store = database.open().await;
    let client = create(&store, "Acme Corp", Some("https://example.com/a")).await.client;
    let audited = database.number("SELECT count(*) FROM audit_log").await;
    let (lanes, _jobs) = Lanes::with_room(0, &store);
    database.clock.advance(Duration::from_secs(1));
    let settings = set(&store, client.id, Some("https://example.com/a")).await;
    assert_eq!(settings.updated_at, client.updated_at);
    assert_eq!(destination(&store, client.id).await.version, 1);
    assert!(lanes.changed.lock().expect("no panic").is_empty());
    assert_eq!(database.number("SELECT count(*) FROM audit_log").await, audited);
}

async fn emptied_url_deletes_the_destination_and_cancels_its_deliveries(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let other = acme(&store).await;
    for _ in 0..3 {
        capture(&store, client.id).await;
    }
    let jobs = claim_all(&store).await;
    capture(&store, other.id).await;
    let (lanes, _jobs) = Lanes::with_room(0, &store);
    record(&store, &jobs[0], DELIVERED).await;
    let settings = set(&store, client.id, None).await;
    assert_eq!((settings.lead_webhook_url, settings.destination_id), (None, None));
    assert!(store.destinations(client.id, ALL).await.expect("read").is_empty());
    assert_eq!(*lanes.changed.lock().expect("no panic"), [jobs[0].destination.id]);
    let mut found = states(&store, client.id).await;
    found.sort_by_key(|state| state.name());
    assert_eq!(
        found,
        [
            DeliveryState::Cancelled,
            DeliveryState::Cancelled,
            DeliveryState::Succeeded
        ]
    );
    assert_eq!(states(&store, other.id).await, [DeliveryState::Pending]);
    record(&store, &jobs[1], DELIVERED).await;
    assert_eq!(
        states(&store, client.id)
            .await
            .iter()
            .filter(|s| **s == DeliveryState::Cancelled)
            .count(),
        2
    );
    assert!(
        set(&store, client.id, None).await.lead_webhook_url.is_none(),
        "emptying twice is no error"
    );
    let kept = database
        .texts("SELECT config || sealed_secret FROM destinations WHERE deleted_at IS NOT NULL")
        .await;
    assert_eq!(kept, ["{}"], "neither its URL nor its secret is kept");
    capture(&store, client.id).await;
    assert_eq!(
        states(&store, client.id).await.len(),
        3,
        "nothing is bound for it any more"
    );
}

async fn url_after_an_emptied_one_is_a_new_destination(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let before = destination(&store, client.id).await;
    set(&store, client.id, None).await;
    set(&store, client.id, Some("https://example.com/a")).await;
    let after = destination(&store, client.id).await;
    assert_ne!(after.id, before.id);
    assert_ne!(after.secret.expose(), before.secret.expose());
    capture(&store, client.id).await;
    assert_eq!(claim_all(&store).await[0].destination.id, after.id);
}

async fn settings_of_nobody_are_none(database: &TestDatabase) {
    let store = database.open().await;
    let nobody = ClientId::new(store.now());
    assert_eq!(store.settings(nobody).await.expect("read"), None);
    let change = SettingsChange {
        include_custom_fields: Some(true),
        ..SettingsChange::default()
    };
    assert_eq!(
        store
            .change_settings(nobody, change, &Actor::System)
            .await
            .expect("no error"),
        None
    );
}

async fn other_settings_leave_the_url_alone(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    database.clock.advance(Duration::from_secs(1));
    let change = SettingsChange {
        include_custom_fields: Some(true),
        ..SettingsChange::default()
    };
    let settings = store
        .change_settings(client.id, change, &Actor::System)
        .await
        .expect("changed")
        .expect("there");
    assert!(settings.include_custom_fields && settings.lead_webhook_url.is_some());
    assert_eq!(settings.updated_at, store.now());
    let client = store.client(client.id).await.expect("read").expect("there");
    assert!(client.include_custom_fields);
    assert_eq!(destination(&store, client.id).await.version, 1);
}

/// By this process or another one: what was read for the lead before doesn't count any more.
async fn next_lead_goes_by_what_was_changed_meanwhile(database: &TestDatabase) {
    let store = database.open().await;
    let other = if database.is_sqlite() {
        store.clone()
    } else {
        database.open().await
    };
    let client = acme(&store).await.id;
    let (lanes, mut jobs) = Lanes::with_room(100, &store);
    let mut url_and_body = async || {
        capture(&store, client).await;
        let job = jobs.try_recv().expect("handed over before the caller is answered");
        let body = String::from_utf8(job.body.to_vec()).expect("JSON");
        (job.destination.config.expose()["url"].as_str().map(str::to_owned), body)
    };
    for _ in 0..2 {
        url_and_body().await;
    }
    set(&other, client, Some("https://example.com/b")).await;
    assert_eq!(url_and_body().await.0.as_deref(), Some("https://example.com/b"));
    let name = "Renamed".parse().expect("a name");
    let renamed = other.rename_client(client, name, &Actor::System).await;
    renamed.expect("renamed").expect("there");
    let (_, body) = url_and_body().await;
    assert!(body.contains("Renamed"), "{body}");
    // By hand, as no program of ours would.
    database
        .execute("UPDATE destinations SET config = '{\"url\": \"https://example.com/c\"}', version = 77")
        .await;
    assert_eq!(url_and_body().await.0.as_deref(), Some("https://example.com/c"));
    let room = lanes.room();
    assert!(other.delete_client(client, &Actor::System).await.expect("deleted"));
    let captured = store.capture(request(client, store.now(), 1)).await;
    assert!(matches!(captured, Err(CaptureError::UnknownClient)), "{captured:?}");
    assert_eq!(lanes.room(), room, "a place that was taken for it is free again");
}

/// The statement that writes a known client's leads has begun by then, and looks again at what it waited for.
#[tokio::test(flavor = "multi_thread")]
async fn lead_that_waits_for_a_change_goes_by_it() {
    let Some(database) = TestDatabase::postgres() else {
        return;
    };
    let store = database.open().await;
    let client = acme(&store).await.id;
    let (_lanes, mut jobs) = Lanes::with_room(100, &store);
    capture(&store, client).await;
    soon(jobs.recv()).await.expect("handed over");
    let change = database.connection().await;
    let sql = "BEGIN; UPDATE destinations SET config = '{\"url\": \"https://example.com/b\"}', version = version + 1";
    change.execute_unprepared(sql).await.expect("changed");
    let capturing = tokio::spawn({
        let store = store.clone();
        async move { capture(&store, client).await }
    });
    database.somebody_waits_for_a_lock().await;
    change.execute_unprepared("COMMIT").await.expect("committed");
    soon(capturing).await.expect("captured");
    let job = soon(jobs.recv()).await.expect("handed over");
    assert_eq!(job.destination.config.expose()["url"], "https://example.com/b");
    assert_eq!(states(&store, client).await.len(), 2, "once each");
}

async fn form_and_origins_are_kept_until_they_are_taken_away(database: &TestDatabase) {
    let store = database.open().await;
    let (client, other) = (acme(&store).await, acme(&store).await);
    let own = serde_json::json!({"lang": "fr", "texts": {"title": "Écrivez-nous"}});
    let own = LeadForm::from_json_at(&own, "").expect("a form");
    let origins = vec!["https://acme.example".parse().expect("an origin")];
    let change = |origins, form| SettingsChange {
        allowed_origins: Some(origins),
        form: Some(form),
        ..SettingsChange::default()
    };
    let version = "SELECT CAST(sum(destinations_version) AS BIGINT) FROM clients";
    let before = database.number(version).await;
    for (origins, form) in [(origins, own), (Vec::new(), LeadForm::default())] {
        let changed = store.change_settings(client.id, change(origins.clone(), form.clone()), &Actor::System);
        let changed = changed.await.expect("changed").expect("there");
        assert_eq!((&changed.allowed_origins, &changed.form), (&origins, &form));
        assert_eq!(store.settings(client.id).await.expect("read"), Some(changed));
        let public = store.public_form(client.id).await.expect("read").expect("there");
        assert_eq!((public.allowed_origins, public.form), (origins, form));
    }
    let theirs = store.settings(other.id).await.expect("read").expect("there");
    assert_eq!((theirs.allowed_origins, theirs.form), (Vec::new(), LeadForm::default()));
    // Captures needn't read the client's destinations again for it.
    assert_eq!(database.number(version).await, before);
    let noted = "SELECT count(*) FROM audit_log WHERE action = 'settings.changed'";
    assert_eq!(database.number(noted).await, 2);
    assert_eq!(store.public_form(ClientId::new(store.now())).await.expect("read"), None);
}
