//! Destinations: made, changed, paused and resumed, deleted.

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::app::{RECEIVER, TestApp, lead, new_destination, places, text};

async fn a_destination_lives(app: TestApp) {
    let client = app.client("Acme Corp").await;
    let list = format!("{}/destinations", client.path);
    let body = json!({
        "kind": "webhook", "name": " CRM ", "config": {"url": "http://127.0.0.1:9"},
        "rateLimit": {"requests": 30, "per": "minute"}, "ordered": true,
        "filter": {"all": [{"path": "data.phone", "exists": true}, {"not": {"path": "data.message", "contains": "spam", "ignoreCase": true}}]}
    });
    let made = app.post(&*list, &body).send().await.expect(201);
    assert_json_snapshot!("made_destination", made, {".id" => "[id]"});
    let path = format!("{list}/{}", text(&made, "/id"));
    assert_eq!(app.get(&*path).send().await.expect(200), made);
    let listed = app.get(&*list).send().await.expect(200);
    assert_eq!(
        listed["items"].as_array().map(Vec::len),
        Some(2),
        "beside the Lead Webhook"
    );

    app.post(client.leads(), &lead()).send().await.expect(201);
    let deliveries = app.get(format!("{}/deliveries", client.path)).send().await.expect(200);
    assert_eq!(
        deliveries["items"].as_array().map(Vec::len),
        Some(2),
        "each gets the lead"
    );

    let change = json!({
        "name": "Customers", "config": {"url": RECEIVER}, "retry": {"policy": "custom", "delays": ["5s", "1h"]},
        "rateLimit": null, "ordered": false, "filter": null, "status": "paused"
    });
    let changed = app.patch(&*path, &change).send().await.expect(200);
    assert_json_snapshot!("changed_destination", changed, {".id" => "[id]"});
    let before = app.counts().await;
    assert_eq!(
        app.patch(&*path, &change).send().await.expect(200),
        changed,
        "again changes nothing"
    );
    assert_eq!(app.patch(&*path, &json!({})).send().await.expect(200), changed);
    assert_eq!(app.counts().await, before);
    let resumed = app.patch(&*path, &json!({"status": "active"})).send().await.expect(200);
    assert_eq!((&resumed["status"], &resumed["version"]), (&json!("active"), &json!(3)));

    assert_eq!(app.delete(&*path).send().await.status, 204);
    app.get(&*path).refused(404, "not-found").await;
    app.patch(&*path, &json!({"ordered": true}))
        .refused(404, "not-found")
        .await;
    app.delete(&*path).refused(404, "not-found").await;
    app.post(format!("{path}/secret/rotate"), &json!({}))
        .refused(404, "not-found")
        .await;
}

#[tokio::test]
async fn a_destination_lives_on_sqlite() {
    a_destination_lives(TestApp::new().await).await;
}

#[tokio::test]
async fn a_destination_lives_on_postgres() {
    if let Some(app) = TestApp::on_postgres().await {
        a_destination_lives(app).await;
    }
}

