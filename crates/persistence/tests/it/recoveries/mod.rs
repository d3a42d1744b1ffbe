//! Work on many deliveries: its beginning, its end, and who does it.

mod redelivering;
mod replaying;

use std::collections::HashMap;

use sensei_domain::{ClientId, DeliveryState, DestinationId, RecoveryId, RecoveryState};
use sensei_persistence::{Actor, Job, NewRecovery, Recovery, RecoveryError, SettingsChange, Store};

use crate::fixtures::{ALL, TestDatabase, URL, acme, on_both, request, soon, states};
use crate::lanes::{DELIVERED, Lanes, REFUSED, claim_all, recording};

on_both!(
    recovery_goes_on_after_a_restart,
    several_stores_share_the_work,
    recovery_is_cancelled_and_no_two_alike_run,
    recovery_that_cannot_go_on_ends_and_keeps_no_other,
    recoveries_go_with_their_client,
);

const FAILED: NewRecovery = NewRecovery::Redeliver {
    state: DeliveryState::Failed,
    destination_id: None,
    since: None,
    until: None,
    completed_since: None,
};

/// One more destination: the former Lead Webhook gets another name, so that there can be a new one.
async fn another_destination(database: &TestDatabase, store: &Store, client: ClientId) -> DestinationId {
    database
        .execute(
            "UPDATE destinations SET name = name || '-' || substr(CAST(created_at AS TEXT), 1, 3) || version || \
                  (SELECT count(*) FROM destinations) WHERE name = 'lead-webhook'",
        )
        .await;
    set_url(store, client, Some(URL)).await;
    destination(store, client).await
}

async fn set_url(store: &Store, client: ClientId, url: Option<&str>) {
    let change = SettingsChange {
        lead_webhook_url: Some(url.map(|url| url.parse().expect("a URL"))),
        include_custom_fields: None,
        ..SettingsChange::default()
    };
    let changed = store.change_settings(client, change, &Actor::System).await;
    changed.expect("changed").expect("there");
}

async fn destination(store: &Store, client: ClientId) -> DestinationId {
    let settings = store.settings(client).await.expect("read").expect("there");
    settings.destination_id.expect("it has a URL")
}

async fn start(store: &Store, client: ClientId, new: NewRecovery) -> Recovery {
    store
        .start_recovery(client, new, &Actor::System)
        .await
        .expect("started")
}

async fn read(store: &Store, recovery: &Recovery) -> Recovery {
    let found = store.recovery(recovery.client_id, recovery.id).await;
    found.expect("read").expect("there")
}

async fn step(store: &Store) -> bool {
    soon(store.advance_recoveries()).await.expect("a step")
}

/// Captures leads, and lets all that is due end so.
async fn ended(store: &Store, client: ClientId, leads: usize, what: (sensei_domain::Outcome, sensei_domain::Verdict)) {
    soon(store.capture(request(client, store.now(), leads)))
        .await
        .expect("captured");
    loop {
        let jobs = claim_all(store).await;
        if jobs.is_empty() {
            return;
        }
        record_all(store, &jobs, |_| what).await;
    }
}

async fn record_all(
    store: &Store,
    jobs: &[Job],
    what: impl Fn(&Job) -> (sensei_domain::Outcome, sensei_domain::Verdict),
) {
    let mut all_stored = Vec::new();
    for job in jobs {
        let (recording, stored) = recording(store, job, what(job));
        store.record(recording);
        all_stored.push(stored);
    }
    for stored in all_stored {
        soon(stored).await.expect_err("dropped");
    }
}

/// Attempts whatever becomes due until the recovery has ended; says how often each delivery was attempted.
async fn run(
    store: &Store,
    recovery: &Recovery,
    what: impl Fn(&Job) -> (sensei_domain::Outcome, sensei_domain::Verdict),
) -> HashMap<sensei_domain::DeliveryId, usize> {
    let mut attempted = HashMap::new();
    let mut steps = 0;
    while read(store, recovery).await.state == RecoveryState::Running {
        step(store).await;
        let jobs = claim_all(store).await;
        for job in &jobs {
            *attempted.entry(job.delivery_id).or_default() += 1;
        }
        record_all(store, &jobs, &what).await;
        steps += 1;
        assert!(steps < 1_000, "it comes to no end");
    }
    attempted
}

async fn recovery_goes_on_after_a_restart(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    ended(&store, client, 150, REFUSED).await;
    let recovery = start(&store, client, FAILED).await;
    step(&store).await;
    let jobs = claim_all(&store).await;
    record_all(&store, &jobs[..20], |_| DELIVERED).await;
    soon(store.close()).await;
    let store = database.open().await;
    database.clock.advance(crate::fixtures::LEASE);
    let attempted = run(&store, &recovery, |_| DELIVERED).await;
    assert_eq!(attempted.len(), 130);
    assert_eq!(read(&store, &recovery).await.done, 150);
    assert_eq!(states(&store, client).await, [DeliveryState::Succeeded; 150]);
}

