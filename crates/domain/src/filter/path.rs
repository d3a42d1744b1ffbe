//! Where in the event a condition looks: `data.phone`, `data.custom.budget`.

use std::str::FromStr;

use serde_json::Value;

/// The fields of `data` in the published event. A path to another one would be a slip.
const FIELDS: [&str; 8] = [
    "id",
    "name",
    "email",
    "phone",
    "message",
    "clientId",
    "clientName",
    "sessionId",
];

/// Names from the event's root on. In its text they are parted by dots; in a custom field's name, `\.` is a dot and `\\` a backslash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    text: String,
    names: Vec<String>,
}

impl Path {
    /// As it was given.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The value there; null is none.
    pub(super) fn find<'a>(&self, event: &'a Value) -> Option<&'a Value> {
        let mut value = event;
        for name in &self.names {
            value = value.get(name.as_str())?;
        }
        (!value.is_null()).then_some(value)
    }
}

impl FromStr for Path {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names =
            names(text).ok_or(r"must be names parted by dots; a dot in a name is written \. and a backslash \\")?;
        let known = match &*names.iter().map(String::as_str).collect::<Vec<_>>() {
            ["event" | "timestamp"] | ["data", "custom", ..] => true,
            ["data", field] => FIELDS.contains(field),
            _ => false,
        };
        if !known {
            let fields = FIELDS.map(|field| format!("data.{field}")).join(", ");
            return Err(format!(
                "must be a field of the event: event, timestamp, {fields}, or data.custom and a name of yours"
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            names,
        })
    }
}

/// The names of a path; `None` if one is empty, or if a backslash stands alone.
fn names(text: &str) -> Option<Vec<String>> {
    let (mut names, mut name) = (Vec::new(), String::new());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '.' if name.is_empty() => return None,
            '.' => names.push(std::mem::take(&mut name)),
            '\\' => name.push(characters.next().filter(|next| matches!(next, '.' | '\\'))?),
            other => name.push(other),
        }
    }
    if name.is_empty() {
        return None;
    }
    names.push(name);
    Some(names)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_to_published_fields_and_to_custom_ones_of_any_name() {
        let event = json!({"event": "lead.created", "data": {"phone": null, "name": "Ann", "custom": {
            "budget": 5, "utm.source": "ads", r"a\b": 1, "Größe / m²": "x", "address": {"city": "Bern"}
        }}});
        for (path, expected) in [
            ("event", json!("lead.created")),
            ("data.name", json!("Ann")),
            ("data.custom.budget", json!(5)),
            (r"data.custom.utm\.source", json!("ads")),
            (r"data.custom.a\\b", json!(1)),
            ("data.custom.Größe / m²", json!("x")),
            ("data.custom.address.city", json!("Bern")),
        ] {
            let parsed = path.parse::<Path>().unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!((parsed.find(&event), parsed.as_str()), (Some(&expected), path));
        }
        for absent in ["data.phone", "data.custom.none", "data.custom.budget.more", "timestamp"] {
            assert_eq!(absent.parse::<Path>().expect("a path").find(&event), None, "{absent}");
        }
    }

    #[test]
    fn a_slip_is_no_path() {
        for path in [
            "data.phnoe",
            "phone",
            "data",
            "data.name.first",
            "event.x",
            "Data.name",
            " data.name",
        ] {
            let error = path.parse::<Path>().expect_err(path);
            assert!(
                error.starts_with("must be a field of the event: event, timestamp, data.id, "),
                "{error}"
            );
        }
        for path in ["", ".", "data.", "data..name", r"data.custom.a\b", r"data.custom.a\"] {
            let error = path.parse::<Path>().expect_err(path);
            assert!(error.starts_with("must be names parted by dots"), "{path}: {error}");
        }
    }
}
