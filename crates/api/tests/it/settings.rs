//! The Lead Webhook URL: saved, changed, emptied.

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::app::{RECEIVER, TestApp, lead, places, text};

#[tokio::test]
async fn a_changed_url_keeps_its_destination_and_secret() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let before = app.get(client.settings()).send().await.expect(200);
    let destination = format!("{}/destinations/{}", client.path, text(&before, "/destinationId"));
    let secret = app.get(format!("{destination}/secret")).send().await.expect(200);

    let url = "http://127.0.0.1:9/other?token=secret";
    let after = app
        .patch(client.settings(), &json!({"leadWebhookUrl": url}))
        .send()
        .await
        .expect(200);
    assert_eq!(
        (&after["leadWebhookUrl"], &after["destinationId"]),
        (&json!(url), &before["destinationId"])
    );
    assert_eq!(
        app.get(format!("{destination}/secret")).send().await.expect(200),
        secret
    );
    let read = app.get(destination).send().await.expect(200);
    assert_eq!((&read["version"], &read["config"]), (&json!(2), &json!({"url": url})));
}

#[tokio::test]
async fn an_emptied_url_deletes_the_destination_and_cancels_what_is_pending() {
    let app = TestApp::new().await;
    for empty in [json!(null), json!(""), json!("  ")] {
        let client = app.client("Acme Corp").await;
        app.post(client.leads(), &lead()).send().await.expect(201);
        let before = app.get(client.settings()).send().await.expect(200);
        let settings = app
            .patch(client.settings(), &json!({"leadWebhookUrl": empty}))
            .send()
            .await
            .expect(200);
        assert_eq!(
            (&settings["leadWebhookUrl"], &settings["destinationId"]),
            (&Value::Null, &Value::Null)
        );
        let deliveries = app.get(format!("{}/deliveries", client.path)).send().await.expect(200);
        assert_eq!(deliveries["items"][0]["state"], "cancelled");
        let destinations = app
            .get(format!("{}/destinations", client.path))
            .send()
            .await
            .expect(200);
        assert_eq!(destinations["items"], json!([]));

        let again = app
            .patch(client.settings(), &json!({"leadWebhookUrl": RECEIVER}))
            .send()
            .await
            .expect(200);
        assert_ne!(again["destinationId"], before["destinationId"]);
    }
}

#[tokio::test]
async fn what_is_absent_stays() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let before = app.get(client.settings()).send().await.expect(200);
    assert_eq!(
        app.patch(client.settings(), &json!({})).send().await.expect(200),
        before
    );
    let after = app
        .patch(client.settings(), &json!({"includeCustomFields": true}))
        .send()
        .await
        .expect(200);
    assert_eq!(
        (&after["includeCustomFields"], &after["leadWebhookUrl"]),
        (&json!(true), &before["leadWebhookUrl"])
    );
}

#[tokio::test]
async fn a_url_that_can_never_work_is_refused_when_it_is_saved() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    for url in [
        "acme.example",
        "ftp://acme.example",
        "https://user@acme.example",
        "http://10.0.0.1/leads",
    ] {
        let body = json!({"leadWebhookUrl": url});
        let problem = app.patch(client.settings(), &body).refused(422, "invalid-body").await;
        assert_eq!(places(&problem), ["/leadWebhookUrl"], "{url}");
        let body = json!({"name": "Other Inc", "leadWebhookUrl": url});
        let problem = app.post("/v1/clients", &body).refused(422, "invalid-body").await;
        assert_eq!(places(&problem), ["/leadWebhookUrl"], "{url}");
    }
}

#[tokio::test]
async fn a_private_address_is_refused_with_the_setting_that_would_allow_it() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let body = json!({"leadWebhookUrl": "https://10.0.0.1/leads"});
    let problem = app.patch(client.settings(), &body).refused(422, "invalid-body").await;
    let detail = text(&problem, "/errors/0/detail");
    assert!(detail.contains("SENSEI_EGRESS_ALLOW"), "{detail}");
}

#[tokio::test]
async fn faulty_settings_are_told_all_at_once() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let body = json!({"leadWebhookUrl": 5, "includeCustomFields": null, "leadWebhook": RECEIVER});
    let problem = app.patch(client.settings(), &body).refused(422, "invalid-body").await;
    assert_json_snapshot!(problem, {".requestId" => "[id]"});
}

#[tokio::test]
async fn operational_events_are_for_admins_to_switch_on() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let body = json!({"name": "server", "kind": "secret", "clientId": client.id});
    let key = text(&app.post("/v1/keys", &body).send().await.expect(201), "/key");
    let on = json!({"operationalEvents": true});
    app.patch(client.settings(), &on)
        .key(&key)
        .refused(403, "forbidden")
        .await;
    let settings = app.patch(client.settings(), &on).send().await.expect(200);
    assert_eq!(settings["operationalEvents"], true);
    let seen = app.get(client.settings()).key(&key).send().await.expect(200);
    assert_eq!(seen, settings);
    let wrong = json!({"operationalEvents": "yes"});
    let problem = app.patch(client.settings(), &wrong).refused(422, "invalid-body").await;
    assert_eq!(places(&problem), ["/operationalEvents"]);
}

#[tokio::test]
async fn who_may_embed_a_clients_view_is_for_admins_to_say() {
    for app in [Some(TestApp::new().await), TestApp::on_postgres().await]
        .into_iter()
        .flatten()
    {
        let client = app.client("Acme Corp").await;
        let body = json!({"name": "server", "kind": "secret", "clientId": client.id});
        let key = text(&app.post("/v1/keys", &body).send().await.expect(201), "/key");
        let origins = json!({"frameAncestors": ["https://App.Acme.example/", "http://localhost:3000", "https://app.acme.example"]});
        app.patch(client.settings(), &origins)
            .key(&key)
            .refused(403, "forbidden")
            .await;
        let settings = app.patch(client.settings(), &origins).send().await.expect(200);
        assert_eq!(
            settings["frameAncestors"],
            json!(["https://app.acme.example", "http://localhost:3000"])
        );
        let seen = app.get(client.settings()).key(&key).send().await.expect(200);
        assert_eq!(seen, settings);
        for (wrong, place) in [
            (json!(["https://a.example", "http://a.example"]), "/frameAncestors/1"),
            (json!(["https://a.example/path"]), "/frameAncestors/0"),
            (json!(["https://*.a.example"]), "/frameAncestors/0"),
            (json!(["https://a.example; script-src *"]), "/frameAncestors/0"),
            (json!([5]), "/frameAncestors/0"),
            (json!("https://a.example"), "/frameAncestors"),
            (json!(vec!["https://a.example"; 21]), "/frameAncestors"),
        ] {
            let wrong = json!({"frameAncestors": wrong});
            let problem = app.patch(client.settings(), &wrong).refused(422, "invalid-body").await;
            assert_eq!(places(&problem), [place]);
        }
        let none = json!({"frameAncestors": null});
        let settings = app.patch(client.settings(), &none).send().await.expect(200);
        assert_eq!(settings["frameAncestors"], json!([]));
    }
}
