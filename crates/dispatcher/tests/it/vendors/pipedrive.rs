//! Pipedrive: several calls, of which none may be made twice, wherever an attempt ends.

use std::sync::Mutex;
use std::time::Duration;

use sensei_dispatcher::{Attempted, EgressOptions};
use sensei_domain::{Clock, Outcome, SystemClock, Trigger};
use sensei_persistence::Job;
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers};

use super::{AGAIN, Answer, DELIVERED, Other, Vendor, after, answer, event, kind, sample};
use crate::fixture::{job, loopback, with};

const REJECTED: Outcome = Outcome::Rejected;

pub(super) fn vendor() -> Vendor {
    Vendor {
        kind: kind("pipedrive"),
        host: "api.pipedrive.com",
        method: "POST",
        path: "/v1/leads",
        way: None,
        others: OTHERS,
        answers: ANSWERS,
        unseen: "that the lists of leads and notes can be asked for one person's and one lead's, and the body of a note",
    }
}

const OTHERS: &[Other] = &[
    Other {
        method: "GET",
        path: "/api.pipedrive.com/api/v2/persons/search",
        status: 200,
        body: r#"{"success": true, "data": {"items": []}}"#,
    },
    Other {
        method: "POST",
        path: "/api.pipedrive.com/api/v2/persons",
        status: 201,
        body: r#"{"success": true, "data": {"id": 7}}"#,
    },
    Other {
        method: "POST",
        path: "/api.pipedrive.com/v1/notes",
        status: 201,
        body: r#"{"success": true, "data": {"id": 9}}"#,
    },
];

const ANSWERS: &[Answer] = &[
    answer(
        201,
        r#"{"success": true, "data": {"id": "adf21080-0e10-11eb-879b-05d71fb426ec"}}"#,
        DELIVERED,
        "",
    ),
    answer(
        201,
        r#"{"success": true, "data": {}}"#,
        AGAIN,
        "201 without the lead's id",
    ),
    answer(200, r#"{"success": false, "error": "Try later"}"#, AGAIN, "Try later"),
    answer(200, "", AGAIN, "it doesn't say that it did it"),
    answer(
        400,
        r#"{"success": false, "error": "A lead must be linked to a person", "error_info": ""}"#,
        REJECTED,
        "A lead must be linked to a person",
    ),
    answer(401, "", REJECTED, "make a new one"),
    answer(402, "", REJECTED, "isn't paid"),
    answer(403, "", REJECTED, "403"),
    answer(404, "", REJECTED, "404"),
    Answer {
        status: 429,
        headers: &[("retry-after", "2")],
        body: "",
        outcome: after(2),
        words: "429",
    },
    answer(500, "", AGAIN, "500"),
];

/// What Pipedrive has, which answers as it does; the call with this number is carried out, but never answered in time.
#[derive(Default)]
struct Account {
    has: Mutex<Has>,
}

#[derive(Default)]
struct Has {
    persons: Vec<Value>,
    leads: Vec<Value>,
    notes: Vec<Value>,
    calls: usize,
    unanswered: Option<usize>,
}

impl Respond for &'static Account {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut has = self.has.lock().expect("no panic");
        let body = request.body_json::<Value>().unwrap_or_default();
        let query = |name: &str| {
            let mut pairs = request.url.query_pairs();
            pairs
                .find(|(key, _)| key == name)
                .map_or_else(String::new, |(_, value)| value.into_owned())
        };
        let data = match (request.method.as_str(), request.url.path()) {
            ("GET", "/api.pipedrive.com/api/v2/persons/search") => {
                let email = query("term");
                let known = has.persons.iter().enumerate();
                let known = known.filter(|(_, person)| person["emails"][0]["value"] == email.as_str());
                let items = known.map(|(index, _)| json!({"item": {"id": index + 1}}));
                json!({"items": items.collect::<Vec<_>>()})
            }
            ("POST", "/api.pipedrive.com/api/v2/persons") => {
                has.persons.push(body);
                json!({"id": has.persons.len()})
            }
            ("GET", "/api.pipedrive.com/v1/leads") => {
                let person = query("person_id");
                let of_person = has.leads.iter().enumerate();
                let of_person = of_person.filter(|(_, lead)| lead["person_id"].as_u64() == person.parse().ok());
                let leads = of_person
                    .map(|(index, lead)| json!({"id": format!("lead-{index}"), "origin_id": lead["origin_id"]}));
                Value::Array(leads.collect())
            }
            ("POST", "/api.pipedrive.com/v1/leads") => {
                has.leads.push(body);
                json!({"id": format!("lead-{}", has.leads.len() - 1)})
            }
            ("GET", "/api.pipedrive.com/v1/notes") => {
                let lead = query("lead_id");
                let notes = has.notes.iter().filter(|note| note["lead_id"] == lead.as_str());
                Value::Array(notes.cloned().collect())
            }
            ("POST", "/api.pipedrive.com/v1/notes") => {
                has.notes.push(body);
                json!({"id": has.notes.len()})
            }
            other => panic!("nobody asks Pipedrive for {other:?}"),
        };
        has.calls += 1;
        let answer = ResponseTemplate::new(200).set_body_json(json!({"success": true, "data": data}));
        if has.unanswered.is_some_and(|call| call == has.calls) {
            has.unanswered = None;
            return answer.set_delay(Duration::from_mins(1));
        }
        answer
    }
}

