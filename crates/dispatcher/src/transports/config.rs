//! Configs as types: a kind's schema comes from the type, and what is wrong with a config is told by the schema, all of it at once.
//!
//! A property is secret by `writeOnly`, and says in `mismatch` what a text that doesn't match its pattern must be.

use std::marker::PhantomData;
use std::sync::Arc;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError, Validator};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use sensei_domain::{Fault, Faults, RateLimit};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::template::{Slot, Templates};
use crate::transport::{ConfigError, Descriptor, Kind, Transport};

/// What there is to know about a kind beside its config.
pub(super) struct About {
    pub(super) kind: &'static str,
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) example: Value,
    pub(super) rate_limit: RateLimit,
    pub(super) setup_guide: &'static str,
    pub(super) docs_url: &'static str,
}

/// A kind whose config is a type, and what becomes of a config and of templates for these slots.
pub(super) fn kind<C, T>(about: About, slots: &'static [Slot], bind: fn(C, Templates) -> T) -> Arc<dyn Kind>
where
    C: JsonSchema + DeserializeOwned + 'static,
    T: Transport,
{
    checked_kind(about, slots, move |config, templates| Ok(bind(config, templates)))
}

/// As [`kind`], where not every config that fits the schema can be used.
pub(super) fn checked_kind<C, T, B>(about: About, slots: &'static [Slot], bind: B) -> Arc<dyn Kind>
where
    C: JsonSchema + DeserializeOwned + 'static,
    T: Transport,
    B: Fn(C, Templates) -> Result<T, Faults> + Send + Sync + 'static,
{
    let config = Typed::<C>::new();
    let descriptor = Descriptor {
        kind: about.kind,
        name: about.name,
        description: about.description,
        config_schema: config.schema.clone(),
        secret_fields: config.secret_fields(),
        example: about.example,
        rate_limit: Some(about.rate_limit),
        setup_guide: about.setup_guide,
        docs_url: about.docs_url,
    };
    Arc::new(TypedKind {
        descriptor,
        config,
        slots,
        bind,
    })
}

struct TypedKind<C, B> {
    descriptor: Descriptor,
    config: Typed<C>,
    slots: &'static [Slot],
    bind: B,
}

impl<C, T, B> Kind for TypedKind<C, B>
where
    C: JsonSchema + DeserializeOwned + 'static,
    T: Transport,
    B: Fn(C, Templates) -> Result<T, Faults> + Send + Sync + 'static,
{
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn slots(&self) -> &[Slot] {
        self.slots
    }

    fn bind(&self, config: &Value) -> Result<Box<dyn Transport>, ConfigError> {
        self.bind_with(config, Templates::default())
    }

    fn bind_with(&self, config: &Value, templates: Templates) -> Result<Box<dyn Transport>, ConfigError> {
        let kind = self.descriptor.kind;
        let config = self.config.read(kind, config)?;
        match (self.bind)(config, templates) {
            Ok(transport) => Ok(Box::new(transport)),
            Err(faults) => Err(ConfigError::Invalid { kind, faults }),
        }
    }
}

/// Whether a text is a name as receivers call their fields: letters, digits and `_`, a letter first.
pub(super) fn is_name(text: &str, limit: usize) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= limit && text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(is_of_name)
}

/// A kind's config as a type.
#[derive(Debug)]
struct Typed<C> {
    schema: Value,
    validator: Validator,
    config: PhantomData<fn() -> C>,
}

impl<C: JsonSchema + DeserializeOwned> Typed<C> {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let mut schema = settings.into_generator().into_root_schema_for::<C>();
        // The name of a type of ours.
        schema.remove("title");
        let schema = schema.to_value();
        let validator = jsonschema::draft202012::new(&schema).expect("the schema of a type is one");
        Self {
            schema,
            validator,
            config: PhantomData,
        }
    }

    /// The properties that are never shown again.
    fn secret_fields(&self) -> Vec<String> {
        let properties = self.schema["properties"].as_object().into_iter().flatten();
        let secret = properties.filter(|(_, property)| property["writeOnly"] == true);
        secret.map(|(name, _)| name.clone()).collect()
    }

    /// Reads a config of this kind.
    fn read(&self, kind: &'static str, config: &Value) -> Result<C, ConfigError> {
        let faults = self.validator.iter_errors(config);
        let faults = faults.flat_map(|error| self.faults_of(&error)).collect();
        if let Some(faults) = Faults::of(faults) {
            return Err(ConfigError::Invalid { kind, faults });
        }
        C::deserialize(config).map_err(|error| ConfigError::Invalid {
            kind,
            faults: Faults::one("", format!("can't be read ({error})")),
        })
    }

    /// Says nothing of what was given: it may be secret.
    fn faults_of(&self, error: &ValidationError<'_>) -> Vec<Fault> {
        let at = error.instance_path().as_str();
        let fault = |pointer: String, detail: String| vec![Fault { pointer, detail }];
        let here = |detail: String| fault(at.to_owned(), detail);
        match error.kind() {
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                fault(format!("{at}/{name}"), "is required".to_owned())
            }
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known = self.schema["properties"]
                    .as_object()
                    .into_iter()
                    .flat_map(serde_json::Map::keys);
                let known = known.map(String::as_str).collect::<Vec<_>>().join(", ");
                // Of very many the first ones are told.
                let unknown = unexpected.iter().take(20).map(|name| Fault {
                    pointer: format!("{at}/{}", name.chars().take(100).collect::<String>()),
                    detail: format!("is not a known field (known: {known})"),
                });
                unknown.collect()
            }
            ValidationErrorKind::Type { kind } => here(format!("must be {}", types(kind))),
            ValidationErrorKind::MinLength { .. } => here("must not be empty".to_owned()),
            ValidationErrorKind::MaxLength { limit } => here(format!("must be at most {limit} characters long")),
            ValidationErrorKind::Minimum { limit } => here(format!("must be at least {limit}")),
            ValidationErrorKind::Maximum { limit } => here(format!("must be at most {limit}")),
            ValidationErrorKind::Enum { options } => here(format!("must be one of {options}")),
            ValidationErrorKind::Pattern { .. } => {
                let place = error.schema_path().as_str();
                let property = place
                    .rsplit_once('/')
                    .and_then(|(property, _)| self.schema.pointer(property));
                let words = property.and_then(|property| property["mismatch"].as_str());
                here(words.unwrap_or("has another form than it must have").to_owned())
            }
            _ => here(error.masked().to_string()),
        }
    }
}

