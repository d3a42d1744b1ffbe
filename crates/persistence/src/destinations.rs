//! Destinations as they are read by clients, and how the Lead Webhook's is made, changed and deleted.

use std::sync::Arc;

use sea_orm::{
    ActiveValue, ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
};
use sensei_domain::{ClientId, DestinationId, DestinationStatus, RetryPolicy, SigningSecret, Timestamp, WebhookUrl};
use serde_json::json;

use crate::deliveries;
use crate::directory::{Directory, secret_place};
use crate::entities::destinations::{self, Column};
use crate::error::StoreError;
use crate::master_key::MasterKey;
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
) -> Result<Option<destinations::Model>, DbErr> {
    destinations::Entity::find()
        .filter(Column::ClientId.eq(client.as_uuid()))
        .filter(Column::Name.eq(LEAD_WEBHOOK))
        .filter(Column::DeletedAt.is_null())
        .one(connection)
        .await
}

/// Makes the Lead Webhook of a client: policy `none`, as published, and a signing secret of its own.
pub(crate) async fn create_lead_webhook(
    transaction: &DatabaseTransaction,
    master_key: &MasterKey,
    client: ClientId,
    url: &WebhookUrl,
    now: Timestamp,
) -> Result<DestinationId, DbErr> {
    let id = DestinationId::new(now);
    let sealed_secret = master_key.seal(
        &secret_place(id.as_uuid()),
        SigningSecret::generate().expose().as_bytes(),
    );
    let retry = serde_json::to_string(&RetryPolicy::None).map_err(|error| DbErr::Json(error.to_string()))?;
    let row = destinations::Model {
        id: id.as_uuid(),
        client_id: client.as_uuid(),
        kind: WEBHOOK_KIND.to_owned(),
        name: LEAD_WEBHOOK.to_owned(),
        status: DestinationStatus::Active.name().to_owned(),
        status_reason: None,
        status_since: now.as_millis(),
        version: 1,
        config: config(url),
        retry,
        rate_limit: None,
        ordered: false,
        sealed_secret,
        previous_sealed_secret: None,
        previous_secret_until: None,
        created_at: now.as_millis(),
        updated_at: now.as_millis(),
        deleted_at: None,
    };
    destinations::Entity::insert(row.into_active_model())
        .exec_without_returning(transaction)
        .await?;
    Ok(id)
}

/// Sends what isn't delivered yet, and all that comes, to another URL; the signing secret stays.
pub(crate) async fn change_url(
    transaction: &DatabaseTransaction,
    row: &destinations::Model,
    url: &WebhookUrl,
    now: Timestamp,
) -> Result<(), DbErr> {
    let change = destinations::ActiveModel {
        id: ActiveValue::Unchanged(row.id),
        config: ActiveValue::Set(config(url)),
        version: ActiveValue::Set(row.version + 1),
        updated_at: ActiveValue::Set(now.as_millis()),
        ..Default::default()
    };
    destinations::Entity::update(change).exec(transaction).await.map(drop)
}

/// Deletes a destination and cancels what was bound for it. The emptied row stays, for the log.
pub(crate) async fn delete(
    transaction: &DatabaseTransaction,
    row: &destinations::Model,
    now: Timestamp,
) -> Result<(), DbErr> {
    let change = destinations::ActiveModel {
        id: ActiveValue::Unchanged(row.id),
        config: ActiveValue::Set("{}".to_owned()),
        sealed_secret: ActiveValue::Set(String::new()),
        version: ActiveValue::Set(row.version + 1),
        updated_at: ActiveValue::Set(now.as_millis()),
        deleted_at: ActiveValue::Set(Some(now.as_millis())),
        ..Default::default()
    };
    destinations::Entity::update(change).exec(transaction).await?;
    deliveries::cancel(transaction, "destination_id", row.id, now).await
}

fn config(url: &WebhookUrl) -> String {
    json!({ "url": url.as_str() }).to_string()
}
