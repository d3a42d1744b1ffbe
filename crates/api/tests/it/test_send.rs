//! Tests of destinations: a sample goes the real way, and what comes of it is answered and logged.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use futures_util::future::join_all;
use insta::assert_json_snapshot;
use sensei_api::router;
use sensei_dispatcher::{Dispatcher, Limits, Registry, Scripted, Step};
use sensei_domain::{FailureReason, Outcome, RetryPolicy, Verdict};
use sensei_persistence::{Actor, Answer as KeptAnswer, DestinationConfig, NewDestination};
use sensei_test_support::{Fault, FaultServer, Receiver};
use serde_json::{Value, json};

use crate::app::{Answer, Call, TestApp, TestClient, lead, places, text};
use crate::recovery;

const KEY: &str = "idempotency-key";
/// Long enough for a busy machine, short enough to be waited for.
const SHORT: Duration = Duration::from_millis(1_500);
const PATIENCE: Duration = Duration::from_mins(1);

fn test<'a>(app: &'a TestApp, destination: &str) -> Call<'a> {
    app.call(Method::POST, format!("{destination}/test"))
}

/// A destination with this URL; its path. The API would refuse some of them.
async fn destination(app: &TestApp, client: &TestClient, name: &str, url: &str) -> String {
    let new = NewDestination {
        kind: "webhook".to_owned(),
        name: name.parse().expect("a name"),
        config: DestinationConfig::new(json!({"url": url}), []),
        template: None,
        retry: RetryPolicy::Standard,
        rate_limit: None,
        ordered: true,
        filter: None,
    };
    let client_id = client.id.parse().expect("an id");
    let answer = |_: &_| KeptAnswer {
        status: 201,
        body: bytes::Bytes::new(),
        holds_secret: false,
    };
    let made = app
        .store
        .create_destination(client_id, &new, None, answer, &Actor::System);
    let made = made.await.expect("made").done.expect("new");
    format!("{}/destinations/{}", client.path, made.id)
}

/// An app whose destinations answer from a script.
async fn scripted() -> (TestApp, Scripted) {
    let receiver = Scripted::named("webhook");
    let registry = Registry::with(vec![Arc::new(receiver.clone())]);
    (TestApp::with(registry, PATIENCE).await, receiver)
}

/// What the log shows of a test.
async fn logged(app: &TestApp, client: &TestClient, tested: &Value) -> Value {
    let path = format!("{}/deliveries/{}", client.path, text(tested, "/deliveryId"));
    app.get(path).send().await.expect(200)
}

async fn until_attempts(app: &TestApp, wanted: i64) {
    let counted = async {
        while app.count("attempts").await != wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, counted)
        .await
        .expect("it is logged in time");
}

