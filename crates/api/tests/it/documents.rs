//! The OpenAPI document is the one that is committed, and it is true.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use axum::http::Method;
use sensei_domain::{ClientId, LeadCreated, LeadId, NewLead, Timestamp};
use serde_json::{Value, json};

use crate::app::{TestApp, lead, text};

fn document() -> Value {
    serde_json::to_value(sensei_api::openapi()).expect("JSON")
}

fn operations(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, item)| {
        item.as_object()
            .expect("methods")
            .keys()
            .map(move |method| (method.to_uppercase(), path.clone()))
    });
    operations.collect()
}

#[test]
fn the_committed_document_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let current = sensei_api::openapi().to_pretty_json().expect("JSON") + "\n";
    if std::env::var_os("SENSEI_WRITE_OPENAPI").is_some() {
        std::fs::write(&path, &current).expect("docs/openapi.json can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == current,
        "docs/openapi.json is out of date: run `cargo xtask openapi`"
    );
}

#[test]
fn the_documented_routes_are_those_of_the_contract() {
    let client = "/v1/clients/{clientId}";
    let expected = [
        ("GET", "/healthz".to_owned()),
        ("GET", "/openapi.json".to_owned()),
        ("GET", "/readyz".to_owned()),
        ("GET", "/v1/clients".to_owned()),
        ("POST", "/v1/clients".to_owned()),
        ("GET", client.to_owned()),
        ("PATCH", client.to_owned()),
        ("DELETE", client.to_owned()),
        ("GET", format!("{client}/settings")),
        ("PATCH", format!("{client}/settings")),
        ("GET", format!("{client}/leads")),
        ("POST", format!("{client}/leads")),
        ("POST", format!("{client}/leads/batch")),
        ("GET", format!("{client}/leads/{{leadId}}")),
        ("DELETE", format!("{client}/leads/{{leadId}}")),
        ("POST", format!("{client}/leads/{{leadId}}/release")),
        ("GET", "/v1/forms/{clientId}".to_owned()),
        ("GET", format!("{client}/destinations")),
        ("POST", format!("{client}/destinations")),
        ("GET", format!("{client}/destinations/{{destinationId}}")),
        ("PATCH", format!("{client}/destinations/{{destinationId}}")),
        ("DELETE", format!("{client}/destinations/{{destinationId}}")),
        ("POST", format!("{client}/destinations/{{destinationId}}/secret/rotate")),
        ("GET", "/v1/destination-kinds".to_owned()),
        ("GET", format!("{client}/destinations/{{destinationId}}/secret")),
        ("POST", format!("{client}/destinations/{{destinationId}}/test")),
        ("GET", format!("{client}/destinations/{{destinationId}}/preview")),
        ("POST", format!("{client}/hooks")),
        ("GET", format!("{client}/hooks/sample")),
        ("DELETE", format!("{client}/hooks/{{destinationId}}")),
        ("GET", format!("{client}/deliveries")),
        ("GET", format!("{client}/deliveries/{{deliveryId}}")),
        ("POST", format!("{client}/deliveries/{{deliveryId}}/redeliver")),
        ("POST", format!("{client}/deliveries/redeliver")),
        ("POST", format!("{client}/destinations/{{destinationId}}/replay")),
        ("POST", format!("{client}/destinations/{{destinationId}}/discard")),
        ("GET", format!("{client}/stats")),
        ("GET", format!("{client}/stream")),
        ("GET", format!("{client}/leads.csv")),
        ("GET", "/v1/operator".to_owned()),
        ("GET", "/v1/audit-log".to_owned()),
        ("GET", format!("{client}/recoveries")),
        ("GET", format!("{client}/recoveries/{{recoveryId}}")),
        ("POST", format!("{client}/recoveries/{{recoveryId}}/cancel")),
        ("POST", format!("{client}/sign-in-links")),
        ("POST", "/v1/sign-in-links".to_owned()),
        ("GET", "/v1/keys".to_owned()),
        ("POST", "/v1/keys".to_owned()),
        ("DELETE", "/v1/keys/{keyId}".to_owned()),
    ];
    let expected = expected
        .into_iter()
        .map(|(method, path)| (method.to_owned(), path))
        .collect::<BTreeSet<_>>();
    assert_eq!(operations(&document()), expected);
}

#[tokio::test]
async fn what_is_served_is_what_is_documented() {
    let app = TestApp::new().await;
    let documented = operations(&document());
    let paths = documented.iter().map(|(_, path)| path).collect::<BTreeSet<_>>();
    for path in paths {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let url = path.replace(['{', '}'], "");
            let answer = app
                .call(method.parse::<Method>().expect("a method"), url)
                .without("authorization")
                .send()
                .await;
            let is_documented = documented.contains(&(method.to_owned(), path.clone()));
            assert_eq!(
                answer.status != 405,
                is_documented,
                "{method} {path} answered {}",
                answer.status
            );
            assert_ne!(answer.status, 404, "{method} {path}");
        }
    }
}

#[test]
fn the_document_is_openapi_3_1_without_loose_ends() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    for reference in references {
        let name = reference.strip_prefix("#/components/schemas/").expect("a schema");
        assert!(schemas.contains_key(name), "{reference} leads nowhere");
    }
    let ids = document["paths"]
        .as_object()
        .expect("paths")
        .values()
        .flat_map(|item| item.as_object().expect("methods").values());
    let ids = ids.map(|operation| text(operation, "/operationId")).collect::<Vec<_>>();
    assert_eq!(
        ids.iter().collect::<BTreeSet<_>>().len(),
        ids.len(),
        "each operation has an id of its own"
    );
}

fn collect_references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get("$ref") {
                found.push(reference.clone());
            }
            object.values().for_each(|value| collect_references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_references(value, found)),
        _ => {}
    }
}

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
fn every_post_documents_that_it_can_be_repeated() {
    let document = document();
    let items = document["paths"].as_object().expect("paths").values();
    for post in items.filter_map(|item| item.get("post")) {
        let parameters = post["parameters"].as_array().expect("parameters");
        let of_key = parameters
            .iter()
            .filter(|parameter| parameter["name"] == "idempotency-key");
        assert_eq!(of_key.count(), 1, "{}", post["operationId"]);
        let responses = post["responses"].as_object().expect("responses");
        let (_, success) = responses
            .iter()
            .find(|(status, _)| status.starts_with('2'))
            .expect("a success");
        assert!(
            success["headers"]["idempotency-replayed"].is_object(),
            "{}",
            post["operationId"]
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

#[test]
fn every_operation_documents_its_problems() {
    let document = document();
    let mut by_status = BTreeMap::<String, usize>::new();
    for item in document["paths"].as_object().expect("paths").values() {
        for operation in item.as_object().expect("methods").values() {
            let responses = operation["responses"].as_object().expect("responses");
            assert!(responses.contains_key("default") && responses.keys().any(|status| status.starts_with('2')));
            responses
                .keys()
                .for_each(|status| *by_status.entry(status.clone()).or_default() += 1);
        }
    }
    let with_body = 15;
    assert_eq!(
        (by_status["413"], by_status["415"], by_status["422"]),
        (with_body, with_body, with_body)
    );
    assert_eq!(by_status["401"], 45);
}
