//! A client's leads and deliveries as they happen.

use std::time::{Duration, Instant};

use axum::body::BodyDataStream;
use futures_util::StreamExt as _;
use sensei_domain::{LeadId, NewLead, Timestamp};
use sensei_persistence::{CaptureLead, CaptureRequest};
use serde_json::{Value, json};

use crate::app::{TestApp, TestClient, lead, text};
use crate::attempts::{attempted, claim};

/// Longer than anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A stream as its reader sees it.
struct Events {
    body: BodyDataStream,
    text: String,
}

#[derive(Debug)]
struct Event {
    name: String,
    id: String,
    data: Value,
}

impl Events {
    async fn of(app: &TestApp, client: &TestClient, last: Option<&str>) -> Self {
        let mut call = app.get(format!("{}/stream", client.path));
        if let Some(last) = last {
            call = call.header("last-event-id", last);
        }
        let response = call.open().await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self {
            body: response.into_body().into_data_stream(),
            text: String::new(),
        }
    }

    /// The next event; nothing when the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    let mut lines = event.lines();
                    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    value.map(str::to_owned)
                };
                if let Some(name) = field("event") {
                    return Some(Event {
                        name,
                        id: field("id").expect("each event has a position"),
                        data: serde_json::from_str(&field("data").expect("data")).expect("JSON"),
                    });
                }
            }
            let piece = tokio::time::timeout(PATIENCE, self.body.next())
                .await
                .expect("in time")?;
            self.text
                .push_str(std::str::from_utf8(&piece.expect("no error")).expect("text"));
        }
    }

    /// The first event for which this holds.
    async fn find(&mut self, what: impl Fn(&Event) -> bool) -> Event {
        // All of it: what keeps the connection alive is no event.
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let event = self.next().await.expect("the stream goes on");
                if what(&event) {
                    return event;
                }
            }
        });
        found.await.expect("in time")
    }

    async fn lead(&mut self, id: &str) -> Event {
        self.find(|event| event.name == "lead" && event.data["id"] == id).await
    }

    async fn ends(mut self) {
        let end = async { while self.next().await.is_some() {} };
        tokio::time::timeout(PATIENCE, end).await.expect("in time");
    }
}

async fn capture(app: &TestApp, client: &TestClient) -> String {
    text(&app.post(client.leads(), &lead()).send().await.expect(201), "/id")
}

async fn a_lead_and_its_delivery_are_seen_as_they_happen(app: TestApp) {
    let (client, other) = (app.client("Acme Corp").await, app.client("Other Inc").await);
    let mut events = Events::of(&app, &client, None).await;
    let elsewhere = capture(&app, &other).await;
    let id = capture(&app, &client).await;
    let seen = events.lead(&id).await;
    let listed = app.get(client.leads()).send().await.expect(200);
    assert_eq!(seen.data, listed["items"][0], "as the list shows it");
    let seen = events
        .find(|event| event.name == "delivery" && event.data["leadId"] == *id)
        .await;
    let log = format!("{}/deliveries", client.path);
    assert_eq!(seen.data, app.get(&*log).send().await.expect(200)["items"][0]);

    let destination_id = text(&seen.data, "/destinationId").parse().expect("an id");
    let job = claim(&app, destination_id, 1).await.remove(0);
    // Long after it was made: what is looked through for new ones hasn't it any more.
    app.clock.advance(Duration::from_secs(30));
    attempted(&app, job, 204).await;
    let is_done = |event: &Event| event.name == "delivery" && event.data["state"] == "succeeded";
    let done = events.find(is_done).await;
    assert_eq!(done.data, app.get(log).send().await.expect(200)["items"][0]);
    assert_eq!(done.data["lastAttempt"]["statusCode"], 204);
    // Who was away since before that sees it as well, without the other's leads.
    let mut again = Events::of(&app, &client, Some(&seen.id)).await;
    assert_eq!(again.find(is_done).await.data, done.data);
    assert!(!again.text.contains(&elsewhere));

    let suspected = app
        .post(client.leads(), &lead())
        .key(&client.publishable_key)
        .send()
        .await;
    let suspected = text(&suspected.expect(201), "/id");
    let seen = events.lead(&suspected).await;
    assert_eq!(seen.data["suspected"]["reasons"], json!(["no-form"]));
}

#[tokio::test]
async fn a_lead_and_its_delivery_are_seen_as_they_happen_on_sqlite() {
    a_lead_and_its_delivery_are_seen_as_they_happen(TestApp::new().await).await;
}

