//! Leads of web pages that may be no person's: kept and marked, released, the same one twice.

use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{Answer, Call, TestApp, TestClient, lead, text};

async fn token(app: &TestApp, client: &TestClient) -> String {
    let form = app.get(format!("/v1/forms/{}", client.id)).send().await.expect(200);
    text(&form, "/token")
}

fn send<'a>(app: &'a TestApp, client: &TestClient, lead: &Value) -> Call<'a> {
    app.post(client.leads(), lead).key(&client.publishable_key)
}

fn reasons(answer: &Answer) -> Value {
    answer.expect(201)["suspected"]["reasons"].clone()
}

#[tokio::test]
async fn a_person_who_takes_three_seconds_passes_and_a_script_does_not() {
    let app = TestApp::new().await;
    let (client, other) = (app.client("Acme Corp").await, app.client("Other Inc").await);
    let (opened, theirs) = (token(&app, &client).await, token(&app, &other).await);
    let lead = |number: u32| json!({"name": "Jane", "email": format!("jane{number}@example.com")});
    let with = |number: u32, token: &str| send(&app, &client, &lead(number)).header("sensei-form-token", token);

    app.clock.advance(Duration::from_millis(1_999));
    assert_eq!(reasons(&with(1, &opened).send().await), json!(["too-fast"]));
    let opened = token(&app, &client).await;
    app.clock.advance(Duration::from_secs(3));
    let passed = with(2, &opened).send().await;
    assert_eq!(passed.expect(201)["suspected"], Value::Null);
    assert_eq!(app.count("deliveries").await, 1);

    assert_eq!(reasons(&with(3, &opened).send().await), json!(["form-reused"]));
    assert_eq!(reasons(&with(4, &theirs).send().await), json!(["foreign-form"]));
    assert_eq!(reasons(&with(5, "nonsense").send().await), json!(["foreign-form"]));
    assert_eq!(reasons(&send(&app, &client, &lead(6)).send().await), json!(["no-form"]));
    let opened = token(&app, &client).await;
    app.clock.advance(Duration::from_secs(3));
    let trapped = with(7, &opened).header("sensei-form-trap", "https://spam.example");
    assert_eq!(reasons(&trapped.send().await), json!(["hidden-field-filled"]));
    let opened = token(&app, &client).await;
    app.clock.advance(Duration::from_hours(12));
    assert_eq!(with(8, &opened).send().await.expect(201)["suspected"], Value::Null);
    let opened = token(&app, &client).await;
    app.clock.advance(Duration::from_hours(12) + Duration::from_millis(1));
    assert_eq!(reasons(&with(9, &opened).send().await), json!(["form-expired"]));
    assert_eq!((app.count("leads").await, app.count("deliveries").await), (9, 2));
}

#[tokio::test]
async fn a_form_that_could_not_be_sent_can_be_sent_again() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let opened = token(&app, &client).await;
    app.clock.advance(Duration::from_secs(3));
    let faulty = json!({"name": "Jane", "email": "jane"});
    let call = send(&app, &client, &faulty).header("sensei-form-token", &opened);
    call.send().await.problem(422, "invalid-body");
    let call = || {
        send(&app, &client, &lead())
            .header("sensei-form-token", &opened)
            .header("idempotency-key", "k")
    };
    let first = call().send().await;
    assert_eq!(first.expect(201)["suspected"], Value::Null);
    // The answer was lost: the page sends it again, after minutes too.
    app.clock.advance(Duration::from_mins(10));
    let again = call().send().await;
    assert_eq!(again.expect(201), first.json());
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!((app.count("leads").await, app.count("suspected_leads").await), (1, 0));
}

