//! Claiming, reading again, giving back.

use std::collections::HashSet;
use std::time::Duration;

use sensei_domain::{ClientId, DeliveryState, DestinationId, Trigger};
use sensei_persistence::{Actor, Claim, Refreshed, SettingsChange, Store};

use crate::fixtures::{LEASE, TestDatabase, URL, acme, capture, create, deliveries, on_both, request, soon, states};
use crate::lanes::{DELIVERED, Lanes, claim, claim_all, record, recording, retry};

on_both!(
    claim_takes_as_much_as_there_is_room_for,
    claimed_delivery_is_nobody_elses_until_its_lease_ends,
    released_delivery_is_due_at_once,
    scheduled_retry_is_due_at_its_time_and_says_so,
    due_destinations_are_named_once_each,
    held_delivery_is_read_again_with_its_destination,
    open_frees_leases_on_sqlite_only,
    two_stores_never_claim_the_same,
    delivery_that_this_process_holds_is_not_claimed,
    what_is_due_for_a_deleted_destination_is_cancelled,
    what_is_held_for_a_deleted_destination_is_cancelled,
    what_has_no_event_any_more_is_cancelled,
    unreadable_destination_spoils_nobody_elses_claim,
);

async fn destination(store: &Store, client: ClientId) -> DestinationId {
    let settings = store.settings(client).await.expect("read").expect("there");
    settings.destination_id.expect("it has a URL")
}

async fn claim_takes_as_much_as_there_is_room_for(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let id = destination(&store, client.id).await;
    soon(store.capture(request(client.id, store.now(), 7)))
        .await
        .expect("captured");
    let unknown = DestinationId::new(store.now());
    let claims = [(id, 3), (unknown, 3), (id, 0), (id, 4), (id, 4)];
    let claims = claims.map(|(destination_id, room)| Claim { destination_id, room });
    let mut found = Vec::new();
    for claim in claims {
        let claimed = store
            .claim(&[claim], |_| false, |_, _| Some(()))
            .await
            .expect("claimed")
            .remove(0);
        assert_eq!(claimed.destination_id, claim.destination_id);
        found.push((claimed.jobs.len(), claimed.left));
    }
    assert_eq!(found, [(3, true), (0, false), (0, true), (4, false), (0, false)]);
}

async fn claimed_delivery_is_nobody_elses_until_its_lease_ends(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    capture(&store, client.id).await;
    let first = claim_all(&store).await.remove(0);
    assert!(claim_all(&store).await.is_empty());
    assert_eq!(
        deliveries(&store, client.id).await[0].due_at,
        None,
        "not due while leased"
    );
    database.clock.advance(LEASE.saturating_sub(Duration::from_millis(1)));
    assert!(claim_all(&store).await.is_empty());
    database.clock.advance(Duration::from_millis(1));
    let second = claim_all(&store).await.remove(0);
    assert_eq!((first.delivery_id, &first.body), (second.delivery_id, &second.body));
    assert_ne!(first.lease, second.lease);
    assert_eq!(second.trigger, Trigger::First, "nothing is known of an attempt");
}

async fn released_delivery_is_due_at_once(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    soon(store.capture(request(client.id, store.now(), 3)))
        .await
        .expect("captured");
    let jobs = claim_all(&store).await;
    record(&store, &jobs[2], DELIVERED).await;
    let mut held = jobs.iter().map(|job| (job.delivery_id, job.lease)).collect::<Vec<_>>();
    held[1].1 = sensei_persistence::Lease::draw();
    store.release(&held).await.expect("released");
    let again = claim_all(&store).await;
    assert_eq!(again.len(), 1, "neither somebody else's nor a finished one");
    assert_eq!(again[0].delivery_id, jobs[0].delivery_id);
}

async fn scheduled_retry_is_due_at_its_time_and_says_so(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    capture(&store, client.id).await;
    let job = claim_all(&store).await.remove(0);
    let at = store.now().after(Duration::from_mins(5));
    record(&store, &job, retry(at)).await;
    assert_eq!(deliveries(&store, client.id).await[0].due_at, Some(at));
    database.clock.advance(Duration::from_secs(299));
    assert!(claim_all(&store).await.is_empty());
    database.clock.advance(Duration::from_secs(1));
    let job = claim_all(&store).await.remove(0);
    assert_eq!((job.trigger, job.standing.scheduled_attempt), (Trigger::Retry, 2));
}

async fn due_destinations_are_named_once_each(database: &TestDatabase) {
    let store = database.open().await;
    let mut expected = HashSet::new();
    for name in ["A", "B", "C", "D"] {
        let client = create(&store, name, Some(URL)).await.client;
        soon(store.capture(request(client.id, store.now(), 5)))
            .await
            .expect("captured");
        expected.insert(destination(&store, client.id).await);
    }
    let idle = acme(&store).await;
    let waiting = acme(&store).await;
    capture(&store, waiting.id).await;
    let job = claim(&store, destination(&store, waiting.id).await, 1).await.remove(0);
    record(&store, &job, retry(store.now().after(LEASE * 2))).await;
    let due = store.due_destinations().await.expect("read").destinations;
    assert_eq!(due.len(), 4);
    assert_eq!(
        due.into_iter().collect::<HashSet<_>>(),
        expected,
        "not {}, nothing is due",
        idle.id
    );
}

