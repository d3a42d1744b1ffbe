//! What the form of a destination holds: as it is saved, as it is typed, and as the API takes it.

use serde_json::{Value, json};

use crate::api::Refused;
use crate::form::Form;
use crate::page::text;
use crate::pages::destinations::filter::FilterFields;
use crate::pages::destinations::kinds::Kind;
use crate::pages::destinations::schema::{self, Control, Part};
use crate::pages::retry::RetryFields;
use crate::prose::{self, Piece};
use crate::shown::LEAD_WEBHOOK;

/// The whole form.
pub(super) struct Fields {
    pub(super) version: String,
    pub(super) name: String,
    pub(super) parts: Vec<Part>,
    pub(super) slots: Vec<SlotField>,
    pub(super) retry: RetryFields,
    pub(super) rate: RateFields,
    pub(super) ordered: bool,
    pub(super) filter: FilterFields,
}

/// A rate limit's fields; all empty, there is none.
pub(super) struct RateFields {
    pub(super) requests: String,
    pub(super) per: String,
    pub(super) burst: String,
}

/// A slot that a template may fill.
pub(super) struct SlotField {
    pub(super) name: String,
    pub(super) description: Vec<Piece>,
    /// What is sent without, as an example.
    pub(super) usual: String,
    pub(super) limit: u64,
    /// The template; of a slot with fields of the receiver's there are rows.
    pub(super) value: String,
    pub(super) rows: Option<Vec<(String, String)>>,
    pub(super) wrong: Option<String>,
}

impl Fields {
    /// Of a destination that isn't there yet.
    pub(super) fn new(kind: &Kind) -> Self {
        let as_usual = json!({"retry": {"policy": "standard"}, "rateLimit": kind.view["rateLimit"], "name": kind.name});
        Self::saved(kind, &as_usual)
    }

    /// As the API shows a destination.
    pub(super) fn saved(kind: &Kind, destination: &Value) -> Self {
        Self::of(kind, destination, FilterFields::of(&destination["filter"]), None)
    }

    /// As it was typed; `body` was made of it.
    pub(super) fn typed(kind: &Kind, body: &Value, form: &Form, refused: Option<&Refused>) -> Self {
        let filter = FilterFields::typed(form).refused(refused);
        let mut fields = Self::of(kind, body, filter, refused);
        fields.retry = RetryFields::typed(form);
        fields.rate = RateFields::typed(form);
        form.text("name").clone_into(&mut fields.name);
        form.text("version").clone_into(&mut fields.version);
        fields
    }

    /// With another row in the list of this name.
    #[must_use]
    pub(super) fn with_more(mut self, list: &str, form: &Form) -> Self {
        if list == "filter" {
            self.filter.grow(form.rows_and_one("filter.path."));
        }
        let maps = self.parts.iter_mut().filter_map(|part| match part {
            Part::Input(input) if input.name == list => match &mut input.control {
                Control::Pairs { rows, .. } => Some(rows),
                _ => None,
            },
            _ => None,
        });
        let slots = self.slots.iter_mut().filter_map(|slot| {
            let is_meant = format!("template/{}", slot.name) == list;
            slot.rows.as_mut().filter(|_| is_meant)
        });
        for rows in maps.chain(slots) {
            schema::grow(rows, form.rows_and_one(&format!("{list}.key.")));
        }
        self
    }

