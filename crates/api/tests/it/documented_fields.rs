//! What is answered, taken and sent has the fields that the OpenAPI document names.

use std::collections::BTreeSet;

use axum::http::Method;
use sensei_domain::{ClientId, LeadCreated, LeadId, NewLead, Timestamp};
use serde_json::{Value, json};

use crate::app::{TestApp, lead, text};
use crate::documents::document;

/// The names of a schema's properties, and of those that are always there.
fn properties(document: &Value, schema: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let schema = &document["components"]["schemas"][schema];
    let mut parts = vec![schema];
    parts.extend(schema["allOf"].as_array().into_iter().flatten());
    let (mut all, mut required) = (BTreeSet::new(), BTreeSet::new());
    for part in parts {
        if let Some(name) = part["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            let (more, more_required) = properties(document, name);
            all.extend(more);
            required.extend(more_required);
        }
        all.extend(
            part["properties"]
                .as_object()
                .into_iter()
                .flat_map(|object| object.keys().cloned()),
        );
        let names = part["required"].as_array().into_iter().flatten();
        required.extend(names.map(|name| name.as_str().expect("a name").to_owned()));
    }
    (all, required)
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().expect("an object").keys().cloned().collect()
}

#[tokio::test]
async fn answers_have_the_documented_fields() {
    let app = TestApp::new().await;
    let document = document();
    let client = app.client("Acme Corp").await;
    let created = app
        .post("/v1/clients", &json!({"name": "Other Inc"}))
        .send()
        .await
        .expect(201);
    let captured = app.post(client.leads(), &lead()).send().await.expect(201);
    let batch = app
        .post(format!("{}/batch", client.leads()), &json!({"leads": [lead()]}))
        .send()
        .await
        .expect(200);
    let read = async |path: String| app.get(path).send().await.expect(200);
    let settings = read(client.settings()).await;
    let destination = read(format!(
        "{}/destinations/{}",
        client.path,
        text(&settings, "/destinationId")
    ))
    .await;
    let deliveries = read(format!("{}/deliveries", client.path)).await;
    let delivery = read(format!(
        "{}/deliveries/{}",
        client.path,
        text(&deliveries, "/items/0/id")
    ))
    .await;
    let key = app
        .post("/v1/keys", &json!({"name": "k", "kind": "secret"}))
        .send()
        .await
        .expect(201);
    let redeliver = format!("{}/deliveries/redeliver", client.path);
    let recovery = app
        .post(redeliver, &json!({"state": "failed"}))
        .send()
        .await
        .expect(202);
    let problem = app.post(client.leads(), &json!({})).send().await.json();
    for (schema, answer) in [
        ("CreatedClient", &created),
        ("Client", &read(client.path.clone()).await),
        ("Settings", &settings),
        ("Lead", &captured),
        ("LeadBatchAnswer", &batch),
        ("Destination", &destination),
        (
            "DestinationKind",
            &read("/v1/destination-kinds".to_owned()).await["items"][0],
        ),
        ("LoggedDelivery", &deliveries["items"][0]),
        ("LeadHead", &deliveries["items"][0]["lead"]),
        ("Event", &delivery["event"]),
        ("Operator", &read("/v1/operator".to_owned()).await),
        ("AuditEntry", &read("/v1/audit-log".to_owned()).await["items"][0]),
        (
            "StatsWindow",
            &read(format!("{}/stats?window=7d", client.path)).await["window"],
        ),
        (
            "ClientHealth",
            &read("/v1/clients?health=true".to_owned()).await["items"][0]["health"],
        ),
        ("DeliveryWithAttempts", &delivery),
        ("Recovery", &recovery),
        ("RecoveryCriteria", &recovery["criteria"]),
        ("CreatedKey", &key),
        ("Key", &read("/v1/keys".to_owned()).await["items"][0]),
        ("Problem", &problem),
    ] {
        let (all, required) = properties(&document, schema);
        assert_eq!(keys(answer), all, "{schema}");
        let optional = all.difference(&required).map(String::as_str).collect::<Vec<_>>();
        assert_eq!(
            optional,
            if schema == "Problem" { vec!["errors"] } else { vec![] },
            "{schema}"
        );
    }
}