async fn a_sample_arrives_and_the_log_shows_what_was_answered(app: TestApp) {
    let client = app.client("Acme Corp").await;
    let receiver = Receiver::start();
    receiver.set_body("thanks");
    let destination = destination(&app, &client, "CRM", &receiver.url()).await;
    let tested = test(&app, &destination).send().await.expect(200);
    let redactions = |settings: &mut insta::Settings| {
        for id in [".deliveryId", ".eventId"] {
            settings.add_redaction(id, "[id]");
        }
        settings.add_redaction(".durationMs", "[ms]");
        settings.add_redaction(".requestUrl", "[url]");
    };
    let mut settings = insta::Settings::clone_current();
    redactions(&mut settings);
    settings.bind(|| assert_json_snapshot!("test_send", tested));

    let received = receiver.received().remove(0);
    assert_eq!(received.header("sensei-test"), Some("true"));
    assert_eq!(received.webhook_id(), tested["eventId"]);
    let body = received.json();
    let keys = body["data"].as_object().expect("an object").keys().collect::<Vec<_>>();
    assert_eq!(keys.len(), 8, "no custom fields unless asked for: {keys:?}");
    assert_eq!(
        (&body["event"], &body["data"]["clientId"], &body["data"]["clientName"]),
        (&json!("lead.created"), &json!(client.id), &json!("Acme Corp"))
    );
    assert!(text(&body, "/data/email").ends_with("@example.com"));

    let delivery = logged(&app, &client, &tested).await;
    let mut attempt = tested.as_object().expect("an object").clone();
    for id in ["deliveryId", "eventId"] {
        attempt.remove(id);
    }
    assert_eq!(delivery["attempts"], json!([attempt]));
    assert_eq!(
        (&delivery["state"], &delivery["leadId"], &delivery["eventId"]),
        (&json!("succeeded"), &Value::Null, &tested["eventId"])
    );
    let list = format!("{}/deliveries?destinationId=", client.path);
    let id = destination.rsplit('/').next().expect("an id");
    let listed = app.get(format!("{list}{id}&state=succeeded")).send().await.expect(200);
    assert_eq!(listed["items"][0]["id"], tested["deliveryId"]);
    assert_eq!(app.count("leads").await, 0);

    let path = format!("{}/deliveries/{}/redeliver", client.path, text(&tested, "/deliveryId"));
    let problem = app.call(Method::POST, path).refused(409, "conflict").await;
    assert_eq!(problem["detail"], "this delivery was a test: send another test instead");

    app.patch(client.settings(), &json!({"includeCustomFields": true}))
        .send()
        .await
        .expect(200);
    let again = test(&app, &destination).send().await.expect(200);
    let received = receiver.received().remove(1).json();
    assert_eq!(received["data"]["custom"], json!({"sample": true}));
    assert_ne!(received["data"]["id"], body["data"]["id"], "a fresh id each time");
    assert_ne!(again["eventId"], tested["eventId"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_arrives_and_the_log_shows_what_was_answered_on_sqlite() {
    a_sample_arrives_and_the_log_shows_what_was_answered(TestApp::new().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_arrives_and_the_log_shows_what_was_answered_on_postgres() {
    if let Some(app) = TestApp::on_postgres().await {
        a_sample_arrives_and_the_log_shows_what_was_answered(app).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_is_answered_and_logged_in_words() {
    let app = TestApp::with(Registry::standard(), SHORT).await;
    let client = app.client("Acme Corp").await;
    let (failing, gone) = (Receiver::start(), Receiver::start());
    failing.set_status(500);
    failing.set_body("out of order");
    gone.set_status(410);
    let nobody = {
        let mut receiver = Receiver::start();
        receiver.stop();
        receiver.url()
    };
    let hanging = FaultServer::start(Fault::BlackHole);
    let hanging_up = FaultServer::start(Fault::Raw(Vec::new()));
    let cases = [
        ("failing", failing.url(), "unavailable", "answered 500", "exhausted"),
        ("gone", gone.url(), "gone", "answered 410", "destination_gone"),
        ("nobody", nobody, "unavailable", "refused the connection", "exhausted"),
        (
            "hanging",
            hanging.url(),
            "unavailable",
            "no answer within 1500 ms",
            "exhausted",
        ),
        (
            "hangs up",
            hanging_up.url(),
            "unavailable",
            "closed the connection",
            "exhausted",
        ),
        (
            "private",
            "https://10.0.0.1/".to_owned(),
            "blocked",
            "isn't allowed",
            "blocked",
        ),
        ("no URL", "nowhere".to_owned(), "ours", "doesn't fit the kind", "ours"),
    ];
    for (name, url, outcome, words, reason) in cases {
        let path = destination(&app, &client, name, &url).await;
        let tested = test(&app, &path).send().await.expect(200);
        assert_eq!(
            (&tested["outcome"], &tested["number"]),
            (&json!(outcome), &json!(1)),
            "{name}"
        );
        assert!(text(&tested, "/error").contains(words), "{name}: {tested}");
        let delivery = logged(&app, &client, &tested).await;
        assert_eq!(
            (&delivery["state"], &delivery["failureReason"], &delivery["dueAt"]),
            (&json!("failed"), &json!(reason), &Value::Null),
            "{name}"
        );
        let read = app.get(&*path).send().await;
        if name != "no URL" {
            let read = read.expect(200);
            assert_eq!(
                (&read["status"], &read["health"]["state"]),
                (&json!("active"), &json!("healthy")),
                "{name}"
            );
        }
    }
    assert!(
        app.store
            .due_destinations()
            .await
            .expect("read")
            .destinations
            .is_empty(),
        "nothing is tried again"
    );
    assert_eq!((failing.count(), gone.count()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transport_that_panics_is_our_own_failure() {
    let (app, receiver) = scripted().await;
    let client = app.client("Acme Corp").await;
    let destination = recovery::destination(&app, &client).await;
    receiver.then([Step::Panic]);
    let tested = test(&app, &destination).send().await.expect(200);
    assert_eq!(tested["outcome"], "ours");
    assert!(text(&tested, "/error").contains("an internal error ended it"));
    assert_eq!(logged(&app, &client, &tested).await["failureReason"], "ours");
    let tested = test(&app, &destination).send().await.expect(200);
    assert_eq!(tested["outcome"], "delivered", "its turn was given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_and_a_disabled_destination_can_be_tested() {
    let (app, receiver) = scripted().await;
    let client = app.client("Acme Corp").await;
    let destination = recovery::destination(&app, &client).await;
    app.patch(&*destination, &json!({"status": "paused"}))
        .send()
        .await
        .expect(200);
    test(&app, &destination).send().await.expect(200);
    assert_eq!(app.get(&*destination).send().await.expect(200)["status"], "paused");

    app.patch(
        &*destination,
        &json!({"status": "active", "retry": {"policy": "standard"}}),
    )
    .send()
    .await
    .expect(200);
    app.post(client.leads(), &lead()).send().await.expect(201);
    recovery::attempt(&app, Outcome::Gone, Verdict::Failed(FailureReason::DestinationGone)).await;
    while app.store.keep_health().await.expect("looked at") {}
    assert_eq!(app.get(&*destination).send().await.expect(200)["status"], "disabled");
    let tested = test(&app, &destination).send().await.expect(200);
    assert_eq!(tested["outcome"], "delivered");
    assert_eq!(app.get(&*destination).send().await.expect(200)["status"], "disabled");
    assert_eq!(receiver.attempts().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_test_of_a_destination_and_eight_in_all_run_at_once() {
    let (app, receiver) = scripted().await;
    let client = app.client("Acme Corp").await;
    let mut destinations = Vec::new();
    for number in 0..9 {
        destinations.push(app.destination(&client, &format!("CRM {number}")).await);
    }
    receiver.hold();
    let first = join_all(destinations[..8].iter().map(|path| test(&app, path).send()));
    let refusals = async {
        receiver.until_begun(8).await;
        let problem = test(&app, &destinations[0]).refused(429, "too-many-requests").await;
        assert_json_snapshot!("one_of_a_destination", problem, {".requestId" => "[id]"});
        let answer = test(&app, &destinations[8]).send().await;
        let problem = answer.problem(429, "too-many-requests");
        assert_eq!(
            problem["detail"],
            "8 tests are under way, and no more may be: try again in a moment"
        );
        assert_eq!(answer.header("retry-after"), Some("5"));
        receiver.release();
    };
    let (answers, ()) = futures_util::future::join(first, refusals).await;
    for answer in answers {
        answer.expect(200);
    }
    assert_eq!(receiver.attempts().len(), 8, "what was refused wasn't sent");
    for path in [&destinations[0], &destinations[8]] {
        test(&app, path).send().await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_whose_caller_hangs_up_is_logged() {
    let (app, receiver) = scripted().await;
    let client = app.client("Acme Corp").await;
    let destination = recovery::destination(&app, &client).await;
    receiver.hold();
    let call = test(&app, &destination).header(KEY, "k1").send();
    tokio::select! {
        answer = call => panic!("nothing is answered yet: {}", answer.status),
        () = receiver.until_begun(1) => {}
    }
    receiver.release();
    until_attempts(&app, 1).await;
    let again = test(&app, &destination).header(KEY, "k1").send().await;
    again.expect(200);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(receiver.attempts().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_gives_up_a_test_and_logs_nothing() {
    let (app, receiver) = scripted().await;
    let client = app.client("Acme Corp").await;
    let destination = recovery::destination(&app, &client).await;
    receiver.hold();
    let before = app.counts().await;
    let shutdown = async {
        receiver.until_begun(1).await;
        app.state.shutdown().await;
    };
    let (answer, ()) = futures_util::future::join(test(&app, &destination).send(), shutdown).await;
    answer.problem(503, "unavailable");
    assert_eq!((receiver.running(), app.counts().await), (0, before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_cannot_be_logged_says_that_it_was_sent() {
    let (app, receiver) = scripted().await;
    let client = app.client("Acme Corp").await;
    let destination = recovery::destination(&app, &client).await;
    receiver.hold();
    let closing = async {
        receiver.until_begun(1).await;
        app.store.close().await;
        receiver.release();
    };
    let (answer, ()) = futures_util::future::join(test(&app, &destination).send(), closing).await;
    assert_json_snapshot!("not_logged", answer.problem(503, "unavailable"), {".requestId" => "[id]"});
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(receiver.attempts().len(), 1);
}

async fn equal_tests_are_one(app: TestApp, receiver: Scripted) {
    let client = app.client("Acme Corp").await;
    let destination = recovery::destination(&app, &client).await;
    let send = || test(&app, &destination).header(KEY, "k1").send();
    let answers = join_all((0..20).map(|_| send())).await;
    let is_replayed = |answer: &&Answer| answer.header("idempotency-replayed") == Some("true");
    assert_eq!(answers.iter().filter(is_replayed).count(), 19);
    for answer in &answers {
        assert_eq!(answer.expect(200), answers[0].expect(200));
    }
    assert_eq!(send().await.body, answers[0].body);
    assert_eq!((receiver.attempts().len(), app.count("attempts").await), (1, 1));

    let other = test(&app, &destination).header(KEY, "k2").send().await.expect(200);
    assert_ne!(other["deliveryId"], answers[0].json()["deliveryId"]);
    app.clock.advance(Duration::from_millis(24 * 60 * 60 * 1_000 + 1));
    let next_day = send().await;
    next_day.expect(200);
    assert_eq!(next_day.header("idempotency-replayed"), None);
    assert_eq!((receiver.attempts().len(), app.count("attempts").await), (3, 3));
    let problem = test(&app, &destination).header(KEY, "two words");
    assert_eq!(places(&problem.refused(400, "invalid-request").await), [KEY]);
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_tests_are_one_on_sqlite() {
    let (app, receiver) = scripted().await;
    equal_tests_are_one(app, receiver).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_tests_are_one_on_postgres() {
    let receiver = Scripted::named("webhook");
    let registry = Registry::with(vec![Arc::new(receiver.clone())]);
    if let Some(app) = TestApp::on_postgres_with(registry).await {
        equal_tests_are_one(app, receiver).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_tested() {
    let (app, receiver) = scripted().await;
    let (client, other) = (app.client("Acme Corp").await, app.client("Other Inc").await);
    let destination = recovery::destination(&app, &client).await;
    let elsewhere = destination.replace(&client.id, &other.id);
    let problem = test(&app, &elsewhere).refused(404, "not-found").await;
    assert_eq!(problem["detail"], "there is no such destination");
    let call = app.call(Method::POST, format!("{destination}/test?force=1"));
    assert_eq!(places(&call.refused(400, "invalid-request").await), ["force"]);
    app.patch(client.settings(), &json!({"leadWebhookUrl": null}))
        .send()
        .await
        .expect(200);
    test(&app, &destination).refused(404, "not-found").await;
    assert!(receiver.attempts().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn health_shows_the_breaker_of_this_process() {
    let receiver = Scripted::named("webhook");
    let registry = Registry::with(vec![Arc::new(receiver.clone())]);
    let mut app = TestApp::with(registry.clone(), SHORT).await;
    let client = app.client("Acme Corp").await;
    let destination = recovery::destination(&app, &client).await;
    let breaker = async |app: &TestApp| app.get(&*destination).send().await.expect(200)["health"]["breaker"].take();
    assert_eq!(breaker(&app).await, Value::Null, "nothing is delivered here");

    let limits = Limits {
        cool_down: Duration::from_mins(1),
        ..Limits::default()
    };
    let clock = Arc::new(app.clock.clone());
    let dispatcher = Dispatcher::start(&app.store, app.egress.clone(), registry, limits, clock).expect("started");
    app.router = router(app.state.clone().with_breakers(dispatcher.breakers()));
    assert_eq!(breaker(&app).await, json!({"state": "closed", "until": null}));

    receiver.then([Step::TimedOut; 10]);
    let leads = json!({"leads": vec![lead(); 10]});
    app.post(format!("{}/batch", client.leads()), &leads)
        .send()
        .await
        .expect(200);
    receiver.until_ended(10).await;
    dispatcher.settled().await;
    let open = breaker(&app).await;
    assert_eq!(open["state"], "open");
    let until = text(&open, "/until");
    // The clock of the test stands still, that of the breaker goes on: a minute and up to a fifth, less what passed.
    assert!(
        ("2024-11-24T10:30:00.000Z".."2024-11-24T10:31:12.001Z").contains(&&*until),
        "{until}"
    );
    drop(dispatcher);
    assert_eq!(breaker(&app).await, Value::Null, "the dispatcher is gone");
}
