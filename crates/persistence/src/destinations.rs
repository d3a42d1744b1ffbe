//! Destinations as they are read by clients, and how their rows are made, changed and deleted.

use std::sync::Arc;

use sea_orm::{
    ActiveModelTrait, ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
};
use sensei_domain::{
    ClientId, DestinationId, DestinationStatus, RetryPolicy, SignatureVersion, Signer, Timestamp, WebhookUrl,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::destination_changes::NewDestination;
use crate::destination_config::{DestinationConfig, SEALED};

use crate::destination_row::secret_place;
use crate::directory::Directory;
use crate::entities::destinations::{self, Column, Model};
use crate::error::StoreError;
use crate::health;
use crate::master_keys::MasterKeys;
use crate::records::{Destination, Page};
use crate::store::Store;

/// The name of the destination behind a client's Lead Webhook URL.
pub const LEAD_WEBHOOK: &str = "lead-webhook";
const WEBHOOK_KIND: &str = "webhook";

impl Store {
    /// Reads a destination that wasn't deleted.
    pub async fn destination(
        &self,
        client: ClientId,
        id: DestinationId,
    ) -> Result<Option<Arc<Destination>>, StoreError> {
        let found = Directory::by_id(&self.connections().reader, id).await?;
        found
            .filter(|row| row.client_id == client.as_uuid())
            .map(|row| self.shared().directory.destination(row))
            .transpose()
    }

    /// A client's destinations, less the deleted ones.
    pub async fn destinations(&self, client: ClientId, page: Page) -> Result<Vec<Arc<Destination>>, StoreError> {
        let mut query = destinations::Entity::find()
            .filter(Column::ClientId.eq(client.as_uuid()))
            .filter(Column::DeletedAt.is_null());
        if let Some(before) = page.before {
            query = query.filter(Column::Id.lt(before));
        }
        let rows = query
            .order_by_desc(Column::Id)
            .limit(u64::from(page.limit))
            .all(&self.connections().reader)
            .await?;
        rows.into_iter()
            .map(|row| self.shared().directory.destination(row))
            .collect()
    }
}

/// The row of a client's Lead Webhook, if it has one.
pub(crate) async fn lead_webhook(
    connection: &impl sea_orm::ConnectionTrait,
    client: ClientId,
) -> Result<Option<Model>, DbErr> {
    destinations::Entity::find()
        .filter(Column::ClientId.eq(client.as_uuid()))
        .filter(Column::Name.eq(LEAD_WEBHOOK))
        .filter(Column::DeletedAt.is_null())
        .one(connection)
        .await
}

/// Makes the Lead Webhook of a client: policy `none`, as published.
pub(crate) async fn create_lead_webhook(
    transaction: &DatabaseTransaction,
    master_keys: &MasterKeys,
    client: ClientId,
    url: &WebhookUrl,
    now: Timestamp,
) -> Result<DestinationId, DbErr> {
    let new = NewDestination {
        kind: WEBHOOK_KIND.to_owned(),
        name: LEAD_WEBHOOK.parse().expect("a name"),
        config: DestinationConfig::new(json!({ "url": url.as_str() }), []),
        template: None,
        retry: RetryPolicy::None,
        rate_limit: None,
        ordered: false,
        filter: None,
    };
    let row = create(transaction, master_keys, client, &new, now).await?;
    Ok(DestinationId::from_uuid(row.id))
}

/// Makes a destination with a signing secret of its own.
pub(crate) async fn create(
    transaction: &DatabaseTransaction,
    master_keys: &MasterKeys,
    client: ClientId,
    new: &NewDestination,
    now: Timestamp,
) -> Result<Model, DbErr> {
    let id = DestinationId::new(now).as_uuid();
    let secret = Signer::generate(SignatureVersion::V1);
    let row = Model {
        id,
        client_id: client.as_uuid(),
        kind: new.kind.clone(),
        name: new.name.as_str().to_owned(),
        status: DestinationStatus::Active.name().to_owned(),
        status_reason: None,
        status_since: now.as_millis(),
        version: 1,
        config: new.config.sealed(master_keys, id),
        template: new.template.as_ref().map(written).transpose()?,
        retry: written(&new.retry)?,
        rate_limit: new.rate_limit.as_ref().map(written).transpose()?,
        ordered: new.ordered,
        filter: new.filter.as_ref().map(written).transpose()?,
        sealed_secret: master_keys.seal(&secret_place(id), secret.expose().as_bytes()),
        previous_sealed_secret: None,
        previous_secret_until: None,
        created_at: now.as_millis(),
        updated_at: now.as_millis(),
        deleted_at: None,
    };
    destinations::Entity::insert(row.clone().into_active_model())
        .exec_without_returning(transaction)
        .await?;
    Ok(row)
}

/// Sends what isn't delivered yet, and all that comes, to another URL; the signing secret stays, and how it is sent. Credentials
/// stay with the host that they are for.
pub(crate) async fn change_url(
    transaction: &DatabaseTransaction,
    row: &Model,
    url: &WebhookUrl,
    now: Timestamp,
) -> Result<(), DbErr> {
    let config = serde_json::from_str(&row.config).ok().filter(Value::is_object);
    let mut config = config.unwrap_or_else(|| json!({}));
    let before = config["url"]
        .as_str()
        .and_then(|before| before.parse::<WebhookUrl>().ok());
    let is_there = before.is_some_and(|before| before.as_url().origin() == url.as_url().origin());
    if let Some(fields) = config.as_object_mut().filter(|_| !is_there) {
        for credentials in [SEALED, "auth", "secretHeaders"] {
            fields.remove(credentials);
        }
    }
    config["url"] = url.as_str().into();
    let row = Model {
        config: config.to_string(),
        ..row.clone()
    };
    // What failed was what was at the other one. Of one that is stopped it says since when there is something to send again.
    if row.status == DestinationStatus::Active.name() {
        health::resumed(transaction, row.id).await?;
    }
    write(transaction, row, now).await.map(drop)
}

/// Deletes a destination. The emptied row stays, for the log; what waits for it is to be cancelled after the commit
/// ([`Store::cancel_all_for`](crate::Store::cancel_all_for)).
pub(crate) async fn delete(transaction: &DatabaseTransaction, row: &Model, now: Timestamp) -> Result<(), DbErr> {
    let id = row.id;
    let row = Model {
        config: "{}".to_owned(),
        template: None,
        filter: None,
        sealed_secret: String::new(),
        previous_sealed_secret: None,
        previous_secret_until: None,
        deleted_at: Some(now.as_millis()),
        ..row.clone()
    };
    write(transaction, row, now).await?;
    health::forget(transaction, id).await
}

/// Writes a changed row as the next version. Its client's row is locked, so nobody else does.
pub(crate) async fn write(transaction: &DatabaseTransaction, row: Model, now: Timestamp) -> Result<Model, DbErr> {
    let row = Model {
        version: row.version + 1,
        updated_at: now.as_millis(),
        ..row
    };
    destinations::Entity::update(row.into_active_model().reset_all())
        .exec(transaction)
        .await
}

/// A rule as its column holds it.
pub(crate) fn written(rule: &impl Serialize) -> Result<String, DbErr> {
    serde_json::to_string(rule).map_err(|error| DbErr::Json(error.to_string()))
}
