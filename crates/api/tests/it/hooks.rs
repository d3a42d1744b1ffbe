//! REST hooks: subscribed by an app, sampled, and unsubscribed.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::app::{RECEIVER, TestApp, lead, new_destination, places, text};

const ZAPIER: &str = "https://hooks.zapier.com/hooks/standard/1234567/abcdef/";
const KEY: &str = "idempotency-key";

#[tokio::test]
async fn hook_is_a_destination_of_its_kind_from_subscription_to_its_end() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let hooks = format!("{}/hooks", client.path);
    let cases = [
        (ZAPIER, "zapier"),
        ("https://hook.eu2.make.com/abcdef", "make"),
        (RECEIVER, "webhook"),
    ];
    for (url, kind) in cases {
        let body = json!({"targetUrl": url, "event": "lead.created"});
        let made = app.post(&*hooks, &body).send().await.expect(201);
        assert_eq!(made["event"], "lead.created");
        let again = app.post(&*hooks, &json!({"targetUrl": url})).send().await.expect(200);
        assert_eq!(again, made, "the same subscription");
        let destination = format!("{}/destinations/{}", client.path, text(&made, "/id"));
        let shown = app.get(&*destination).send().await.expect(200);
        assert_eq!((&shown["kind"], &shown["status"]), (&json!(kind), &json!("active")));
        assert!(text(&shown, "/name").starts_with("hook "));
        app.post(client.leads(), &lead()).send().await.expect(201);
        let of_hook = format!("{}/deliveries?destinationId={}", client.path, text(&made, "/id"));
        let deliveries = app.get(of_hook).send().await.expect(200);
        assert_eq!(deliveries["items"].as_array().map(Vec::len), Some(1), "{kind}");
        let hook = format!("{hooks}/{}", text(&made, "/id"));
        assert_eq!(app.delete(&*hook).send().await.status, 204);
        app.delete(&*hook).refused(404, "not-found").await;
        app.get(&*destination).refused(404, "not-found").await;
        let anew = app.post(&*hooks, &json!({"targetUrl": url})).send().await.expect(201);
        assert_ne!(anew["id"], made["id"]);
    }
}

async fn equal_subscriptions_at_once_are_one(app: TestApp) {
    let client = app.client("Acme Corp").await;
    let hooks = format!("{}/hooks", client.path);
    let body = json!({"targetUrl": ZAPIER});
    let answers = join_all((0..8).map(|_| app.post(&*hooks, &body).send())).await;
    let mut statuses = answers.iter().map(|answer| answer.status).collect::<Vec<_>>();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 201]);
    assert!(answers.iter().all(|answer| answer.json() == answers[0].json()));
    assert_eq!(app.count("destinations").await, 2, "this one and the Lead Webhook's");
}

#[tokio::test]
async fn equal_subscriptions_at_once_are_one_on_sqlite() {
    equal_subscriptions_at_once_are_one(TestApp::new().await).await;
}

#[tokio::test]
async fn equal_subscriptions_at_once_are_one_on_postgres() {
    if let Some(app) = TestApp::on_postgres().await {
        equal_subscriptions_at_once_are_one(app).await;
    }
}

#[tokio::test]
async fn key_of_a_subscription_counts_even_where_the_url_is_known() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let hooks = format!("{}/hooks", client.path);
    let (zapier, receiver) = (json!({"targetUrl": ZAPIER}), json!({"targetUrl": RECEIVER}));
    app.post(&*hooks, &zapier).send().await.expect(201);
    let made = app.post(&*hooks, &receiver).header(KEY, "k1").send().await.expect(201);
    let again = app.post(&*hooks, &receiver).header(KEY, "k1").send().await;
    assert_eq!(again.expect(201), made);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    app.post(&*hooks, &zapier)
        .header(KEY, "k1")
        .refused(422, "idempotency-key-reused")
        .await;
    let known = app.post(&*hooks, &receiver).header(KEY, "k2").send().await.expect(200);
    assert_eq!(known, made);
    // Even when there is no such hook any more by the time the request is repeated.
    let hook = format!("{hooks}/{}", text(&made, "/id"));
    assert_eq!(app.delete(hook).send().await.status, 204);
    let again = app.post(&*hooks, &receiver).header(KEY, "k2").send().await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.expect(200), made);
    app.post(&*hooks, &zapier)
        .header(KEY, "k2")
        .refused(422, "idempotency-key-reused")
        .await;
}