fn types(kind: &TypeKind) -> String {
    let named = |kind: JsonType| match kind {
        JsonType::Null => "null",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Number => "a number",
        JsonType::String => "a string",
        JsonType::Array => "an array",
        JsonType::Object => "a JSON object",
    };
    match kind {
        TypeKind::Single(kind) => named(*kind).to_owned(),
        TypeKind::Multiple(kinds) => kinds.iter().map(named).collect::<Vec<_>>().join(" or "),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Board {
        /// Which list.
        #[schemars(length(min = 1, max = 8))]
        list: String,
        /// What it is written with.
        #[schemars(regex(pattern = "^t-[0-9]+$"), extend("writeOnly" = true, "mismatch" = "must begin with t-"))]
        api_token: String,
        /// How urgent.
        #[schemars(range(min = 1, max = 3))]
        urgency: Option<u8>,
    }

    #[test]
    fn type_gives_the_schema_and_which_fields_are_secret() {
        let typed = Typed::<Board>::new();
        let schema = &typed.schema;
        assert_eq!(typed.secret_fields(), ["apiToken"]);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["required"], json!(["list", "apiToken"]));
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["list"]["description"], "Which list.");
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_without_what_was_given() {
        let typed = Typed::<Board>::new();
        let faults = |config: &Value| match typed.read("board", config) {
            Ok(board) => format!("{board:?}"),
            Err(error) => error.to_string(),
        };
        let good = json!({"list": "Leads", "apiToken": "t-1", "urgency": 2});
        assert!(faults(&good).starts_with("Board {"), "{}", faults(&good));
        let cases = [
            (json!({}), vec!["/list is required", "/apiToken is required"]),
            (
                json!({"list": "", "apiToken": "S3CRET"}),
                vec!["/list must not be empty", "/apiToken must begin with t-"],
            ),
            (
                json!({"list": 7, "apiToken": "t-1", "urgency": 4, "S3CRETs": 1}),
                vec![
                    "/list must be a string",
                    "/urgency must be at most 3",
                    "/S3CRETs is not a known field (known: apiToken, list, urgency)",
                ],
            ),
            (
                json!({"list": "S3CRET-S3CRET", "apiToken": "t-1"}),
                vec!["/list must be at most 8 characters long"],
            ),
            (json!("S3CRET"), vec!["must be a JSON object"]),
        ];
        for (config, expected) in cases {
            let told = faults(&config);
            assert!(expected.iter().all(|fault| told.contains(fault)), "{config}: {told}");
            assert!(!told.replace("/S3CRETs is", "").contains("S3CRET"), "{told}");
        }
    }
}