async fn account() -> (&'static Account, MockServer) {
    let account: &'static Account = Box::leak(Box::default());
    let stub = MockServer::start().await;
    Mock::given(matchers::header(
        "x-api-token",
        "0000000000000000000000000000000000000000",
    ))
    .respond_with(account)
    .mount(&stub)
    .await;
    (account, stub)
}

fn delivery(trigger: Trigger) -> Job {
    let mut job = job("pipedrive", vendor().example(), trigger);
    job.body = event(&sample(), "Acme Corp");
    job
}

async fn attempt(stub: &MockServer, job: &Job) -> Attempted {
    let egress = with(EgressOptions {
        vendors_at: Some(stub.uri().parse().expect("a URL")),
        deadline: Duration::from_millis(500),
        ..loopback()
    });
    let transport = vendor().kind.bind(&vendor().example()).expect("a good config");
    transport.deliver(job, SystemClock.now(), &egress).await
}

impl Account {
    fn counts(&self) -> [usize; 3] {
        let has = self.has.lock().expect("no panic");
        [has.persons.len(), has.leads.len(), has.notes.len()]
    }
}

#[tokio::test]
async fn nothing_is_made_twice_wherever_an_attempt_ends() {
    for unanswered in 1..=4 {
        let (account, stub) = account().await;
        account.has.lock().expect("no panic").unanswered = Some(unanswered);
        let job = delivery(Trigger::First);
        let first = attempt(&stub, &job).await;
        assert_eq!(first.outcome, AGAIN, "call {unanswered}: {first:?}");
        let second = attempt(&stub, &job).await;
        assert_eq!(second.outcome, DELIVERED, "call {unanswered}: {second:?}");
        assert_eq!(account.counts(), [1, 1, 1], "call {unanswered}");
    }
}

#[tokio::test]
async fn attempt_after_one_that_was_not_stored_makes_nothing() {
    let (account, stub) = account().await;
    let mut job = delivery(Trigger::First);
    assert_eq!(attempt(&stub, &job).await.outcome, DELIVERED);
    let again = attempt(&stub, &job).await;
    assert_eq!(again.outcome, DELIVERED);
    let words = again.error.expect("it says why nothing was sent");
    assert!(words.contains("earlier attempt"), "{words}");
    assert_eq!(account.counts(), [1, 1, 1]);
    job.trigger = Trigger::Manual;
    assert_eq!(attempt(&stub, &job).await.outcome, DELIVERED);
    assert_eq!(account.counts(), [1, 2, 2], "who asks for it again gets it again");
}

#[tokio::test]
async fn person_who_is_known_gets_another_lead() {
    let (account, stub) = account().await;
    for _ in 0..2 {
        assert_eq!(attempt(&stub, &delivery(Trigger::First)).await.outcome, DELIVERED);
    }
    assert_eq!(account.counts(), [1, 2, 2]);
    let has = account.has.lock().expect("no panic");
    let labelled = |value: &str| json!([{"value": value, "primary": true, "label": "work"}]);
    let person = json!({"name": "Jane Doe", "emails": labelled("jane@example.com"), "phones": labelled("+15550100")});
    assert_eq!(has.persons[0], person);
    let lead = json!({
        "title": "Lead – Jane Doe (Acme Corp)", "person_id": 1, "origin_id": "0193a2b5-0000-7000-8000-000000000001",
    });
    assert_eq!(has.leads[1], lead);
    assert_eq!(has.notes[1], json!({"content": "I need a quote", "lead_id": "lead-1"}));
}

#[tokio::test]
async fn lead_without_a_message_gets_no_note() {
    let (account, stub) = account().await;
    let mut job = delivery(Trigger::First);
    job.body = event(&json!({"name": "Jane Doe", "email": "jane@example.com"}), "Acme Corp");
    assert_eq!(attempt(&stub, &job).await.outcome, DELIVERED);
    assert_eq!(account.counts(), [1, 1, 0]);
}
