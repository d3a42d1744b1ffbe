//! Deliveries sent again, one or many; leads replayed; what is held, discarded.

use axum::http::Method;
use insta::assert_json_snapshot;
use sensei_domain::{FailureReason, Outcome, Verdict};
use sensei_persistence::{AttemptRecord, Claim, Recording};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::app::{TestApp, TestClient, lead, places, text};

/// Captures a lead and lets its delivery fail; says where the delivery is read.
pub(crate) async fn failed(app: &TestApp, client: &TestClient) -> String {
    app.post(client.leads(), &lead()).send().await.expect(201);
    attempt(app, Outcome::Gone, Verdict::Failed(FailureReason::DestinationGone)).await;
    let deliveries = app.get(format!("{}/deliveries", client.path)).send().await.expect(200);
    assert_eq!(deliveries["items"][0]["state"], "failed");
    format!("{}/deliveries/{}", client.path, text(&deliveries, "/items/0/id"))
}

/// Lets the one delivery that is due have an attempt.
pub(crate) async fn attempt(app: &TestApp, outcome: Outcome, verdict: Verdict) {
    let destination_id = app.store.due_destinations().await.expect("read").destinations[0];
    let claim = Claim {
        destination_id,
        room: 1,
    };
    let mut claimed = app
        .store
        .claim(&[claim], |_| false, |_, _| Some(()))
        .await
        .expect("claimed");
    let (job, ()) = claimed.remove(0).jobs.remove(0);
    let (place, stored) = oneshot::channel::<()>();
    let attempt = AttemptRecord {
        trigger: job.trigger,
        destination_version: job.destination.version,
        started_at: app.store.now(),
        duration: std::time::Duration::from_millis(3),
        outcome,
        status_code: None,
        error: None,
        response_snippet: None,
        request_url: None,
        is_unsent: false,
    };
    app.store.record(Recording {
        delivery_id: job.delivery_id,
        lease: job.lease,
        known: job.known(),
        attempt,
        verdict,
        place: Box::new(place),
    });
    stored.await.expect_err("a place is dropped once the outcome is stored");
}

async fn post(app: &TestApp, path: String) -> crate::app::Answer {
    app.call(Method::POST, path).send().await
}

pub(crate) async fn destination(app: &TestApp, client: &TestClient) -> String {
    let settings = app.get(client.settings()).send().await.expect(200);
    format!("{}/destinations/{}", client.path, text(&settings, "/destinationId"))
}

#[tokio::test]
async fn a_delivery_is_sent_again_when_asked_for() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let path = failed(&app, &client).await;
    let delivery = post(&app, format!("{path}/redeliver")).await.expect(202);
    assert_eq!(
        (
            &delivery["state"],
            &delivery["dueAt"],
            &delivery["failureReason"],
            &delivery["completedAt"]
        ),
        (
            &json!("pending"),
            &json!("2024-11-24T10:30:00.000Z"),
            &Value::Null,
            &Value::Null
        )
    );
    let again = app.call(Method::POST, format!("{path}/redeliver"));
    let problem = again.refused(409, "conflict").await;
    assert_json_snapshot!(problem, {".requestId" => "[id]"});
    attempt(&app, Outcome::Delivered, Verdict::Succeeded).await;
    let delivery = app.get(&*path).send().await.expect(200);
    assert_eq!(
        (&delivery["state"], &delivery["attempts"][1]["trigger"]),
        (&json!("succeeded"), &json!("manual"))
    );
}

#[tokio::test]
async fn a_delivery_that_cannot_be_sent_again_says_why() {
    let app = TestApp::new().await;
    let (client, other) = (app.client("Acme Corp").await, app.client("Other Inc").await);
    let path = failed(&app, &client).await;
    let elsewhere = path.replace(&client.id, &other.id);
    for path in [elsewhere, format!("{}/deliveries/{}", client.path, client.id)] {
        let call = app.call(Method::POST, format!("{path}/redeliver"));
        let problem = call.refused(404, "not-found").await;
        assert_eq!(problem["detail"], "there is no such delivery");
    }
    let call = app.call(Method::POST, format!("{path}/redeliver?force=1"));
    assert_eq!(places(&call.refused(400, "invalid-request").await), ["force"]);
    app.patch(client.settings(), &json!({"leadWebhookUrl": null}))
        .send()
        .await
        .expect(200);
    let call = app.call(Method::POST, format!("{path}/redeliver"));
    let problem = call.refused(409, "conflict").await;
    assert_eq!(problem["detail"], "the destination of this delivery was deleted");
}

