//! Redelivering one: an attempt outside the schedule, which takes nothing away.

use std::time::Duration;

use sensei_domain::{ClientId, DeliveryId, DeliveryState, DestinationStatus, FailureReason, Outcome, Trigger, Verdict};
use sensei_persistence::{Actor, Delivery, Job, NotRedelivered, RedeliverError, SettingsChange, Store};

use crate::fixtures::{LEASE, TestDatabase, acme, capture, deliveries, on_both, soon};
use crate::lanes::{DELIVERED, Lanes, REFUSED, claim_all, record, recording, retry};

on_both!(
    failed_delivery_is_redelivered_at_once_and_succeeds,
    failed_redelivery_leaves_a_failure_as_it_was,
    failed_redelivery_leaves_the_automatic_retries_that_were_left,
    failed_redelivery_of_a_success_leaves_a_success,
    redelivery_that_was_cut_off_is_made_again_as_one,
    redelivery_that_we_fail_is_tried_again_and_given_up_after_a_day,
    what_cannot_be_redelivered_is_told_and_stays,
    deleting_the_destination_leaves_what_was_final,
    erasing_the_lead_ends_its_redelivery_and_keeps_nothing_of_the_answer,
);

const PAUSE: &str = "UPDATE destinations SET status = 'paused', version = version + 1";

async fn job(store: &Store) -> (ClientId, Job) {
    let client = acme(store).await;
    capture(store, client.id).await;
    (client.id, claim_all(store).await.remove(0))
}

async fn redeliver(store: &Store, client: ClientId, id: DeliveryId) -> Result<Delivery, NotRedelivered> {
    match soon(store.redeliver(client, id, &Actor::System)).await {
        Ok(delivery) => Ok(delivery),
        Err(RedeliverError::Refused(why)) => Err(why),
        Err(error) => panic!("{error:?}"),
    }
}

/// What a redelivery must leave alone when it isn't delivered.
async fn standing(database: &TestDatabase) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', state, coalesce(due_at, 0), scheduled_attempts, coalesce(failure_reason, '-'), \
               coalesce(completed_at, 0), coalesce(prior_state, '-'), coalesce(prior_due_at, 0), coalesce(lease, 0)) \
               FROM deliveries";
    database.texts(sql).await
}

async fn failed_delivery_is_redelivered_at_once_and_succeeds(database: &TestDatabase) {
    let store = database.open().await;
    let (client, first) = job(&store).await;
    record(&store, &first, REFUSED).await;
    let (lanes, _jobs) = Lanes::with_room(1, &store);
    database.clock.advance(Duration::from_hours(1));
    let delivery = redeliver(&store, client, first.delivery_id).await.expect("it can be");
    assert_eq!(
        (
            delivery.state,
            delivery.due_at,
            delivery.failure_reason,
            delivery.completed_at
        ),
        (DeliveryState::Pending, Some(store.now()), None, None)
    );
    assert_eq!(*lanes.left_behind.lock().expect("no panic"), [first.destination.id]);
    let manual = claim_all(&store).await.remove(0);
    assert_eq!((manual.trigger, &manual.body), (Trigger::Manual, &first.body));
    record(&store, &manual, DELIVERED).await;
    let (delivery, attempts) = store
        .delivery(client, first.delivery_id)
        .await
        .expect("read")
        .expect("there");
    assert_eq!(
        (delivery.state, delivery.failure_reason),
        (DeliveryState::Succeeded, None)
    );
    assert_eq!(
        delivery.completed_at,
        Some(store.now().after(Duration::from_millis(12)))
    );
    let triggers = attempts.iter().map(|attempt| attempt.trigger).collect::<Vec<_>>();
    assert_eq!(triggers, [Trigger::First, Trigger::Manual]);
}

