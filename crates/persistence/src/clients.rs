//! Clients: created, read, renamed.
//!
//! Whoever changes a client or its destinations locks the client's row first, and capture reads it
//! under a shared lock, so a change comes wholly before a capture or wholly after it.

use std::time::{Duration, Instant};

use sea_orm::{
    ActiveValue, ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
};
use sensei_domain::{ClientId, ClientName, Timestamp, WebhookUrl};
use uuid::Uuid;

use crate::audit::{self, Actor};
use crate::entities::clients::{self, Column};
use crate::error::{ChangeError, StoreError};
use crate::idempotency::{self, Answer, KeyedRequest, Once};
use crate::keys::{self, CreatedKey, KeyKind, NewKey, Scope};
use crate::records::{Client, Page};
use crate::settings::{self, Settings, SettingsChange};
use crate::store::{Shared, Store};

/// Clients that are looked through at once for a name, and for how long further ones are.
const LOOKED_THROUGH: u32 = 2_000;
const LOOKED_FOR: Duration = Duration::from_millis(15);

/// A client to create.
#[derive(Debug, Clone)]
pub struct NewClient {
    /// Its name.
    pub name: ClientName,
    /// Where its leads go.
    pub lead_webhook_url: Option<WebhookUrl>,
}

/// A client just created.
#[derive(Debug, Clone)]
pub struct CreatedClient {
    /// The client.
    pub client: Client,
    /// Its settings.
    pub settings: Settings,
    /// The key for its lead form.
    pub publishable_key: CreatedKey,
}

impl Store {
    /// Creates a client, its publishable key and, with a URL, its Lead Webhook destination.
    pub async fn create_client(&self, new: NewClient, actor: &Actor) -> Result<CreatedClient, StoreError> {
        let transaction = self.connections().begin().await?;
        let created = create(&transaction, self.shared(), new, actor).await?;
        transaction.commit().await?;
        Ok(created)
    }

    /// As [`Store::create_client`], once for all requests with the same key. The answer holds a secret.
    pub async fn create_client_once(
        &self,
        new: NewClient,
        request: Option<&KeyedRequest>,
        answer: impl FnOnce(&CreatedClient) -> Answer,
        actor: &Actor,
    ) -> Result<Once<CreatedClient>, ChangeError> {
        let transaction = self.connections().begin().await?;
        let effect = Box::pin(async { Ok::<_, ChangeError>(create(&transaction, self.shared(), new, actor).await?) });
        let once = idempotency::once(&transaction, self.shared(), None, request, effect, answer).await?;
        transaction.commit().await?;
        Ok(once)
    }

    /// Reads a client.
    pub async fn client(&self, id: ClientId) -> Result<Option<Client>, StoreError> {
        let found = clients::Entity::find_by_id(id.as_uuid())
            .one(&self.connections().reader)
            .await?;
        Ok(found.map(client))
    }

    /// All clients.
    pub async fn clients(&self, page: Page) -> Result<Vec<Client>, StoreError> {
        let mut query = clients::Entity::find();
        if let Some(before) = page.before {
            query = query.filter(Column::Id.lt(before));
        }
        let query = query.order_by_desc(Column::Id).limit(u64::from(page.limit));
        Ok(query
            .all(&self.connections().reader)
            .await?
            .into_iter()
            .map(client)
            .collect())
    }

    /// Clients with this text in their names, whatever its case: at most `page.limit` of them, and the id that the next page is before. All
    /// clients may have to be looked through: what isn't found within a moment is on the next page.
    pub async fn clients_named(&self, text: &str, page: Page) -> Result<(Vec<Client>, Option<Uuid>), StoreError> {
        let (wanted, most) = (text.to_lowercase(), page.limit as usize);
        let (begun, mut before, mut found) = (Instant::now(), page.before, Vec::new());
        loop {
            let read = Page {
                limit: LOOKED_THROUGH,
                before,
            };
            let clients = self.clients(read).await?;
            let is_last = clients.len() < LOOKED_THROUGH as usize;
            before = clients.last().map(|client| client.id.as_uuid());
            for client in clients {
                if client.name.to_lowercase().contains(&wanted) {
                    if found.len() == most {
                        let next = found.last().map(|last: &Client| last.id.as_uuid());
                        return Ok((found, next));
                    }
                    found.push(client);
                }
            }
            if is_last || begun.elapsed() > LOOKED_FOR {
                return Ok((found, before.filter(|_| !is_last)));
            }
        }
    }

