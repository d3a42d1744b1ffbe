//! Secrets of a destination's config: masked, kept unless given anew, and sent nowhere else.

use serde_json::{Value, json};

use crate::app::{TestApp, places, text};

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