#[tokio::test]
async fn many_are_sent_again_by_a_recovery_that_tells_how_far_it_is() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    for _ in 0..3 {
        failed(&app, &client).await;
    }
    let redeliver = format!("{}/deliveries/redeliver", client.path);
    let answer = app.post(&*redeliver, &json!({"state": "failed"})).send().await;
    let started = answer.expect(202);
    assert_json_snapshot!(started, {".id" => "[id]"});
    let place = answer.header("location").expect("a place").to_owned();
    assert_eq!(place, format!("{}/recoveries/{}", client.path, text(&started, "/id")));
    assert_eq!(app.get(&*place).send().await.expect(200), started);

    let problem = app
        .post(redeliver, &json!({"state": "failed"}))
        .refused(409, "conflict")
        .await;
    assert!(text(&problem, "/detail").contains(&text(&started, "/id")));
    app.store.advance_recoveries().await.expect("a step");
    let done = app.get(&*place).send().await.expect(200);
    assert_eq!(
        (&done["state"], &done["done"], &done["skipped"]),
        (&json!("done"), &json!(3), &json!(0))
    );
    let call = app.call(Method::POST, format!("{place}/cancel"));
    let problem = call.refused(409, "conflict").await;
    assert_eq!(problem["detail"], "the recovery has ended: it is done");
}

#[tokio::test]
async fn a_recovery_is_cancelled() {
    let app = TestApp::new().await;
    let (client, other) = (app.client("Acme Corp").await, app.client("Other Inc").await);
    let path = format!("{}/discard", destination(&app, &client).await);
    let started = app.post(path, &json!({})).send().await.expect(202);
    assert_eq!(started["kind"], "discard");
    let id = text(&started, "/id");
    for path in [
        format!("{}/recoveries/{id}", other.path),
        format!("{}/recoveries/{}", client.path, client.id),
    ] {
        let problem = app.get(&*path).refused(404, "not-found").await;
        assert_eq!(problem["detail"], "there is no such recovery");
        let call = app.call(Method::POST, format!("{path}/cancel"));
        call.refused(404, "not-found").await;
    }
    let path = format!("{}/recoveries/{id}/cancel", client.path);
    let call = app.call(Method::POST, &*path).key(&client.publishable_key);
    call.refused(403, "forbidden").await;
    let cancelled = post(&app, path).await.expect(200);
    assert_eq!(
        (&cancelled["state"], &cancelled["finishedAt"]),
        (&json!("cancelled"), &json!("2024-11-24T10:30:00.000Z"))
    );
}

#[tokio::test]
async fn leads_from_before_a_destination_are_replayed() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    app.patch(client.settings(), &json!({"leadWebhookUrl": null}))
        .send()
        .await
        .expect(200);
    app.post(client.leads(), &lead()).send().await.expect(201);
    app.clock.advance(std::time::Duration::from_secs(1));
    app.patch(client.settings(), &json!({"leadWebhookUrl": crate::app::RECEIVER}))
        .send()
        .await
        .expect(200);
    let path = format!("{}/replay", destination(&app, &client).await);
    let started = app
        .post(path, &json!({"since": "2024-11-24T10:00:00Z"}))
        .send()
        .await
        .expect(202);
    assert_eq!(
        (&started["kind"], &started["criteria"]["since"]),
        (&json!("replay"), &json!("2024-11-24T10:00:00.000Z"))
    );
    app.store.advance_recoveries().await.expect("a step");
    attempt(&app, Outcome::Delivered, Verdict::Succeeded).await;
    let deliveries = app.get(format!("{}/deliveries", client.path)).send().await.expect(200);
    let path = format!("{}/deliveries/{}", client.path, text(&deliveries, "/items/0/id"));
    assert_eq!(
        app.get(path).send().await.expect(200)["attempts"][0]["trigger"],
        "replay"
    );
}

