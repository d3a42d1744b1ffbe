//! A config as a form holds it, read by its schema.

use serde_json::{Map, Value};

use super::shape::{Shape, fields, is_type, shape};
use crate::form::Form;

/// Rows that are read of a map at most.
pub(super) const MOST_ROWS: usize = 60;

/// Reads the config that a form holds. What is left empty is left out; with `is_change`, an optional secret that is emptied is null, since
/// one that is left out stays.
pub(crate) fn config(schema: &Value, form: &Form, is_change: bool) -> Value {
    Value::Object(read_object(schema, form, is_change, "config"))
}

fn read_object(schema: &Value, form: &Form, is_change: bool, name: &str) -> Map<String, Value> {
    let mut object = Map::new();
    for (key, field, _) in fields(schema) {
        let value = read_field(field, form, is_change, &format!("{name}/{key}"));
        if let Some(value) = value {
            object.insert(key.to_owned(), value);
        }
    }
    object
}

fn read_field(schema: &Value, form: &Form, is_change: bool, name: &str) -> Option<Value> {
    let given = || form.given(name).map(str::to_owned);
    match shape(schema) {
        Shape::Object => {
            let object = read_object(schema, form, is_change, name);
            (!object.is_empty()).then_some(Value::Object(object))
        }
        Shape::OneOf { tag, variants } => {
            let chosen = given()?;
            let variant = variants.iter().find(|(tag, _)| **tag == *chosen);
            let mut object = variant.map_or_else(Map::new, |(_, variant)| {
                read_object(variant, form, is_change, &format!("{name}@{chosen}"))
            });
            object.insert(tag.to_owned(), chosen.into());
            Some(Value::Object(object))
        }
        Shape::Flag => {
            let is_ticked = form.is_ticked(name);
            // What is so anyway needn't be said.
            let is_usual = is_ticked == schema["default"].as_bool().unwrap_or_default();
            (!is_usual).then_some(Value::Bool(is_ticked))
        }
        Shape::Number => given().map(|typed| typed.parse::<i64>().map_or(Value::String(typed), Value::from)),
        Shape::Texts => {
            let typed = given()?;
            let lines = typed.lines().map(str::trim).filter(|line| !line.is_empty());
            Some(lines.map(str::to_owned).collect())
        }
        Shape::Map => read_rows(form, name).map(Value::Object),
        Shape::Text if schema["writeOnly"] == true && is_type(schema, "null") && is_change => {
            Some(given().map_or(Value::Null, Value::String))
        }
        Shape::Text | Shape::Choice(_) => given().map(Value::String),
        Shape::Other => given().map(|typed| serde_json::from_str(&typed).unwrap_or(Value::String(typed))),
    }
}

/// The rows of a map that are filled; `None` if none is.
pub(crate) fn read_rows(form: &Form, name: &str) -> Option<Map<String, Value>> {
    let mut map = Map::new();
    for row in 0..MOST_ROWS {
        let (key, value) = (format!("{name}.key.{row}"), format!("{name}.value.{row}"));
        let (key, value) = (form.text(&key), form.text(&value));
        if !key.is_empty() || !value.is_empty() {
            map.insert(key.to_owned(), value.into());
        }
    }
    (!map.is_empty()).then_some(map)
}