    /// Gives a client another name, for events captured from now on. `None` when there is no such client.
    pub async fn rename_client(
        &self,
        id: ClientId,
        name: ClientName,
        actor: &Actor,
    ) -> Result<Option<Client>, StoreError> {
        let now = self.now();
        let transaction = self.connections().begin().await?;
        let Some(mut row) = lock(&transaction, id).await? else {
            return Ok(None);
        };
        if row.name != name.as_str() {
            name.as_str().clone_into(&mut row.name);
            row.updated_at = now.as_millis();
            let change = clients::ActiveModel {
                id: ActiveValue::Unchanged(row.id),
                name: ActiveValue::Set(row.name.clone()),
                updated_at: ActiveValue::Set(row.updated_at),
                ..Default::default()
            };
            clients::Entity::update(change).exec(&transaction).await?;
            audit::log(&transaction, now, actor, "client.renamed", Some(id), id).await?;
            transaction.commit().await?;
        }
        Ok(Some(client(row)))
    }
}

async fn create(
    transaction: &DatabaseTransaction,
    shared: &Shared,
    new: NewClient,
    actor: &Actor,
) -> Result<CreatedClient, StoreError> {
    let now = shared.clock.now();
    let row = clients::Model {
        id: ClientId::new(now).as_uuid(),
        name: new.name.as_str().to_owned(),
        include_custom_fields: false,
        operational_events: false,
        allowed_origins: "[]".to_owned(),
        form: None,
        frame_ancestors: String::new(),
        created_at: now.as_millis(),
        updated_at: now.as_millis(),
    };
    let id = ClientId::from_uuid(row.id);
    clients::Entity::insert(row.clone().into_active_model())
        .exec_without_returning(transaction)
        .await?;
    audit::log(transaction, now, actor, "client.created", Some(id), id).await?;
    let change = SettingsChange {
        lead_webhook_url: Some(new.lead_webhook_url),
        ..SettingsChange::default()
    };
    let change = settings::apply(transaction, shared, &row, &change, actor, now).await?;
    let key = NewKey {
        kind: KeyKind::Publishable,
        scope: Scope::Client(id),
        name: "Lead form".to_owned(),
    };
    let publishable_key = keys::create(transaction, key, actor, now).await?;
    Ok(CreatedClient {
        client: client(row),
        settings: change.settings,
        publishable_key,
    })
}

/// Keeps a client and its destinations as they are until the transaction ends, as a capture does. False when there is no
/// such client.
pub(crate) async fn lock_shared(transaction: &DatabaseTransaction, id: ClientId) -> Result<bool, DbErr> {
    let found = clients::Entity::find_by_id(id.as_uuid())
        .lock_shared()
        .one(transaction)
        .await?;
    Ok(found.is_some())
}

/// Reads a client's row and keeps it from others until the transaction ends.
pub(crate) async fn lock(transaction: &DatabaseTransaction, id: ClientId) -> Result<Option<clients::Model>, DbErr> {
    clients::Entity::find_by_id(id.as_uuid())
        .lock_exclusive()
        .one(transaction)
        .await
}

/// Notes that a client's settings changed, for a change that was made elsewhere.
pub(crate) async fn touch(transaction: &DatabaseTransaction, id: ClientId, now: Timestamp) -> Result<(), DbErr> {
    let row = clients::ActiveModel {
        id: ActiveValue::Unchanged(id.as_uuid()),
        updated_at: ActiveValue::Set(now.as_millis()),
        ..Default::default()
    };
    clients::Entity::update(row).exec(transaction).await.map(drop)
}

pub(crate) fn client(row: clients::Model) -> Client {
    Client {
        id: ClientId::from_uuid(row.id),
        name: row.name,
        include_custom_fields: row.include_custom_fields,
        created_at: Timestamp::from_millis(row.created_at),
        updated_at: Timestamp::from_millis(row.updated_at),
    }
}
