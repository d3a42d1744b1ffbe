//! Publishable keys in web pages: where those may be from, and how much they may send.

use axum::http::Method;
use serde_json::{Value, json};

use crate::app::{Answer, TestApp, TestClient, lead, places, text};

const SITE: &str = "https://www.acme.example";

async fn allow(app: &TestApp, client: &TestClient, origins: &[&str]) {
    let change = json!({"allowedOrigins": origins});
    app.patch(client.settings(), &change).send().await.expect(200);
}

/// A lead that no other is equal to.
fn own_lead(number: usize) -> Value {
    json!({"name": "Jane Roe", "email": format!("jane{number}@example.com")})
}

#[track_caller]
fn readable_by(answer: &Answer, origin: Option<&str>) {
    assert_eq!(answer.header("access-control-allow-origin"), origin);
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    if origin.is_some() {
        assert_eq!(answer.header("vary"), Some("origin"));
    }
}

#[tokio::test]
async fn pages_of_allowed_origins_send_leads_and_read_the_answer() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    allow(&app, &client, &[SITE, "https://acme.example:8443"]).await;
    for (number, origin) in [SITE, "https://acme.example:8443"].into_iter().enumerate() {
        let call = app.post(client.leads(), &own_lead(number)).key(&client.publishable_key);
        let answer = call.header("origin", origin).send().await;
        assert_eq!(answer.expect(201)["suspected"], Value::Null, "a page of its own");
        readable_by(&answer, Some(origin));
    }
    assert_eq!(app.count("deliveries").await, 2);
    // What is wrong can be read too.
    let key = &*client.publishable_key;
    let faulty = app.post(client.leads(), &json!({})).key(key).header("origin", SITE);
    let faulty = faulty.send().await;
    assert_eq!(places(&faulty.problem(422, "invalid-body")), ["/name", "/email"]);
    readable_by(&faulty, Some(SITE));
    let no_json = app
        .call(Method::POST, client.leads())
        .raw("{")
        .key(key)
        .header("origin", SITE)
        .send()
        .await;
    no_json.problem(400, "not-json");
    readable_by(&no_json, Some(SITE));
    let wrong_key = app
        .post(client.leads(), &lead())
        .key("pk_wrong")
        .header("origin", SITE)
        .send()
        .await;
    wrong_key.problem(401, "unauthorized");
    readable_by(&wrong_key, Some(SITE));
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_once_some_are_named() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let from = |origin: &'static str| {
        let call = app.post(client.leads(), &lead()).key(&client.publishable_key);
        call.header("origin", origin).header("host", "forms.sensei.example")
    };
    let anywhere = from("https://evil.example").send().await;
    anywhere.expect(201);
    readable_by(&anywhere, Some("https://evil.example"));
    allow(&app, &client, &[SITE]).await;
    for origin in [
        "https://evil.example",
        "null",
        "http://www.acme.example",
        "https://www.acme.example:8443",
        "https://www.acme.example.evil.example",
        "https://www.acme.example/",
    ] {
        let problem = from(origin).refused(403, "forbidden").await;
        assert!(
            problem["detail"].as_str().expect("text").contains("allowedOrigins"),
            "{problem}"
        );
        readable_by(&from(origin).send().await, None);
    }
    // Our own pages are no others': by what the browser says, or by their host.
    from("https://forms.sensei.example").send().await.expect(201);
    let behind_a_proxy = from("https://leads.agency.example").header("sec-fetch-site", "same-origin");
    behind_a_proxy.send().await.expect(201);
    // A secret key is no page's.
    let secret = app
        .post(client.leads(), &lead())
        .header("origin", "https://evil.example");
    let answer = secret.send().await;
    answer.expect(201);
    readable_by(&answer, None);
}

#[tokio::test]
async fn browsers_are_told_before_they_send() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    allow(&app, &client, &[SITE]).await;
    let form = format!("/v1/forms/{}", client.id);
    for path in [client.leads(), form.clone()] {
        let ask = |origin: &'static str| {
            let call = app.call(Method::OPTIONS, path.clone()).without("authorization");
            call.header("origin", origin)
                .header("access-control-request-method", "POST")
        };
        let answer = ask(SITE).send().await;
        answer.expect(204);
        readable_by(&answer, Some(SITE));
        let headers = answer.header("access-control-allow-headers").expect("headers");
        for header in [
            "authorization",
            "content-type",
            "idempotency-key",
            "sensei-form-token",
            "sensei-form-trap",
        ] {
            assert!(headers.contains(header), "{headers}");
        }
        let answer = ask("https://evil.example").send().await;
        answer.problem(403, "forbidden");
        readable_by(&answer, None);
        app.call(Method::OPTIONS, path.clone())
            .send()
            .await
            .problem(400, "invalid-request");
    }
    for other in [
        "/v1/clients",
        &*client.path,
        &client.settings(),
        &format!("{}/batch", client.leads()),
    ] {
        let call = app.call(Method::OPTIONS, other).header("origin", SITE);
        let answer = call.header("access-control-request-method", "GET").send().await;
        answer.problem(405, "method-not-allowed");
        readable_by(&answer, None);
    }
    let unknown = app.call(
        Method::OPTIONS,
        format!("/v1/forms/{}", "0193a2b5-0000-7000-8000-000000000001"),
    );
    let unknown = unknown
        .header("origin", SITE)
        .header("access-control-request-method", "GET");
    unknown.send().await.problem(404, "not-found");
}

