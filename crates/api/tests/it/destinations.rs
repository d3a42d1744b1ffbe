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
async fn a_secret_of_a_config_is_masked_and_stays_unless_it_is_given() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let list = format!("{}/destinations", client.path);
    let url = "https://hooks.slack.com/services/T0/B0/s3cret";
    let body = |config: Value| json!({"kind": "slack", "name": "Sales", "config": config});
    for (config, wrong) in [
        (json!({}), "is required"),
        (json!({"url": "********"}), "must be the secret itself"),
        (
            json!({"url": "https://evil.example/s3cret"}),
            "must be an incoming webhook's URL",
        ),
    ] {
        let refused = app.post(&*list, &body(config)).refused(422, "invalid-body").await;
        let told = refused.to_string();
        assert!(
            told.contains("/config/url") && told.contains(wrong) && !told.contains("s3cret"),
            "{told}"
        );
    }
    let made = app.post(&*list, &body(json!({ "url": url }))).send().await.expect(201);
    assert_eq!(made["config"], json!({"url": "********"}));
    assert_eq!(
        made["rateLimit"],
        json!({"requests": 1, "per": "second", "burst": 5}),
        "as Slack allows"
    );
    let without = json!({"kind": "slack", "name": "All", "config": {"url": url}, "rateLimit": null});
    assert_eq!(
        app.post(&*list, &without).send().await.expect(201)["rateLimit"],
        Value::Null
    );
    let path = format!("{list}/{}", text(&made, "/id"));
    for config in [json!({}), json!({"url": "********"}), json!({ "url": url })] {
        let same = app.patch(&*path, &json!({ "config": config })).send().await.expect(200);
        assert_eq!(same, made, "it is as it was");
    }
    let other = json!({"config": {"url": "https://hooks.slack.com/services/T0/B0/0ther"}});
    let changed = app.patch(&*path, &other).send().await.expect(200);
    assert_eq!((&changed["config"], &changed["version"]), (&made["config"], &json!(2)));
}

#[tokio::test]
async fn secrets_within_a_webhooks_config_are_masked_each_and_stay_where_the_mask_is_sent_back() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let list = format!("{}/destinations", client.path);
    let (url, token_url) = ("http://127.0.0.1:9/hook", "http://127.0.0.1:9/token");
    let oauth = |secret: &str| json!({"type": "oauth2ClientCredentials", "tokenUrl": token_url, "clientId": "me", "clientSecret": secret});
    let config =
        |auth: Value, headers: Value| json!({"url": url, "method": "PUT", "auth": auth, "secretHeaders": headers});
    let body = |config: Value| json!({"kind": "webhook", "name": "CRM", "config": config});
    for (auth, headers, place, wrong) in [
        (
            oauth("********"),
            json!({}),
            "/config/auth/clientSecret",
            "must be the secret itself",
        ),
        (
            Value::Null,
            json!({"X-Key": "********"}),
            "/config/secretHeaders/X-Key",
            "must be the secret itself",
        ),
        (
            Value::Null,
            json!({"Host": "s3cret"}),
            "/config/secretHeaders/Host",
            "must not be given",
        ),
        (
            json!({"type": "bearer"}),
            json!({}),
            "/config/auth/token",
            "is required",
        ),
    ] {
        let refused = app
            .post(&*list, &body(config(auth, headers)))
            .refused(422, "invalid-body")
            .await;
        assert_eq!(places(&refused), [place]);
        let told = refused.to_string();
        assert!(told.contains(wrong) && !told.contains("s3cret"), "{told}");
    }
    let mut inward = oauth("s3cret");
    inward["tokenUrl"] = "https://169.254.169.254/token".into();
    let refused = app
        .post(&*list, &body(config(inward, json!({}))))
        .refused(422, "invalid-body")
        .await;
    assert_eq!(places(&refused), ["/config/auth/tokenUrl"]);

    let made = app.post(
        &*list,
        &body(config(
            oauth("s3cret-1"),
            json!({"X-Key": "s3cret-2", "X-Other": "s3cret-3"}),
        )),
    );
    let made = made.send().await.expect(201);
    let masked = config(oauth("********"), json!({"X-Key": "********", "X-Other": "********"}));
    assert_eq!(made["config"], masked);
    let path = format!("{list}/{}", text(&made, "/id"));
    let same = app.patch(&*path, &json!({ "config": masked })).send().await.expect(200);
    assert_eq!(same, made, "it is as it was");

    let stored = async || {
        let id = text(&made, "/id").parse().expect("an id");
        let client = client.id.parse().expect("an id");
        let destination = app
            .store
            .destination(client, id)
            .await
            .expect("read")
            .expect("it is there");
        destination.config.expose().clone()
    };
    let less = config(oauth("********"), json!({"X-Key": "********", "X-New": "s3cret-4"}));
    let changed = app.patch(&*path, &json!({ "config": less })).send().await.expect(200);
    assert_eq!(
        changed["config"]["secretHeaders"],
        json!({"X-Key": "********", "X-New": "********"})
    );
    assert_eq!(
        stored().await,
        config(oauth("s3cret-1"), json!({"X-Key": "s3cret-2", "X-New": "s3cret-4"}))
    );
    let other = config(
        json!({"type": "bearer", "token": "s3cret-5"}),
        json!({"X-Key": "s3cret-6"}),
    );
    app.patch(&*path, &json!({ "config": other })).send().await.expect(200);
    assert_eq!(stored().await, other);
    let gone = app
        .patch(&*path, &json!({"config": {"url": url}}))
        .send()
        .await
        .expect(200);
    assert_eq!(
        (&gone["config"], stored().await),
        (&json!({"url": url}), json!({"url": url})),
        "what is left out is gone"
    );
}

