//! Reads the fields of a JSON object and gathers all that is wrong with them.
//!
//! A field that nobody asked for is a fault too: a misspelt `emial` must not vanish.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::faults::{Fault, Faults, escape};
use crate::text::TextRule;

/// Unknown fields of an object that are named: an answer isn't to be many times its request.
const MOST_UNKNOWN: usize = 20;

/// A JSON object that is being read.
#[derive(Debug)]
pub struct Fields<'a> {
    object: &'a Map<String, Value>,
    pointer: &'a str,
    known: Vec<&'static str>,
    faults: Vec<Fault>,
}

impl<'a> Fields<'a> {
    /// Begins to read a whole document.
    pub fn new(value: &'a Value) -> Result<Self, Faults> {
        Self::at(value, "")
    }

    /// Begins to read an object that stands at a JSON pointer of a larger document.
    pub fn at(value: &'a Value, pointer: &'a str) -> Result<Self, Faults> {
        match value {
            Value::Object(object) => Ok(Self {
                object,
                pointer,
                known: Vec::new(),
                faults: Vec::new(),
            }),
            other => Err(Faults::one(
                pointer,
                format!("must be a JSON object, not {}", kind_of(other)),
            )),
        }
    }

    /// A field's value, whatever it is.
    pub fn value(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.object.get(name)
    }

    /// Whether the field is there, be it null.
    pub fn is_present(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    /// Notes that a field is wrong.
    pub fn fault(&mut self, name: &str, detail: impl Into<String>) {
        self.faults.push(Fault {
            pointer: self.pointer_of(name),
            detail: detail.into(),
        });
    }

    /// Where a field stands.
    pub(crate) fn pointer_of(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, escape(name))
    }

    /// Notes that something is wrong with the object, not with one of its fields.
    pub(crate) fn fault_of_all(&mut self, detail: String) {
        self.faults.push(Fault {
            pointer: self.pointer.to_owned(),
            detail,
        });
    }

    /// Notes that something within a field is wrong, at an escaped pointer below it.
    pub(crate) fn fault_below(&mut self, name: &str, below: &str, detail: &str) {
        self.faults.push(Fault {
            pointer: format!("{}/{name}/{below}", self.pointer),
            detail: detail.to_owned(),
        });
    }

    /// A text that must be there and not be empty.
    pub fn required_text(&mut self, name: &'static str, rule: TextRule) -> Option<&'a str> {
        match self.value(name) {
            None => self.fault(name, "is required"),
            Some(Value::Null) => self.fault(name, "must not be null"),
            Some(value) => match self.text(name, value, rule) {
                Some("") => self.fault(name, "must not be empty"),
                text => return text,
            },
        }
        None
    }

    /// A text that may be absent, null or empty, which are the same.
    pub fn optional_text(&mut self, name: &'static str, rule: TextRule) -> Option<&'a str> {
        match self.value(name)? {
            Value::Null => None,
            value => self.text(name, value, rule).filter(|text| !text.trim().is_empty()),
        }
    }

    /// A text that may be absent, null or empty, and otherwise is parsed.
    pub fn parsed<T: FromStr<Err: Display>>(&mut self, name: &'static str) -> Option<T> {
        let text = self.optional_text(name, TextRule::line(usize::MAX))?;
        self.parse(name, text)
    }

    /// A text that may be absent or null, and otherwise is parsed. An empty one is neither: where nothing means all of them, a
    /// forgotten value isn't to.
    pub fn parsed_or_null<T: FromStr<Err: Display>>(&mut self, name: &'static str) -> Option<T> {
        let value = self.value(name).filter(|value| !value.is_null())?;
        let text = self.text(name, value, TextRule::line(usize::MAX))?;
        self.parse(name, text)
    }

    /// Parses a field's text; an error's words are the fault.
    pub fn parse<T: FromStr<Err: Display>>(&mut self, name: &str, text: &str) -> Option<T> {
        match text.parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.fault(name, format!("{error}"));
                None
            }
        }
    }

    /// A boolean that may be absent.
    pub fn optional_bool(&mut self, name: &'static str) -> Option<bool> {
        match self.value(name)? {
            Value::Bool(value) => Some(*value),
            other => {
                self.fault(name, format!("must be true or false, not {}", kind_of(other)));
                None
            }
        }
    }

    /// A whole number that must be there.
    pub fn required_number(&mut self, name: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        if !self.is_present(name) {
            self.known.push(name);
            self.fault(name, "is required");
            return None;
        }
        self.optional_number(name, range)
    }

    /// A whole number that may be absent.
    pub fn optional_number(&mut self, name: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let value = self.value(name)?;
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (from, to) = (range.start(), range.end());
            self.fault(name, format!("must be a whole number from {from} to {to}"));
        }
        number
    }

    /// What was read of a field on its own; what is wrong with it is wrong with this object.
    pub fn nested<T>(&mut self, read: Result<T, Faults>) -> Option<T> {
        read.map_err(|faults| self.faults.extend(faults.into_vec())).ok()
    }

    /// Ends the reading: an error if anything was wrong, a field that wasn't asked for included.
    pub fn finish(mut self) -> Result<(), Faults> {
        let unknown = self
            .object
            .keys()
            .filter(|key| !self.known.contains(&key.as_str()))
            .collect::<Vec<_>>();
        for key in unknown.iter().take(MOST_UNKNOWN) {
            let known = self.known.join(", ");
            // A caller's own text is repeated only as far as it identifies the field.
            let key = key.chars().take(100).collect::<String>();
            self.fault(&key, format!("is not a known field (known: {known})"));
        }
        if let Some(more) = unknown.len().checked_sub(MOST_UNKNOWN).filter(|more| *more > 0) {
            self.faults.push(Fault {
                pointer: self.pointer.to_owned(),
                detail: format!("has {more} more that are not known fields"),
            });
        }
        Faults::of(self.faults).map_or(Ok(()), Err)
    }

    fn text(&mut self, name: &'static str, value: &'a Value, rule: TextRule) -> Option<&'a str> {
        let Value::String(text) = value else {
            self.fault(name, format!("must be a string, not {}", kind_of(value)));
            return None;
        };
        match rule.apply(text) {
            Ok(text) => Some(text),
            Err(detail) => {
                self.fault(name, detail);
                None
            }
        }
    }
}

/// What a JSON value is, with its article.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