#[tokio::test]
async fn faulty_recoveries_are_refused() {
    let app = TestApp::new().await;
    let (client, other) = (app.client("Acme Corp").await, app.client("Other Inc").await);
    let redeliver = format!("{}/deliveries/redeliver", client.path);
    let elsewhere = destination(&app, &other).await;
    let foreign = elsewhere.rsplit('/').next().expect("an id");
    for (body, wrong) in [
        (json!({}), &["/state"][..]),
        (json!({"state": "pending"}), &["/state"]),
        (
            json!({"state": 1, "since": "yesterday", "until": 5, "dry": true}),
            &["/state", "/since", "/until", "/dry"],
        ),
        (json!({"state": "failed", "destinationId": "1"}), &["/destinationId"]),
        (
            json!({"state": "failed", "destinationId": "", "since": "", "until": " ", "completedSince": ""}),
            &["/destinationId", "/since", "/until", "/completedSince"],
        ),
        (
            json!({"state": "failed", "destinationId": foreign}),
            &["/destinationId"],
        ),
        (
            json!({"state": "failed", "since": "2024-11-24T10:30:00Z", "until": "2024-11-24T10:30:00Z"}),
            &["/until"],
        ),
    ] {
        let problem = app.post(&*redeliver, &body).refused(422, "invalid-body").await;
        assert_eq!(places(&problem), wrong, "{body}");
    }
    let own = destination(&app, &client).await;
    let path = format!("{own}/replay");
    let problem = app
        .post(&*path, &json!({"state": "failed"}))
        .refused(422, "invalid-body")
        .await;
    assert_eq!(places(&problem), ["/state"]);
    let problem = app
        .post(format!("{own}/discard"), &json!({"all": true}))
        .refused(422, "invalid-body")
        .await;
    assert_eq!(places(&problem), ["/all"]);
    app.call(Method::POST, path).raw("").refused(400, "not-json").await;
    for what in ["replay", "discard"] {
        let path = format!("{}/{what}", elsewhere.replace(&other.id, &client.id));
        let problem = app.post(path, &json!({})).refused(404, "not-found").await;
        assert_eq!(problem["detail"], "there is no such destination");
        app.post(format!("{}/destinations/1/{what}", client.path), &json!({}))
            .refused(400, "invalid-request")
            .await;
    }
}

#[tokio::test]
async fn a_repeated_request_takes_effect_once() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let delivery = failed(&app, &client).await;
    let redeliver = || {
        app.call(Method::POST, format!("{delivery}/redeliver"))
            .header("idempotency-key", "one")
    };
    let first = redeliver().send().await;
    let second = redeliver().send().await;
    assert_eq!(second.headers["idempotency-replayed"], "true");
    assert_eq!(first.expect(202), second.expect(202));

    let own = destination(&app, &client).await;
    let replay = || {
        app.post(format!("{own}/replay"), &json!({}))
            .header("idempotency-key", "two")
    };
    let first = replay().send().await;
    let second = replay().send().await;
    assert_eq!(second.headers["idempotency-replayed"], "true");
    assert_eq!(second.headers["location"], first.headers["location"]);
    let recovery = first.expect(202);
    assert_eq!(recovery, second.expect(202));

    let cancel = || {
        let path = format!("{}/recoveries/{}/cancel", client.path, text(&recovery, "/id"));
        app.call(Method::POST, path).header("idempotency-key", "three")
    };
    let first = cancel().send().await.expect(200);
    assert_eq!(first, cancel().send().await.expect(200));
    let path = format!("{own}/replay");
    let other = app.post(path, &json!({"since": "2024-11-24T10:30:00Z"}));
    other
        .header("idempotency-key", "two")
        .refused(422, "idempotency-key-reused")
        .await;
}
