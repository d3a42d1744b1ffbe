//! Many leads at once: one answer each.

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::app::{TestApp, TestClient, lead, places};

fn path(client: &TestClient) -> String {
    format!("{}/batch", client.leads())
}

async fn valid_leads_are_captured_and_invalid_ones_reported(app: TestApp) {
    let client = app.client("Acme Corp").await;
    let leads = json!([
        {"name": "First", "email": "first@example.com", "custom": {"budget": 5}},
        {"name": null, "email": "nonsense", "emial": "x"},
        {"name": "Third", "email": "third@example.com"},
        "no object",
    ]);
    let answer = app
        .post(path(&client), &json!({"leads": leads}))
        .send()
        .await
        .expect(200);
    assert_json_snapshot!("one_answer_a_lead", answer, {".items[].lead.id" => "[id]"});
    assert_eq!((app.count("leads").await, app.count("deliveries").await), (2, 2));
    for item in answer["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter(|item| item["status"] == 201)
    {
        let id = item["lead"]["id"].as_str().expect("an id");
        let read = app.get(format!("{}/{id}", client.leads())).send().await.expect(200);
        assert_eq!(read, item["lead"]);
    }
}

#[tokio::test]
async fn valid_leads_are_captured_and_invalid_ones_reported_on_sqlite() {
    valid_leads_are_captured_and_invalid_ones_reported(TestApp::new().await).await;
}

#[tokio::test]
async fn valid_leads_are_captured_and_invalid_ones_reported_on_postgres() {
    if let Some(app) = TestApp::on_postgres().await {
        valid_leads_are_captured_and_invalid_ones_reported(app).await;
    }
}

#[tokio::test]
async fn a_thousand_leads_are_captured_in_order() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let message = "m".repeat(3_000);
    let leads = (0..1_000).map(|n| json!({"name": format!("Lead {n}"), "email": "a@b.co", "message": message}));
    let body = json!({"leads": leads.collect::<Vec<_>>()});
    let answer = app.post(path(&client), &body).send().await.expect(200);
    assert_eq!((&answer["captured"], &answer["rejected"]), (&json!(1_000), &json!(0)));
    let ids = answer["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| item["lead"]["id"].as_str().expect("an id"));
    assert!(ids.is_sorted());
    assert_eq!(app.count("deliveries").await, 1_000);
}

#[tokio::test]
async fn a_batch_that_is_no_list_of_leads_is_refused() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let too_many = vec![lead(); 1_001];
    for (body, wrong) in [
        (json!({}), &["/leads"][..]),
        (json!({"leads": []}), &["/leads"]),
        (json!({"leads": null}), &["/leads"]),
        (json!({"leads": {}}), &["/leads"]),
        (json!({"leads": too_many}), &["/leads"]),
        (json!({"leads": [lead()], "dryRun": true}), &["/dryRun"]),
        (json!([lead()]), &[""]),
    ] {
        let problem = app.post(path(&client), &body).refused(422, "invalid-body").await;
        assert_eq!(places(&problem), wrong);
    }
}

#[tokio::test]
async fn a_batch_without_a_valid_lead_writes_nothing() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let before = app.counts().await;
    let answer = app
        .post(path(&client), &json!({"leads": [{}, null]}))
        .send()
        .await
        .expect(200);
    assert_eq!((&answer["captured"], &answer["rejected"]), (&json!(0), &json!(2)));
    assert_eq!(app.counts().await, before);
}

#[tokio::test]
async fn a_repeated_batch_gets_the_same_answer() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let body = json!({"leads": [lead(), {}, lead()]});
    let send = |body: &Value| app.post(path(&client), body).header("idempotency-key", "b1").send();
    let first = send(&body).await;
    let again = send(&body).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!((again.status, &again.body), (200, &first.body));
    assert_eq!(app.count("leads").await, 2);
    send(&json!({"leads": [lead()]}))
        .await
        .problem(422, "idempotency-key-reused");
}
