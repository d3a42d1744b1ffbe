//! What an event tells, for kinds that don't send its body as it is.

use std::borrow::Cow;

use sensei_domain::{DestinationEvent, DestinationEventData, LeadCreated, LeadData, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::text::cut;
use crate::egress::Failure;
use crate::transport::Attempted;

/// Who has typed nothing visible.
const NAMELESS: &str = "–";
/// No name or address needs more characters.
const FACT: usize = 500;

/// An event, read back.
#[derive(Debug)]
pub(super) enum Told {
    /// A lead was captured.
    Lead(Box<LeadCreated<'static>>),
    /// The health of a destination has changed.
    Destination(Box<DestinationEvent<'static>>),
}

impl Told {
    /// Reads an event's body.
    pub(super) fn read(body: &[u8]) -> Result<Self, Failure> {
        let unreadable = |error: serde_json::Error| Failure::Ours(format!("the event can't be read ({error})"));
        let event: Value = serde_json::from_slice(body).map_err(unreadable)?;
        if event["event"] == LeadCreated::EVENT {
            let mut lead = LeadCreated::deserialize(event).map_err(unreadable)?;
            lead.data.name = visible(lead.data.name).unwrap_or(Cow::Borrowed(NAMELESS));
            lead.data.phone = lead.data.phone.and_then(visible);
            lead.data.message = lead.data.message.and_then(visible);
            return Ok(Self::Lead(Box::new(lead)));
        }
        let event = DestinationEvent::deserialize(event).map_err(unreadable)?;
        Ok(Self::Destination(Box::new(event)))
    }
}

/// A text that is left when all is gone that receivers don't get: some refuse an empty one.
fn visible(text: Cow<'static, str>) -> Option<Cow<'static, str>> {
    (!cut(&text, usize::MAX).trim().is_empty()).then_some(text)
}

/// A lead, for a kind that takes nothing else: what an operator is told of destinations is done there without being sent.
pub(super) fn lead(body: &[u8]) -> Result<LeadCreated<'static>, Attempted> {
    match Told::read(body) {
        Ok(Told::Lead(lead)) => Ok(*lead),
        Ok(Told::Destination(event)) => {
            let words = format!("this kind takes leads alone: {} wasn't sent", event.event);
            Err(Attempted::unsent(words))
        }
        Err(failure) => Err(Attempted::unanswered(&failure)),
    }
}

/// A name's first part, if it has one, and its last word.
pub(super) fn split(name: &str) -> (Option<&str>, &str) {
    let name = name.trim();
    match name.rsplit_once(char::is_whitespace) {
        Some((first, last)) => (Some(first.trim_end()), last),
        None => (None, name),
    }
}

/// An event for people to read: nothing is escaped or cut yet.
#[derive(Debug)]
pub(super) struct Summary {
    /// `New lead – Acme Corp`.
    pub(super) title: String,
    /// What is known, each with its label; none is empty.
    pub(super) facts: Vec<(&'static str, String)>,
    /// What somebody wrote.
    pub(super) message: Option<String>,
    /// Which lead, for whoever looks for it here.
    pub(super) note: String,
    pub(super) timestamp: Timestamp,
}

impl Summary {
    /// Reads an event's body.
    pub(super) fn read(body: &[u8]) -> Result<Self, Failure> {
        Told::read(body).map(Self::of)
    }

    pub(super) fn of(told: Told) -> Self {
        match told {
            Told::Lead(lead) => Self::of_lead(lead.timestamp, lead.data),
            Told::Destination(event) => Self::of_destination(&event.event, event.timestamp, event.data),
        }
    }

    fn of_lead(timestamp: Timestamp, lead: LeadData<'static>) -> Self {
        let facts = [
            ("Name", Some(lead.name)),
            ("Email", Some(lead.email)),
            ("Phone", lead.phone),
        ];
        let facts = facts
            .into_iter()
            .filter_map(|(label, fact)| Some((label, fact?.into_owned())));
        Self {
            title: format!("New lead – {}", lead.client_name),
            facts: facts.collect(),
            message: lead.message.map(Cow::into_owned),
            note: format!("lead {}", lead.id),
            timestamp,
        }
    }

    fn of_destination(event: &str, timestamp: Timestamp, of: DestinationEventData<'static>) -> Self {
        Self {
            title: format!("{event} – {}", of.destination_name),
            facts: vec![("Client", of.client_name.into_owned()), ("Kind", of.kind.into_owned())],
            message: Some(of.reason.into_owned()),
            note: format!("destination {}", of.destination_id),
            timestamp,
        }
    }

    /// Who it is about: `New lead: Jane Doe`.
    pub(super) fn task(&self) -> String {
        let about = self.facts.first().map_or("", |(_, fact)| fact.as_str());
        match self.title.split_once(" – ") {
            Some((what, _)) => format!("{what}: {about}"),
            None => self.title.clone(),
        }
    }

    /// As lines, each fact escaped and cut by this, and then the message.
    pub(super) fn text(&self, limit: usize, escape: fn(&str, usize) -> String) -> String {
        let lines = self
            .facts
            .iter()
            .map(|(label, fact)| format!("{label}: {}\n", escape(fact, FACT)));
        let mut text = lines.collect::<String>();
        let end = format!("\n\n{} · {}", escape(&self.note, FACT), self.timestamp);
        if let Some(message) = &self.message {
            let left = limit.saturating_sub(text.chars().count() + end.chars().count() + 1);
            text.push('\n');
            text += &escape(message, left);
        }
        text + &end
    }

    /// In one line, where there is room for no more.
    pub(super) fn line(&self) -> String {
        let facts = self.facts.iter().take(2).map(|(_, fact)| fact.as_str());
        format!("{}: {}", self.title, facts.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use sensei_domain::{ClientId, DestinationId, HealthChange, LeadId, Outcome};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_nobody_could_see_is_left_out() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let body = json!({"event": "lead.created", "timestamp": now, "data": {
            "id": LeadId::new(now), "name": "\u{200e}", "email": "jane@example.com", "phone": "\u{202d}", "message": "\u{0}\u{2066} ",
            "clientId": ClientId::new(now), "clientName": "Acme Corp", "sessionId": null,
        }});
        let summary = Summary::read(body.to_string().as_bytes()).expect("a lead");
        let facts = [("Name", "–".to_owned()), ("Email", "jane@example.com".to_owned())];
        assert_eq!((summary.facts.as_slice(), summary.message), (facts.as_slice(), None));
    }

    #[test]
    fn what_an_operator_is_told_is_done_without_being_sent_where_leads_alone_go() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let event = DestinationEvent {
            event: HealthChange::Warned.name().into(),
            timestamp: now,
            data: DestinationEventData {
                client_id: ClientId::new(now),
                client_name: "Acme Corp".into(),
                destination_id: DestinationId::new(now),
                destination_name: "CRM".into(),
                kind: "webhook".into(),
                reason: "every attempt fails".into(),
                failing_since: now,
                failed_attempts: 5,
                last_error: None,
                disables_at: None,
            },
        };
        let attempted = lead(&event.to_bytes()).expect_err("no lead");
        assert_eq!(
            attempted.outcome,
            Outcome::Delivered,
            "it says nothing against the receiver"
        );
        assert!(
            attempted
                .error
                .is_some_and(|words| words.contains("destination.warned wasn't sent"))
        );
        let summary = Summary::read(&event.to_bytes()).expect("an event");
        assert_eq!(
            (summary.title.as_str(), summary.task()),
            ("destination.warned – CRM", "destination.warned: Acme Corp".to_owned())
        );
    }

    #[test]
    fn last_word_of_a_name_is_the_last_name() {
        let cases = [
            ("Jane Doe", (Some("Jane"), "Doe")),
            ("Anna Maria  Doe", (Some("Anna Maria"), "Doe")),
            ("Zoë", (None, "Zoë")),
            (" Jane\u{a0}Doe ", (Some("Jane"), "Doe")),
        ];
        for (name, parts) in cases {
            assert_eq!(split(name), parts, "{name}");
        }
    }
}
