//! The `lead.created` event: the body that every webhook receiver gets, byte for byte.
//!
//! The product's published contract. The order of the fields is the order of their declaration, `phone`, `message`
//! and `sessionId` are there and `null` when absent, and nothing is added unless the client asks for it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::{ClientId, LeadId};
use crate::lead::NewLead;
use crate::time::Timestamp;

/// A lead was captured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeadCreated<'a> {
    /// Always [`LeadCreated::EVENT`].
    pub event: Cow<'a, str>,
    /// When the lead was captured.
    pub timestamp: Timestamp,
    /// The lead.
    pub data: LeadData<'a>,
}

/// The lead as receivers see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeadData<'a> {
    /// The lead's id.
    pub id: LeadId,
    /// Full name.
    pub name: Cow<'a, str>,
    /// Email address.
    pub email: Cow<'a, str>,
    /// Phone number as typed.
    pub phone: Option<Cow<'a, str>>,
    /// What the visitor wrote.
    pub message: Option<Cow<'a, str>>,
    /// Whose lead it is.
    pub client_id: ClientId,
    /// The client's name when the lead was captured.
    pub client_name: Cow<'a, str>,
    /// The chat session it came from.
    pub session_id: Option<Cow<'a, str>>,
    /// Further fields of the client's own form, if the client opted in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Cow<'a, Map<String, Value>>>,
}

impl<'a> LeadCreated<'a> {
    /// The event's type.
    pub const EVENT: &'static str = "lead.created";

    /// Announces a lead.
    pub fn new(
        id: LeadId,
        at: Timestamp,
        lead: &'a NewLead,
        client_id: ClientId,
        client_name: &'a str,
        include_custom: bool,
    ) -> Self {
        Self {
            event: Cow::Borrowed(Self::EVENT),
            timestamp: at,
            data: LeadData {
                id,
                name: lead.name().into(),
                email: lead.email().as_str().into(),
                phone: lead.phone().map(Cow::from),
                message: lead.message().map(Cow::from),
                client_id,
                client_name: client_name.into(),
                session_id: lead.session_id().map(Cow::from),
                custom: lead.custom().filter(|_| include_custom).map(Cow::Borrowed),
            },
        }
    }

    /// As filters see it: what is sent, as JSON.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("maps with text keys, texts and nulls are always JSON")
    }

    /// The body that is sent: made once, stored, and the same at every attempt.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("maps with text keys, texts and nulls are always JSON")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const START: &str = r#"{"event":"lead.created","timestamp":"2024-11-24T10:30:00.000Z","data":{"id":"0193a2b5-0000-7000-8000-000000000001","name":"John Doe","email":"john@example.com","#;
    const CLIENT: &str = r#""clientId":"d454991a-eddb-4e81-959d-87c868e050ca","clientName":"Acme Corp","#;

    fn body(lead: &Value, include_custom: bool) -> String {
        let lead = NewLead::from_json(lead).expect("a valid lead");
        let id = "0193a2b5-0000-7000-8000-000000000001".parse().expect("an id");
        let client_id = "d454991a-eddb-4e81-959d-87c868e050ca".parse().expect("an id");
        let at = "2024-11-24T10:30:00.000Z".parse().expect("a time");
        let event = LeadCreated::new(id, at, &lead, client_id, "Acme Corp", include_custom);
        let body = event.to_bytes();
        assert_eq!(
            serde_json::from_slice::<LeadCreated<'_>>(&body).expect("read back"),
            event
        );
        String::from_utf8(body).expect("JSON is UTF-8")
    }

    #[test]
    fn the_body_is_the_published_contract_for_all_combinations_of_absent_fields() {
        let texts = [
            ("phone", "+1234567890"),
            ("message", "I need a quote"),
            ("sessionId", "s-1"),
        ];
        for present in 0..8 {
            let mut lead = json!({"name": "John Doe", "email": "john@example.com"});
            let mut written = [const { String::new() }; 3];
            for (index, (field, text)) in texts.into_iter().enumerate() {
                let there = present & (1 << index) != 0;
                if there {
                    lead[field] = text.into();
                }
                written[index] = if there {
                    format!("\"{field}\":\"{text}\"")
                } else {
                    format!("\"{field}\":null")
                };
            }
            let [phone, message, session] = written;
            assert_eq!(
                body(&lead, true),
                format!("{START}{phone},{message},{CLIENT}{session}}}}}")
            );
        }
    }

    #[test]
    fn custom_fields_are_sent_only_to_who_opted_in() {
        let lead = json!({"name": "John Doe", "email": "john@example.com", "custom": {"budget": 5000}});
        let without = format!(r#"{START}"phone":null,"message":null,{CLIENT}"sessionId":null}}}}"#);
        assert_eq!(body(&lead, false), without);
        assert_eq!(
            body(&lead, true),
            without.replace("null}}", r#"null,"custom":{"budget":5000}}}"#)
        );
    }

    #[test]
    fn unicode_quotes_and_long_texts_survive() {
        for message in ["Zoë 🦀 \"quoted\" \\ back\nline\ttab \u{2028}", &"é".repeat(10_000)] {
            let lead = json!({"name": "John Doe", "email": "john@example.com", "message": message});
            let body = body(&lead, false);
            let event: LeadCreated<'_> = serde_json::from_str(&body).expect("JSON");
            assert_eq!(event.data.message.as_deref(), Some(message));
        }
    }
}
