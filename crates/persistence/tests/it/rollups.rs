//! Numbers over time: added up once each, and complete at every moment.

use std::time::Duration;

use sensei_domain::{ClientId, Timestamp};
use sensei_persistence::{Actor, CaptureLead, CaptureRequest, Retention, StatsWindow, Store, Sums};

use crate::fixtures::{TestDatabase, acme, capture, id_of_another_process, john, on_both, request, soon};
use crate::lanes::{DELIVERED, REFUSED, claim_all, record, recording};
use crate::test_sends;

on_both!(
    numbers_are_the_same_before_and_after_they_are_added_up,
    each_row_counts_once_however_many_follow,
    what_is_done_late_counts_when_it_is_done,
    days_are_told_of_many_clients_at_once,
    what_is_forgotten_has_counted,
    what_is_stored_long_after_it_ended_counts,
    a_clock_that_is_put_back_loses_no_number,
    test_sends_count_for_nothing,
);

async fn day(store: &Store, client: ClientId) -> Sums {
    store.window_stats(client, StatsWindow::Day).await.expect("read").total
}

async fn add_up(store: &Store) {
    while store.roll_up().await.expect("added up") {}
}

/// Leads, succeeded, failed, attempts.
fn numbers(sums: &Sums) -> [u64; 4] {
    [sums.leads, sums.succeeded, sums.failed, sums.attempts]
}

async fn numbers_are_the_same_before_and_after_they_are_added_up(database: &TestDatabase) {
    let store = database.open().await;
    let (client, other) = (acme(&store).await, acme(&store).await);
    for hour in 0..3 {
        for _ in 0..=hour {
            capture(&store, client.id).await;
        }
        capture(&store, other.id).await;
        let jobs = claim_all(&store).await;
        for (index, job) in jobs.iter().enumerate() {
            record(&store, job, if index == 0 { REFUSED } else { DELIVERED }).await;
        }
        database.clock.advance(Duration::from_hours(1));
    }
    let before = store.window_stats(client.id, StatsWindow::Day).await.expect("read");
    assert_eq!(before.total.leads, 6);
    assert_eq!(before.total.succeeded + before.total.failed, 6);
    assert_eq!(before.total.attempts, 6);
    let took = before.total.took_millis(0.5).expect("attempts took 12 ms");
    assert!((10..=20).contains(&took), "{took}");
    let leads = before.parts.iter().map(|(_, sums)| sums.leads).collect::<Vec<_>>();
    assert_eq!((before.parts.len(), &leads[20..]), (24, &[1, 2, 3, 0][..]));
    add_up(&store).await;
    assert_eq!(
        store.window_stats(client.id, StatsWindow::Day).await.expect("read"),
        before
    );
    assert_eq!(
        database.number("SELECT CAST(sum(leads) AS BIGINT) FROM rollups").await,
        9
    );
    for (window, parts) in [(StatsWindow::Week, 28), (StatsWindow::Month, 30)] {
        let longer = store.window_stats(client.id, window).await.expect("read");
        assert_eq!((longer.total, longer.parts.len()), (before.total, parts));
    }
    // A day later that day is over.
    database.clock.advance(Duration::from_hours(24));
    add_up(&store).await;
    assert_eq!(numbers(&day(&store, client.id).await), [0; 4]);
    let week = store.window_stats(client.id, StatsWindow::Week).await.expect("read");
    assert_eq!(week.total, before.total);
}

async fn each_row_counts_once_however_many_follow(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    for _ in 0..3 {
        soon(store.capture(request(client.id, store.now(), 1_000)))
            .await
            .expect("captured");
        database.clock.advance(Duration::from_mins(7));
    }
    let job = claim_all(&store).await.remove(0);
    record(&store, &job, DELIVERED).await;
    let followers = (0..4).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { add_up(&store).await })
    });
    for follower in followers.collect::<Vec<_>>() {
        soon(follower).await.expect("it doesn't panic");
    }
    database.clock.advance(Duration::from_mins(1));
    add_up(&store).await;
    add_up(&store).await;
    assert_eq!(numbers(&day(&store, client.id).await), [3_000, 1, 0, 1]);
    assert_eq!(
        database.number("SELECT CAST(sum(leads) AS BIGINT) FROM rollups").await,
        3_000
    );
}

async fn what_is_done_late_counts_when_it_is_done(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    capture(&store, client.id).await;
    capture(&store, client.id).await;
    database.clock.advance(Duration::from_hours(3));
    add_up(&store).await;
    let jobs = claim_all(&store).await;
    record(&store, &jobs[0], DELIVERED).await;
    record(&store, &jobs[1], REFUSED).await;
    let before = store.window_stats(client.id, StatsWindow::Day).await.expect("read");
    let done = before.parts.iter().map(|(_, sums)| sums.succeeded + sums.failed);
    let leads = before.parts.iter().map(|(_, sums)| sums.leads);
    let (leads, done) = (leads.collect::<Vec<_>>(), done.collect::<Vec<_>>());
    assert_eq!((leads.last(), done.last()), (Some(&0), Some(&2)));
    database.clock.advance(Duration::from_mins(1));
    add_up(&store).await;
    assert_eq!(numbers(&day(&store, client.id).await), [2, 1, 1, 2]);
    // Sent again, it counts again, when that is done.
    let id = jobs[1].delivery_id;
    store
        .redeliver(client.id, id, &Actor::System)
        .await
        .expect("redelivered");
    let job = claim_all(&store).await.remove(0);
    record(&store, &job, DELIVERED).await;
    database.clock.advance(Duration::from_mins(1));
    add_up(&store).await;
    let sums = day(&store, client.id).await;
    assert_eq!((sums.succeeded, sums.failed), (2, 1));
}