async fn held_delivery_is_read_again_with_its_destination(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let (lanes, _jobs) = Lanes::with_room(0, &store);
    soon(store.capture(request(client.id, store.now(), 3)))
        .await
        .expect("captured");
    let jobs = claim_all(&store).await;
    let held = jobs.iter().map(|job| (job.delivery_id, job.lease)).collect::<Vec<_>>();
    let url = Some(Some("https://example.com/new".parse().expect("a URL")));
    let change = SettingsChange {
        lead_webhook_url: url,
        ..SettingsChange::default()
    };
    store
        .change_settings(client.id, change, &Actor::System)
        .await
        .expect("changed");
    assert_eq!(*lanes.changed.lock().expect("no panic"), [jobs[0].destination.id]);
    record(&store, &jobs[1], DELIVERED).await;
    let [Refreshed::Current(now), Refreshed::Gone, Refreshed::Current(_)] =
        &store.refresh(&held).await.expect("read")[..]
    else {
        panic!("the first and the last are still ours");
    };
    assert_eq!(
        (now.version, now.config.expose()["url"].as_str()),
        (2, Some("https://example.com/new"))
    );
    assert_eq!(
        now.secret.expose(),
        jobs[0].destination.secret.expose(),
        "the receiver's secret stays"
    );

    let change = SettingsChange {
        lead_webhook_url: Some(None),
        ..SettingsChange::default()
    };
    store
        .change_settings(client.id, change, &Actor::System)
        .await
        .expect("changed");
    let refreshed = store.refresh(&held).await.expect("read");
    assert!(
        refreshed.iter().all(|one| matches!(one, Refreshed::Gone)),
        "{refreshed:?}"
    );
}

async fn open_frees_leases_on_sqlite_only(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    soon(store.capture(request(client.id, store.now(), 2)))
        .await
        .expect("captured");
    let jobs = claim_all(&store).await;
    record(&store, &jobs[0], retry(store.now().after(LEASE))).await;
    soon(store.close()).await;
    let store = database.open().await;
    let due = claim_all(&store).await;
    if database.is_sqlite() {
        assert_eq!(due.len(), 1, "the scheduled retry keeps its time");
        assert_eq!(due[0].delivery_id, jobs[1].delivery_id);
    } else {
        assert!(due.is_empty(), "another process may be at work");
    }
}

/// The clock was set back while nobody was at work, or the lease was longer before.
#[tokio::test(flavor = "multi_thread")]
async fn leases_that_end_later_than_any_of_ours_are_found_after_the_start() {
    let database = TestDatabase::sqlite();
    let store = database.open().await;
    let client = acme(&store).await;
    // More than one look goes over.
    for _ in 0..3 {
        let leads = request(client.id, store.now(), 500);
        soon(store.capture(leads)).await.expect("captured");
    }
    soon(store.close()).await;
    database
        .execute(
            "UPDATE deliveries SET due_at = due_at + 7200000, \
             lease = CASE WHEN id IN (SELECT id FROM deliveries ORDER BY id DESC LIMIT 3) THEN 7 END",
        )
        .await;
    let store = database.open().await;
    let leased = "SELECT count(*) FROM deliveries WHERE lease IS NOT NULL";
    database.until_number(leased, 0).await;
    assert_eq!(claim_all(&store).await.len(), 3, "scheduled retries keep their time");
}

async fn two_stores_never_claim_the_same(database: &TestDatabase) {
    let store = database.open().await;
    // SQLite has one process; there two tasks share the store.
    let other = if database.is_sqlite() {
        store.clone()
    } else {
        database.open().await
    };
    let client = acme(&store).await;
    let id = destination(&store, client.id).await;
    soon(store.capture(request(client.id, store.now(), 300)))
        .await
        .expect("captured");
    let claims = |store: Store| {
        tokio::spawn(async move {
            let mut jobs = Vec::new();
            for _ in 0..30 {
                jobs.extend(claim(&store, id, 7).await);
            }
            jobs
        })
    };
    let (one, other) = tokio::join!(claims(store.clone()), claims(other));
    let jobs = one
        .expect("no panic")
        .into_iter()
        .chain(other.expect("no panic"))
        .collect::<Vec<_>>();
    assert_eq!(
        jobs.iter().map(|job| job.delivery_id).collect::<HashSet<_>>().len(),
        jobs.len(),
        "none twice"
    );
    assert_eq!(jobs.len(), 300, "and all of them");
    for job in &jobs {
        store.record(recording(&store, job, DELIVERED).0);
    }
    soon(store.close()).await;
    let done = "SELECT count(*) FROM deliveries WHERE state = 'succeeded' AND attempt_count = 1";
    assert_eq!(database.number(done).await, 300);
}