async fn failed_redelivery_leaves_a_failure_as_it_was(database: &TestDatabase) {
    let store = database.open().await;
    let (client, first) = job(&store).await;
    record(
        &store,
        &first,
        (Outcome::Gone, Verdict::Failed(FailureReason::DestinationGone)),
    )
    .await;
    let before = standing(database).await;
    for what in [
        REFUSED,
        retry(store.now()),
        (Outcome::Blocked, Verdict::Failed(FailureReason::Blocked)),
    ] {
        database.clock.advance(LEASE);
        redeliver(&store, client, first.delivery_id).await.expect("it can be");
        record(&store, &claim_all(&store).await.remove(0), what).await;
        assert_eq!(standing(database).await, before);
        assert!(claim_all(&store).await.is_empty());
    }
    assert_eq!(deliveries(&store, client).await[0].attempt_count, 4);
}

async fn failed_redelivery_leaves_the_automatic_retries_that_were_left(database: &TestDatabase) {
    let store = database.open().await;
    let (client, first) = job(&store).await;
    let at = store.now().after(Duration::from_hours(1));
    record(&store, &first, retry(at)).await;
    let before = standing(database).await;
    for what in [
        REFUSED,
        retry(store.now()),
        (Outcome::Rejected, Verdict::Failed(FailureReason::Rejected)),
    ] {
        redeliver(&store, client, first.delivery_id).await.expect("it can be");
        let manual = claim_all(&store).await.remove(0);
        assert_eq!(manual.trigger, Trigger::Manual);
        record(&store, &manual, what).await;
        assert_eq!(standing(database).await, before);
        assert!(claim_all(&store).await.is_empty(), "the retry keeps its time");
    }
    database.clock.advance(Duration::from_hours(1));
    let second = claim_all(&store).await.remove(0);
    assert_eq!((second.trigger, second.standing.scheduled_attempt), (Trigger::Retry, 2));
    record(&store, &second, DELIVERED).await;
}

async fn failed_redelivery_of_a_success_leaves_a_success(database: &TestDatabase) {
    let store = database.open().await;
    let (client, first) = job(&store).await;
    record(&store, &first, DELIVERED).await;
    let before = standing(database).await;
    database.clock.advance(LEASE);
    redeliver(&store, client, first.delivery_id).await.expect("it can be");
    record(&store, &claim_all(&store).await.remove(0), REFUSED).await;
    assert_eq!(standing(database).await, before);
}

async fn redelivery_that_was_cut_off_is_made_again_as_one(database: &TestDatabase) {
    let store = database.open().await;
    let (client, first) = job(&store).await;
    record(&store, &first, REFUSED).await;
    let before = standing(database).await;
    redeliver(&store, client, first.delivery_id).await.expect("it can be");
    let lost = claim_all(&store).await.remove(0);
    database.clock.advance(LEASE);
    let again = claim_all(&store).await.remove(0);
    assert_eq!(again.trigger, Trigger::Manual);
    store
        .release(&[(again.delivery_id, again.lease)])
        .await
        .expect("released");
    let last = claim_all(&store).await.remove(0);
    assert_eq!(last.trigger, Trigger::Manual);
    // The lost one comes to an end after all, and moves nothing.
    record(&store, &lost, REFUSED).await;
    assert_ne!(standing(database).await, before);
    record(&store, &last, REFUSED).await;
    assert_eq!(standing(database).await, before);
    record(&store, &again, REFUSED).await;
    assert_eq!(standing(database).await, before);
}

async fn redelivery_that_we_fail_is_tried_again_and_given_up_after_a_day(database: &TestDatabase) {
    let store = database.open().await;
    let (client, first) = job(&store).await;
    let ours = || (Outcome::Ours, Verdict::NotCounted { at: store.now() });
    record(&store, &first, ours()).await;
    let second = claim_all(&store).await.remove(0);
    record(&store, &second, (Outcome::Ours, Verdict::Failed(FailureReason::Ours))).await;
    let before = standing(database).await;
    database.clock.advance(Duration::from_hours(48));
    redeliver(&store, client, first.delivery_id).await.expect("it can be");
    let manual = claim_all(&store).await.remove(0);
    assert_eq!(manual.standing.ours_since, None, "it has a day of its own");
    let began = store.now();
    record(&store, &manual, ours()).await;
    database.clock.advance(Duration::from_hours(24));
    let again = claim_all(&store).await.remove(0);
    assert_eq!(
        (again.trigger, again.standing.ours_since),
        (Trigger::Manual, Some(began))
    );
    record(&store, &again, (Outcome::Ours, Verdict::Failed(FailureReason::Ours))).await;
    assert_eq!(standing(database).await, before);
}

