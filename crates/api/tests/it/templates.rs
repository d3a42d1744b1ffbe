//! Templates of destinations: kept, changed, and told what is wrong with them.

use serde_json::{Value, json};

use crate::app::{TestApp, text};

#[tokio::test]
async fn a_template_is_kept_until_it_is_taken_away() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let template = json!({"body": "{\"who\": {{ data.name }}}"});
    let new = json!({"kind": "webhook", "name": "CRM", "config": {"url": "https://hooks.acme.example/crm"}, "template": template});
    let made = app
        .post(format!("{}/destinations", client.path), &new)
        .send()
        .await
        .expect(201);
    assert_eq!(made["template"], template);
    let path = format!("{}/destinations/{}", client.path, text(&made, "/id"));
    let renamed = app.patch(&*path, &json!({"name": "CRM 2"})).send().await.expect(200);
    assert_eq!(renamed["template"], template, "what is absent stays");
    for none in [Value::Null, json!({})] {
        app.patch(&*path, &json!({"template": template}))
            .send()
            .await
            .expect(200);
        let changed = app.patch(&*path, &json!({"template": none})).send().await.expect(200);
        assert_eq!(changed["template"], Value::Null);
    }
    assert_eq!(app.get(&*path).send().await.expect(200)["version"], 5);
}

#[tokio::test]
async fn what_is_wrong_with_a_template_is_told_with_its_line() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let destination = app.destination(&client, "CRM").await;
    let change = json!({"template": {"body": "{\n\"who\": {{ data.name | leet }}}"}});
    let problem = app.patch(&*destination, &change).refused(422, "invalid-body").await;
    let fault = &problem["errors"][0];
    assert_eq!(fault["pointer"], "/template/body");
    assert_eq!(
        fault["detail"],
        "line 2: there isn't a filter `leet` in these templates"
    );
}

#[tokio::test]
async fn a_preview_shows_the_request_of_each_kind_and_no_secret() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let kinds = app.get("/v1/destination-kinds").send().await.expect(200);
    for kind in kinds["items"].as_array().expect("kinds") {
        let (name, config) = (text(kind, "/kind"), &kind["example"]);
        let new = json!({"kind": name, "name": name, "config": config});
        let made = app
            .post(format!("{}/destinations", client.path), &new)
            .send()
            .await
            .expect(201);
        let path = format!("{}/destinations/{}/preview", client.path, text(&made, "/id"));
        let preview = app.get(path).send().await.expect(200);
        assert_eq!(preview["error"], Value::Null, "{name}");
        let request = &preview["request"];
        assert!(text(request, "/url").contains("://"), "{name}: {preview}");
        assert!(
            name == "pipedrive" || text(request, "/body").contains("Sample"),
            "{name}: {preview}"
        );
        for secret in kind["secretFields"]
            .as_array()
            .expect("names")
            .iter()
            .filter_map(Value::as_str)
        {
            let Some(secret) = config[secret].as_str() else {
                continue;
            };
            assert!(!preview.to_string().contains(secret), "{name}: {preview}");
        }
    }
}

#[tokio::test]
async fn a_preview_shows_what_templates_make() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let new = json!({
        "kind": "pipedrive", "name": "CRM", "config": {"apiToken": "0000"},
        "template": {"title": "{{ data.name }} & co", "note": "<b>{{ data.name ~ '<' }}</b>"},
    });
    let made = app
        .post(format!("{}/destinations", client.path), &new)
        .send()
        .await
        .expect(201);
    let path = format!("{}/destinations/{}/preview", client.path, text(&made, "/id"));
    let preview = app.get(path).send().await.expect(200);
    let rendered = json!({"title": "Sample Lead & co", "note": "<b>Sample Lead&lt;</b>"});
    assert_eq!(preview["rendered"], rendered);
    assert_eq!(preview["request"]["method"], "GET", "it looks for the person first");
    assert_eq!(preview["request"]["headers"]["x-api-token"], "********");
}