#[tokio::test]
async fn a_lead_and_its_delivery_are_seen_as_they_happen_on_postgres() {
    if let Some(app) = TestApp::on_postgres().await {
        a_lead_and_its_delivery_are_seen_as_they_happen(app).await;
    }
}

#[tokio::test]
async fn a_stream_resumes_without_a_gap() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let mut events = Events::of(&app, &client, None).await;
    let first = capture(&app, &client).await;
    let last = events.lead(&first).await.id;
    drop(events);
    let mut missed = Vec::new();
    for _ in 0..5 {
        app.clock.advance(Duration::from_mins(2));
        missed.push(capture(&app, &client).await);
    }
    let mut events = Events::of(&app, &client, Some(&last)).await;
    for id in &missed {
        events.lead(id).await;
    }
    let live = capture(&app, &client).await;
    events.lead(&live).await;
}

#[tokio::test]
async fn leads_that_come_while_a_stream_begins_are_all_seen() {
    let app = TestApp::new().await;
    // It is read already when the others begin.
    let watched = app.client("Acme Corp").await;
    let _events = Events::of(&app, &watched, None).await;
    for round in 0..8 {
        let client = app.client(&format!("Client {round}")).await;
        let mut events = Events::of(&app, &client, None).await;
        let began = Instant::now();
        let mut captured = Vec::new();
        // Some are committed in the middle of the first look at this client.
        while began.elapsed() < Duration::from_millis(400) {
            captured.push(capture(&app, &client).await);
        }
        for id in &captured {
            events.lead(id).await;
        }
        app.clock.advance(Duration::from_mins(1));
    }
}

#[tokio::test]
async fn what_is_done_while_a_stream_begins_is_seen() {
    let app = TestApp::new().await;
    let watched = app.client("Acme Corp").await;
    let mut others = Events::of(&app, &watched, None).await;
    for round in 0..4 {
        let client = app.client(&format!("Client {round}")).await;
        let id = capture(&app, &client).await;
        let log = app.get(format!("{}/deliveries", client.path)).send().await.expect(200);
        let destination_id = text(&log, "/items/0/destinationId").parse().expect("an id");
        let job = claim(&app, destination_id, 1).await.remove(0);
        // Neither new nor done late.
        app.clock.advance(Duration::from_secs(3));
        for _ in 0..2 {
            let lead = capture(&app, &watched).await;
            others.lead(&lead).await;
        }
        let mut events = Events::of(&app, &client, None).await;
        attempted(&app, job, 204).await;
        let is_done = |event: &Event| event.data["leadId"] == *id && event.data["state"] == "succeeded";
        events.find(|event| event.name == "delivery" && is_done(event)).await;
    }
}

#[tokio::test]
async fn an_old_delivery_that_is_redelivered_is_seen_to_wait() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    capture(&app, &client).await;
    let path = format!("{}/deliveries", client.path);
    let log = app.get(&*path).send().await.expect(200);
    let destination_id = text(&log, "/items/0/destinationId").parse().expect("an id");
    let job = claim(&app, destination_id, 1).await.remove(0);
    attempted(&app, job, 404).await;
    app.clock.advance(Duration::from_mins(2));
    let mut events = Events::of(&app, &client, None).await;
    let id = text(&log, "/items/0/id");
    let redeliver = format!("{path}/{id}/redeliver");
    app.post(redeliver, &serde_json::json!({})).send().await;
    let waits = |event: &Event| event.data["id"] == *id && event.data["state"] == "pending";
    events.find(|event| event.name == "delivery" && waits(event)).await;
}

/// Made before what is looked at mostly, and committed now.
#[tokio::test]
async fn a_lead_whose_commit_took_long_is_seen() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let mut events = Events::of(&app, &client, None).await;
    let first = capture(&app, &client).await;
    events.lead(&first).await;
    let made = Timestamp::from_millis(app.store.now().as_millis() - 9_000);
    // Written out: ids that this process makes never go back.
    let (high, low) = (made.as_millis() >> 16, made.as_millis() & 0xffff);
    let id = format!("{high:08x}-{low:04x}-7000-8000-000000000001");
    let id = id.parse::<LeadId>().expect("an id");
    let request = CaptureRequest {
        client_id: client.id.parse().expect("an id"),
        leads: vec![CaptureLead {
            id,
            lead: NewLead::from_json(&lead()).expect("a lead"),
        }],
        captured_at: made,
        idempotency: None,
    };
    app.store.capture(request).await.expect("captured");
    let seen = events.lead(&id.to_string()).await;
    // Who resumes there sees it as well.
    let mut again = Events::of(&app, &client, Some(&seen.id)).await;
    again.lead(&id.to_string()).await;
}

