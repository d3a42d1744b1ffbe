//! What a JSON Schema asks for, as far as forms go.

use serde_json::Value;

/// What a schema's value is, as far as forms go.
pub(super) enum Shape<'a> {
    Object,
    /// One of these objects by its tag, or none.
    OneOf {
        tag: &'a str,
        variants: Vec<(&'a str, &'a Value)>,
    },
    Choice(Vec<&'a str>),
    Flag,
    Number,
    Texts,
    Map,
    Text,
    Other,
}

/// Which types a schema allows, null aside.
pub(super) fn is_type(schema: &Value, name: &str) -> bool {
    match &schema["type"] {
        Value::String(one) => one == name,
        Value::Array(several) => several.iter().any(|one| one == name),
        _ => false,
    }
}

/// What forms make of a schema.
pub(super) fn shape(schema: &Value) -> Shape<'_> {
    if let Some(variants) = schema["oneOf"].as_array() {
        let objects = variants.iter().filter(|variant| is_type(variant, "object"));
        let tagged = objects.filter_map(|variant| {
            let properties = variant["properties"].as_object()?;
            let (tag, name) = properties
                .iter()
                .find_map(|(tag, schema)| Some((tag.as_str(), schema["const"].as_str()?)))?;
            Some((tag, (name, variant)))
        });
        let (tags, variants): (Vec<_>, Vec<_>) = tagged.unzip();
        return match tags.first() {
            Some(tag) if tags.iter().all(|other| other == tag) => Shape::OneOf { tag, variants },
            _ => Shape::Other,
        };
    }
    if let Some(values) = schema["enum"].as_array() {
        return Shape::Choice(values.iter().filter_map(Value::as_str).collect());
    }
    if schema["properties"].is_object() {
        return Shape::Object;
    }
    let is_text = |schema: &Value| is_type(schema, "string") && schema["enum"].is_null();
    if is_type(schema, "object") && is_text(&schema["additionalProperties"]) {
        return Shape::Map;
    }
    if is_type(schema, "array") && is_text(&schema["items"]) {
        return Shape::Texts;
    }
    if is_type(schema, "boolean") {
        return Shape::Flag;
    }
    if is_type(schema, "integer") || is_type(schema, "number") {
        return Shape::Number;
    }
    if is_type(schema, "string") {
        Shape::Text
    } else {
        Shape::Other
    }
}

/// The fields of an object's schema: what must be given comes first.
pub(super) fn fields(schema: &Value) -> Vec<(&str, &Value, bool)> {
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    let properties = schema["properties"].as_object();
    let fields = properties.into_iter().flatten();
    let mut fields = fields
        .filter(|(_, schema)| schema["const"].is_null())
        .map(|(key, schema)| {
            let is_required = required.iter().any(|name| name == key);
            (key.as_str(), schema, is_required)
        })
        .collect::<Vec<_>>();
    fields.sort_by_key(|(_, _, is_required)| !is_required);
    fields
}
