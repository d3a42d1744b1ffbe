//! The engine on a real database, with a kind that answers from a script.

use std::sync::Arc;
use std::time::Duration;

use sensei_dispatcher::{Dispatcher, Egress, EgressOptions, Limits, Registry, Scripted, Step};
use sensei_domain::DeliveryState::{Cancelled, Failed, Pending, Succeeded};
use sensei_domain::{Clock as _, ManualClock, Outcome, Timestamp};
use sensei_persistence::{Delivery, MasterKey, Store, StoreOptions};
use sensei_test_support::PostgresServer;

use crate::world::{LIMIT, SILENT, World};

fn limits() -> Limits {
    Limits {
        lane_concurrency: 2,
        lane_capacity: 8,
        total_concurrency: 64,
        total_capacity: 256,
        ..Limits::default()
    }
}

fn is_due_at(delivery: &Delivery, at: Timestamp) -> bool {
    delivery.state == Pending && delivery.due_at == Some(at)
}

#[tokio::test]
async fn a_lead_is_attempted_at_once_and_its_success_recorded() {
    let (world, _folder) = World::new(limits()).await;
    let client = world.client().await;
    world.capture(client, 1).await;
    let deliveries = world.until_all(client, &[Succeeded]).await;
    assert_eq!(deliveries[0].attempt_count, 1);
    let attempts = world.receiver.attempts();
    assert_eq!((attempts.len(), attempts[0].event_id), (1, deliveries[0].event_id));
    world.dispatcher.as_ref().expect("running").settled().await;
}

#[tokio::test]
async fn the_policy_none_makes_one_attempt_whatever_comes_of_it() {
    let (world, _folder) = World::new(limits()).await;
    let client = world.client().await;
    let outcomes = [Outcome::Rejected, Outcome::Gone, Outcome::Blocked];
    world
        .receiver
        .then([SILENT].into_iter().chain(outcomes.map(Step::Answer)));
    world.capture(client, 4).await;
    let deliveries = world.until_all(client, &[Failed]).await;
    world.clock.advance(Duration::from_hours(1));
    world.capture(client, 1).await;
    world
        .until(client, |deliveries| {
            deliveries.iter().any(|delivery| delivery.state == Succeeded)
        })
        .await;
    assert_eq!(world.receiver.attempts().len(), 5, "four failures and the next lead");
    let mut reasons = deliveries
        .iter()
        .filter_map(|delivery| delivery.failure_reason.clone())
        .collect::<Vec<_>>();
    reasons.sort();
    assert_eq!(reasons, ["blocked", "destination_gone", "exhausted", "rejected"]);
}

#[tokio::test]
async fn our_own_failure_is_tried_again_and_a_panic_fails_that_attempt_only() {
    let (world, _folder) = World::new(Limits {
        lane_concurrency: 1,
        ..limits()
    })
    .await;
    let client = world.client().await;
    world
        .receiver
        .then([Step::Panic, Step::Answer(Outcome::Ours), Step::Panic]);
    let begin = world.clock.now();
    world.capture(client, 4).await;
    world
        .until(client, |deliveries| {
            let waiting = deliveries
                .iter()
                .filter(|delivery| is_due_at(delivery, begin.after(Duration::from_secs(1))));
            waiting.count() == 3 && deliveries.iter().filter(|delivery| delivery.state == Succeeded).count() == 1
        })
        .await;
    world.clock.advance(Duration::from_secs(2));
    let deliveries = world.until_all(client, &[Succeeded]).await;
    assert_eq!(deliveries.iter().map(|delivery| delivery.attempt_count).sum::<u32>(), 7);
}

#[tokio::test]
async fn attempts_to_one_destination_keep_to_its_limit() {
    let (world, _folder) = World::new(limits()).await;
    let client = world.client().await;
    world.receiver.hold();
    world.capture(client, 100).await;
    world.receiver.until_begun(2).await;
    world.receiver.release();
    world.until_all(client, &[Succeeded]).await;
    assert_eq!(
        (world.receiver.most_at_once(), world.receiver.attempts().len()),
        (2, 100)
    );
}

#[tokio::test]
async fn one_clients_hanging_receiver_costs_another_nothing() {
    let (mut world, _folder) = World::new(limits()).await;
    let stuck = world.client().await;
    world.receiver.hold();
    world.capture(stuck, 100).await;
    world.receiver.until_begun(2).await;
    // The other's destination answers: a dispatcher has one kind a name, so it is the script that changes.
    let other = world.client().await;
    world.capture(other, 2).await;
    world.receiver.until_begun(4).await;
    let attempts = world.receiver.attempts();
    assert!(
        attempts[2..]
            .iter()
            .all(|attempt| attempt.destination_id != attempts[0].destination_id)
    );
    world.receiver.release();
    world.until_all(other, &[Succeeded]).await;
    world.until_all(stuck, &[Succeeded]).await;
    world.dispatcher.take().expect("running").shutdown(LIMIT).await;
}

#[tokio::test]
async fn a_changed_url_is_used_by_what_waits_already() {
    let (world, _folder) = World::new(Limits {
        lane_concurrency: 1,
        ..limits()
    })
    .await;
    let client = world.client().await;
    world.receiver.hold();
    world.capture(client, 3).await;
    world.receiver.until_begun(1).await;
    world.set_url(client, Some("https://other.example/hook")).await;
    world.receiver.release();
    world.until_all(client, &[Succeeded]).await;
    let versions = world
        .receiver
        .attempts()
        .iter()
        .map(|attempt| attempt.version)
        .collect::<Vec<_>>();
    assert_eq!(versions, [1, 2, 2]);
}

