//! The OpenAPI document is the one that is committed, and it is true.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use axum::http::Method;
use serde_json::Value;

use crate::app::{TestApp, text};

pub(crate) fn document() -> Value {
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
