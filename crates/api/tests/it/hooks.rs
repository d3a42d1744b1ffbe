//! REST hooks: subscribed by an app, sampled, and unsubscribed.

use serde_json::{Value, json};

use crate::app::{RECEIVER, TestApp, lead, text};

const ZAPIER: &str = "https://hooks.zapier.com/hooks/standard/1234567/abcdef/";

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
    let events = app.get(&*sample).send().await.expect(200);
    let shown = events
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| event["data"]["id"].clone());
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [ids[2].clone(), ids[1].clone()],
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