#[tokio::test]
async fn an_emptied_url_cancels_what_waits() {
    let (world, _folder) = World::new(Limits {
        lane_concurrency: 1,
        ..limits()
    })
    .await;
    let client = world.client().await;
    world.receiver.hold();
    world.capture(client, 20).await;
    world.receiver.until_begun(1).await;
    world.set_url(client, None).await;
    world.receiver.release();
    world.dispatcher.as_ref().expect("running").settled().await;
    world.until_all(client, &[Cancelled]).await;
    assert_eq!(
        world.receiver.attempts().len(),
        1,
        "only the attempt that was under way"
    );
}

#[tokio::test]
async fn shutdown_ends_what_is_under_way_and_gives_back_what_waits() {
    let (mut world, _folder) = World::new(limits()).await;
    let client = world.client().await;
    world.receiver.hold();
    world.capture(client, 20).await;
    world.receiver.until_begun(2).await;
    let dispatcher = world.dispatcher.take().expect("running");
    let receiver = world.receiver.clone();
    let ((), ()) = tokio::join!(dispatcher.shutdown(LIMIT), async {
        // Attempts are under way until they are released, so shutdown waits for this.
        receiver.release();
    });
    let deliveries = world
        .until(client, |all| {
            all.iter().filter(|delivery| delivery.state == Succeeded).count() == 2
        })
        .await;
    assert!(
        deliveries
            .iter()
            .filter(|delivery| delivery.state == Pending)
            .all(|delivery| delivery.due_at.is_some())
    );
    world.capture(client, 1).await;
    assert_eq!(world.receiver.attempts().len(), 2, "nothing begins after it");

    world.start();
    world.until_all(client, &[Succeeded]).await;
    assert_eq!(world.receiver.attempts().len(), 21);
}

#[tokio::test]
async fn attempts_that_outlast_the_shutdown_are_made_again() {
    let (mut world, _folder) = World::new(limits()).await;
    let client = world.client().await;
    world.receiver.hold();
    world.capture(client, 1).await;
    world.receiver.until_begun(1).await;
    world.dispatcher.take().expect("running").shutdown(Duration::ZERO).await;
    assert_eq!(
        world.deliveries(client).await[0].due_at,
        None,
        "still leased: nothing is known of that attempt"
    );
    world.receiver.release();
    world.start();
    world.clock.advance(Duration::from_secs(61));
    let deliveries = world.until_all(client, &[Succeeded]).await;
    assert_eq!((deliveries[0].attempt_count, world.receiver.attempts().len()), (1, 2));
}

#[tokio::test]
async fn two_dispatchers_on_one_postgresql_attempt_each_delivery_once() {
    let Some(server) = PostgresServer::shared() else { return };
    let database = server.database();
    let tight = Limits {
        lane_capacity: 4,
        ..limits()
    };
    let clock = ManualClock::at("2024-11-24T10:30:00.000Z".parse().expect("a time"));
    let (key, receiver) = (MasterKey::generate(), Scripted::named("webhook"));
    let world = World::on(database.url(), tight, clock.clone(), key.clone(), receiver.clone()).await;
    let other = World::on(database.url(), tight, clock, key, receiver).await;
    let client = world.client().await;
    for _ in 0..10 {
        world.capture(client, 10).await;
        other.capture(client, 10).await;
    }
    world.until_all(client, &[Succeeded]).await;
    assert_eq!(world.receiver.attempts().len(), 200);
}

#[tokio::test]
async fn leases_too_short_for_an_attempt_are_refused_at_the_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = StoreOptions {
        database: format!("sqlite://{}/sensei.db", folder.path().display())
            .parse()
            .expect("a database"),
        master_key: MasterKey::generate(),
        previous_master_key: None,
        lease: Duration::from_secs(24),
        clock: Arc::new(sensei_domain::SystemClock),
    };
    let store = Store::open(options).await.expect("opened");
    let egress = Egress::new(EgressOptions::default()).expect("a way out");
    let clock = Arc::new(sensei_domain::SystemClock);
    let refused = Dispatcher::start(&store, egress, Registry::standard(), limits(), clock).expect_err("too short");
    assert_eq!(
        refused.to_string(),
        "the lease (24s) must exceed an attempt's deadline (15s) by 10s at least"
    );
}

#[tokio::test]
async fn a_delivery_in_memory_is_not_fetched_again_when_its_lease_runs_out_by_the_clock() {
    let (world, _folder) = World::new(limits()).await;
    let client = world.client().await;
    world.receiver.hold();
    world.capture(client, 1).await;
    world.receiver.until_begun(1).await;
    // The machine was suspended: by the clock the lease is over, and the attempt is still under way.
    world.clock.advance(Duration::from_mins(2));
    // Another client's delivery comes and goes by way of the sweeper, so that it has looked.
    let other = world.client().await;
    world.capture(other, 20).await;
    world.receiver.until_begun(3).await;
    world.receiver.release();
    world.until_all(other, &[Succeeded]).await;
    world.until_all(client, &[Succeeded]).await;
    let destination = world.receiver.attempts()[0].destination_id;
    let attempts = world.receiver.attempts();
    assert_eq!(
        attempts
            .iter()
            .filter(|attempt| attempt.destination_id == destination)
            .count(),
        1
    );
}
