//! A kind's config as a form: made from its JSON Schema, filled with a config, and read back as one.
//!
//! The form is a list of parts in order, groups opened and closed, so that a template without recursion can write it. A field is named by
//! its JSON pointer, and within a group that can be chosen also by the choice: `config/auth@basic/username`.

mod read;
mod shape;

use serde_json::Value;

use self::read::MOST_ROWS;
pub(crate) use self::read::{config, read_rows};
use self::shape::{Shape, fields, shape};
use crate::api::Refused;
use crate::prose::{self, Piece};

/// Blank rows of a map, besides those that are filled.
const BLANK_ROWS: usize = 3;

/// A part of a form.
pub(crate) enum Part {
    /// A group begins. With the name of its choice, it counts only if that is chosen.
    Open {
        legend: String,
        help: Vec<Piece>,
        choice: Option<(String, String)>,
    },
    Close,
    Input(Box<Input>),
}

/// A field with its label.
pub(crate) struct Input {
    /// As the form is sent.
    pub(crate) name: String,
    pub(crate) label: String,
    /// As the API and the guides call it.
    pub(crate) key: String,
    pub(crate) help: Vec<Piece>,
    pub(crate) is_required: bool,
    pub(crate) wrong: Option<String>,
    pub(crate) control: Control,
}

/// What a field is filled with.
pub(crate) enum Control {
    Line {
        value: String,
        example: String,
        is_url: bool,
        max: Option<u64>,
    },
    /// Never shown; kept if it stays as it is.
    Secret {
        value: String,
        example: String,
    },
    Number {
        value: String,
        min: Option<i64>,
        max: Option<i64>,
    },
    Tick(bool),
    Choice(Vec<ChoiceOption>),
    /// One text a line.
    Lines {
        value: String,
        example: String,
    },
    /// Names and their values.
    Pairs {
        rows: Vec<(String, String)>,
        is_secret: bool,
    },
    /// What no other control can hold, as JSON.
    Json(String),
}

impl Input {
    /// What labels and messages refer to it by.
    pub(crate) fn id(&self) -> String {
        self.name.replace(['/', '@'], "-")
    }
}

impl Control {
    /// Whether nothing was typed.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Line { value, .. }
            | Self::Secret { value, .. }
            | Self::Number { value, .. }
            | Self::Lines { value, .. }
            | Self::Json(value) => value.is_empty(),
            Self::Pairs { rows, .. } => rows.iter().all(|(name, value)| name.is_empty() && value.is_empty()),
            Self::Choice(options) => options
                .iter()
                .all(|option| !option.is_chosen || option.value.is_empty()),
            Self::Tick(_) => false,
        }
    }
}

/// One of a choice.
pub(crate) struct ChoiceOption {
    pub(crate) value: String,
    pub(crate) words: String,
    pub(crate) is_chosen: bool,
}

/// Makes the form of an object's schema.
pub(crate) fn parts(schema: &Value, config: &Value, example: &Value, refused: Option<&Refused>) -> Vec<Part> {
    let mut maker = Maker {
        refused,
        parts: Vec::new(),
    };
    maker.object(schema, config, example, "config", "/config");
    maker.parts
}

struct Maker<'a> {
    refused: Option<&'a Refused>,
    parts: Vec<Part>,
}