#[tokio::test]
async fn an_address_is_limited_and_told_when_to_come_back() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let send = |number: usize, peer: &'static str| {
        let call = app.post(client.leads(), &own_lead(number)).key(&client.publishable_key);
        call.peer(peer).header("origin", SITE)
    };
    for number in 0..30 {
        send(number, "203.0.113.7").send().await.expect(201);
    }
    let before = app.count("leads").await;
    let refused = send(30, "203.0.113.7").send().await;
    refused.problem(429, "too-many-requests");
    assert_eq!(refused.header("retry-after"), Some("2"));
    readable_by(&refused, Some(SITE));
    // Nobody trusts what it says of itself here.
    let pretended = send(30, "203.0.113.7")
        .header("x-forwarded-for", "198.51.100.1")
        .send()
        .await;
    pretended.problem(429, "too-many-requests");
    assert_eq!(app.count("leads").await, before);
    send(30, "203.0.113.8").send().await.expect(201);
    app.clock.advance(std::time::Duration::from_secs(2));
    send(31, "203.0.113.7").send().await.expect(201);
    // A secret key isn't limited, whatever the address.
    for number in 100..140 {
        let call = app.post(client.leads(), &own_lead(number)).peer("203.0.113.7");
        call.send().await.expect(201);
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_visitor_has_a_limit_of_his_own() {
    let mut app = TestApp::new().await;
    let state = app
        .state
        .clone()
        .with_trusted_proxies(vec!["10.0.0.0/8".parse().expect("a network")]);
    app.router = sensei_api::router(state);
    let client = app.client("Acme Corp").await;
    let send = |number: usize, visitor: &'static str| {
        let call = app.post(client.leads(), &own_lead(number)).key(&client.publishable_key);
        call.peer("10.0.0.1").header("x-forwarded-for", visitor)
    };
    for number in 0..30 {
        send(number, "203.0.113.7").send().await.expect(201);
    }
    send(30, "203.0.113.7").send().await.problem(429, "too-many-requests");
    send(30, "1.2.3.4, 203.0.113.7")
        .send()
        .await
        .problem(429, "too-many-requests");
    send(30, "203.0.113.8").send().await.expect(201);
}

#[tokio::test]
async fn ten_thousand_posts_without_a_page_get_no_delivery() {
    let app = TestApp::new().await;
    let (client, other) = (app.client("Acme Corp").await, app.client("Other Inc").await);
    let mut taken = 0;
    for number in 0..10_000_usize {
        let peer = format!("10.{}.{}.1", number / 4_000, (number / 16) % 250);
        let call = app.post(client.leads(), &own_lead(number)).key(&client.publishable_key);
        let answer = call.peer(&peer).send().await;
        match answer.status {
            201 => {
                assert_eq!(answer.json()["suspected"]["reasons"], json!(["no-form"]));
                taken += 1;
            }
            _ => drop(answer.problem(429, "too-many-requests")),
        }
    }
    assert_eq!(taken, 300, "the client's limit, whatever the addresses");
    assert_eq!(app.count("leads").await, 300);
    assert_eq!((app.count("deliveries").await, app.count("events").await), (0, 0));
    // Others aren't concerned: neither who fills in the client's form, nor the client's own servers, nor other clients.
    let form = app.get(format!("/v1/forms/{}", client.id)).send().await.expect(200);
    app.clock.advance(std::time::Duration::from_secs(3));
    for number in 10_000..10_100 {
        let call = app.post(client.leads(), &own_lead(number)).key(&client.publishable_key);
        call.send().await;
    }
    let person = app
        .post(client.leads(), &own_lead(20_000))
        .key(&client.publishable_key)
        .peer("203.0.113.7");
    let person = person
        .header("sensei-form-token", &text(&form, "/token"))
        .send()
        .await
        .expect(201);
    assert_eq!(person["suspected"], Value::Null);
    app.post(client.leads(), &lead()).send().await.expect(201);
    allow(&app, &other, &[SITE]).await;
    let theirs = app
        .post(other.leads(), &lead())
        .key(&other.publishable_key)
        .header("origin", SITE);
    theirs.peer("10.0.0.1").send().await.expect(201);
    assert_eq!(app.count("deliveries").await, 3);
}

