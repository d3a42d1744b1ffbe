//! Work on many deliveries: each once, none missed, live traffic first.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sensei_domain::{
    ClientId, DeliveryState, DestinationId, DestinationStatus, RecoveryId, RecoveryKind, RecoveryState, Trigger,
};
use sensei_persistence::{Actor, Job, LogFilter, NewRecovery, Page, Recovery, RecoveryError, SettingsChange, Store};

use crate::fixtures::{ALL, TestDatabase, URL, acme, capture, deliveries, on_both, request, soon, states};
use crate::lanes::{DELIVERED, Lanes, REFUSED, claim, claim_all, recording};

on_both!(
    each_of_a_thousand_failures_is_sent_again_once,
    successes_are_sent_again_when_asked_for,
    lead_captured_meanwhile_is_not_behind_them_all,
    stuck_destination_keeps_no_other_waiting,
    slow_destinations_keep_no_other_waiting,
    only_what_is_asked_for_is_sent_again,
    what_cannot_be_sent_is_skipped_and_counted,
    recovery_goes_on_after_a_restart,
    several_stores_share_the_work,
    leads_from_before_a_destination_are_replayed_once,
    replay_to_a_paused_destination_is_held,
    replayed_deliveries_are_found_by_what_their_old_leads_say,
    held_deliveries_are_discarded_up_to_the_moment_of_asking,
    recovery_is_cancelled_and_no_two_alike_run,
    recovery_that_cannot_go_on_ends_and_keeps_no_other,
    recoveries_go_with_their_client,
);

