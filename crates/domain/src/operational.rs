//! Operational events: what an operator is told about destinations, in the shape of every other event.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::ids::{ClientId, DestinationId};
use crate::named::named;
use crate::time::Timestamp;

/// What became of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HealthChange {
    /// It has failed for long.
    Warned,
    /// Nothing more is sent to it.
    Disabled,
    /// It takes events again.
    Recovered,
}

named!(HealthChange {
    Warned = "destination.warned",
    Disabled = "destination.disabled",
    Recovered = "destination.recovered",
});

/// A destination's health has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DestinationEvent<'a> {
    /// The name of a [`HealthChange`].
    pub event: Cow<'a, str>,
    /// When it changed.
    pub timestamp: Timestamp,
    /// Which destination, and why.
    pub data: DestinationEventData<'a>,
}

/// The destination that an operational event is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DestinationEventData<'a> {
    /// Whose destination it is.
    pub client_id: ClientId,
    /// That client's name.
    pub client_name: Cow<'a, str>,
    /// The destination.
    pub destination_id: DestinationId,
    /// Its name among its client's.
    pub destination_name: Cow<'a, str>,
    /// Its kind, e.g. `webhook`.
    pub kind: Cow<'a, str>,
    /// Why, in words.
    pub reason: Cow<'a, str>,
    /// When the first attempt failed.
    pub failing_since: Timestamp,
    /// How many failed.
    pub failed_attempts: u32,
    /// What went wrong last.
    pub last_error: Option<Cow<'a, str>>,
    /// When it will be disabled if nothing succeeds before; `null`: never, or it is.
    pub disables_at: Option<Timestamp>,
}

impl DestinationEvent<'_> {
    /// The bytes that are stored, signed and sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("it becomes JSON")
    }
}