    fn of(kind: &Kind, view: &Value, filter: FilterFields, refused: Option<&Refused>) -> Self {
        let slots = kind.view["templateSlots"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let slots = slots.iter().map(|slot| SlotField::of(slot, &view["template"], refused));
        Self {
            version: view["version"].to_string(),
            name: text(view, "name").to_owned(),
            parts: schema::parts(
                &kind.view["configSchema"],
                &view["config"],
                &kind.view["example"],
                refused,
            ),
            slots: slots.collect(),
            retry: RetryFields::of(&view["retry"]),
            rate: RateFields::of(&view["rateLimit"]),
            ordered: view["ordered"].as_bool().unwrap_or_default(),
            filter,
        }
    }

    /// What the API is sent.
    pub(super) fn body(kind: &Kind, form: &Form, saved: Option<&Value>) -> Value {
        let mut body = json!({
            "config": schema::config(&kind.view["configSchema"], form, saved.is_some()),
            "retry": RetryFields::typed(form).to_json(),
            "rateLimit": RateFields::typed(form).to_json(),
            "ordered": form.is_ticked("ordered"),
            "filter": FilterFields::typed(form).to_json(),
        });
        if saved.is_none_or(|saved| text(saved, "name") != LEAD_WEBHOOK) {
            body["name"] = form.text("name").into();
        }
        if saved.is_none() {
            body["kind"] = kind.id.as_str().into();
        }
        let template = template(kind, form);
        if saved.is_some() || !template.is_null() {
            body["template"] = template;
        }
        body
    }

    /// Each field's id with what is wrong with it, for a check: nobody is told that what he hasn't come to yet is empty.
    pub(super) fn wrong(&self, refused: Option<&Refused>) -> Vec<(String, Option<String>)> {
        let at = |pointer: &str, is_empty: bool| {
            let wrong = refused.and_then(|refused| refused.at(pointer));
            wrong.filter(|_| !is_empty).map(str::to_owned)
        };
        let rate = &self.rate;
        let mut all = vec![
            ("name".to_owned(), at("/name", self.name.is_empty())),
            ("retry".to_owned(), at("/retry", self.retry.delays.is_empty())),
            (
                "requests".to_owned(),
                at("/rateLimit/requests", rate.requests.is_empty()),
            ),
            ("per".to_owned(), at("/rateLimit/per", false)),
            ("burst".to_owned(), at("/rateLimit/burst", rate.burst.is_empty())),
            ("filter".to_owned(), self.filter.wrong.clone()),
        ];
        for part in &self.parts {
            if let Part::Input(input) = part {
                let wrong = input.wrong.clone().filter(|_| !input.control.is_empty());
                all.push((input.id(), wrong));
            }
        }
        let slots = self.slots.iter().map(|slot| (slot.id(), slot.wrong.clone()));
        all.extend(slots);
        all
    }
}

impl RateFields {
    fn of(limit: &Value) -> Self {
        let number = |name: &str| {
            limit[name]
                .as_u64()
                .map_or_else(String::new, |number| number.to_string())
        };
        Self {
            requests: number("requests"),
            per: text(limit, "per").to_owned(),
            burst: number("burst"),
        }
    }

    fn typed(form: &Form) -> Self {
        let text = |name: &str| form.text(name).to_owned();
        Self {
            requests: text("requests"),
            per: text("per"),
            burst: text("burst"),
        }
    }

    fn to_json(&self) -> Value {
        if self.requests.is_empty() && self.burst.is_empty() {
            return Value::Null;
        }
        // What isn't a number is for the API to refuse.
        let number = |typed: &String| typed.parse::<u64>().map_or_else(|_| typed.clone().into(), Value::from);
        let mut limit = json!({"requests": number(&self.requests), "per": self.per});
        if !self.burst.is_empty() {
            limit["burst"] = number(&self.burst);
        }
        limit
    }
}

impl SlotField {
    fn of(slot: &Value, template: &Value, refused: Option<&Refused>) -> Self {
        let name = text(slot, "name").to_owned();
        let wrong = refused.and_then(|refused| refused.at(&format!("/template/{name}")));
        let filled = &template[&name];
        Self {
            description: prose::pieces(text(slot, "description")),
            usual: text(slot, "default").to_owned(),
            limit: slot["limit"].as_u64().unwrap_or_default(),
            value: filled.as_str().unwrap_or_default().to_owned(),
            rows: (text(slot, "form") == "fields").then(|| schema::rows(filled)),
            wrong: wrong.map(str::to_owned),
            name,
        }
    }

    pub(super) fn id(&self) -> String {
        format!("template-{}", self.name)
    }
}

/// The templates that are filled; null if none is.
fn template(kind: &Kind, form: &Form) -> Value {
    let slots = kind.view["templateSlots"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let filled = slots.iter().filter_map(|slot| {
        let name = text(slot, "name");
        let field = format!("template/{name}");
        let value = if text(slot, "form") == "fields" {
            Value::Object(schema::read_rows(form, &field)?)
        } else {
            // As forms are sent, lines end otherwise.
            form.given(&field)?.replace("\r\n", "\n").into()
        };
        Some((name.to_owned(), value))
    });
    let filled = filled.collect::<serde_json::Map<_, _>>();
    if filled.is_empty() {
        Value::Null
    } else {
        Value::Object(filled)
    }
}
