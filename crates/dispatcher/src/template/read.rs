//! Reads a destination's field `template`.

use sensei_domain::{Fault, Faults};
use serde_json::Value;

use super::slot::{Form, Slot};

/// Bytes of all templates of a destination.
pub const LONGEST_SOURCE: usize = 16 << 10;
/// How many of the receiver's fields may be filled.
pub const MOST_FIELDS: usize = 50;

/// One template.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) slot: Slot,
    /// Which of the receiver's fields.
    pub(super) field: Option<String>,
    pub(super) text: String,
}

impl Source {
    /// `text`, or `fields/company_size`.
    pub(super) fn part(&self) -> String {
        match &self.field {
            Some(field) => format!("{}/{field}", self.slot.name),
            None => self.slot.name.to_owned(),
        }
    }
}

/// The templates of a field `template` that isn't null, or all that is wrong with it. They aren't compiled.
pub(super) fn read(slots: &[Slot], template: &Value) -> Result<Vec<Source>, Faults> {
    let Value::Object(given) = template else {
        return Err(Faults::one("/template", "must be an object of slots, or null"));
    };
    let (mut sources, mut faults) = (Vec::new(), Vec::new());
    for (name, value) in given {
        let pointer = format!("/template/{}", escaped(name));
        let mut fault = |pointer: &str, detail: String| {
            faults.push(Fault {
                pointer: pointer.to_owned(),
                detail,
            });
        };
        let Some(slot) = slots.iter().find(|slot| slot.name == name) else {
            let known = slots.iter().map(|slot| slot.name).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "none" } else { &known };
            fault(&pointer, format!("is not a slot of this kind (known: {known})"));
            continue;
        };
        let mut add = |field: Option<&str>, text: &str| {
            sources.push(Source {
                slot: *slot,
                field: field.map(str::to_owned),
                text: text.to_owned(),
            });
        };
        match (slot.form, value) {
            (_, Value::Null) => {}
            (Form::Text(_) | Form::Json, Value::String(text)) => add(None, text),
            (Form::Text(_) | Form::Json, _) => fault(&pointer, "must be a template, which is a string".to_owned()),
            (Form::Fields(check), Value::Object(fields)) => {
                if fields.len() > MOST_FIELDS {
                    fault(&pointer, format!("must have at most {MOST_FIELDS} fields"));
                    continue;
                }
                for (field, text) in fields {
                    let pointer = format!("{pointer}/{}", escaped(field));
                    match (check(field), text.as_str()) {
                        (Err(detail), _) => fault(&pointer, detail.to_owned()),
                        (Ok(()), None) => fault(&pointer, "must be a template, which is a string".to_owned()),
                        (Ok(()), Some(text)) => add(Some(field), text),
                    }
                }
            }
            (Form::Fields(_), _) => fault(&pointer, "must be an object of names and templates".to_owned()),
        }
    }
    if sources.iter().map(|source| source.text.len()).sum::<usize>() > LONGEST_SOURCE {
        faults.push(Fault {
            pointer: "/template".to_owned(),
            detail: format!("must have at most {LONGEST_SOURCE} bytes of templates"),
        });
    }
    Faults::of(faults).map_or(Ok(sources), Err)
}

/// A key as it stands in a pointer, as much of it as identifies it.
fn escaped(key: &str) -> String {
    let key = key.chars().take(100).collect::<String>();
    key.replace('~', "~0").replace('/', "~1")
}