#[tokio::test]
async fn a_pages_idempotency_keys_are_no_servers() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let theirs = json!({"name": "Somebody Else", "email": "else@example.com"});
    let of_page = |lead: &Value| send(&app, &client, lead).header("idempotency-key", "order-1");
    let of_server = || app.post(client.leads(), &lead()).header("idempotency-key", "order-1");
    // Who reads the page's key claims the one that the server will choose, for his own lead and for the server's.
    let of_page = [of_page(&theirs).send().await, of_page(&theirs).send().await];
    let claimed = text(&of_page[0].expect(201), "/id");
    assert_eq!(text(&of_page[1].expect(201), "/id"), claimed);
    let captured = of_server().send().await;
    assert_eq!(captured.header("idempotency-replayed"), None);
    assert_eq!(captured.expect(201)["suspected"], Value::Null);
    assert_eq!(of_server().send().await.expect(201), captured.json());
    let guessed = send(&app, &client, &lead()).header("idempotency-key", "order-1");
    guessed.refused(422, "idempotency-key-reused").await;
    assert_eq!((app.count("leads").await, app.count("deliveries").await), (2, 1));
}

#[tokio::test]
async fn the_same_lead_twice_within_a_minute_is_one() {
    let app = TestApp::new().await;
    let (client, other) = (app.client("Acme Corp").await, app.client("Other Inc").await);
    for client in [&client, &other] {
        let change = json!({"allowedOrigins": ["https://acme.example"]});
        app.patch(client.settings(), &change).send().await.expect(200);
    }
    let from_page =
        |client: &TestClient, lead: &Value| send(&app, client, lead).header("origin", "https://acme.example");
    let calls = (0..5).map(|_| from_page(&client, &lead()).send());
    let answers = futures_util::future::join_all(calls).await;
    let first = text(&answers[0].expect(201), "/id");
    assert!(answers.iter().all(|answer| text(&answer.expect(201), "/id") == first));
    let replayed = answers
        .iter()
        .filter(|answer| answer.header("idempotency-replayed") == Some("true"));
    assert_eq!(replayed.count(), 4);
    assert_eq!((app.count("leads").await, app.count("deliveries").await), (1, 1));

    // Another one, another client's, a server's, one that is suspected, and the same one later, are not the same.
    for (field, value) in [
        ("message", json!("and")),
        ("custom", json!({"a": 1})),
        ("sessionId", json!("s")),
    ] {
        let mut another = lead();
        another[field] = value;
        let another = from_page(&client, &another).send().await.expect(201);
        assert_ne!(text(&another, "/id"), first, "{field}");
    }
    from_page(&other, &lead()).send().await.expect(201);
    app.post(client.leads(), &lead()).send().await.expect(201);
    send(&app, &client, &lead()).send().await.expect(201);
    assert_eq!(app.count("leads").await, 7);
    app.clock.advance(Duration::from_mins(1));
    let later = from_page(&client, &lead()).send().await.expect(201);
    assert_ne!(text(&later, "/id"), first);
}

#[tokio::test]
async fn an_erased_lead_stands_for_no_other() {
    for app in [Some(TestApp::new().await), TestApp::on_postgres().await]
        .into_iter()
        .flatten()
    {
        let client = app.client("Acme Corp").await;
        let change = json!({"allowedOrigins": ["https://acme.example"]});
        app.patch(client.settings(), &change).send().await.expect(200);
        let from_page = async || {
            let call = send(&app, &client, &lead()).header("origin", "https://acme.example");
            call.send().await
        };
        let first = from_page().await.expect(201);
        assert_eq!(
            from_page().await.expect(201),
            first,
            "while it is there, it is the same one"
        );
        let erased = text(&first, "/id");
        app.delete(format!("{}/{erased}", client.leads()))
            .send()
            .await
            .expect(204);
        let again = from_page().await;
        assert_eq!(again.header("idempotency-replayed"), None);
        assert_ne!(text(&again.expect(201), "/id"), erased);
        assert_eq!(
            from_page().await.expect(201),
            again.json(),
            "which is remembered in its place"
        );
        assert_eq!((app.count("leads").await, app.count("deliveries").await), (2, 2));
    }
}