async fn several_stores_share_the_work(database: &TestDatabase) {
    let store = database.open().await;
    // SQLite has one process; there two tasks share the store.
    let other = if database.is_sqlite() {
        store.clone()
    } else {
        database.open().await
    };
    let client = acme(&store).await.id;
    ended(&store, client, 200, REFUSED).await;
    let recovery = start(&store, client, FAILED).await;
    let runs = [store.clone(), other].map(|store| {
        let recovery = recovery.clone();
        tokio::spawn(async move { run(&store, &recovery, |_| REFUSED).await.len() })
    });
    let mut attempted = 0;
    for run in runs {
        attempted += run.await.expect("no panic");
    }
    // The last may have been made due by one store and fetched by none.
    attempted += claim_all(&store).await.len();
    assert_eq!((attempted, read(&store, &recovery).await.done), (200, 200));
}

async fn recovery_is_cancelled_and_no_two_alike_run(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    ended(&store, client, 100, REFUSED).await;
    let recovery = start(&store, client, FAILED).await;
    let again = store.start_recovery(client, FAILED, &Actor::System).await;
    assert!(
        matches!(again, Err(RecoveryError::Running(id)) if id == recovery.id),
        "{again:?}"
    );
    // What was refused may hold its row for a moment more, and a row that is held is passed over.
    soon(async {
        while read(&store, &recovery).await.done == 0 {
            step(&store).await;
        }
    })
    .await;
    let cancelled = store
        .cancel_recovery(client, recovery.id, &Actor::System)
        .await
        .expect("cancelled");
    assert_eq!((cancelled.state, cancelled.done), (RecoveryState::Cancelled, 64));
    assert_eq!(read(&store, &recovery).await, cancelled);
    assert!(!step(&store).await);
    assert_eq!(claim_all(&store).await.len(), 64, "what was due stays due");
    assert!(claim_all(&store).await.is_empty());
    let ended = store.cancel_recovery(client, recovery.id, &Actor::System).await;
    assert!(
        matches!(ended, Err(RecoveryError::Ended(RecoveryState::Cancelled))),
        "{ended:?}"
    );
    let second = start(&store, client, FAILED).await;

    let other = acme(&store).await.id;
    for (client, id) in [(other, recovery.id), (client, RecoveryId::new(store.now()))] {
        assert!(store.recovery(client, id).await.expect("read").is_none());
        let answer = store.cancel_recovery(client, id, &Actor::System).await;
        assert!(matches!(answer, Err(RecoveryError::Unknown)), "{answer:?}");
    }
    let listed = store.recoveries(client, ALL).await.expect("read");
    assert_eq!(
        listed.iter().map(|one| one.id).collect::<Vec<_>>(),
        [second.id, recovery.id]
    );
    let nobody = ClientId::new(store.now());
    let answer = store.start_recovery(nobody, FAILED, &Actor::System).await;
    assert!(matches!(answer, Err(RecoveryError::UnknownClient)), "{answer:?}");
    let new = NewRecovery::Discard {
        destination_id: destination(&store, other).await,
    };
    let answer = store.start_recovery(client, new, &Actor::System).await;
    assert!(matches!(answer, Err(RecoveryError::UnknownDestination)), "{answer:?}");
}

async fn recovery_that_cannot_go_on_ends_and_keeps_no_other(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    ended(&store, client, 2, REFUSED).await;
    let damaged = start(&store, client, FAILED).await;
    database.execute("UPDATE recoveries SET positions = 'nonsense'").await;
    let destination_id = destination(&store, client).await;
    let new = NewRecovery::Replay {
        destination_id,
        since: None,
        until: None,
    };
    let orphaned = start(&store, client, new).await;
    set_url(&store, client, None).await;
    for (recovery, words) in [(damaged, "server's log"), (orphaned, "destination was deleted")] {
        // On PostgreSQL the step that failed may hold its locks for a moment longer: the next one ends the recovery then.
        let recovery = soon(async {
            loop {
                step(&store).await;
                let recovery = read(&store, &recovery).await;
                if recovery.state != RecoveryState::Running {
                    break recovery;
                }
            }
        })
        .await;
        assert_eq!(recovery.state, RecoveryState::Cancelled);
        let error = recovery.error.expect("it says why");
        assert!(error.contains(words), "{error}");
    }
}

async fn recoveries_go_with_their_client(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    ended(&store, client, 2, REFUSED).await;
    let (lanes, _jobs) = Lanes::with_room(0, &store);
    start(&store, client, FAILED).await;
    step(&store).await;
    assert_eq!(
        lanes.left_behind.lock().expect("no panic").len(),
        1,
        "the lanes are told"
    );
    store.delete_client(client, &Actor::System).await.expect("deleted");
    assert_eq!(database.number("SELECT count(*) FROM recoveries").await, 0);
    assert!(!step(&store).await);
}
