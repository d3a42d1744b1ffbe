//! Many are sent again: each once, none missed, live traffic first.

use std::collections::HashSet;
use std::time::Duration;

use sensei_domain::{DeliveryState, DestinationStatus, RecoveryKind, RecoveryState};
use sensei_persistence::{Actor, NewRecovery, RecoveryError};

use super::{FAILED, another_destination, destination, ended, read, record_all, run, set_url, start, step};
use crate::fixtures::{TestDatabase, URL, acme, capture, on_both};
use crate::lanes::{DELIVERED, REFUSED, claim, claim_all, record};

on_both!(
    each_of_a_thousand_failures_is_sent_again_once,
    what_ended_since_is_sent_again,
    successes_are_sent_again_when_asked_for,
    lead_captured_meanwhile_is_not_behind_them_all,
    stuck_destination_keeps_no_other_waiting,
    slow_destinations_keep_no_other_waiting,
    only_what_is_asked_for_is_sent_again,
    what_cannot_be_sent_is_skipped_and_counted,
);

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

/// A delivery is made before it fails: what counts is when it ended.
async fn what_ended_since_is_sent_again(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    ended(&store, client, 3, REFUSED).await;
    database.clock.advance(Duration::from_hours(1));
    let since = store.now();
    capture(&store, client).await;
    database.clock.advance(Duration::from_hours(1));
    let job = claim_all(&store).await.remove(0);
    record(&store, &job, REFUSED).await;
    let new = NewRecovery::Redeliver {
        state: DeliveryState::Failed,
        destination_id: None,
        since: None,
        until: None,
        completed_since: Some(since.after(Duration::from_mins(30))),
    };
    let recovery = start(&store, client, new).await;
    let attempted = run(&store, &recovery, |_| DELIVERED).await;
    assert_eq!(attempted.into_keys().collect::<Vec<_>>(), [job.delivery_id]);
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
        completed_since: None,
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
            completed_since: None,
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
        completed_since: None,
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
