//! A destination's config: the settings of its kind, what is secret among them sealed in the database and shown nowhere.
//!
//! The column holds an object: the fields that anybody may see as they are, and under one more name all others, sealed together.
//! A kind refuses fields that it doesn't know, so nobody else writes under that name.
//!
//! A secret is a field (`token`), one of an object that is a field (`auth/password`), or each of such an object (`secretHeaders/*`). A
//! *place* names exactly one, escaped as in a JSON pointer.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::error::StoreError;
use crate::master_key::SealedPlace;
use crate::master_keys::{MasterKeys, Resealed};

/// Where the sealed fields are in the column.
pub(crate) const SEALED: &str = "$sealed";

/// The settings of a destination's kind. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct DestinationConfig {
    values: Value,
    /// The places of the secrets that are there.
    secrets: BTreeSet<String>,
}

impl DestinationConfig {
    /// Stands for a secret wherever a config is shown.
    pub const MASK: &str = "********";

    /// An object's fields; those that are named are secret.
    pub fn new<'a>(values: Value, secret_fields: impl IntoIterator<Item = &'a str>) -> Self {
        let places = secret_fields.into_iter().flat_map(|field| Self::places(&values, field));
        let secrets = places.collect();
        Self { values, secrets }
    }

    /// The places of an object's fields that this name stands for.
    pub fn places(values: &Value, secret_field: &str) -> Vec<String> {
        if let Some(parent) = secret_field.strip_suffix("/*") {
            let keys = values.get(parent).and_then(Value::as_object);
            let keys = keys.into_iter().flat_map(Map::keys);
            return keys
                .map(|key| format!("{parent}/{}", key.replace('~', "~0").replace('/', "~1")))
                .collect();
        }
        let is_there = values.pointer(&pointer(secret_field)).is_some();
        is_there.then(|| secret_field.to_owned()).into_iter().collect()
    }

    /// What stands at a place, be it secret or not.
    pub fn at(&self, place: &str) -> Option<&Value> {
        self.values.pointer(&pointer(place))
    }

    /// All of it, secrets included.
    pub const fn expose(&self) -> &Value {
        &self.values
    }

    /// What anybody may see: each secret is a mask.
    pub fn shown(&self) -> Value {
        let mut shown = self.values.clone();
        for place in &self.secrets {
            put(&mut shown, place, Self::MASK.into());
        }
        shown
    }

    /// With what stands at some places as another config has it.
    pub(crate) fn keeping(mut self, places: &[String], other: &Self) -> Self {
        for place in places {
            if let Some(secret) = other.at(place) {
                put(&mut self.values, place, secret.clone());
            }
        }
        self
    }

    /// What the column of this destination's row holds.
    pub(crate) fn sealed(&self, master_keys: &MasterKeys, destination: Uuid) -> String {
        let mut column = self.values.clone();
        let mut secrets = Map::new();
        for place in &self.secrets {
            let secret = parent(&mut column, place).and_then(|(fields, name)| fields.remove(&name));
            secrets.extend(secret.map(|secret| (place.clone(), secret)));
        }
        if !secrets.is_empty() {
            let secrets = Value::Object(secrets).to_string();
            column[SEALED] = master_keys.seal(&place(destination), secrets.as_bytes()).into();
        }
        column.to_string()
    }

    /// The column of this destination's row with its secrets sealed under the key in use. Nothing else is looked at.
    pub(crate) fn resealed(master_keys: &MasterKeys, destination: Uuid, column: &str) -> Resealed {
        if !column.contains(SEALED) {
            return Resealed::Before;
        }
        let Ok(mut values) = serde_json::from_str::<Value>(column) else {
            return Resealed::Unreadable;
        };
        let Some(Value::String(sealed)) = values.get_mut(SEALED) else {
            return Resealed::Before;
        };
        match master_keys.reseal(&place(destination), sealed) {
            Resealed::Now(anew) => {
                *sealed = anew;
                Resealed::Now(values.to_string())
            }
            other => other,
        }
    }

    /// What the column of this destination's row says.
    pub(crate) fn unsealed(master_keys: &MasterKeys, destination: Uuid, column: &str) -> Result<Self, StoreError> {
        let unreadable = || StoreError::Unreadable {
            what: "destination config",
        };
        let mut values: Value = serde_json::from_str(column).map_err(|_| unreadable())?;
        let mut places = BTreeSet::new();
        if let Value::Object(fields) = &mut values
            && let Some(sealed) = fields.remove(SEALED)
        {
            let secrets = sealed
                .as_str()
                .and_then(|sealed| master_keys.open(&place(destination), sealed));
            let secrets = secrets.and_then(|secrets| serde_json::from_slice::<Map<String, Value>>(&secrets).ok());
            let secrets = secrets.ok_or_else(unreadable)?;
            for (place, secret) in secrets {
                put(&mut values, &place, secret);
                places.insert(place);
            }
        }
        Ok(Self {
            values,
            secrets: places,
        })
    }
}

