//! Lists: newest first, in pages, filtered.

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::app::{TestApp, lead, text};

async fn pages_show_each_item_once_newest_first(app: TestApp) {
    let client = app.client("Acme Corp").await;
    let mut captured = Vec::new();
    for _ in 0..5 {
        captured.push(text(&app.post(client.leads(), &lead()).send().await.expect(201), "/id"));
    }
    captured.reverse();
    for limit in [1, 2, 4, 5, 6] {
        let mut seen = Vec::new();
        let mut path = format!("{}?limit={limit}", client.leads());
        loop {
            let page = app.get(path).send().await.expect(200);
            let items = page["items"].as_array().expect("items");
            assert!(!items.is_empty() && items.len() <= limit);
            seen.extend(items.iter().map(|item| text(item, "/id")));
            let Some(cursor) = page["nextCursor"].as_str() else {
                break;
            };
            path = format!("{}?limit={limit}&cursor={cursor}", client.leads());
        }
        assert_eq!(seen, captured, "in pages of {limit}");
    }
}

#[tokio::test]
async fn pages_show_each_item_once_newest_first_on_sqlite() {
    pages_show_each_item_once_newest_first(TestApp::new().await).await;
}

#[tokio::test]
async fn pages_show_each_item_once_newest_first_on_postgres() {
    if let Some(app) = TestApp::on_postgres().await {
        pages_show_each_item_once_newest_first(app).await;
    }
}

#[tokio::test]
async fn every_list_has_its_items_and_a_cursor_or_null() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    app.client("Other Inc").await;
    app.post(client.leads(), &lead()).send().await.expect(201);
    let redeliver = format!("{}/deliveries/redeliver", client.path);
    app.post(redeliver, &json!({"state": "failed"}))
        .send()
        .await
        .expect(202);
    let own = |list: &str| format!("{}/{list}", client.path);
    for (path, items) in [
        ("/v1/clients".to_owned(), 2),
        ("/v1/keys".to_owned(), 3),
        (own("leads"), 1),
        (own("destinations"), 1),
        (own("deliveries"), 1),
        (own("recoveries"), 1),
    ] {
        let page = app.get(path).send().await.expect(200);
        assert_eq!(page["items"].as_array().map(Vec::len), Some(items));
        assert_eq!(page["nextCursor"], Value::Null);
        assert_eq!(page.as_object().map(serde_json::Map::len), Some(2));
    }
}

#[tokio::test]
async fn deliveries_are_filtered() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let lead_id = text(&app.post(client.leads(), &lead()).send().await.expect(201), "/id");
    let destination_id = text(&app.get(client.settings()).send().await.expect(200), "/destinationId");
    for (filter, found) in [
        ("state=pending".to_owned(), 1),
        ("state=failed".to_owned(), 0),
        (format!("leadId={lead_id}"), 1),
        (format!("leadId={destination_id}"), 0),
        (format!("destinationId={destination_id}"), 1),
        ("since=2024-11-24T10:30:00Z".to_owned(), 1),
        ("since=2024-11-24T10:30:00.001Z".to_owned(), 0),
        ("until=2024-11-24T10:30:00Z".to_owned(), 0),
        ("until=2024-11-24T11:30:00.001%2B01:00".to_owned(), 1),
        (
            format!("state=pending&leadId={lead_id}&destinationId={destination_id}&limit=1"),
            1,
        ),
    ] {
        let page = app
            .get(format!("{}/deliveries?{filter}", client.path))
            .send()
            .await
            .expect(200);
        assert_eq!(page["items"].as_array().map(Vec::len), Some(found), "{filter}");
    }
}

#[tokio::test]
async fn an_erased_lead_keeps_its_id_only() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let captured = app.post(client.leads(), &lead()).send().await.expect(201);
    let path = format!("{}/{}", client.leads(), text(&captured, "/id"));
    assert_eq!(app.delete(&*path).send().await.status, 204);
    let erased = app.get(path).send().await.expect(200);
    assert_eq!(
        (&erased["id"], &erased["createdAt"]),
        (&captured["id"], &captured["createdAt"])
    );
    assert_eq!(erased["erasedAt"], "2024-11-24T10:30:00.000Z");
    for field in ["name", "email", "phone", "message", "sessionId", "custom"] {
        assert_eq!(erased[field], Value::Null, "{field}");
    }
    let deliveries = app.get(format!("{}/deliveries", client.path)).send().await.expect(200);
    assert_eq!(deliveries["items"][0]["state"], "cancelled");
}