#[tokio::test]
async fn a_lead_of_a_form_that_was_sent_before_stands_for_no_other() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let mut opened = Vec::new();
    for _ in 0..3 {
        opened.push(token(&app, &client).await);
    }
    app.clock.advance(Duration::from_secs(3));
    let lead = |number: u32| json!({"name": "Jane", "email": format!("jane{number}@example.com")});
    let with = async |number: u32, token: &str| {
        let call = send(&app, &client, &lead(number)).header("sensei-form-token", token);
        call.send().await
    };
    assert_eq!(with(1, &opened[0]).await.expect(201)["suspected"], Value::Null);
    assert_eq!(reasons(&with(2, &opened[0]).await), json!(["form-reused"]));
    // Who then sends the same from a form of his own is delivered, and not answered with what was kept back.
    let own = with(2, &opened[1]).await;
    assert_eq!(own.header("idempotency-replayed"), None);
    assert_eq!(own.expect(201)["suspected"], Value::Null);
    // His own, though, stands for it.
    assert_eq!(with(2, &opened[2]).await.expect(201), own.json());
    assert_eq!((app.count("leads").await, app.count("deliveries").await), (3, 2));
}

#[tokio::test]
async fn a_suspected_lead_is_listed_and_delivered_once_it_is_released() {
    for app in [Some(TestApp::new().await), TestApp::on_postgres().await]
        .into_iter()
        .flatten()
    {
        let client = app.client("Acme Corp").await;
        let trusted = text(&app.post(client.leads(), &lead()).send().await.expect(201), "/id");
        let with_all = json!({"name": "Jane", "email": "jane@example.com", "phone": "1", "message": "m", "sessionId": "s",
            "custom": {"budget": 5}});
        let kept = send(&app, &client, &with_all).send().await.expect(201);
        let id = text(&kept, "/id");
        let ids = async |query: &str| {
            let list = app.get(format!("{}{query}", client.leads())).send().await.expect(200);
            let items = list["items"].as_array().expect("items").clone();
            items.iter().map(|item| text(item, "/id")).collect::<Vec<_>>()
        };
        assert_eq!(ids("?suspected=true").await, [&*id]);
        assert_eq!(ids("?suspected=false").await, [&*trusted]);
        assert_eq!(ids("").await, [&*id, &*trusted]);
        assert_eq!(ids("?suspected=true&limit=1").await, [&*id]);
        let path = format!("{}/{id}", client.leads());
        let read = app.get(&*path).send().await.expect(200);
        assert_eq!(read, kept, "as it was answered");
        assert_eq!(read["suspected"]["at"], read["createdAt"]);
        assert_eq!(app.count("deliveries").await, 1);
        app.get(format!("{}?suspected=maybe", client.leads()))
            .refused(400, "invalid-request")
            .await;

        app.clock.advance(Duration::from_mins(5));
        let release = || app.call(axum::http::Method::POST, format!("{path}/release"));
        release().key(&client.publishable_key).refused(403, "forbidden").await;
        let calls = (0..4).map(|_| release().send());
        for answer in futures_util::future::join_all(calls).await {
            assert_eq!(answer.expect(202)["id"], json!(id));
        }
        release().send().await.expect(202);
        assert_eq!((app.count("deliveries").await, app.count("events").await), (2, 2));
        let read = app.get(&*path).send().await.expect(200);
        assert_eq!(
            (&read["suspected"], &read["createdAt"]),
            (&Value::Null, &kept["createdAt"])
        );
        assert!(ids("?suspected=true").await.is_empty());
        let deliveries = app
            .get(format!("{}/deliveries?leadId={id}", client.path))
            .send()
            .await
            .expect(200);
        assert_eq!(deliveries["items"][0]["state"], "pending");

        let never = app.call(
            axum::http::Method::POST,
            format!("{}/{trusted}/release", client.leads()),
        );
        never.refused(409, "conflict").await;
        let unknown = format!("{}/{}/release", client.leads(), client.id);
        app.call(axum::http::Method::POST, unknown)
            .refused(404, "not-found")
            .await;
    }
}

#[tokio::test]
async fn an_erased_lead_is_released_no_more() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let id = text(&send(&app, &client, &lead()).send().await.expect(201), "/id");
    let path = format!("{}/{id}", client.leads());
    app.delete(&*path).send().await.expect(204);
    assert_eq!(app.get(&*path).send().await.expect(200)["suspected"], Value::Null);
    app.call(axum::http::Method::POST, format!("{path}/release"))
        .refused(409, "conflict")
        .await;
    assert_eq!(app.count("deliveries").await, 0);
}