#[tokio::test]
async fn another_lead_webhook_url_in_the_settings_leaves_how_it_is_sent() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let settings = app.get(client.settings()).send().await.expect(200);
    let path = format!("{}/destinations/{}", client.path, text(&settings, "/destinationId"));
    let config = |url: &str| json!({"url": url, "body": "form", "auth": {"type": "bearer", "token": "********"}});
    let mut given = config("http://127.0.0.1:9/one");
    given["auth"]["token"] = "s3cret".into();
    app.patch(&*path, &json!({ "config": given })).send().await.expect(200);
    let url = "http://127.0.0.1:9/two";
    app.patch(client.settings(), &json!({"leadWebhookUrl": url}))
        .send()
        .await
        .expect(200);
    let changed = app.get(&*path).send().await.expect(200);
    assert_eq!((&changed["config"], &changed["version"]), (&config(url), &json!(3)));
    app.patch(&*path, &json!({"config": config(url)}))
        .send()
        .await
        .expect(200);
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
async fn secret_goes_nowhere_else_than_it_was_given_for() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let list = format!("{}/destinations", client.path);
    let webhook = |url: &str, token: &str| json!({"url": url, "auth": {"type": "bearer", "token": token}});
    let mail = |host: &str, port: u16, password: &str| {
        json!({
            "host": host, "port": port, "username": "leads", "password": password,
            "from": "leads@acme.example", "to": ["sales@acme.example"],
        })
    };
    let oauth = |token_url: &str, secret: &str| {
        let auth = json!({"type": "oauth2ClientCredentials", "tokenUrl": token_url, "clientId": "leads", "clientSecret": secret});
        json!({"url": "http://127.0.0.1:9/one", "auth": auth})
    };
    let mask = "********";
    let cases = [
        (
            "webhook",
            oauth("http://127.0.0.1:9/theirs", "s3cret"),
            oauth("http://127.0.0.1:9/mine", mask),
            "/config/auth/clientSecret",
            oauth("http://127.0.0.1:9/theirs", mask),
        ),
        (
            "webhook",
            webhook("http://127.0.0.1:9/one", "s3cret"),
            webhook("http://127.0.0.1:8/one", mask),
            "/config/auth/token",
            webhook("http://127.0.0.1:9/two", mask),
        ),
        (
            "email",
            mail("mail.acme.example", 465, "s3cret"),
            mail("mail.evil.example", 465, mask),
            "/config/password",
            mail("mail.acme.example", 465, mask),
        ),
        (
            "email",
            mail("mail.acme.example", 465, "s3cret"),
            mail("mail.acme.example", 587, mask),
            "/config/password",
            mail("mail.evil.example", 465, "another"),
        ),
    ];
    for (number, (kind, config, elsewhere, pointer, fine)) in cases.into_iter().enumerate() {
        let body = json!({"kind": kind, "name": format!("{kind} {number}"), "config": config});
        let made = app.post(&*list, &body).send().await.expect(201);
        let path = format!("{list}/{}", text(&made, "/id"));
        let problem = app
            .patch(&*path, &json!({ "config": elsewhere }))
            .refused(422, "invalid-body")
            .await;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        assert_eq!(app.get(&*path).send().await.expect(200), made, "nothing has changed");
        app.patch(&*path, &json!({ "config": fine })).send().await.expect(200);
    }
    // The settings change the URL alone: credentials don't follow to another host.
    let settings = app.get(client.settings()).send().await.expect(200);
    let path = format!("{list}/{}", text(&settings, "/destinationId"));
    let config = webhook("http://127.0.0.1:9/one", "s3cret");
    app.patch(&*path, &json!({ "config": config })).send().await.expect(200);
    let url = json!({"leadWebhookUrl": "http://127.0.0.1:8/one"});
    app.patch(client.settings(), &url).send().await.expect(200);
    let changed = app.get(&*path).send().await.expect(200);
    assert_eq!(changed["config"], json!({"url": "http://127.0.0.1:8/one"}));
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
