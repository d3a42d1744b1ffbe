//! Destinations that are changed: another version each, what stays, and who is told.

use std::time::Duration;

use super::*;

on_both!(
    each_change_is_another_version_and_told,
    secret_that_is_kept_is_that_of_the_version_that_was_judged,
    saving_what_is_there_changes_nothing,
    resuming_forgets_why_it_was_stopped,
    lead_webhook_changes_in_step_with_the_settings_and_keeps_its_name,
);

async fn each_change_is_another_version_and_told(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let made = make(&store, client.id, "CRM").await.expect("made");
    let (lanes, _jobs) = Lanes::with_room(0, &store);
    let none = DestinationChange::default;
    let config = config("https://crm.example.com/v2");
    let template = json!({"body": "{\"name\": {{ data.name }}}"});
    let changes = [
        renamed("Customers"),
        DestinationChange {
            config: Some(config.clone()),
            ..none()
        },
        DestinationChange {
            template: Some(Some(template.clone())),
            ..none()
        },
        DestinationChange {
            retry: Some(RetryPolicy::None),
            ..none()
        },
        DestinationChange {
            rate_limit: Some(Some(limit())),
            ..none()
        },
        DestinationChange {
            ordered: Some(true),
            ..none()
        },
        DestinationChange {
            filter: Some(Some(with_phone())),
            ..none()
        },
        DestinationChange {
            is_paused: Some(true),
            ..none()
        },
    ];
    for (version, wanted) in (2..).zip(changes) {
        database.clock.advance(Duration::from_secs(1));
        let changed = change(&store, &made, wanted).await.expect("changed");
        assert_eq!((changed.version, changed.updated_at), (version, store.now()));
    }
    let read = store
        .destination(client.id, made.id)
        .await
        .expect("read")
        .expect("there");
    assert_eq!(
        (&*read.name, &read.config, &read.retry),
        ("Customers", &config, &RetryPolicy::None)
    );
    assert_eq!(read.template, Some(template));
    assert_eq!((read.rate_limit, read.ordered), (Some(limit()), true));
    assert_eq!(read.filter, Some(with_phone()));
    assert_eq!(
        (read.status, read.status_since),
        (DestinationStatus::Paused, store.now())
    );
    assert_eq!(read.secret.expose(), made.secret.expose(), "the secret stays");
    assert_eq!(*lanes.changed.lock().expect("no panic"), [made.id; 8]);
    let actions = database
        .texts("SELECT action FROM audit_log ORDER BY id DESC LIMIT 9")
        .await;
    assert_eq!(actions[0], "destination.paused");
    assert_eq!(actions[8], "destination.created");
    let without = DestinationChange {
        rate_limit: Some(None),
        filter: Some(None),
        ..none()
    };
    let changed = change(&store, &made, without).await.expect("changed");
    assert_eq!((changed.rate_limit, &changed.filter), (None, &None));
}

async fn secret_that_is_kept_is_that_of_the_version_that_was_judged(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let made = make(&store, client.id, "CRM").await.expect("made");
    let kept = DestinationChange {
        config: Some(made.config.clone()),
        kept_secrets: vec!["auth/token".to_owned()],
        judged: Some(made.version),
        ..DestinationChange::default()
    };
    change(&store, &made, kept.clone()).await.expect("as it was judged");
    let renamed = DestinationChange {
        name: Some("Customers".parse().expect("a name")),
        ..DestinationChange::default()
    };
    let renamed = change(&store, &made, renamed).await.expect("renamed");
    let refused = change(&store, &made, kept).await;
    assert!(matches!(refused, Err(ChangeError::ChangedMeanwhile)));
    let after = store
        .destination(client.id, made.id)
        .await
        .expect("read")
        .expect("there");
    assert_eq!(after.version, renamed.version, "nothing has changed");
}

async fn saving_what_is_there_changes_nothing(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let made = make(&store, client.id, "CRM").await.expect("made");
    let audited = database.number("SELECT count(*) FROM audit_log").await;
    let (lanes, _jobs) = Lanes::with_room(0, &store);
    database.clock.advance(Duration::from_secs(1));
    let same = DestinationChange {
        name: Some("CRM".parse().expect("a name")),
        config: Some(made.config.clone()),
        kept_secrets: Vec::new(),
        judged: None,
        template: Some(None),
        retry: Some(made.retry.clone()),
        rate_limit: Some(None),
        ordered: Some(false),
        filter: Some(None),
        is_paused: Some(false),
    };
    let after = change(&store, &made, same).await.expect("no error");
    assert_eq!((after.version, after.updated_at), (1, made.updated_at));
    assert!(lanes.changed.lock().expect("no panic").is_empty());
    assert_eq!(database.number("SELECT count(*) FROM audit_log").await, audited);
}

async fn resuming_forgets_why_it_was_stopped(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let made = make(&store, client.id, "CRM").await.expect("made");
    database
        .execute("UPDATE destinations SET status = 'disabled', status_reason = 'gone', version = 2 WHERE name = 'CRM'")
        .await;
    database
        .execute(
            "INSERT INTO destination_health (destination_id, client_id, failing_since, failed_attempts, is_gone, \
             is_announced) SELECT id, client_id, 1, 1, true, false FROM destinations",
        )
        .await;
    let stopped = store
        .destination(client.id, made.id)
        .await
        .expect("read")
        .expect("there");
    assert_eq!(stopped.status, DestinationStatus::Disabled);
    database.clock.advance(Duration::from_secs(1));
    let resume = DestinationChange {
        is_paused: Some(false),
        ..DestinationChange::default()
    };
    let resumed = change(&store, &made, resume).await.expect("resumed");
    assert_eq!(
        (resumed.status, &resumed.status_reason),
        (DestinationStatus::Active, &None)
    );
    assert_eq!((resumed.status_since, resumed.version), (store.now(), 3));
    let unwell = database
        .texts("SELECT name FROM destinations WHERE id IN (SELECT destination_id FROM destination_health)")
        .await;
    assert_eq!(unwell, [LEAD_WEBHOOK], "nobody else's health is forgotten");
}

async fn lead_webhook_changes_in_step_with_the_settings_and_keeps_its_name(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let webhook = lead_webhook(&store, client.id).await;
    database.clock.advance(Duration::from_secs(1));
    let wanted = DestinationChange {
        name: Some(LEAD_WEBHOOK.parse().expect("a name")),
        config: Some(config("https://example.com/b")),
        retry: Some(RetryPolicy::Standard),
        ..DestinationChange::default()
    };
    change(&store, &webhook, wanted)
        .await
        .expect("its own name is no change");
    let settings = store.settings(client.id).await.expect("read").expect("there");
    assert_eq!(settings.destination_id, Some(webhook.id));
    assert_eq!(
        settings.lead_webhook_url.expect("a URL").as_str(),
        "https://example.com/b"
    );
    assert_eq!(settings.updated_at, store.now());
    let refused = change(&store, &webhook, renamed("CRM")).await;
    assert!(matches!(refused, Err(ChangeError::NameFixed)), "{refused:?}");

    let is_deleted = store.delete_destination(client.id, webhook.id, &Actor::System).await;
    assert!(is_deleted.expect("deleted"));
    let settings = store.settings(client.id).await.expect("read").expect("there");
    assert_eq!((settings.destination_id, settings.lead_webhook_url), (None, None));
}