#[tokio::test]
async fn a_delivery_that_was_done_soon_is_seen_by_who_was_away_meanwhile() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let mut events = Events::of(&app, &client, None).await;
    let first = capture(&app, &client).await;
    let is_first = |event: &Event| event.name == "delivery" && event.data["leadId"] == *first;
    let seen = events.find(is_first).await;
    let destination_id = text(&seen.data, "/destinationId").parse().expect("an id");
    let job = claim(&app, destination_id, 1).await.remove(0);
    app.clock.advance(Duration::from_secs(4));
    let mut last = String::new();
    // The position that is told with the second one is of a look after the first one.
    for _ in 0..2 {
        let id = capture(&app, &client).await;
        last = events.lead(&id).await.id;
    }
    drop(events);
    attempted(&app, job, 204).await;
    let mut events = Events::of(&app, &client, Some(&last)).await;
    let done = events.find(is_first).await;
    assert_eq!(done.data["state"], "succeeded");
}

#[tokio::test]
async fn who_was_away_for_too_long_begins_anew() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let mut events = Events::of(&app, &client, None).await;
    let id = capture(&app, &client).await;
    let last = events.lead(&id).await.id;
    app.clock.advance(Duration::from_hours(2));
    for position in [&*last, "nonsense", "1-"] {
        let mut events = Events::of(&app, &client, Some(position)).await;
        events.find(|event| event.name == "reset").await;
        let live = capture(&app, &client).await;
        events.lead(&live).await;
    }
}

#[tokio::test]
async fn who_reads_too_slowly_is_cut_off_and_resumes() {
    let app = TestApp::new().await;
    let client = app.client("Acme Corp").await;
    let mut slow = Events::of(&app, &client, None).await;
    let mut quick = Events::of(&app, &client, None).await;
    let first = capture(&app, &client).await;
    let last = slow.lead(&first).await.id;
    let mut captured = Vec::new();
    for _ in 0..20 {
        let id = capture(&app, &client).await;
        // By now it has been sent to the other as well.
        quick.lead(&id).await;
        captured.push(id);
    }
    slow.ends().await;
    let mut slow = Events::of(&app, &client, Some(&last)).await;
    for id in &captured {
        slow.lead(id).await;
    }
}

#[tokio::test]
async fn a_stream_ends_with_the_right_to_see_it() {
    let app = TestApp::new().await;
    let (acme, other) = (app.client("Acme Corp").await, app.client("Other Inc").await);
    app.get(format!("{}/stream", other.path))
        .key(&other.publishable_key)
        .refused(403, "forbidden")
        .await;
    let new = serde_json::json!({"name": "theirs", "clientId": acme.id, "kind": "secret"});
    let created = app.post("/v1/keys", &new).send().await.expect(201);
    let key = text(&created, "/key");
    app.get(format!("{}/stream", other.path))
        .key(&key)
        .refused(404, "not-found")
        .await;
    let open = async || {
        let response = app.get(format!("{}/stream", acme.path)).key(&key).open().await;
        Events {
            body: response.into_body().into_data_stream(),
            text: String::new(),
        }
    };
    // One that is read as things come, and one that isn't read for long.
    let (mut unread, theirs) = (open().await, open().await);
    let mut watched = Events::of(&app, &acme, None).await;
    let of_deleted = Events::of(&app, &other, None).await;
    let revoked = app.delete(format!("/v1/keys/{}", text(&created, "/id"))).send().await;
    assert_eq!(revoked.status, 204);
    assert_eq!(app.delete(&*other.path).send().await.status, 204);
    let unseen = capture(&app, &acme).await;
    watched.find(|event| event.data["id"] == *unseen).await;
    theirs.ends().await;
    while let Some(event) = unread.next().await {
        assert_ne!(
            event.data["id"], *unseen,
            "who may see it no more sees what waits for him"
        );
    }
    of_deleted.ends().await;
    let last = Events::of(&app, &acme, None).await;
    app.state.end_streams();
    last.ends().await;
}