async fn delivery_that_this_process_holds_is_not_claimed(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let destination_id = destination(&store, client.id).await;
    soon(store.capture(request(client.id, store.now(), 20)))
        .await
        .expect("captured");
    let held = claim(&store, destination_id, 15).await;
    let held = held.iter().map(|job| job.delivery_id).collect::<HashSet<_>>();
    // All twenty are due now, those that are held first among them or last.
    database.clock.advance(LEASE);
    database
        .execute("UPDATE deliveries SET due_at = 1 WHERE lease IS NOT NULL")
        .await;
    let is_held = |id| held.contains(&id);
    let mut counts = Vec::new();
    for room in [2, 3, 1] {
        let claims = [Claim { destination_id, room }];
        let claimed = store
            .claim(&claims, is_held, |_, _| Some(()))
            .await
            .expect("claimed")
            .remove(0);
        assert!(claimed.jobs.iter().all(|(job, ())| !held.contains(&job.delivery_id)));
        counts.push((claimed.jobs.len(), claimed.left));
    }
    assert_eq!(counts, [(2, true), (3, false), (0, false)]);
    let untouched = "SELECT count(*) FROM deliveries WHERE lease IS NOT NULL AND due_at = 1";
    assert_eq!(database.number(untouched).await, 15);
}

async fn what_is_due_for_a_deleted_destination_is_cancelled(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let destination_id = destination(&store, client.id).await;
    soon(store.capture(request(client.id, store.now(), 3)))
        .await
        .expect("captured");
    database.execute("UPDATE destinations SET deleted_at = 1").await;
    assert_eq!(
        store.due_destinations().await.expect("read").destinations,
        [destination_id]
    );
    assert!(claim(&store, destination_id, 1).await.is_empty());
    assert_eq!(states(&store, client.id).await, [DeliveryState::Cancelled; 3]);
    assert!(store.due_destinations().await.expect("read").destinations.is_empty());
}

async fn what_is_held_for_a_deleted_destination_is_cancelled(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    database
        .execute("UPDATE destinations SET status = 'paused', version = version + 1")
        .await;
    soon(store.capture(request(client.id, store.now(), 3)))
        .await
        .expect("captured");
    assert_eq!(states(&store, client.id).await, [DeliveryState::Held; 3]);
    database.execute("UPDATE destinations SET deleted_at = 1").await;
    store.free_held().await.expect("looked at");
    assert_eq!(states(&store, client.id).await, [DeliveryState::Cancelled; 3]);
}

/// Nobody could claim it, and an ordered destination would wait for it without end.
async fn what_has_no_event_any_more_is_cancelled(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let destination_id = destination(&store, client.id).await;
    for is_ordered in ["FALSE", "TRUE"] {
        let ordered = format!("UPDATE destinations SET ordered = {is_ordered}, version = version + 1");
        database.execute(&ordered).await;
        capture(&store, client.id).await;
        database.execute("DELETE FROM events").await;
        if is_ordered == "TRUE" {
            capture(&store, client.id).await;
        }
        claim(&store, destination_id, 1).await;
        let cancelled = "SELECT count(*) FROM deliveries WHERE state = 'cancelled'";
        assert_eq!(
            database.number(cancelled).await,
            if is_ordered == "TRUE" { 2 } else { 1 }
        );
    }
    assert_eq!(claim(&store, destination_id, 1).await.len(), 1, "what comes after it");
    assert!(store.due_destinations().await.expect("read").destinations.is_empty());
}

async fn unreadable_destination_spoils_nobody_elses_claim(database: &TestDatabase) {
    let store = database.open().await;
    let (damaged, sound) = (acme(&store).await, create(&store, "Sound", Some(URL)).await.client);
    capture(&store, damaged.id).await;
    capture(&store, sound.id).await;
    let damaged = destination(&store, damaged.id).await;
    let sound = destination(&store, sound.id).await;
    let held = claim_all(&store).await;
    let held = held.iter().map(|job| (job.delivery_id, job.lease)).collect::<Vec<_>>();
    database.clock.advance(LEASE);
    let damage = "UPDATE destinations SET status = 'nonsense', version = 2 WHERE client_id IN \
                  (SELECT id FROM clients WHERE name = 'Acme Corp')";
    database.execute(damage).await;
    let refreshed = store.refresh(&held).await.expect("read");
    let current = refreshed
        .iter()
        .filter(|one| matches!(one, Refreshed::Current(_)))
        .count();
    assert_eq!((current, refreshed.len()), (1, 2));
    let claims = [damaged, sound].map(|destination_id| Claim {
        destination_id,
        room: 1,
    });
    let claimed = store.claim(&claims, |_| false, |_, _| Some(())).await.expect("claimed");
    let counts = claimed
        .iter()
        .map(|claimed| (claimed.jobs.len(), claimed.left))
        .collect::<Vec<_>>();
    assert_eq!(counts, [(0, false), (1, false)]);
}