const FAILED: NewRecovery = NewRecovery::Redeliver {
    state: DeliveryState::Failed,
    destination_id: None,
    since: None,
    until: None,
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

/// Pages by one order and reads by another, and 763 of 1,000 are never sent and 84 twice.
async fn each_of_a_thousand_failures_is_sent_again_once(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    for _ in 0..2 {
        another_destination(database, &store, client).await;
    }
    ended(&store, client, 340, REFUSED).await;
    assert_eq!(
        database
            .number("SELECT count(*) FROM deliveries WHERE state = 'failed'")
            .await,
        1_020
    );
    let recovery = start(&store, client, FAILED).await;
    assert_eq!(
        (recovery.state, recovery.kind),
        (RecoveryState::Running, RecoveryKind::Redeliver)
    );
    // Every other one fails again while the recovery is still on its way.
    let attempted = run(&store, &recovery, |job| {
        if job.delivery_id.as_uuid().as_u128() % 2 == 0 {
            REFUSED
        } else {
            DELIVERED
        }
    })
    .await;
    assert_eq!((attempted.len(), attempted.values().max()), (1_020, Some(&1)));
    let recovery = read(&store, &recovery).await;
    assert_eq!(
        (recovery.state, recovery.done, recovery.skipped),
        (RecoveryState::Done, 1_020, 0)
    );
    assert_eq!(recovery.finished_at, Some(store.now()));
    let manual = "SELECT count(*) FROM attempts WHERE trigger_name = 'manual' AND number = 2";
    assert_eq!(database.number(manual).await, 1_020);
    assert!(!step(&store).await);
}

async fn successes_are_sent_again_when_asked_for(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    ended(&store, client, 70, DELIVERED).await;
    ended(&store, client, 5, REFUSED).await;
    let new = NewRecovery::Redeliver {
        state: DeliveryState::Succeeded,
        destination_id: Some(destination(&store, client).await),
        since: None,
        until: None,
    };
    let recovery = start(&store, client, new).await;
    let attempted = run(&store, &recovery, |_| REFUSED).await;
    assert_eq!((attempted.len(), attempted.values().max()), (70, Some(&1)));
    let succeeded = "SELECT count(*) FROM deliveries WHERE state = 'succeeded'";
    assert_eq!(database.number(succeeded).await, 70, "they stay what they were");
}

async fn lead_captured_meanwhile_is_not_behind_them_all(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    ended(&store, client, 300, REFUSED).await;
    start(&store, client, FAILED).await;
    let id = destination(&store, client).await;
    step(&store).await;
    // Fetched, but not yet ended: no more come for as long.
    assert_eq!(claim(&store, id, 1_000).await.len(), 64);
    assert!(!step(&store).await);
    assert!(claim_all(&store).await.is_empty());
    let lead = capture(&store, client).await;
    // Nor past what is due and was fetched by nobody.
    step(&store).await;
    let next = claim(&store, id, 1_000).await;
    assert_eq!(next.len(), 1);
    let delivery = store
        .delivery(client, next[0].delivery_id)
        .await
        .expect("read")
        .expect("there")
        .0;
    assert_eq!(delivery.lead_id, Some(lead));
}

async fn stuck_destination_keeps_no_other_waiting(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    let stuck = destination(&store, client).await;
    let other = another_destination(database, &store, client).await;
    ended(&store, client, 200, REFUSED).await;
    let recovery = start(&store, client, FAILED).await;
    for _ in 0..10 {
        step(&store).await;
        let jobs = claim(&store, other, 1_000).await;
        record_all(&store, &jobs, |_| DELIVERED).await;
    }
    let succeeded = "SELECT count(*) FROM deliveries WHERE state = 'succeeded'";
    assert_eq!(database.number(succeeded).await, 200);
    assert_eq!(read(&store, &recovery).await.done, 264);
    let attempted = run(&store, &recovery, |_| DELIVERED).await;
    assert_eq!(attempted.len(), 200);
    assert_eq!(database.number(succeeded).await, 400, "and those of {stuck} come too");
}

async fn slow_destinations_keep_no_other_waiting(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    for _ in 0..5 {
        another_destination(database, &store, client).await;
    }
    ended(&store, client, 70, REFUSED).await;
    start(&store, client, FAILED).await;
    let mut reached = HashSet::new();
    for _ in 0..3 {
        step(&store).await;
        for destination in store.due_destinations().await.expect("read").destinations {
            let jobs = claim(&store, destination, 1_000).await;
            reached.insert(destination);
            record_all(&store, &jobs[..1], |_| DELIVERED).await;
        }
    }
    assert_eq!(reached.len(), 6);
}

async fn only_what_is_asked_for_is_sent_again(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    let began = store.now();
    for _ in 0..4 {
        ended(&store, client, 3, REFUSED).await;
        database.clock.advance(Duration::from_secs(1));
    }
    let at = |seconds| Some(began.after(Duration::from_secs(seconds)));
    let id = destination(&store, client).await;
    for (since, until, expected) in [(at(1), at(3), 6), (at(3), None, 3), (None, at(1), 3), (at(4), None, 0)] {
        let new = NewRecovery::Redeliver {
            state: DeliveryState::Failed,
            destination_id: Some(id),
            since,
            until,
        };
        let recovery = start(&store, client, new).await;
        let criteria = read(&store, &recovery).await.criteria;
        assert_eq!(
            (criteria.since, criteria.until, criteria.destination_id),
            (since, until, Some(id))
        );
        // Captured after it was asked for, whatever its criteria say.
        database.clock.advance(Duration::from_millis(1));
        assert_eq!(
            run(&store, &recovery, |_| REFUSED).await.len(),
            expected,
            "{since:?} {until:?}"
        );
    }
    let recovery = start(&store, client, FAILED).await;
    database.clock.advance(Duration::from_millis(1));
    ended(&store, client, 2, REFUSED).await;
    assert_eq!(
        run(&store, &recovery, |_| REFUSED).await.len(),
        12,
        "not those that came later"
    );
}

async fn what_cannot_be_sent_is_skipped_and_counted(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    ended(&store, client, 3, REFUSED).await;
    set_url(&store, client, None).await;
    set_url(&store, client, Some(URL)).await;
    ended(&store, client, 4, REFUSED).await;
    let paused = destination(&store, client).await;
    database
        .execute("UPDATE destinations SET status = 'paused', version = 2 WHERE deleted_at IS NULL")
        .await;
    another_destination(database, &store, client).await;
    ended(&store, client, 0, REFUSED).await;
    let erased = capture(&store, client).await;
    ended(&store, client, 1, REFUSED).await;
    store.erase_lead(client, erased, &Actor::System).await.expect("erased");

    let new = NewRecovery::Redeliver {
        state: DeliveryState::Failed,
        destination_id: Some(paused),
        since: None,
        until: None,
    };
    let refused = store.start_recovery(client, new, &Actor::System).await;
    assert!(
        matches!(refused, Err(RecoveryError::Inactive(DestinationStatus::Paused))),
        "{refused:?}"
    );
    let failed = "SELECT count(*) FROM deliveries WHERE state = 'failed'";
    let failed = database.number(failed).await;
    let recovery = start(&store, client, FAILED).await;
    assert_eq!(run(&store, &recovery, |_| DELIVERED).await.len(), 1);
    let recovery = read(&store, &recovery).await;
    assert_eq!((recovery.state, recovery.done), (RecoveryState::Done, 1));
    assert_eq!(i64::try_from(recovery.skipped).expect("few"), failed - 1);
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

async fn leads_from_before_a_destination_are_replayed_once(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    set_url(&store, client, None).await;
    ended(&store, client, 600, DELIVERED).await;
    let erased = capture(&store, client).await;
    store.erase_lead(client, erased, &Actor::System).await.expect("erased");
    database.clock.advance(Duration::from_secs(1));
    set_url(&store, client, Some(URL)).await;
    ended(&store, client, 3, DELIVERED).await;
    let destination_id = destination(&store, client).await;
    let replay = |since, until| NewRecovery::Replay {
        destination_id,
        since,
        until,
    };
    let recovery = start(&store, client, replay(None, None)).await;
    assert!(step(&store).await || read(&store, &recovery).await.done == 64);
    let first = claim_all(&store).await;
    assert_eq!((first.len(), first[0].trigger), (64, Trigger::Replay));
    record_all(&store, &first, |_| DELIVERED).await;
    let attempted = run(&store, &recovery, |_| DELIVERED).await;
    assert_eq!((attempted.len(), attempted.values().max()), (536, Some(&1)));
    let recovery = read(&store, &recovery).await;
    assert_eq!(
        (recovery.state, recovery.done, recovery.error),
        (RecoveryState::Done, 600, None)
    );
    let events = "SELECT count(DISTINCT event_id) FROM deliveries";
    assert_eq!(database.number(events).await, 603);
    assert_eq!(database.number("SELECT count(*) FROM deliveries").await, 603);

    // Again, or of another time: nothing is left.
    let since = Some(store.now());
    for new in [replay(None, None), replay(since, None)] {
        let recovery = start(&store, client, new).await;
        assert!(run(&store, &recovery, |_| DELIVERED).await.is_empty());
        assert_eq!(read(&store, &recovery).await.done, 0);
    }
}

async fn replay_to_a_paused_destination_is_held(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    set_url(&store, client, None).await;
    ended(&store, client, 2, DELIVERED).await;
    database.clock.advance(Duration::from_secs(1));
    set_url(&store, client, Some(URL)).await;
    database
        .execute("UPDATE destinations SET status = 'paused', version = 2")
        .await;
    let new = NewRecovery::Replay {
        destination_id: destination(&store, client).await,
        since: None,
        until: None,
    };
    let recovery = start(&store, client, new).await;
    assert!(run(&store, &recovery, |_| DELIVERED).await.is_empty());
    assert_eq!(states(&store, client).await, [DeliveryState::Held; 2]);
    assert_eq!(read(&store, &recovery).await.done, 2);
}

/// There are more such leads than a page of the log is looked for in, and all deliveries are newer than all leads.
async fn replayed_deliveries_are_found_by_what_their_old_leads_say(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    set_url(&store, client, None).await;
    ended(&store, client, 600, DELIVERED).await;
    database.clock.advance(Duration::from_secs(1));
    set_url(&store, client, Some(URL)).await;
    let destination_id = destination(&store, client).await;
    let new = NewRecovery::Replay {
        destination_id,
        since: None,
        until: None,
    };
    let recovery = start(&store, client, new).await;
    run(&store, &recovery, |_| DELIVERED).await;
    let filter = LogFilter {
        text: Some("john".to_owned()),
        ..LogFilter::default()
    };
    for limit in [1_000, 170] {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let page = store.log(client, &filter, Page { limit, before }).await.expect("read");
            let ids = page
                .deliveries
                .iter()
                .map(|logged| logged.delivery.id)
                .collect::<Vec<_>>();
            assert!(ids.is_sorted_by(|one, other| one > other), "the newest first");
            found.extend(ids);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(found.len(), 600, "in pages of {limit}");
        assert_eq!(found.iter().collect::<HashSet<_>>().len(), 600, "each once");
    }
}

async fn held_deliveries_are_discarded_up_to_the_moment_of_asking(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    soon(store.capture(request(client, store.now(), 600)))
        .await
        .expect("captured");
    let hold = "UPDATE deliveries SET state = 'held', due_at = NULL WHERE state = 'pending'";
    database.execute(hold).await;
    let new = NewRecovery::Discard {
        destination_id: destination(&store, client).await,
    };
    let recovery = start(&store, client, new).await;
    database.clock.advance(Duration::from_millis(1));
    capture(&store, client).await;
    database.execute(hold).await;
    assert!(step(&store).await, "more need not wait");
    assert_eq!(read(&store, &recovery).await.done, 512);
    run(&store, &recovery, |_| DELIVERED).await;
    assert_eq!(read(&store, &recovery).await.done, 600);
    let states = deliveries(&store, client).await;
    assert_eq!(
        states
            .iter()
            .filter(|one| one.state == DeliveryState::Cancelled)
            .count(),
        600
    );
    assert_eq!(states[0].state, DeliveryState::Held, "it came later");
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