async fn what_cannot_be_redelivered_is_told_and_stays(database: &TestDatabase) {
    let store = database.open().await;
    let (client, first) = job(&store).await;
    let id = first.delivery_id;
    let refused = async |why| {
        let before = standing(database).await;
        assert_eq!(redeliver(&store, client, id).await, Err(why));
        assert_eq!(standing(database).await, before);
    };
    refused(NotRedelivered::UnderWay).await;
    record(&store, &first, REFUSED).await;
    let other = acme(&store).await.id;
    for (client, id) in [(other, id), (client, DeliveryId::new(store.now()))] {
        let answer = store.redeliver(client, id, &Actor::System).await;
        assert!(matches!(answer, Err(RedeliverError::Unknown)), "{answer:?}");
    }
    database.execute(PAUSE).await;
    refused(NotRedelivered::Inactive(DestinationStatus::Paused)).await;
    database.execute("UPDATE destinations SET status = 'active'").await;
    redeliver(&store, client, id).await.expect("it can be");
    refused(NotRedelivered::Redelivering).await;
    record(&store, &claim_all(&store).await.remove(0), DELIVERED).await;

    for (state, why) in [("held", NotRedelivered::Held), ("cancelled", NotRedelivered::Cancelled)] {
        database
            .execute(&format!("UPDATE deliveries SET state = '{state}'"))
            .await;
        refused(why).await;
    }
    database.execute("UPDATE deliveries SET state = 'succeeded'").await;
    let lead = deliveries(&store, client).await[0].lead_id.expect("a lead");
    store.erase_lead(client, lead, &Actor::System).await.expect("erased");
    refused(NotRedelivered::Erased).await;
    set_no_url(&store, client).await;
    refused(NotRedelivered::Deleted).await;
}

async fn set_no_url(store: &Store, client: ClientId) {
    let change = SettingsChange {
        lead_webhook_url: Some(None),
        include_custom_fields: None,
        ..SettingsChange::default()
    };
    store
        .change_settings(client, change, &Actor::System)
        .await
        .expect("changed");
}

async fn deleting_the_destination_leaves_what_was_final(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await.id;
    for _ in 0..3 {
        capture(&store, client).await;
    }
    let jobs = claim_all(&store).await;
    for (job, what) in jobs.iter().zip([DELIVERED, REFUSED, retry(store.now().after(LEASE))]) {
        record(&store, job, what).await;
        redeliver(&store, client, job.delivery_id).await.expect("it can be");
    }
    set_no_url(&store, client).await;
    let expected = [
        DeliveryState::Succeeded,
        DeliveryState::Failed,
        DeliveryState::Cancelled,
    ];
    for (job, expected) in jobs.iter().zip(expected) {
        let (delivery, _) = store
            .delivery(client, job.delivery_id)
            .await
            .expect("read")
            .expect("there");
        assert_eq!((delivery.state, delivery.due_at), (expected, None));
        assert!(delivery.completed_at.is_some());
    }
    assert_eq!(database.number("SELECT count(prior_state) FROM deliveries").await, 0);
}

async fn erasing_the_lead_ends_its_redelivery_and_keeps_nothing_of_the_answer(database: &TestDatabase) {
    let store = database.open().await;
    let (client, first) = job(&store).await;
    record(&store, &first, DELIVERED).await;
    redeliver(&store, client, first.delivery_id).await.expect("it can be");
    let manual = claim_all(&store).await.remove(0);
    let lead = deliveries(&store, client).await[0].lead_id.expect("a lead");
    store.erase_lead(client, lead, &Actor::System).await.expect("erased");
    let (late, stored) = recording(&store, &manual, REFUSED);
    store.record(late);
    soon(stored).await.expect_err("dropped");
    let (delivery, attempts) = store
        .delivery(client, first.delivery_id)
        .await
        .expect("read")
        .expect("there");
    assert_eq!((delivery.state, attempts.len()), (DeliveryState::Succeeded, 2));
    assert!(attempts.iter().all(|attempt| attempt.response_snippet.is_none()));
}
