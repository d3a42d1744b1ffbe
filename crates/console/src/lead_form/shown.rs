//! A form as a page shows it: the client's fields and words, and what the visitor has typed.

use serde::Deserialize;
use serde_json::Value;

/// A form as the API tells it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Form {
    pub(super) lang: String,
    pub(super) dir: String,
    pub(super) fields: Vec<Field>,
    pub(super) texts: Texts,
    pub(super) theme: Theme,
    pub(super) token: String,
}

/// What it says.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Texts {
    pub(super) title: String,
    pub(super) intro: String,
    pub(super) submit: String,
    pub(super) sent: String,
    pub(super) failed: String,
    pub(super) wrong: String,
    pub(super) required: String,
    pub(super) invalid: String,
    pub(super) optional: String,
}

/// How it looks.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Theme {
    pub(super) accent: String,
    pub(super) on_accent: String,
    pub(super) radius: u32,
    pub(super) scheme: String,
}

/// What it asks for, and what was answered.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) required: bool,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) options: Vec<String>,
    /// What the visitor has typed.
    #[serde(skip)]
    pub(super) typed: String,
    /// What is wrong with it, in the client's words.
    #[serde(skip)]
    pub(super) wrong: Option<String>,
}

impl Form {
    pub(super) fn read(form: Value) -> Option<Self> {
        serde_json::from_value(form).ok()
    }
}

impl Field {
    /// Its name among what is sent: fields of the client's own can't be taken for ours.
    pub(super) fn key(&self) -> String {
        format!("f-{}", self.name)
    }

    /// Whether it is one of the lead's own.
    pub(super) fn is_of_lead(&self) -> bool {
        matches!(&*self.name, "name" | "email" | "phone" | "message")
    }

    /// What browsers may fill in by themselves (WCAG 2.2, 1.3.5).
    pub(super) fn autocomplete(&self) -> &'static str {
        match &*self.name {
            "name" => "name",
            "email" => "email",
            "phone" => "tel",
            _ => "on",
        }
    }

    /// How many characters may be typed.
    pub(super) fn longest(&self) -> usize {
        match &*self.name {
            "name" => 200,
            "email" => 254,
            "phone" => 40,
            "message" => 10_000,
            _ => 2_000,
        }
    }
}
