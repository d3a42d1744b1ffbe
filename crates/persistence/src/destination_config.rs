//! A destination's config: the settings of its kind, what is secret among them sealed in the database and shown nowhere.
//!
//! The column holds an object: the fields that anybody may see as they are, and under one more name all others, sealed together.
//! A kind refuses fields that it doesn't know, so nobody else writes under that name.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::error::StoreError;
use crate::master_key::{MasterKey, SealedPlace};

/// Where the sealed fields are in the column.
const SEALED: &str = "$sealed";

/// The settings of a destination's kind. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct DestinationConfig {
    values: Value,
    secret_fields: BTreeSet<String>,
}

impl DestinationConfig {
    /// Stands for a secret wherever a config is shown.
    pub const MASK: &str = "********";

    /// An object's fields; those that are named are secret.
    pub fn new<'a>(values: Value, secret_fields: impl IntoIterator<Item = &'a str>) -> Self {
        let secret_fields = secret_fields.into_iter().filter(|field| values.get(field).is_some());
        let secret_fields = secret_fields.map(str::to_owned).collect();
        Self { values, secret_fields }
    }

    /// All of it, secrets included.
    pub const fn expose(&self) -> &Value {
        &self.values
    }

    /// What anybody may see: each secret is a mask.
    pub fn shown(&self) -> Value {
        let mut shown = self.values.clone();
        for field in &self.secret_fields {
            shown[field] = Self::MASK.into();
        }
        shown
    }

    /// With some fields as another config has them.
    pub(crate) fn keeping(mut self, fields: &[String], other: &Self) -> Self {
        for field in fields {
            if let Some(secret) = other.values.get(field) {
                self.values[field] = secret.clone();
            }
        }
        self
    }

    /// What the column of this destination's row holds.
    pub(crate) fn sealed(&self, master_key: &MasterKey, destination: Uuid) -> String {
        let mut column = self.values.clone();
        let mut secrets = Map::new();
        if let Value::Object(fields) = &mut column {
            for field in &self.secret_fields {
                secrets.extend(fields.remove_entry(field));
            }
        }
        if !secrets.is_empty() {
            let secrets = Value::Object(secrets).to_string();
            column[SEALED] = master_key.seal(&place(destination), secrets.as_bytes()).into();
        }
        column.to_string()
    }

    /// What the column of this destination's row says.
    pub(crate) fn unsealed(master_key: &MasterKey, destination: Uuid, column: &str) -> Result<Self, StoreError> {
        let unreadable = || StoreError::Unreadable {
            what: "destination config",
        };
        let mut values: Value = serde_json::from_str(column).map_err(|_| unreadable())?;
        let mut secret_fields = BTreeSet::new();
        if let Value::Object(fields) = &mut values
            && let Some(sealed) = fields.remove(SEALED)
        {
            let secrets = sealed
                .as_str()
                .and_then(|sealed| master_key.open(&place(destination), sealed));
            let secrets = secrets.and_then(|secrets| serde_json::from_slice::<Map<String, Value>>(&secrets).ok());
            let secrets = secrets.ok_or_else(unreadable)?;
            secret_fields.extend(secrets.keys().cloned());
            fields.extend(secrets);
        }
        Ok(Self { values, secret_fields })
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

    #[test]
    fn secrets_are_sealed_in_the_column_and_masked_where_shown() {
        let values = json!({"channel": "leads", "token": "xoxb-1", "key": {"id": 7}});
        let config = DestinationConfig::new(values.clone(), ["token", "key", "absent"]);
        let masked = json!({"channel": "leads", "token": "********", "key": "********"});
        assert_eq!(config.shown(), masked);
        assert_eq!(format!("{config:?}"), masked.to_string());

        let (master_key, id) = (MasterKey::generate(), Uuid::from_u128(7));
        let column = config.sealed(&master_key, id);
        assert!(!column.contains("xoxb") && column.contains("leads"), "{column}");
        let read = DestinationConfig::unsealed(&master_key, id, &column).expect("it opens");
        assert_eq!((&read, read.expose()), (&config, &values));
        for (key, row) in [(&MasterKey::generate(), id), (&master_key, Uuid::from_u128(8))] {
            DestinationConfig::unsealed(key, row, &column).expect_err("another's");
        }
    }

    #[test]
    fn config_without_secrets_is_the_column_itself() {
        let values = json!({"url": "https://example.com/"});
        let column = DestinationConfig::new(values.clone(), []).sealed(&MasterKey::generate(), Uuid::nil());
        assert_eq!(column, values.to_string());
    }
}
