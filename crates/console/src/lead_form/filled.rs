//! A form as a visitor has sent it: what is wrong with it, or the lead that it makes.

use sensei_domain::NewLead;
use serde_json::{Map, Value};

use super::shown::Form;

/// The field that people don't see; programs fill in whatever there is.
pub(super) const TRAP: &str = "link";
pub(super) const TOKEN: &str = "token";

/// What was sent, by field.
pub(super) struct Sent(Vec<(String, String)>);

impl Sent {
    pub(super) fn read(body: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(body).into_owned().collect())
    }

    pub(super) fn text(&self, key: &str) -> &str {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map_or("", |(_, value)| value)
    }
}

/// Puts what was typed into the form, and makes the lead; `None` when something is wrong, which then stands at its field.
pub(super) fn fill(form: &mut Form, sent: &Sent) -> Option<Value> {
    let (mut lead, mut custom) = (Map::new(), Map::new());
    for field in &mut form.fields {
        let typed = sent.text(&field.key());
        typed.clone_into(&mut field.typed);
        let typed = typed.trim();
        if typed.is_empty() {
            field.wrong = field.required.then(|| form.texts.required.clone());
            continue;
        }
        let is_offered = field.options.is_empty() || field.options.iter().any(|option| option == typed);
        if !is_offered || typed.chars().count() > field.longest() {
            field.wrong = Some(form.texts.invalid.clone());
        }
        let value = if field.kind == "checkbox" {
            Value::Bool(true)
        } else {
            typed.into()
        };
        let part = if field.is_of_lead() { &mut lead } else { &mut custom };
        part.insert(field.name.clone(), value);
    }
    if !custom.is_empty() {
        lead.insert("custom".to_owned(), custom.into());
    }
    let lead = Value::Object(lead);
    if let Err(faults) = NewLead::from_json(&lead) {
        for fault in faults.into_vec() {
            let name = fault.pointer.trim_start_matches('/');
            let name = name.strip_prefix("custom/").unwrap_or(name);
            if let Some(field) = form.fields.iter_mut().find(|field| field.name == name) {
                field.wrong.get_or_insert_with(|| form.texts.invalid.clone());
            }
        }
        return None;
    }
    form.fields.iter().all(|field| field.wrong.is_none()).then_some(lead)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn form() -> Form {
        let texts = [
            "title", "intro", "submit", "sent", "failed", "wrong", "required", "invalid", "optional",
        ];
        let texts = texts.iter().map(|name| ((*name).to_owned(), Value::from(*name)));
        Form::read(json!({
            "lang": "en", "dir": "ltr", "token": "t", "texts": texts.collect::<Map<_, _>>(),
            "theme": {"accent": "#000000", "onAccent": "#ffffff", "radius": 1, "scheme": "auto"},
            "fields": [
                {"name": "name", "label": "N", "required": true, "type": "text"},
                {"name": "email", "label": "E", "required": true, "type": "email"},
                {"name": "phone", "label": "P", "required": false, "type": "tel"},
                {"name": "size", "label": "S", "required": false, "type": "select", "options": ["S", "L"]},
                {"name": "terms", "label": "T", "required": true, "type": "checkbox"},
            ],
        }))
        .expect("a form")
    }

    fn wrong(body: &str) -> Vec<(String, String)> {
        let mut form = form();
        assert_eq!(fill(&mut form, &Sent::read(body.as_bytes())), None);
        let fields = form.fields.into_iter();
        fields.filter_map(|field| Some((field.name, field.wrong?))).collect()
    }

    #[test]
    fn a_form_that_is_filled_in_makes_a_lead() {
        let mut form = form();
        let body = "f-name=+Zo%C3%AB+&f-email=zoe%40example.com&f-phone=&f-size=L&f-terms=on&f-else=x&link=&token=t";
        let lead = fill(&mut form, &Sent::read(body.as_bytes())).expect("a lead");
        let expected = json!({"name": "Zoë", "email": "zoe@example.com", "custom": {"size": "L", "terms": true}});
        assert_eq!(lead, expected);
    }

    #[test]
    fn what_is_wrong_stands_at_its_field() {
        let expected = |faults: &[(&str, &str)]| {
            let faults = faults
                .iter()
                .map(|(name, words)| ((*name).to_owned(), (*words).to_owned()));
            faults.collect::<Vec<_>>()
        };
        let all = [("name", "required"), ("email", "required"), ("terms", "required")];
        assert_eq!(wrong("f-name=++"), expected(&all));
        assert_eq!(
            wrong("f-name=Z&f-email=zoe&f-size=M&f-terms=on"),
            expected(&[("email", "invalid"), ("size", "invalid")])
        );
        assert_eq!(
            wrong("f-name=Z&f-email=zoe%40example.com"),
            expected(&[("terms", "required")])
        );
        let long = format!("f-name=Z&f-email=z%40example.com&f-terms=1&f-phone={}", "1".repeat(41));
        assert_eq!(wrong(&long), expected(&[("phone", "invalid")]));
    }
}