#[tokio::test]
async fn origins_are_checked_when_they_are_saved() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let saved = app
        .patch(
            client.settings(),
            &json!({"allowedOrigins": ["https://ACME.example/", "https://acme.example", "http://localhost:3000"]}),
        )
        .send()
        .await
        .expect(200);
    let kept = json!(["https://acme.example", "http://localhost:3000"]);
    assert_eq!(saved["allowedOrigins"], kept);
    let wrong =
        json!({"allowedOrigins": ["https://ok.example", "https://a.example/contact", "*", 7, "http://a.example"]});
    let problem = app.patch(client.settings(), &wrong).refused(422, "invalid-body").await;
    let expected = [
        "/allowedOrigins/1",
        "/allowedOrigins/2",
        "/allowedOrigins/3",
        "/allowedOrigins/4",
    ];
    assert_eq!(places(&problem), expected);
    for wrong in [json!("https://a.example"), json!(vec!["https://a.example"; 51])] {
        let change = json!({"allowedOrigins": wrong});
        let problem = app.patch(client.settings(), &change).refused(422, "invalid-body").await;
        assert_eq!(places(&problem), ["/allowedOrigins"]);
    }
    let read = async || app.get(client.settings()).send().await.expect(200)["allowedOrigins"].clone();
    assert_eq!(read().await, kept);
    app.patch(client.settings(), &json!({"allowedOrigins": null}))
        .send()
        .await
        .expect(200);
    assert_eq!(read().await, json!([]));
}

#[tokio::test]
async fn an_origin_that_would_be_read_as_more_than_one_is_refused() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    for field in ["allowedOrigins", "frameAncestors"] {
        let ends_a_directive = [
            "https://a.example;script-src",
            "https://a.example%3B",
            "https://a.example,b.example",
        ];
        for wrong in ends_a_directive
            .into_iter()
            .chain(["https://*.a.example", "https://a'b.example"])
        {
            let change = json!({field: ["https://ok.example", wrong]});
            let problem = app.patch(client.settings(), &change).refused(422, "invalid-body").await;
            assert_eq!(places(&problem), [format!("/{field}/1")], "{wrong}");
            assert!(
                text(&problem, "/errors/0/detail").contains("a host of letters"),
                "{problem}"
            );
        }
        let read = app.get(client.settings()).send().await.expect(200);
        assert_eq!(read[field], json!([]));
    }
}

#[tokio::test]
async fn a_form_is_saved_whole_and_shown_to_anybody() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let path = format!("/v1/forms/{}", client.id);
    let read = async || app.get(&*path).without("authorization").send().await.expect(200);
    let form = read().await;
    assert_eq!((&form["clientId"], &form["lang"]), (&json!(client.id), &json!("en")));
    assert_ne!(form["token"], read().await["token"], "no two are equal");
    let names = form["fields"]
        .as_array()
        .expect("fields")
        .iter()
        .map(|field| &field["name"]);
    assert!(names.eq(&[json!("name"), json!("email"), json!("phone"), json!("message")]));

    let own = json!({"lang": "de", "texts": {"submit": "Absenden"}, "theme": {"accent": "#008060"},
        "fields": [{"name": "email", "label": "E-Mail"}, {"name": "name", "label": "Name"}]});
    let saved = app
        .patch(client.settings(), &json!({"form": own}))
        .send()
        .await
        .expect(200);
    assert_eq!(
        (&saved["form"]["lang"], &saved["form"]["enabled"]),
        (&json!("de"), &json!(true))
    );
    let form = read().await;
    assert_eq!(
        (&form["texts"]["submit"], &form["theme"]["accent"]),
        (&json!("Absenden"), &json!("#008060"))
    );
    assert_eq!(form["fields"][0]["required"], true);

    let wrong = json!({"form": {"fields": [{"name": "email", "label": "E"}], "theme": {"accent": "green"}}});
    let problem = app.patch(client.settings(), &wrong).refused(422, "invalid-body").await;
    assert_eq!(places(&problem), ["/form/fields", "/form/theme/accent"]);
    app.patch(client.settings(), &json!({"form": {"enabled": false}}))
        .send()
        .await
        .expect(200);
    app.get(&*path).send().await.problem(404, "not-found");
    app.patch(client.settings(), &json!({"form": null}))
        .send()
        .await
        .expect(200);
    assert_eq!(read().await["lang"], "en");

    allow(&app, &client, &[SITE]).await;
    let answer = app
        .get(&*path)
        .without("authorization")
        .header("origin", SITE)
        .send()
        .await;
    answer.expect(200);
    readable_by(&answer, Some(SITE));
    let answer = app.get(&*path).header("origin", "https://evil.example").send().await;
    answer.problem(403, "forbidden");
    readable_by(&answer, None);
}
