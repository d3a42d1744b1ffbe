//! Leads from before a destination, and what is held for one that is paused.

use std::collections::HashSet;
use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use sensei_domain::{ClientId, DeliveryState, RecoveryState, Trigger};
use sensei_persistence::{Actor, LogFilter, NewRecovery, Page, Retention, Store};

use super::{destination, ended, read, record_all, run, set_url, start, step};
use crate::fixtures::{TestDatabase, URL, acme, capture, deliveries, on_both, request, soon, states};
use crate::lanes::{DELIVERED, claim_all};

on_both!(
    leads_from_before_a_destination_are_replayed_once,
    replay_to_a_paused_destination_is_held,
    lead_of_a_clock_ahead_is_replayed_too,
    replayed_deliveries_are_found_by_what_their_old_leads_say,
    held_deliveries_are_discarded_up_to_the_moment_of_asking,
);

/// A client's leads from before its destination, to which they are to be replayed.
async fn before_its_destination(database: &TestDatabase, leads: usize) -> (Store, ClientId, NewRecovery) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    set_url(&store, client, None).await;
    ended(&store, client, leads, DELIVERED).await;
    database.clock.advance(Duration::from_secs(1));
    set_url(&store, client, Some(URL)).await;
    let new = NewRecovery::Replay {
        destination_id: destination(&store, client).await,
        since: None,
        until: None,
    };
    (store, client, new)
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
    let (store, client, new) = before_its_destination(database, 2).await;
    database
        .execute("UPDATE destinations SET status = 'paused', version = 2")
        .await;
    let recovery = start(&store, client, new).await;
    assert!(run(&store, &recovery, |_| DELIVERED).await.is_empty());
    assert_eq!(states(&store, client).await, [DeliveryState::Held; 2]);
    assert_eq!(read(&store, &recovery).await.done, 2);
}

/// It was captured before the destination was made, by a node whose clock says otherwise.
async fn lead_of_a_clock_ahead_is_replayed_too(database: &TestDatabase) {
    let (store, client, new) = before_its_destination(database, 1).await;
    database
        .execute("UPDATE destinations SET created_at = created_at - 3000")
        .await;
    let recovery = start(&store, client, new).await;
    assert_eq!(run(&store, &recovery, |_| DELIVERED).await.len(), 1);
}

/// There are more such leads than a page of the log is looked for in, and all deliveries are newer than all leads.
async fn replayed_deliveries_are_found_by_what_their_old_leads_say(database: &TestDatabase) {
    let (store, client, new) = before_its_destination(database, 600).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_that_is_just_being_forgotten_is_not_replayed() {
    let Some(database) = TestDatabase::postgres() else {
        return;
    };
    let (store, client, new) = before_its_destination(&database, 1).await;
    let retention = database.connection().await;
    retention
        .execute_unprepared("BEGIN; SELECT id FROM leads FOR UPDATE; DELETE FROM events; DELETE FROM leads")
        .await
        .expect("as retention does");
    let recovery = start(&store, client, new).await;
    let replaying = tokio::spawn({
        let store = store.clone();
        async move { step(&store).await }
    });
    database.somebody_waits_for_a_lock().await;
    retention.execute_unprepared("COMMIT").await.expect("committed");
    soon(replaying).await.expect("no panic");
    assert!(run(&store, &recovery, |_| DELIVERED).await.is_empty());
    assert_eq!(database.number("SELECT count(*) FROM deliveries").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_that_is_just_being_replayed_is_not_forgotten() {
    let Some(database) = TestDatabase::postgres() else {
        return;
    };
    let (store, ..) = before_its_destination(&database, 1).await;
    let replay = database.connection().await;
    replay
        .execute_unprepared(
            "BEGIN; SELECT id FROM leads FOR KEY SHARE; INSERT INTO deliveries (id, client_id, event_id, lead_id, \
             destination_id, state, due_at, attempt_count, scheduled_attempts, replayed, created_at) \
             SELECT gen_random_uuid(), l.client_id, e.id, l.id, d.id, 'pending', 0, 0, 0, true, l.created_at FROM leads l \
             JOIN events e ON e.lead_id = l.id JOIN destinations d ON d.client_id = l.client_id AND d.deleted_at IS NULL",
        )
        .await
        .expect("as a replay does");
    database.clock.advance(Duration::from_hours(24 * 1_000));
    let forgetting = tokio::spawn({
        let store = store.clone();
        let all = Retention {
            leads: Some(Duration::from_hours(24)),
            ..Retention::default()
        };
        async move { store.forget_old(&all).await }
    });
    database.somebody_waits_for_a_lock().await;
    replay.execute_unprepared("COMMIT").await.expect("committed");
    soon(forgetting).await.expect("no panic").expect("a pass");
    let whole = "SELECT count(*) FROM deliveries d JOIN events e ON e.id = d.event_id JOIN leads l ON l.id = d.lead_id";
    assert_eq!(database.number(whole).await, 1);
}
