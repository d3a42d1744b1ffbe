//! The pure parts of the hot path, each done so many times with the same input: what `cargo xtask instructions` counts.
//!
//! By the functions that the product uses, without clock, chance or input from outside. What is private to the product's crates is
//! left out: the API's reading of the body from its connection, the webhook's header map, its choice of an outcome by the status.

use std::hint::black_box;

use anyhow::{Result, ensure};
use clap::Parser;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use sensei_dispatcher::{Answer, Attempted};
use sensei_domain::{
    ClientId, DestinationStatus, EventId, Filter, Jitter, LeadCreated, LeadId, Mismatch, NewLead, Outcome, RetryPolicy,
    Standing, Timestamp, Verdict, judge,
};
use sensei_persistence::{Destination, DestinationConfig};
use serde_json::{Value, json};
use xtask::instructions::Part;

/// The published contract's example, as a form posts it.
const REQUEST: &[u8] = br#"{"name":"John Doe","email":"john@example.com","phone":"+1234567890","message":"I need a quote for enterprise plan","sessionId":"0193a2b5-0000-7000-8000-000000000004"}"#;
const CLIENT: &str = "d454991a-eddb-4e81-959d-87c868e050ca";
const LEAD: &str = "0193a2b5-0000-7000-8000-000000000001";
const EVENT: &str = "0193a2b5-0000-7000-8000-000000000002";
const DESTINATION: &str = "0193a2b5-0000-7000-8000-000000000003";
const NOW: &str = "2024-11-24T10:30:00.000Z";
/// A published example, nobody's secret.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[derive(Debug, Parser)]
struct Arguments {
    /// What is done
    #[arg(value_enum)]
    part: Part,
    /// How often
    times: u32,
}

fn main() -> Result<()> {
    let Arguments { part, times } = Arguments::parse();
    let now = NOW.parse()?;
    let lead = parse(REQUEST)?;
    let event = EventInput {
        id: LEAD.parse()?,
        at: now,
        lead: &lead,
        client_id: CLIENT.parse()?,
    };
    match part {
        Part::Parse => repeat(times, || parse(black_box(REQUEST))),
        Part::Serialize => repeat(times, || serialize(black_box(&event))),
        Part::Filter => {
            let filter = Filter::from_json(&filter(), "")?;
            ensure!(filtered(&event, &filter).is_ok(), "it doesn't match");
            repeat(times, || filtered(black_box(&event), black_box(&filter)));
        }
        Part::Sign => {
            let (id, destination, body) = (EVENT.parse()?, destination(now)?, serialize(&event));
            repeat(times, || {
                sign(black_box(id), black_box(&destination), now, black_box(&body))
            });
        }
        Part::Judge => {
            let answer = answer();
            let (_, verdict) = follow(&answer, now);
            ensure!(matches!(verdict, Verdict::Retry { .. }), "another way: {verdict:?}");
            repeat(times, || follow(black_box(&answer), now));
        }
    }
    Ok(())
}

fn repeat<T>(times: u32, operation: impl Fn() -> T) {
    for _ in 0..times {
        black_box(operation());
    }
}

/// As the API does it before it captures.
fn parse(body: &[u8]) -> Result<NewLead> {
    let value: Value = serde_json::from_slice(body)?;
    Ok(NewLead::from_json(&value)?)
}

struct EventInput<'a> {
    id: LeadId,
    at: Timestamp,
    lead: &'a NewLead,
    client_id: ClientId,
}

impl EventInput<'_> {
    fn announced(&self) -> LeadCreated<'_> {
        LeadCreated::new(self.id, self.at, self.lead, self.client_id, "Acme Corp", false)
    }
}

/// As a capture does it.
fn serialize(event: &EventInput<'_>) -> Vec<u8> {
    event.announced().to_bytes()
}

/// As a capture does it where a destination has a filter.
fn filtered(event: &EventInput<'_>, filter: &Filter) -> Result<(), Mismatch> {
    filter.judge(&event.announced().to_value())
}

fn filter() -> Value {
    json!({"all": [
        {"path": "data.phone", "exists": true},
        {"path": "data.message", "contains": "enterprise", "ignoreCase": true},
    ]})
}

/// As an attempt does it before its request.
fn sign(id: EventId, destination: &Destination, now: Timestamp, body: &[u8]) -> String {
    destination.sign(&id.to_string(), now, body)
}

/// As an attempt does it after its answer, here the longest way: a receiver that asks to wait is tried again.
fn follow(answer: &Answer, now: Timestamp) -> (Attempted, Verdict) {
    let outcome = Outcome::Unavailable {
        retry_after: answer.retry_after(now),
    };
    let attempted = Attempted::answered(answer, outcome, None);
    let standing = Standing {
        scheduled_attempt: 1,
        ours_since: None,
    };
    let verdict = judge(
        &attempted.outcome,
        &standing,
        &RetryPolicy::Standard,
        now,
        Jitter::new(0.5),
    );
    (attempted, verdict)
}

fn answer() -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(RETRY_AFTER, HeaderValue::from_static("120"));
    Answer {
        status: StatusCode::SERVICE_UNAVAILABLE,
        headers,
        body: r#"{"error":"down for maintenance, back in two minutes"}"#.into(),
        is_whole: true,
        ran_out: false,
    }
}

fn destination(now: Timestamp) -> Result<Destination> {
    Ok(Destination {
        id: DESTINATION.parse()?,
        client_id: CLIENT.parse()?,
        kind: "webhook".to_owned(),
        name: "lead-webhook".to_owned(),
        status: DestinationStatus::Active,
        status_reason: None,
        status_since: now,
        version: 1,
        config: DestinationConfig::new(json!({"url": "https://example.com/leads"}), []),
        template: None,
        retry: RetryPolicy::None,
        rate_limit: None,
        ordered: false,
        filter: None,
        secret: SECRET.parse()?,
        previous_secret: None,
        created_at: now,
        updated_at: now,
    })
}
