//! A destination's row, parsed and unsealed.

use sensei_domain::{ClientId, DestinationId, Signer, Timestamp};
use uuid::Uuid;

use crate::destination_config::DestinationConfig;
use crate::entities::destinations;
use crate::error::StoreError;
use crate::master_key::SealedPlace;
use crate::master_keys::MasterKeys;
use crate::records::Destination;

/// What a row says.
pub(crate) fn read_row(master_keys: &MasterKeys, model: destinations::Model) -> Result<Destination, StoreError> {
    let unreadable = |what| StoreError::Unreadable { what };
    let secret = unsealed(master_keys, &secret_place(model.id), &model.sealed_secret)?;
    let previous_secret = match model.previous_sealed_secret.zip(model.previous_secret_until) {
        Some((sealed, until)) => {
            let previous = unsealed(master_keys, &previous_secret_place(model.id), &sealed)?;
            Some((previous, Timestamp::from_millis(until)))
        }
        None => None,
    };
    Ok(Destination {
        id: DestinationId::from_uuid(model.id),
        client_id: ClientId::from_uuid(model.client_id),
        kind: model.kind,
        name: model.name,
        status: model.status.parse().map_err(|_| unreadable("destination status"))?,
        status_reason: model.status_reason,
        status_since: Timestamp::from_millis(model.status_since),
        version: model.version,
        config: DestinationConfig::unsealed(master_keys, model.id, &model.config)?,
        template: model
            .template
            .map(|template| serde_json::from_str(&template))
            .transpose()
            .map_err(|_| unreadable("template"))?,
        retry: serde_json::from_str(&model.retry).map_err(|_| unreadable("retry policy"))?,
        rate_limit: model
            .rate_limit
            .map(|limit| serde_json::from_str(&limit))
            .transpose()
            .map_err(|_| unreadable("rate limit"))?,
        ordered: model.ordered,
        filter: model
            .filter
            .map(|filter| serde_json::from_str(&filter))
            .transpose()
            .map_err(|_| unreadable("filter"))?,
        secret,
        previous_secret,
        created_at: Timestamp::from_millis(model.created_at),
        updated_at: Timestamp::from_millis(model.updated_at),
    })
}

/// The signing secret in a place of a destination's row.
pub(crate) fn unsealed(master_keys: &MasterKeys, place: &SealedPlace, sealed: &str) -> Result<Signer, StoreError> {
    let secret = master_keys.open(place, sealed);
    secret
        .and_then(|secret| std::str::from_utf8(&secret).ok()?.parse().ok())
        .ok_or(StoreError::Unreadable { what: "signing secret" })
}

/// Where a destination's signing secret is kept.
pub(crate) fn secret_place(destination: Uuid) -> SealedPlace {
    SealedPlace {
        table: "destinations",
        row: destination,
        column: "sealed_secret",
    }
}

/// Where the one before is kept while it still counts.
pub(crate) fn previous_secret_place(destination: Uuid) -> SealedPlace {
    SealedPlace {
        column: "previous_sealed_secret",
        ..secret_place(destination)
    }
}
