//! Deliveries that are sent again, by the engine.

use sensei_dispatcher::{Limits, Step};
use sensei_domain::DeliveryState::{Failed, Succeeded};
use sensei_domain::Outcome;
use sensei_persistence::{Actor, NewRecovery};

use crate::world::{SILENT, World};

#[tokio::test]
async fn a_redelivery_is_attempted_at_once() {
    let (world, _folder) = World::new(Limits::default()).await;
    let client = world.client().await;
    world.receiver.then([SILENT, SILENT]);
    world.capture(client, 1).await;
    let failed = world.until_all(client, &[Failed]).await.remove(0);
    for attempts in [2, 3] {
        let asked = world.store.redeliver(client, failed.id, &Actor::System).await;
        asked.expect("it can be");
        world
            .until(client, |deliveries| deliveries[0].attempt_count == attempts)
            .await;
    }
    world.until_all(client, &[Succeeded]).await;
    assert_eq!(world.receiver.attempts().len(), 3);
}

#[tokio::test]
async fn a_lead_captured_during_a_recovery_of_many_is_not_behind_them_all() {
    let limits = Limits {
        lane_concurrency: 2,
        ..Limits::default()
    };
    let (world, _folder) = World::new(limits).await;
    let client = world.client().await;
    // Refused, not silent: its breaker stays closed.
    world.receiver.then((0..150).map(|_| Step::Answer(Outcome::Rejected)));
    world.capture(client, 150).await;
    world.until_all(client, &[Failed]).await;
    world.receiver.hold();
    let new = NewRecovery::Redeliver {
        state: Failed,
        destination_id: None,
        since: None,
        until: None,
        completed_since: None,
    };
    let started = world.store.start_recovery(client, new, &Actor::System).await;
    started.expect("started");
    world.receiver.until_begun(152).await;
    world.capture(client, 1).await;
    world.receiver.release();
    let deliveries = world.until_all(client, &[Succeeded]).await;
    let attempts = world.receiver.attempts();
    assert_eq!(attempts.len(), 301);
    let lead = attempts
        .iter()
        .position(|attempt| attempt.delivery_id == deliveries[0].id)
        .expect("it was attempted");
    assert!((152..=150 + 64).contains(&lead), "{lead}");
}