#[tokio::test]
async fn every_fault_of_a_new_destination_is_told() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let list = format!("{}/destinations", client.path);
    let with = |field: &str, value: Value| {
        let mut body = new_destination("CRM");
        body[field] = value;
        body
    };
    for (body, wrong) in [
        (json!([]), &[""][..]),
        (json!({}), &["/kind", "/name", "/config"]),
        (
            json!({"kind": 1, "name": " ", "config": {}, "retry": null, "rateLimit": {}, "ordered": "no", "status": "active"}),
            &[
                "/kind",
                "/name",
                "/retry",
                "/rateLimit/requests",
                "/rateLimit/per",
                "/ordered",
                "/status",
            ],
        ),
        (with("kind", json!("fax")), &["/kind"]),
        (with("name", json!("a\nb")), &["/name"]),
        (with("name", json!("n".repeat(101))), &["/name"]),
        (with("name", json!("lead-webhook")), &["/name"]),
        (with("config", json!("http://127.0.0.1:9")), &["/config"]),
        (with("config", json!({})), &["/config/url"]),
        (
            with("config", json!({"url": "ftp://acme.example", "token": 1})),
            &["/config/url", "/config/token"],
        ),
        (with("config", json!({"url": "https://10.0.0.1/x"})), &["/config/url"]),
        (with("retry", json!({"policy": "never"})), &["/retry/policy"]),
        (
            with("retry", json!({"policy": "custom", "delays": ["5s", "8d"]})),
            &["/retry/delays/1"],
        ),
        (with("retry", json!({"policy": "custom"})), &["/retry/delays"]),
        (
            with("rateLimit", json!({"requests": 0, "per": "hour", "burst": 1})),
            &["/rateLimit/requests", "/rateLimit/per"],
        ),
        (with("ordered", Value::Null), &["/ordered"]),
        (with("template", json!("{{ data.name }}")), &["/template"]),
        (
            with("template", json!({"title": "a", "body": 1})),
            &["/template/body", "/template/title"],
        ),
        (with("template", json!({"body": "{{ data.name"})), &["/template/body"]),
        (
            with("template", json!({"body": "Lead: {{ data.name }}"})),
            &["/template/body"],
        ),
        (with("filter", json!("data.phone")), &["/filter"]),
        (
            with(
                "filter",
                json!({"any": [{"path": "data.phnoe", "exists": 1}, {"path": "data.name", "regex": "("}]}),
            ),
            &["/filter/any/0/path", "/filter/any/0/exists", "/filter/any/1/regex"],
        ),
    ] {
        let problem = app.post(&*list, &body).refused(422, "invalid-body").await;
        assert_eq!(places(&problem), wrong, "{body}");
    }
    app.destination(&client, "CRM").await;
    let problem = app.post(&*list, &new_destination("CRM")).refused(409, "conflict").await;
    assert_json_snapshot!("name_taken", problem, {".requestId" => "[id]"});
}

#[tokio::test]
async fn every_fault_of_a_change_is_told() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let destination = app.destination(&client, "CRM").await;
    for (body, wrong) in [
        (json!([]), &[""][..]),
        (
            json!({"name": null, "config": null, "retry": 1, "rateLimit": 1, "ordered": null, "status": null, "kind": "webhook"}),
            &[
                "/name",
                "/config",
                "/retry",
                "/rateLimit",
                "/ordered",
                "/status",
                "/kind",
            ],
        ),
        (json!({"status": "disabled"}), &["/status"]),
        (json!({"status": "gone"}), &["/status"]),
        (json!({"name": "Lead-Webhook"}), &["/name"]),
        (json!({"config": {"url": "https://169.254.169.254/"}}), &["/config/url"]),
        (json!({"config": {}}), &["/config/url"]),
        (json!({"template": {"text": "a"}}), &["/template/text"]),
        (
            json!({"template": {"body": "\n{{ data.name | leet }}"}}),
            &["/template/body"],
        ),
        (
            json!({"retry": {"policy": "none", "delays": ["5s"]}}),
            &["/retry/delays"],
        ),
    ] {
        let problem = app.patch(&*destination, &body).refused(422, "invalid-body").await;
        assert_eq!(places(&problem), wrong, "{body}");
    }
    let problem = app
        .patch(&*destination, &json!({"status": "disabled"}))
        .refused(422, "invalid-body")
        .await;
    assert_json_snapshot!("disabled_is_our_doing", problem, {".requestId" => "[id]"});
    app.destination(&client, "Board").await;
    app.patch(&*destination, &json!({"name": "Board"}))
        .refused(409, "conflict")
        .await;
}

