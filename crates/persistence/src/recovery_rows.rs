//! Recoveries as their rows hold them: what is to be done, and how far it has come at each destination.

use std::str::FromStr;

use sensei_domain::{ClientId, RecoveryId, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::entities::recoveries::Model;
use crate::error::StoreError;
use crate::records::{Recovery, RecoveryCriteria};

/// How far a recovery has come at one destination. One that is through with it has no walk there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Walk {
    pub(crate) destination: Uuid,
    /// The last id that was dealt with.
    pub(crate) after: Uuid,
    /// Whether this pass over the ids found something to do.
    pub(crate) found: bool,
}

pub(crate) fn recovery(row: Model) -> Result<Recovery, StoreError> {
    let unreadable = |what| StoreError::Unreadable { what };
    Ok(Recovery {
        id: RecoveryId::from_uuid(row.id),
        client_id: ClientId::from_uuid(row.client_id),
        kind: row.kind.parse().map_err(|_| unreadable("recovery kind"))?,
        state: row.state.parse().map_err(|_| unreadable("recovery state"))?,
        criteria: read_criteria(&row.criteria)?,
        done: u64::try_from(row.done).unwrap_or(0),
        skipped: u64::try_from(row.skipped).unwrap_or(0),
        error: row.error,
        created_at: Timestamp::from_millis(row.created_at),
        updated_at: Timestamp::from_millis(row.updated_at),
        finished_at: row.finished_at.map(Timestamp::from_millis),
    })
}

pub(crate) fn write_criteria(criteria: &RecoveryCriteria) -> String {
    let RecoveryCriteria {
        state,
        destination_id,
        since,
        until,
        completed_since,
    } = criteria;
    json!({"state": state, "destinationId": destination_id, "since": since, "until": until, "completedSince": completed_since})
        .to_string()
}

pub(crate) fn read_criteria(text: &str) -> Result<RecoveryCriteria, StoreError> {
    let value = serde_json::from_str::<Value>(text).map_err(|_| StoreError::Unreadable {
        what: "recovery's criteria",
    })?;
    Ok(RecoveryCriteria {
        state: parsed(&value["state"])?,
        destination_id: parsed(&value["destinationId"])?,
        since: parsed(&value["since"])?,
        until: parsed(&value["until"])?,
        // Recoveries of before there was this say nothing of it.
        completed_since: parsed(&value["completedSince"])?,
    })
}

fn parsed<T: FromStr>(value: &Value) -> Result<Option<T>, StoreError> {
    let text = match value {
        Value::Null => return Ok(None),
        value => value.as_str(),
    };
    let parsed = text.and_then(|text| text.parse().ok());
    parsed.map(Some).ok_or(StoreError::Unreadable {
        what: "recovery's criteria",
    })
}

pub(crate) fn write_walks(walks: impl IntoIterator<Item = Walk>) -> String {
    let walks = walks.into_iter().map(
        |Walk {
             destination,
             after,
             found,
         }| json!({"destination": destination.to_string(), "after": after.to_string(), "found": found}),
    );
    Value::Array(walks.collect()).to_string()
}

pub(crate) fn read_walks(text: &str) -> Result<Vec<Walk>, StoreError> {
    let unreadable = || StoreError::Unreadable {
        what: "recovery's position",
    };
    let Ok(Value::Array(walks)) = serde_json::from_str(text) else {
        return Err(unreadable());
    };
    let walk = |walk: &Value| {
        Some(Walk {
            destination: walk["destination"].as_str()?.parse().ok()?,
            after: walk["after"].as_str()?.parse().ok()?,
            found: walk["found"].as_bool()?,
        })
    };
    walks.iter().map(|value| walk(value).ok_or_else(unreadable)).collect()
}
