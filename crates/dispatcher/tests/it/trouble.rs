//! Receivers in trouble, and what it costs: them as little as may be, others nothing.

use std::time::{Duration, Instant};

use sensei_dispatcher::{BreakerState, Limits, Scripted, Step};
use sensei_domain::DeliveryState::Succeeded;
use sensei_domain::{Clock as _, DeliveryId, DestinationId, ManualClock, Outcome};
use sensei_persistence::MasterKey;
use sensei_test_support::PostgresServer;

use crate::world::{LIMIT, SILENT, World};

const DONE: &str = "SELECT count(*) FROM deliveries WHERE state = 'succeeded'";
const UNDONE: &str = "SELECT count(*) FROM deliveries WHERE state = 'pending'";
const DELIVERED: Step = Step::Answer(Outcome::Delivered);

fn limits() -> Limits {
    Limits {
        lane_capacity: 64,
        // Longer than any test.
        cool_down: Duration::from_hours(1),
        ..Limits::default()
    }
}

fn attempts_to(receiver: &Scripted, destination: DestinationId) -> Vec<DeliveryId> {
    let attempts = receiver.attempts();
    let there = attempts.iter().filter(|attempt| attempt.destination_id == destination);
    there.map(|attempt| attempt.delivery_id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_at_once_never_exceed_the_limit_by_one_over_thousands_of_deliveries() {
    let (world, _folder) = World::new(limits()).await;
    let client = world.client().await;
    for _ in 0..3 {
        world.capture(client, 1_000).await;
    }
    world.receiver.until_begun(500).await;
    world.receiver.hold();
    let deadline = Instant::now() + LIMIT;
    while world.receiver.running() < 16 {
        assert!(Instant::now() < deadline, "it goes up to its limit");
        tokio::task::yield_now().await;
    }
    world.receiver.release();
    world.until_number(UNDONE, 0).await;
    assert_eq!(world.number(DONE).await, 3_000);
    assert_eq!(world.receiver.most_at_once(), 16);
}

#[tokio::test]
async fn a_panic_gives_its_slot_back() {
    let (world, _folder) = World::new(Limits {
        lane_concurrency: 1,
        ..limits()
    })
    .await;
    let client = world.client().await;
    world.receiver.then([Step::Panic; 30]);
    world.capture(client, 31).await;
    world.until_number(DONE, 1).await;
    assert_eq!((world.receiver.attempts().len(), world.receiver.running()), (31, 0));
    world.clock.advance(Duration::from_secs(2));
    world.until_number(UNDONE, 0).await;
}

#[tokio::test]
async fn a_receiver_that_hangs_delays_no_other() {
    let (world, _folder) = World::new(Limits {
        total_concurrency: 4,
        ..limits()
    })
    .await;
    let (stuck, other) = (world.client().await, world.client().await);
    let destination = world.destination(stuck).await;
    // It is known to be slow: its attempts may not take all that there are.
    world.receiver.always(destination, Step::TimedOut);
    world.capture(stuck, 1).await;
    world.receiver.until_ended(1).await;
    world.receiver.hold_only(destination);
    world.capture(stuck, 200).await;
    world.receiver.until_begun(2).await;
    for _ in 0..5 {
        world.capture(other, 40).await;
        world.until_all(other, &[Succeeded]).await;
    }
    assert_eq!(world.receiver.running(), 1, "one at a time after a timeout");
    world.receiver.always(destination, DELIVERED);
    world.receiver.release();
    world.until_number(UNDONE, 0).await;
}

#[tokio::test]
async fn while_a_receiver_is_away_nothing_is_sent_and_nothing_counts_as_an_attempt() {
    let (world, _folder) = World::new(limits()).await;
    let client = world.client().await;
    let destination = world.destination(client).await;
    world.receiver.always(destination, SILENT);
    world.capture(client, 100).await;
    let failed = "SELECT count(*) FROM deliveries WHERE state = 'failed'";
    world.receiver.until_ended(10).await;
    world.dispatcher.as_ref().expect("running").settled().await;
    world.capture(client, 50).await;
    world.passer_by().await;
    let (attempts, failed) = (
        attempts_to(&world.receiver, destination).len(),
        world.number(failed).await,
    );
    assert!(
        (10..14).contains(&attempts),
        "ten and those that ran beside: {attempts}"
    );
    assert_eq!(failed, i64::try_from(attempts).expect("few"));
    let untouched = "SELECT count(*) FROM deliveries WHERE state = 'pending' AND lease IS NULL AND attempt_count = 0";
    world.until_number(untouched, 150 - failed).await;
    let dispatcher = world.dispatcher.as_ref().expect("running");
    let BreakerState::Open { until } = dispatcher.breaker(destination) else {
        panic!("it is open");
    };
    assert!(until > world.clock.now().after(Duration::from_mins(59)));
    assert_eq!(
        dispatcher.breaker(DestinationId::new(world.clock.now())),
        BreakerState::Closed
    );
}

#[tokio::test]
async fn another_receiver_is_tried_at_once() {
    let (world, _folder) = World::new(limits()).await;
    let client = world.client().await;
    let destination = world.destination(client).await;
    world.receiver.always(destination, SILENT);
    world.capture(client, 100).await;
    world.receiver.until_ended(10).await;
    let dispatcher = world.dispatcher.as_ref().expect("running");
    dispatcher.settled().await;
    assert!(matches!(dispatcher.breaker(destination), BreakerState::Open { .. }));
    world.receiver.always(destination, DELIVERED);
    world.set_url(client, Some("https://example.com/mended")).await;
    world.until_number(UNDONE, 0).await;
    assert_eq!(dispatcher.breaker(destination), BreakerState::Closed);
}

#[tokio::test]
async fn one_probe_finds_a_receiver_back_and_all_is_delivered_without_a_herd() {
    let (world, _folder) = World::new(Limits {
        cool_down: Duration::from_millis(50),
        ..limits()
    })
    .await;
    let client = world.client().await;
    let destination = world.destination(client).await;
    world.receiver.always(destination, SILENT);
    world.capture(client, 100).await;
    // Some probes that fail, each alone.
    world.receiver.until_ended(17).await;
    world.receiver.hold_only(destination);
    let probe = world.receiver.attempts().len() + 1;
    world.receiver.until_begun(probe).await;
    world.passer_by().await;
    assert_eq!(world.receiver.running(), 1, "exactly one");
    let dispatcher = world.dispatcher.as_ref().expect("running");
    assert_eq!(dispatcher.breaker(destination), BreakerState::HalfOpen);
    world.receiver.always(destination, DELIVERED);
    let begun = world.receiver.attempts().len();
    world.receiver.release();
    world.until_number(UNDONE, 0).await;
    let failed = world
        .number("SELECT count(*) FROM deliveries WHERE state = 'failed'")
        .await;
    let sent = attempts_to(&world.receiver, destination).len();
    assert_eq!(
        sent, 100,
        "each once: {failed} failed under policy none, {begun} had begun"
    );
    assert_eq!(dispatcher.breaker(destination), BreakerState::Closed);
}

#[tokio::test]
async fn a_rate_limit_is_kept_whatever_waits() {
    let (world, _folder) = World::new(limits()).await;
    let client = world.client().await;
    let limit = r#"rate_limit = '{"requests":20,"per":"second","burst":5}'"#;
    world.set_destination(client, limit).await;
    let begin = Instant::now();
    world.capture(client, 30).await;
    world.receiver.until_ended(5).await;
    world.receiver.until_ended(30).await;
    let took = begin.elapsed();
    assert!(
        took >= Duration::from_millis(1_250),
        "25 beyond the burst take {took:?}"
    );
    world.until_all(client, &[Succeeded]).await;
}

#[tokio::test]
async fn a_receiver_that_has_had_enough_is_left_alone() {
    let (world, _folder) = World::new(limits()).await;
    let client = world.client().await;
    let rest = Duration::from_millis(700);
    // All that run at once at first say so.
    world.receiver.then([Step::Rest(rest); 4]);
    let begin = Instant::now();
    world.capture(client, 20).await;
    world.receiver.until_ended(5).await;
    let took = begin.elapsed();
    assert!(took >= rest, "the fifth came after {took:?}");
    world.until_all(client, &[Succeeded]).await;
}

#[tokio::test]
async fn a_slow_rate_holds_nothing_in_memory_that_it_cannot_start_in_time() {
    let (world, _folder) = World::new(limits()).await;
    let client = world.client().await;
    let limit = r#"rate_limit = '{"requests":6,"per":"minute","burst":1}'"#;
    world.set_destination(client, limit).await;
    world.capture(client, 30).await;
    world.receiver.until_ended(1).await;
    world.passer_by().await;
    let leased = world
        .number("SELECT count(*) FROM deliveries WHERE lease IS NOT NULL")
        .await;
    assert!((1..=2).contains(&leased), "what starts within twenty seconds: {leased}");
    world.set_destination(client, "rate_limit = NULL").await;
    world.set_url(client, Some("https://elsewhere.example/hook")).await;
    world.until_all(client, &[Succeeded]).await;
}

#[tokio::test]
async fn an_ordered_destination_waits_for_its_head() {
    let (world, _folder) = World::new(limits()).await;
    let client = world.client().await;
    let destination = world.destination(client).await;
    let ordered = r#"ordered = TRUE, retry = '{"policy":"custom","delays":["5s","5s"]}'"#;
    world.set_destination(client, ordered).await;
    world.receiver.always(destination, SILENT);
    world.capture(client, 20).await;
    let waits = |attempts: usize| {
        format!(
            "SELECT count(*) FROM deliveries WHERE attempt_count = {attempts} AND state = 'pending' AND lease IS NULL"
        )
    };
    for attempts in 1..=2 {
        world.until_number(&waits(attempts), 1).await;
        world.capture(client, 5).await;
        world.passer_by().await;
        let sent = attempts_to(&world.receiver, destination).len();
        assert_eq!(sent, attempts, "nothing goes past the head");
        if attempts == 2 {
            world.receiver.always(destination, DELIVERED);
        }
        world.clock.advance(Duration::from_secs(7));
    }
    world.until_all(client, &[Succeeded]).await;
    let mut sent = attempts_to(&world.receiver, destination);
    assert_eq!((sent.len(), sent[0]), (32, sent[2]), "the head three times");
    sent.dedup();
    assert!(sent.is_sorted(), "in the order of their capture");
}

#[tokio::test]
async fn two_dispatchers_keep_one_order() {
    let Some(server) = PostgresServer::shared() else { return };
    let database = server.database();
    let clock = ManualClock::at("2024-11-24T10:30:00.000Z".parse().expect("a time"));
    let (key, receiver) = (MasterKey::generate(), Scripted::named("webhook"));
    let world = World::on(database.url(), limits(), clock.clone(), key.clone(), receiver.clone()).await;
    let other = World::on(database.url(), limits(), clock, key, receiver.clone()).await;
    let client = world.client().await;
    let destination = world.destination(client).await;
    world.set_destination(client, "ordered = TRUE").await;
    for _ in 0..5 {
        world.capture(client, 10).await;
        other.capture(client, 10).await;
    }
    world.until_number(UNDONE, 0).await;
    let sent = attempts_to(&receiver, destination);
    assert_eq!((sent.len(), sent.is_sorted(), receiver.most_at_once()), (100, true, 1));
}

#[tokio::test]
async fn what_waits_unordered_is_put_in_order_when_its_destination_is() {
    let (world, _folder) = World::new(limits()).await;
    let client = world.client().await;
    let destination = world.destination(client).await;
    world.receiver.hold();
    world.capture(client, 60).await;
    world.receiver.until_begun(4).await;
    world.set_destination(client, "ordered = TRUE").await;
    world.set_url(client, Some("https://other.example/hook")).await;
    world
        .until_number("SELECT count(*) FROM deliveries WHERE lease IS NOT NULL", 4)
        .await;
    world.receiver.release();
    world.until_all(client, &[Succeeded]).await;
    let sent = attempts_to(&world.receiver, destination);
    assert!(sent.len() == 60 && sent[4..].is_sorted());
}

#[tokio::test]
async fn bodies_in_memory_are_bounded() {
    let (world, _folder) = World::new(Limits {
        total_bytes: 3_000,
        ..limits()
    })
    .await;
    let client = world.client().await;
    world.receiver.hold();
    world.capture(client, 100).await;
    world.receiver.until_begun(1).await;
    world.clock.advance(Duration::from_millis(1));
    let other = world.client().await;
    world.capture(other, 100).await;
    let begun = world.receiver.attempts().len();
    world.receiver.until_begun(begun.max(2)).await;
    let bytes = "SELECT CAST(coalesce(sum(length(e.body)), 0) AS BIGINT) FROM deliveries d \
                 JOIN events e ON e.id = d.event_id WHERE d.lease IS NOT NULL";
    let held = world.number(bytes).await;
    assert!((1..=3_000).contains(&held), "{held}");
    world.receiver.release();
    world.until_number(UNDONE, 0).await;
    assert_eq!(world.number(DONE).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_away_with_fifty_thousand_leads_loses_none_and_costs_others_nothing() {
    let (world, _folder) = World::new(Limits {
        lane_capacity: 1_024,
        cool_down: Duration::from_millis(50),
        ..limits()
    })
    .await;
    let (away, other) = (world.client().await, world.client().await);
    let destination = world.destination(away).await;
    world.set_destination(away, r#"retry = '{"policy":"standard"}'"#).await;
    world.receiver.always(destination, Step::TimedOut);
    for minute in 1..=50 {
        world.capture(away, 1_000).await;
        let begin = Instant::now();
        world.capture(other, 2).await;
        world.until_number(DONE, 2 * minute).await;
        assert!(
            begin.elapsed() < Duration::from_secs(5),
            "others go on: {:?}",
            begin.elapsed()
        );
        world.clock.advance(Duration::from_secs(72));
    }
    let tried = attempts_to(&world.receiver, destination).len();
    assert!(tried < 500, "few are tried while it is away: {tried}");
    world.receiver.always(destination, DELIVERED);
    let deadline = Instant::now() + 4 * LIMIT;
    while world.number(UNDONE).await > 0 {
        world.clock.advance(Duration::from_secs(10));
        assert!(Instant::now() < deadline, "all is delivered");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(world.number(DONE).await, 50_100);
    let mut sent = attempts_to(&world.receiver, destination);
    assert_eq!(sent.len(), 50_000 + tried, "each once more than it failed");
    sent.sort();
    sent.dedup();
    assert_eq!(sent.len(), 50_000);
    let most = world.receiver.most_at_once();
    assert!(most <= 16, "{most}");
}