#[tokio::test]
async fn the_lead_webhook_is_changed_here_as_in_the_settings_but_keeps_its_name() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let settings = app.get(client.settings()).send().await.expect(200);
    let path = format!("{}/destinations/{}", client.path, text(&settings, "/destinationId"));
    let url = "http://127.0.0.1:9/other";
    let change = json!({
        "name": "lead-webhook", "config": {"url": url}, "retry": {"policy": "standard"},
        "rateLimit": {"requests": 1, "per": "second"}, "ordered": true, "status": "paused"
    });
    let changed = app.patch(&*path, &change).send().await.expect(200);
    assert_eq!((&changed["status"], &changed["version"]), (&json!("paused"), &json!(2)));
    let settings = app.get(client.settings()).send().await.expect(200);
    assert_eq!(
        (&settings["leadWebhookUrl"], &settings["destinationId"]),
        (&json!(url), &changed["id"])
    );
    let problem = app
        .patch(&*path, &json!({"name": "CRM"}))
        .refused(409, "conflict")
        .await;
    assert_json_snapshot!("name_kept", problem, {".requestId" => "[id]"});

    assert_eq!(app.delete(&*path).send().await.status, 204);
    let settings = app.get(client.settings()).send().await.expect(200);
    assert_eq!(
        (&settings["leadWebhookUrl"], &settings["destinationId"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn client_has_a_hundred_destinations_at_most() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let list = format!("{}/destinations", client.path);
    // Beside the Lead Webhook's.
    let mut last = String::new();
    for number in 0..100 {
        let made = app
            .post(&*list, &new_destination(&format!("CRM {number}")))
            .send()
            .await
            .expect(201);
        last = text(&made, "/id");
    }
    let before = app.counts().await;
    let problem = app
        .post(&*list, &new_destination("one more"))
        .refused(409, "conflict")
        .await;
    assert!(
        text(&problem, "/detail").contains("100 destinations at most"),
        "{problem}"
    );
    assert_eq!(app.counts().await, before);
    assert_eq!(app.delete(format!("{list}/{last}")).send().await.status, 204);
    app.post(&*list, &new_destination("one more")).send().await.expect(201);
}

#[tokio::test]
async fn each_kind_is_described() {
    let app = TestApp::new().await;
    assert_json_snapshot!("kinds", app.get("/v1/destination-kinds").send().await.expect(200));
    app.get("/v1/destination-kinds?limit=1")
        .refused(400, "invalid-request")
        .await;
}

#[tokio::test]
async fn a_dry_run_tells_what_saving_would_and_saves_nothing() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let list = format!("{}/destinations", client.path);
    let before = app.counts().await;
    let mut body = json!({"kind": "slack", "name": "Sales",
        "config": {"url": "https://hooks.slack.com/services/T00000000/B00000000/SeCrEt"},
        "template": {"title": "Hello {{ data.name }}"}});
    let preview = app.post(format!("{list}?dryRun=true"), &body).send().await.expect(200);
    assert_eq!(preview["rendered"]["title"], "Hello Sample Lead");
    assert_eq!(preview["request"]["method"], "POST");
    assert!(!preview.to_string().contains("SeCrEt"), "{preview}");
    body["template"]["title"] = json!("{{ data.name");
    let problem = app
        .post(format!("{list}?dryRun=true"), &body)
        .refused(422, "invalid-body")
        .await;
    assert_eq!(places(&problem), ["/template/title"]);
    body["filter"] = json!({"all": []});
    let problem = app
        .post(format!("{list}?dryRun=true"), &body)
        .refused(422, "invalid-body")
        .await;
    assert!(places(&problem).contains(&"/filter/all"), "{problem}");
    assert_eq!(app.counts().await, before);
    app.post(format!("{list}?dryRun=perhaps"), &body)
        .refused(400, "invalid-request")
        .await;

    let made = app.post(&*list, &new_destination("CRM")).send().await.expect(201);
    let path = format!("{list}/{}", text(&made, "/id"));
    let before = app.counts().await;
    let change = json!({"config": {"url": "http://127.0.0.1:9/other"}, "status": "paused"});
    let preview = app
        .patch(format!("{path}?dryRun=true"), &change)
        .send()
        .await
        .expect(200);
    assert_eq!(preview["request"]["url"], "http://127.0.0.1:9/other");
    assert_eq!(app.get(&*path).send().await.expect(200), made);
    assert_eq!(app.counts().await, before);
    let changed = app
        .patch(format!("{path}?dryRun=false"), &change)
        .send()
        .await
        .expect(200);
    assert_eq!((&changed["status"], &changed["version"]), (&json!("paused"), &json!(2)));
}