impl Maker<'_> {
    fn object(&mut self, schema: &Value, config: &Value, example: &Value, name: &str, pointer: &str) {
        for (key, field, is_required) in fields(schema) {
            let name = format!("{name}/{key}");
            let pointer = format!("{pointer}/{key}");
            self.field(field, &config[key], &example[key], (key, is_required), &name, &pointer);
        }
    }

    fn field(
        &mut self,
        schema: &Value,
        value: &Value,
        example: &Value,
        (key, is_required): (&str, bool),
        name: &str,
        pointer: &str,
    ) {
        let text = |value: &Value| match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let shape = shape(schema);
        let legend = schema["title"].as_str().map_or_else(|| label(key), str::to_owned);
        let help = prose::pieces(schema["description"].as_str().unwrap_or_default());
        let control = match &shape {
            Shape::Object => {
                self.open(legend, help, None);
                self.object(schema, value, example, name, pointer);
                return self.parts.push(Part::Close);
            }
            Shape::OneOf { tag, variants } => {
                let chosen = value[*tag].as_str().unwrap_or_default();
                self.open(legend.clone(), Vec::new(), None);
                let mut options = vec![option("", "none", chosen)];
                options.extend(variants.iter().map(|(tag, variant)| {
                    let words = variant["title"].as_str().unwrap_or(tag);
                    option(tag, words, chosen)
                }));
                let input = self.input(name, &legend, key, help, is_required, pointer, Control::Choice(options));
                self.parts.push(input);
                for (tag, variant) in variants {
                    let legend = variant["title"].as_str().unwrap_or(tag).to_owned();
                    self.open(legend, Vec::new(), Some((name.to_owned(), (*tag).to_owned())));
                    let none = Value::Null;
                    let of = |value: &'_ Value| value.is_object() && chosen == *tag;
                    let filled = if of(value) { value } else { &none };
                    self.object(variant, filled, &none, &format!("{name}@{tag}"), pointer);
                    self.parts.push(Part::Close);
                }
                return self.parts.push(Part::Close);
            }
            Shape::Choice(values) => {
                let chosen = text(value);
                let mut options = Vec::new();
                if !is_required || chosen.is_empty() {
                    options.push(option("", if is_required { "choose…" } else { "as usual" }, &chosen));
                }
                options.extend(values.iter().map(|value| option(value, value, &chosen)));
                Control::Choice(options)
            }
            Shape::Flag => Control::Tick(value.as_bool().or(schema["default"].as_bool()).unwrap_or_default()),
            Shape::Number => Control::Number {
                value: text(value),
                min: schema["minimum"].as_i64(),
                max: schema["maximum"].as_i64(),
            },
            Shape::Texts => Control::Lines {
                value: lines(value),
                example: lines(example),
            },
            Shape::Map => Control::Pairs {
                rows: rows(value),
                is_secret: schema["additionalProperties"]["writeOnly"] == true,
            },
            Shape::Text if schema["writeOnly"] == true => Control::Secret {
                value: text(value),
                example: text(example),
            },
            Shape::Text => Control::Line {
                value: text(value),
                example: text(example),
                is_url: schema["format"] == "uri",
                max: schema["maxLength"].as_u64(),
            },
            Shape::Other if value.is_null() => Control::Json(String::new()),
            Shape::Other => Control::Json(serde_json::to_string_pretty(value).unwrap_or_default()),
        };
        let input = self.input(name, &legend, key, help, is_required, pointer, control);
        self.parts.push(input);
    }

    fn open(&mut self, legend: String, help: Vec<Piece>, choice: Option<(String, String)>) {
        self.parts.push(Part::Open { legend, help, choice });
    }

    #[expect(clippy::too_many_arguments, reason = "a field has that many sides")]
    fn input(
        &self,
        name: &str,
        label: &str,
        key: &str,
        help: Vec<Piece>,
        is_required: bool,
        pointer: &str,
        control: Control,
    ) -> Part {
        // A choice's own fault; those of what is chosen stand by their fields.
        let wrong = self.refused.and_then(|refused| match control {
            Control::Choice(_) => refused.exactly_at(pointer),
            _ => refused.at(pointer),
        });
        Part::Input(Box::new(Input {
            name: name.to_owned(),
            label: label.to_owned(),
            key: key.to_owned(),
            help,
            is_required,
            wrong: wrong.map(str::to_owned),
            control,
        }))
    }
}

fn option(value: &str, words: &str, chosen: &str) -> ChoiceOption {
    ChoiceOption {
        value: value.to_owned(),
        words: words.to_owned(),
        is_chosen: value == chosen,
    }
}

fn lines(value: &Value) -> String {
    let lines = value.as_array().map(Vec::as_slice).unwrap_or_default();
    lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
}

/// A map's entries and some blank rows.
pub(crate) fn rows(map: &Value) -> Vec<(String, String)> {
    let entries = map.as_object().into_iter().flatten();
    let entries = entries.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
    entries.chain(vec![<(String, String)>::default(); BLANK_ROWS]).collect()
}

/// Gives a map's rows so many, at least.
pub(crate) fn grow(rows: &mut Vec<(String, String)>, wanted: usize) {
    if rows.len() < wanted.min(MOST_ROWS) {
        rows.resize(wanted.min(MOST_ROWS), Default::default());
    }
}

/// `apiKey` as people write it: API key.
fn label(key: &str) -> String {
    let mut words = vec![String::new()];
    for letter in key.chars() {
        if letter.is_uppercase() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(letter.to_lowercase());
        }
    }
    let words = words.iter().map(|word| match word.as_str() {
        "api" | "url" | "id" | "html" => word.to_uppercase(),
        word => word.to_owned(),
    });
    let label = words.collect::<Vec<_>>().join(" ");
    let mut letters = label.trim().chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_labelled_as_people_write_it() {
        for (key, words) in [
            ("url", "URL"),
            ("apiKey", "API key"),
            ("externalIdField", "External ID field"),
            ("withoutConfirmation", "Without confirmation"),
            ("to", "To"),
        ] {
            assert_eq!(label(key), words);
        }
    }
}
