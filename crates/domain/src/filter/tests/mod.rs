//! Filters: what they say of events, what is wrong with them, how long they take.

mod any;
mod judging;
mod reading;
mod time;

use serde_json::{Value, json};

use super::Filter;

fn filter(json: &Value) -> Filter {
    Filter::from_json(json, "/filter").unwrap_or_else(|faults| panic!("{json}: {faults}"))
}

fn event() -> Value {
    json!({"event": "lead.created", "timestamp": "2024-11-24T10:30:00.000Z", "data": {
        "id": "0193a2b5-0000-7000-8000-000000000001", "name": "Zoë Doe", "email": "Zoe@Acme.example",
        "phone": null, "message": "I need a quote for the ENTERPRISE plan",
        "clientId": "d454991a-eddb-4e81-959d-87c868e050ca", "clientName": "Acme Corp", "sessionId": "s-1",
        "custom": {"budget": 5000, "seats": " 25 ", "newsletter": true, "interests": ["crm", "Mail"], "none": null, "size": "large"}
    }})
}