#[tokio::test]
async fn a_deleted_client_is_gone_with_all_it_has() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    app.post(client.leads(), &lead()).send().await.expect(201);
    assert_eq!(app.delete(&*client.path).send().await.status, 204);
    app.get(&*client.path).refused(404, "not-found").await;
    app.post(client.leads(), &lead()).refused(404, "not-found").await;
    for table in ["clients", "destinations", "leads", "events", "deliveries"] {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
    app.post(client.leads(), &lead())
        .key(&client.publishable_key)
        .refused(401, "unauthorized")
        .await;
    assert_eq!(app.get("/v1/clients").send().await.expect(200)["items"], json!([]));
}

async fn deliveries_are_filtered_by_what_belongs_to_them(app: TestApp) {
    let client = app.client("Acme Corp").await;
    let captured = app.post(client.leads(), &lead()).send().await.expect(201);
    let destination = app.destination(&client, "crm").await;
    app.post(format!("{destination}/test"), &json!({}))
        .send()
        .await
        .expect(200);
    let list = async |query: &str| {
        let page = app.get(format!("{}/deliveries?{query}", client.path)).send().await;
        page.expect(200)["items"].as_array().cloned().expect("items")
    };
    let all = list("").await;
    assert_eq!(all.len(), 2);
    // The newest is the test, which nobody answered: it has an attempt, but no lead.
    assert_eq!(
        (&all[0]["destinationName"], &all[0]["lead"]),
        (&json!("crm"), &Value::Null)
    );
    assert_eq!(
        (&all[0]["lastAttempt"]["number"], &all[0]["lastAttempt"]["statusCode"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(
        (
            &all[1]["destinationName"],
            &all[1]["destinationKind"],
            &all[1]["lastAttempt"]
        ),
        (&json!("lead-webhook"), &json!("webhook"), &Value::Null)
    );
    assert_eq!(
        all[1]["lead"],
        json!({"id": captured["id"], "name": "John Doe", "email": "john@example.com"})
    );
    let ids = [
        text(&all[0], "/id"),
        text(&all[1], "/id"),
        text(&all[1], "/eventId"),
        text(&captured, "/id"),
    ];
    for (query, found) in [
        ("kind=webhook".to_owned(), 2),
        ("statusCode=2xx".to_owned(), 0),
        ("statusCode=404".to_owned(), 0),
        ("q=john".to_owned(), 1),
        ("q=JOHN%40EXAMPLE.COM".to_owned(), 1),
        ("q=nobody".to_owned(), 0),
        (format!("q={}", ids[0]), 1),
        (format!("q={}", ids[1]), 1),
        (format!("q={}", ids[2]), 1),
        (format!("q={}", ids[3]), 1),
        (format!("q={}", text(&all[0], "/eventId")), 1),
        (format!("q={}&state=failed", ids[1]), 0),
    ] {
        assert_eq!(list(&query).await.len(), found, "{query}");
    }
    let read = app.get(format!("{}/deliveries/{}", client.path, ids[1])).send().await;
    let body = String::from_utf8_lossy(&read.body).into_owned();
    let read = read.expect(200);
    assert_eq!(
        (&read["lead"], &read["destinationName"]),
        (&all[1]["lead"], &all[1]["destinationName"])
    );
    assert_eq!(
        (&read["event"]["id"], &read["event"]["type"]),
        (&all[1]["eventId"], &json!("lead.created"))
    );
    assert!(
        body.contains(r#""body":{"event":"lead.created","timestamp":"2024-11-24T10:30:00.000Z","data":{"id":""#),
        "{body}"
    );
    app.delete(format!("{}/{}", client.leads(), ids[3]))
        .send()
        .await
        .expect(204);
    let erased = app
        .get(format!("{}/deliveries/{}", client.path, ids[1]))
        .send()
        .await
        .expect(200);
    assert_eq!(
        (&erased["lead"], &erased["event"]["body"]),
        (&Value::Null, &Value::Null)
    );
    for (query, parameter) in [
        ("statusCode=9xx", "statusCode"),
        ("statusCode=99", "statusCode"),
        ("statusCode=+2xx", "statusCode"),
        ("kind=wobhook", "kind"),
        ("q=", "q"),
        ("q=%00", "q"),
    ] {
        let problem = app
            .get(format!("{}/deliveries?{query}", client.path))
            .refused(400, "invalid-request")
            .await;
        assert_eq!(crate::app::places(&problem), [parameter], "{query}");
    }
}

#[tokio::test]
async fn deliveries_are_filtered_by_what_belongs_to_them_on_sqlite() {
    deliveries_are_filtered_by_what_belongs_to_them(TestApp::new().await).await;
}

#[tokio::test]
async fn deliveries_are_filtered_by_what_belongs_to_them_on_postgres() {
    if let Some(app) = TestApp::on_postgres().await {
        deliveries_are_filtered_by_what_belongs_to_them(app).await;
    }
}

/// Whatever a visitor types, a spreadsheet shows it as text.
async fn leads_are_searched_and_exported(app: TestApp) {
    let client = app.client("Acme Corp").await;
    for (name, message) in [
        ("Anna Müller", "a quote"),
        ("=HYPERLINK(\"http://evil\")", "<script>alert(1)</script>"),
        ("Bert, \"the\" one", "two\nlines"),
    ] {
        let lead = json!({"name": name, "email": "x@example.com", "phone": "+49 30", "message": message});
        app.post(client.leads(), &lead).send().await.expect(201);
        app.clock.advance(std::time::Duration::from_hours(1));
    }
    for (query, found) in [
        ("q=muller", 1),
        ("q=quote+anna", 1),
        ("q=script", 1),
        ("q=x%40example.com", 3),
        ("q=nobody", 0),
        ("since=2024-11-24T11:30:00Z", 2),
        ("since=2024-11-24T11:30:00Z&until=2024-11-24T12:00:00Z&q=example", 1),
    ] {
        let page = app.get(format!("{}?{query}", client.leads())).send().await.expect(200);
        assert_eq!(page["items"].as_array().map(Vec::len), Some(found), "{query}");
    }
    let csv = app.get(format!("{}.csv", client.leads())).send().await;
    assert_eq!(csv.status, 200);
    assert_eq!(
        csv.header("content-type"),
        Some("text/csv; charset=utf-8; header=present")
    );
    assert_eq!(
        csv.header("content-disposition"),
        Some("attachment; filename=\"leads.csv\"")
    );
    let text = String::from_utf8(csv.body.to_vec()).expect("UTF-8");
    let lines = text.split("\r\n").collect::<Vec<_>>();
    assert_eq!(
        lines[0],
        "id,createdAt,name,email,phone,message,sessionId,custom,erasedAt"
    );
    assert_eq!((lines.len(), lines[4]), (5, ""));
    assert!(
        lines[1].contains(",\"Bert, \"\"the\"\" one\",x@example.com,'+49 30,\"two\nlines\",,,"),
        "{}",
        lines[1]
    );
    assert!(
        lines[2].contains(",\"'=HYPERLINK(\"\"http://evil\"\")\",x@example.com,"),
        "{}",
        lines[2]
    );
    let few = app.get(format!("{}.csv?q=muller", client.leads())).send().await;
    assert_eq!(String::from_utf8_lossy(&few.body).lines().count(), 2);
    app.get(format!("{}.csv?limit=5", client.leads()))
        .refused(400, "invalid-request")
        .await;
    app.get(format!("{}.csv", client.leads()))
        .key(&client.publishable_key)
        .refused(403, "forbidden")
        .await;
}

#[tokio::test]
async fn leads_are_searched_and_exported_on_sqlite() {
    leads_are_searched_and_exported(TestApp::new().await).await;
}

#[tokio::test]
async fn leads_are_searched_and_exported_on_postgres() {
    if let Some(app) = TestApp::on_postgres().await {
        leads_are_searched_and_exported(app).await;
    }
}

#[tokio::test]
async fn an_export_has_every_lead_however_many() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let leads = vec![lead(); 700];
    for _ in 0..2 {
        app.post(format!("{}/batch", client.leads()), &json!({"leads": leads}))
            .send()
            .await
            .expect(200);
    }
    let csv = app.get(format!("{}.csv", client.leads())).send().await;
    assert_eq!(String::from_utf8_lossy(&csv.body).lines().count(), 1_401);

    let new = json!({"name": "theirs", "clientId": client.id, "kind": "secret"});
    let key = app.post("/v1/keys", &new).send().await.expect(201);
    let call = app.get(format!("{}.csv", client.leads())).key(&text(&key, "/key"));
    let mut pieces = call.open().await.into_body().into_data_stream();
    pieces.next().await.expect("a piece").expect("no error");
    let revoked = app.delete(format!("/v1/keys/{}", text(&key, "/id"))).send().await;
    assert_eq!(revoked.status, 204);
    pieces.next().await.expect("no clean end").expect_err("it breaks off");
    assert!(pieces.next().await.is_none());
}
