//! Leads as they are listed and read.

use sensei_domain::{ClientId, Timestamp};
use serde_json::Value;

use super::Label;
use crate::moment::Moment;
use crate::page::text;

/// A list shows the beginning of what somebody wrote.
const EXCERPT: usize = 120;

/// A lead.
#[derive(Debug, Clone)]
pub(crate) struct LeadShown {
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) phone: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) excerpt: String,
    pub(crate) session: Option<String>,
    /// The form's own fields, each as text.
    pub(crate) custom: Vec<(String, String)>,
    pub(crate) created: Option<Moment>,
    pub(crate) erased: Option<Moment>,
    pub(crate) suspected: Option<Suspicion>,
}

/// Why a lead is kept back.
#[derive(Debug, Clone)]
pub(crate) struct Suspicion {
    pub(crate) reasons: Vec<String>,
    pub(crate) at: Option<Moment>,
}

impl LeadShown {
    pub(crate) fn of(lead: &Value, client: ClientId, now: Timestamp) -> Self {
        let optional = |name: &str| lead[name].as_str().map(str::to_owned);
        let id = text(lead, "id").to_owned();
        let message = optional("message");
        Self {
            path: format!("/admin/clients/{client}/leads/{id}"),
            id,
            name: text(lead, "name").to_owned(),
            email: text(lead, "email").to_owned(),
            phone: optional("phone"),
            excerpt: excerpt(message.as_deref().unwrap_or_default()),
            message,
            session: optional("sessionId"),
            custom: custom(&lead["custom"]),
            created: Moment::of(&lead["createdAt"], now),
            erased: Moment::of(&lead["erasedAt"], now),
            suspected: lead["suspected"].as_object().map(|suspected| Suspicion {
                reasons: suspected
                    .get("reasons")
                    .and_then(Value::as_array)
                    .map(|reasons| reasons.iter().map(reason).collect())
                    .unwrap_or_default(),
                at: suspected.get("at").and_then(|at| Moment::of(at, now)),
            }),
        }
    }

    /// What is out of the ordinary about it.
    pub(crate) fn label(&self) -> Option<Label> {
        if self.erased.is_some() {
            Some(Label::plain("∅", "Erased"))
        } else if self.suspected.is_some() {
            Some(Label::warn("Suspected"))
        } else {
            None
        }
    }

    /// Its name, or what stands for it.
    pub(crate) fn title(&self) -> &str {
        match self.name.trim() {
            "" if self.erased.is_some() => "Erased lead",
            "" => "A lead without a name",
            name => name,
        }
    }
}

/// Why it may be no person's, in words.
fn reason(reason: &Value) -> String {
    let words = match reason.as_str().unwrap_or_default() {
        "hidden-field-filled" => "A field was filled in that people don't see.",
        "too-fast" => "It came sooner after the form was opened than people type.",
        "no-form" => "Nothing shows that it came from a page with the form.",
        "foreign-form" => "What it shows isn't of a form of this client.",
        "form-expired" => "The form was opened too long before.",
        "form-reused" => "The same form was sent before, with another lead.",
        _ => return as_text(reason),
    };
    words.to_owned()
}

fn custom(custom: &Value) -> Vec<(String, String)> {
    let fields = custom.as_object().into_iter().flatten();
    fields.map(|(name, value)| (name.clone(), as_text(value))).collect()
}

/// A text as it is, anything else as JSON.
fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn excerpt(text: &str) -> String {
    let mut excerpt = text.chars().take(EXCERPT).collect::<String>();
    if excerpt.len() < text.len() {
        excerpt.push('…');
    }
    excerpt
}