/// A schema, its required fields, and a request with all of its fields.
type Body = (&'static str, &'static [&'static str], (Method, String, Value));

fn recovery_bodies(client: &str, lead_webhook: &str) -> [Body; 3] {
    let (at, later) = ("2024-11-24T10:30:00Z", "2024-11-25T10:30:00Z");
    [
        (
            "Redelivery",
            &["state"][..],
            (
                Method::POST,
                format!("{client}/deliveries/redeliver"),
                json!({"state": "failed", "destinationId": lead_webhook, "since": at, "until": later,
                    "completedSince": at}),
            ),
        ),
        (
            "Replay",
            &[],
            (
                Method::POST,
                format!("{client}/destinations/{lead_webhook}/replay"),
                json!({"since": at, "until": later}),
            ),
        ),
        (
            "Discard",
            &[],
            (
                Method::POST,
                format!("{client}/destinations/{lead_webhook}/discard"),
                json!({}),
            ),
        ),
    ]
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a case a body")]
async fn bodies_take_the_documented_fields() {
    let app = TestApp::new().await;
    let document = document();
    let client = app.client("Acme Corp").await;
    let lead_fields = json!({
        "name": "John Doe", "email": "john@example.com", "phone": "1", "message": "m", "sessionId": "s",
        "custom": {"a": 1}
    });
    let destination = app.destination(&client, "CRM").await;
    let url = "http://127.0.0.1:9/x";
    let settings = app.get(client.settings()).send().await.expect(200);
    let bodies = [
        (
            "NewLead",
            &["email", "name"][..],
            (Method::POST, client.leads(), lead_fields.clone()),
        ),
        (
            "LeadBatch",
            &["leads"],
            (
                Method::POST,
                format!("{}/batch", client.leads()),
                json!({"leads": [lead_fields]}),
            ),
        ),
        (
            "NewClient",
            &["name"],
            (
                Method::POST,
                "/v1/clients".to_owned(),
                json!({"name": "n", "leadWebhookUrl": url}),
            ),
        ),
        (
            "ClientChange",
            &[],
            (Method::PATCH, client.path.clone(), json!({"name": "n"})),
        ),
        (
            "SettingsChange",
            &[],
            (
                Method::PATCH,
                client.settings(),
                json!({"leadWebhookUrl": url, "includeCustomFields": true, "operationalEvents": false,
                    "frameAncestors": ["https://app.acme.example"],
                    "allowedOrigins": ["https://acme.example"], "form": {"lang": "de"}}),
            ),
        ),
        (
            "NewDestination",
            &["config", "kind", "name"],
            (
                Method::POST,
                format!("{}/destinations", client.path),
                json!({"kind": "webhook", "name": "Board", "config": {"url": url}, "retry": {"policy": "none"},
                    "template": {"body": "{}"}, "rateLimit": {"requests": 5, "per": "second", "burst": 10}, "ordered": true, "filter": null}),
            ),
        ),
        (
            "DestinationChange",
            &[],
            (
                Method::PATCH,
                destination.clone(),
                json!({"name": "CRM 2", "config": {"url": url}, "retry": {"policy": "custom", "delays": ["5s"]},
                    "template": null, "rateLimit": null, "ordered": false, "filter": null, "status": "paused"}),
            ),
        ),
        (
            "SecretRotation",
            &[],
            (
                Method::POST,
                format!("{destination}/secret/rotate"),
                json!({"overlap": "1h", "signature": "v1a"}),
            ),
        ),
        (
            "NewSignInLink",
            &[],
            (Method::POST, "/v1/sign-in-links".to_owned(), json!({"expiresIn": "5m"})),
        ),
        (
            "NewKey",
            &["kind", "name"],
            (
                Method::POST,
                "/v1/keys".to_owned(),
                json!({"name": "n", "kind": "publishable", "clientId": client.id}),
            ),
        ),
    ];
    let recoveries = recovery_bodies(&client.path, &text(&settings, "/destinationId"));
    for (schema, required, call) in bodies.into_iter().chain(recoveries) {
        let (method, path, body) = call;
        let (all, documented) = properties(&document, schema);
        assert_eq!(keys(&body), all, "{schema}");
        assert!(documented.iter().eq(required), "{schema} requires {documented:?}");
        let answer = app.call(method, path).json(&body).send().await;
        assert!(
            answer.status < 300,
            "{schema}: {}",
            String::from_utf8_lossy(&answer.body)
        );
    }
}

#[test]
fn the_documented_webhook_is_the_one_that_is_sent() {
    let document = document();
    let operation = &document["webhooks"]["lead.created"]["post"];
    let schema = text(operation, "/requestBody/content/application~1json/schema/$ref");
    assert_eq!(schema, "#/components/schemas/LeadCreated");

    let at = Timestamp::from_millis(1_732_444_200_000);
    let lead = json!({"name": "John Doe", "email": "john@example.com", "custom": {"budget": 5}});
    let lead = NewLead::from_json(&lead).expect("a lead");
    let sent = |include_custom| {
        let event = LeadCreated::new(
            LeadId::new(at),
            at,
            &lead,
            ClientId::new(at),
            "Acme Corp",
            include_custom,
        );
        serde_json::from_slice::<Value>(&event.to_bytes()).expect("JSON")
    };
    let (envelope, _) = properties(&document, "LeadCreated");
    let (data, required) = properties(&document, "LeadData");
    assert_eq!(keys(&sent(true)), envelope);
    assert_eq!(keys(&sent(true)["data"]), data);
    assert_eq!(keys(&sent(false)["data"]), required);
}