/// A place as a JSON pointer.
fn pointer(place: &str) -> String {
    format!("/{place}")
}

/// The object in which a place is, and its name there.
fn parent<'a>(values: &'a mut Value, place: &str) -> Option<(&'a mut Map<String, Value>, String)> {
    let (parent, name) = place.rsplit_once('/').unwrap_or(("", place));
    let parent = if parent.is_empty() {
        values
    } else {
        values.get_mut(parent)?
    };
    let name = name.replace("~1", "/").replace("~0", "~");
    Some((parent.as_object_mut()?, name))
}

/// Sets what stands at a place, if there is the object that it is in.
fn put(values: &mut Value, place: &str, value: Value) {
    if let Some((fields, name)) = parent(values, place) {
        fields.insert(name, value);
    }
}

/// Where a destination's secret fields are kept.
fn place(destination: Uuid) -> SealedPlace {
    SealedPlace {
        table: "destinations",
        row: destination,
        column: "config",
    }
}

impl fmt::Debug for DestinationConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.shown())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::master_key::MasterKey;

    fn new_key() -> MasterKeys {
        MasterKey::generate().into()
    }

    #[test]
    fn secrets_are_sealed_in_the_column_and_masked_where_shown() {
        let values = json!({"channel": "leads", "token": "xoxb-1", "key": {"id": 7}});
        let config = DestinationConfig::new(values.clone(), ["token", "key", "absent"]);
        let masked = json!({"channel": "leads", "token": "********", "key": "********"});
        assert_eq!(config.shown(), masked);
        assert_eq!(format!("{config:?}"), masked.to_string());

        let (master_keys, id) = (new_key(), Uuid::from_u128(7));
        let column = config.sealed(&master_keys, id);
        assert!(!column.contains("xoxb") && column.contains("leads"), "{column}");
        let read = DestinationConfig::unsealed(&master_keys, id, &column).expect("it opens");
        assert_eq!((&read, read.expose()), (&config, &values));
        for (key, row) in [(&new_key(), id), (&master_keys, Uuid::from_u128(8))] {
            DestinationConfig::unsealed(key, row, &column).expect_err("another's");
        }
    }

    #[test]
    fn secrets_within_an_object_are_sealed_and_masked_each_for_itself() {
        let values = json!({
            "url": "https://example.com/", "auth": {"type": "basic", "username": "me", "password": "s3cret-1"},
            "secretHeaders": {"X-Key": "s3cret-2", "a/b~c": "s3cret-3"}, "token": "s3cret-4",
        });
        let secret_fields = [
            "auth/password",
            "auth/token",
            "secretHeaders/*",
            "other/*",
            "token",
            "url/*",
        ];
        let config = DestinationConfig::new(values.clone(), secret_fields);
        let masked = json!({
            "url": "https://example.com/", "auth": {"type": "basic", "username": "me", "password": "********"},
            "secretHeaders": {"X-Key": "********", "a/b~c": "********"}, "token": "********",
        });
        assert_eq!(
            (config.shown(), config.at("auth/password")),
            (masked, Some(&json!("s3cret-1")))
        );

        let (master_keys, id) = (new_key(), Uuid::from_u128(7));
        let column = config.sealed(&master_keys, id);
        assert!(
            !column.contains("s3cret") && column.contains(r#""username":"me""#),
            "{column}"
        );
        let read = DestinationConfig::unsealed(&master_keys, id, &column).expect("it opens");
        assert_eq!((&read, read.expose()), (&config, &values));

        let stale = DestinationConfig::new(json!({"url": "u", "auth": {"password": "old"}}), secret_fields);
        let kept = [
            "auth/password".to_owned(),
            "secretHeaders/X-Key".to_owned(),
            "token".to_owned(),
        ];
        let kept = stale.keeping(&kept, &read);
        let expected = json!({"url": "u", "auth": {"password": "s3cret-1"}, "token": "s3cret-4"});
        assert_eq!(
            *kept.expose(),
            expected,
            "what has gone with its object isn't brought back"
        );
    }

    #[test]
    fn config_without_secrets_is_the_column_itself() {
        let values = json!({"url": "https://example.com/"});
        let column = DestinationConfig::new(values.clone(), []).sealed(&new_key(), Uuid::nil());
        assert_eq!(column, values.to_string());
    }
}
