//! The sweeper among more destinations than it looks at in one go.

use std::time::{Duration, Instant};

use sensei_dispatcher::Limits;
use sensei_domain::{Clock as _, DeliveryState};

use crate::world::{LIMIT, World};

/// Each lane holds one delivery: all others come by way of the sweeper.
const NARROW: Limits = Limits {
    lane_concurrency: 1,
    lane_capacity: 1,
    total_concurrency: 64,
    total_capacity: 1_024,
    total_bytes: 1 << 20,
    cool_down: Duration::from_secs(5),
};

/// Adds deliveries like one that is there, each for a destination of its own, due tomorrow.
async fn add_tomorrows(world: &World, many: u32) {
    let tomorrow = world.clock.now().after(Duration::from_hours(24)).as_millis();
    let sql = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many}) \
         INSERT INTO deliveries (id, client_id, event_id, lead_id, destination_id, state, due_at, attempt_count, \
         scheduled_attempts, created_at) SELECT randomblob(16), d.client_id, d.event_id, d.lead_id, randomblob(16), 'pending', \
         {tomorrow}, 1, 1, d.created_at FROM n CROSS JOIN (SELECT * FROM deliveries LIMIT 1) AS d RETURNING 1"
    );
    assert_eq!(world.number(&sql).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn none_of_more_destinations_than_one_look_holds_starves() {
    let (world, _folder) = World::new(NARROW).await;
    let mut clients = Vec::new();
    for _ in 0..300 {
        clients.push(world.client().await);
    }
    for &client in &clients {
        world.capture(client, 3).await;
    }
    world
        .until_number("SELECT count(*) FROM deliveries WHERE state = 'succeeded'", 900)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_found_soon_among_thousands_that_wait_for_tomorrow() {
    let (world, _folder) = World::new(NARROW).await;
    let client = world.client().await;
    world.capture(client, 1).await;
    world.until_all(client, &[DeliveryState::Succeeded]).await;
    add_tomorrows(&world, 5_000).await;
    let (late, begun) = (world.client().await, Instant::now());
    world.capture(late, 40).await;
    world.until_all(late, &[DeliveryState::Succeeded]).await;
    // Forty in turn, each fetched when its lane has room: far less than a round of looks each.
    assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
    let pending = "SELECT count(*) FROM deliveries WHERE state = 'pending' AND lease IS NULL";
    assert_eq!(world.number(pending).await, 5_000, "these wait");
    assert_eq!(world.store.tally(None).await.expect("read").pending, 5_000);
}