async fn days_are_told_of_many_clients_at_once(database: &TestDatabase) {
    let store = database.open().await;
    let (busy, idle, unknown) = (
        acme(&store).await.id,
        acme(&store).await.id,
        ClientId::new(Timestamp::from_millis(1)),
    );
    capture(&store, busy).await;
    let job = claim_all(&store).await.remove(0);
    // Long after it was made, so that it is found by that, and by when it was done.
    database.clock.advance(Duration::from_secs(6));
    record(&store, &job, DELIVERED).await;
    let clients = [busy, idle, unknown];
    for _ in 0..2 {
        let days = store.days_of(&clients).await.expect("read");
        assert_eq!(days.len(), 3);
        let day = |client| (days[&client].leads, days[&client].succeeded, days[&client].failed);
        assert_eq!((day(busy), day(idle), day(unknown)), ((1, 1, 0), (0, 0, 0), (0, 0, 0)));
        database.clock.advance(Duration::from_mins(1));
        add_up(&store).await;
    }
    let standings = store.standings_of(&clients).await.expect("read");
    assert_eq!(standings.len(), 2);
    assert!(
        standings
            .iter()
            .all(|standing| !standing.is_paused && !standing.is_troubled)
    );
}

async fn what_is_forgotten_has_counted(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    capture(&store, client.id).await;
    database.clock.advance(Duration::from_hours(1));
    add_up(&store).await;
    store
        .erase_lead(
            client.id,
            store.leads(client.id, crate::fixtures::ALL).await.expect("read")[0].id,
            &Actor::System,
        )
        .await
        .expect("erased");
    assert_eq!(day(&store, client.id).await.leads, 1);
    // More than a step removes.
    let took = (0..20).map(|slot| format!("took_{slot}"));
    let took = took.collect::<Vec<_>>().join(", ");
    let more = format!(
        "INSERT INTO rollups SELECT client_id, at + n * 300000, leads, succeeded, failed, attempts, {took} FROM rollups, \
         (WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 4500) SELECT n FROM numbers) AS more"
    );
    database.execute(&more).await;
    let all = database.number("SELECT count(*) FROM rollups").await;
    assert_eq!(all, 4501);
    database.clock.advance(Duration::from_hours(420 * 24));
    let removed = store.forget_old(&Retention::default()).await.expect("forgotten");
    assert!(removed >= 4501, "{removed}");
    assert_eq!(database.number("SELECT count(*) FROM rollups").await, 0);
    capture(&store, client.id).await;
    database.clock.advance(Duration::from_mins(1));
    add_up(&store).await;
    assert!(store.delete_client(client.id, &Actor::System).await.expect("deleted"));
    assert_eq!(database.number("SELECT count(*) FROM rollups").await, 0);
}

async fn what_is_stored_long_after_it_ended_counts(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    for _ in 0..2 {
        capture(&store, client.id).await;
    }
    let jobs = claim_all(&store).await;
    // They end now, and are stored when all of that time is added up.
    let outcomes = jobs.iter().zip([DELIVERED, REFUSED]);
    let outcomes = outcomes
        .map(|(job, what)| recording(&store, job, what))
        .collect::<Vec<_>>();
    database.clock.advance(Duration::from_mins(3));
    add_up(&store).await;
    for (recording, stored) in outcomes {
        store.record(recording);
        soon(stored).await.expect_err("dropped");
    }
    assert_eq!(numbers(&day(&store, client.id).await), [2, 1, 1, 2]);
    database.clock.advance(Duration::from_mins(1));
    add_up(&store).await;
    assert_eq!(numbers(&day(&store, client.id).await), [2, 1, 1, 2]);
}

async fn a_clock_that_is_put_back_loses_no_number(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    for _ in 0..3 {
        capture(&store, client.id).await;
        let job = claim_all(&store).await.remove(0);
        record(&store, &job, DELIVERED).await;
        database.clock.advance(Duration::from_mins(10));
    }
    add_up(&store).await;
    database.clock.put_back(Duration::from_mins(17));
    let id = id_of_another_process(store.now());
    let captured = store.capture(CaptureRequest {
        client_id: client.id,
        leads: vec![CaptureLead { id, lead: john() }],
        captured_at: store.now(),
        idempotency: None,
    });
    soon(captured).await.expect("captured");
    // Its id is of the clock as it was before.
    let job = claim_all(&store).await.remove(0);
    record(&store, &job, DELIVERED).await;
    add_up(&store).await;
    database.clock.advance(Duration::from_mins(18));
    add_up(&store).await;
    assert_eq!(numbers(&day(&store, client.id).await), [4, 4, 0, 4]);
    assert_eq!(
        database.number("SELECT CAST(sum(leads) AS BIGINT) FROM rollups").await,
        4
    );
}

async fn test_sends_count_for_nothing(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    let settings = store.settings(client).await.expect("read").expect("there");
    let destination = settings.destination_id.expect("it has a URL");
    capture(&store, client).await;
    record(&store, &claim_all(&store).await[0], DELIVERED).await;
    for (outcome, _) in [DELIVERED, REFUSED] {
        let sent = test_sends::sent(&store, client, destination, outcome);
        test_sends::log(&store, client, &sent, None).await.expect("logged");
    }
    for _ in 0..2 {
        let days = store.days_of(&[client]).await.expect("read");
        assert_eq!(numbers(&day(&store, client).await), [1, 1, 0, 1]);
        assert_eq!(numbers(&days[&client])[..3], [1, 1, 0]);
        database.clock.advance(Duration::from_mins(1));
        add_up(&store).await;
    }
}