#[tokio::test]
async fn hook_keeps_its_name_by_which_it_is_found() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let hooks = format!("{}/hooks", client.path);
    let made = app
        .post(&*hooks, &json!({"targetUrl": RECEIVER}))
        .send()
        .await
        .expect(201);
    let destination = format!("{}/destinations/{}", client.path, text(&made, "/id"));
    let shown = app.get(&*destination).send().await.expect(200);
    app.patch(&*destination, &json!({"name": "CRM"}))
        .refused(409, "conflict")
        .await;
    // As the console's form sends it.
    let same = json!({"name": shown["name"], "ordered": true});
    assert_eq!(
        app.patch(&*destination, &same).send().await.expect(200)["ordered"],
        true
    );

    app.destination(&client, "CRM").await;
    let all = app
        .get(format!("{}/destinations", client.path))
        .send()
        .await
        .expect(200);
    let items = all["items"].as_array().expect("a list");
    let crm = items.iter().find(|item| item["name"] == "CRM").expect("is there");
    let crm = format!("{}/destinations/{}", client.path, text(crm, "/id"));
    let like_a_hook = "hook 0123456789abcdef";
    app.patch(crm, &json!({"name": like_a_hook}))
        .refused(409, "conflict")
        .await;
    let problem = app
        .post(format!("{}/destinations", client.path), &new_destination(like_a_hook))
        .refused(422, "invalid-body")
        .await;
    assert_eq!(places(&problem), ["/name"]);
}

#[tokio::test]
async fn paused_hook_is_resumed_by_subscribing_again() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let hooks = format!("{}/hooks", client.path);
    let body = json!({"targetUrl": RECEIVER});
    let made = app.post(&*hooks, &body).send().await.expect(201);
    let destination = format!("{}/destinations/{}", client.path, text(&made, "/id"));
    let paused = app.patch(&*destination, &json!({"status": "paused"})).send().await;
    assert_eq!(paused.expect(200)["status"], "paused");
    assert_eq!(app.post(&*hooks, &body).send().await.expect(200), made);
    assert_eq!(app.get(&*destination).send().await.expect(200)["status"], "active");
    app.post(&*hooks, &body).send().await.expect(200);
    let shown = app.get(&*destination).send().await.expect(200);
    assert_eq!(shown["version"], 3, "what is active isn't changed");

    let elsewhere = json!({"config": {"url": "http://127.0.0.1:9/crm"}});
    app.patch(&*destination, &elsewhere).send().await.expect(200);
    app.post(&*hooks, &body).refused(409, "conflict").await;
}

#[tokio::test]
async fn no_other_destination_is_unsubscribed() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    app.destination(&client, "CRM").await;
    let destinations = format!("{}/destinations", client.path);
    let before = app.get(&*destinations).send().await.expect(200);
    assert_eq!(before["items"].as_array().map(Vec::len), Some(2));
    for other in ["/items/0/id", "/items/1/id"] {
        let hook = format!("{}/hooks/{}", client.path, text(&before, other));
        app.delete(hook).refused(404, "not-found").await;
    }
    assert_eq!(app.get(&*destinations).send().await.expect(200), before);
}

#[tokio::test]
async fn bad_hook_is_refused_by_its_field_and_changes_nothing() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let hooks = format!("{}/hooks", client.path);
    let before = app.counts().await;
    let cases = [
        (json!({}), "/targetUrl"),
        (json!({"targetUrl": null}), "/targetUrl"),
        (json!({"targetUrl": ""}), "/targetUrl"),
        (json!({"targetUrl": 7}), "/targetUrl"),
        (json!({"targetUrl": "ftp://example.com"}), "/targetUrl"),
        (json!({"targetUrl": "https://169.254.169.254/"}), "/targetUrl"),
        (json!({"targetUrl": ZAPIER, "event": "lead.deleted"}), "/event"),
        (json!({"targetUrl": ZAPIER, "target": 1}), "/target"),
    ];
    for (body, pointer) in cases {
        let problem = app.post(&*hooks, &body).refused(422, "invalid-body").await;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}: {problem}");
    }
    assert_eq!(app.counts().await, before);
}

#[tokio::test]
async fn sample_shows_leads_as_they_are_sent() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let sample = format!("{}/hooks/sample", client.path);
    let made_up = app.get(&*sample).send().await.expect(200);
    assert_eq!(
        (made_up.as_array().map(Vec::len), &made_up[0]["event"]),
        (Some(1), &json!("lead.created"))
    );
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(app.post(client.leads(), &lead()).send().await.expect(201)["id"].clone());
    }
    let erased = format!("{}/{}", client.leads(), ids[3].as_str().expect("an id"));
    assert_eq!(app.delete(erased).send().await.status, 204);
    // What is kept back as suspected was never sent, and hides nothing.
    for number in 0..4 {
        let spam = json!({"name": "Spam", "email": format!("spam{number}@example.com")});
        let kept_back = app
            .post(client.leads(), &spam)
            .key(&client.publishable_key)
            .send()
            .await;
        assert!(kept_back.expect(201)["suspected"].is_object());
    }
    let events = app.get(&*sample).send().await.expect(200);
    let shown = events
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| event["data"]["id"].clone());
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [ids[2].clone(), ids[1].clone(), ids[0].clone()],
        "the newest, without what is erased"
    );
    let keys = |event: &Value| {
        event["data"]
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&events[0]), keys(&made_up[0]));
    assert_eq!(events[0]["data"]["clientName"], "Acme Corp");
}
