//! A client's settings: the Lead Webhook URL and what its webhooks carry.
//!
//! The URL is a destination: set, it is made; changed, it keeps its identity and signing secret under
//! a new version; emptied, it is deleted and what was bound for it is cancelled; a URL after that is a
//! new destination. Saving what is there already changes nothing.

use sea_orm::{ActiveValue, DatabaseTransaction, EntityTrait};
use sensei_domain::{ClientId, DestinationId, LeadForm, Timestamp, WebOrigin, WebhookUrl};

use crate::audit::{self, Actor};
use crate::clients;
use crate::destinations;
use crate::entities::clients::{ActiveModel, Entity, Model};
use crate::error::StoreError;
use crate::store::{Shared, Store};

/// A client's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whose.
    pub client_id: ClientId,
    /// Where its leads go.
    pub lead_webhook_url: Option<WebhookUrl>,
    /// The destination behind that URL.
    pub destination_id: Option<DestinationId>,
    /// Whether webhooks carry the lead's custom fields.
    pub include_custom_fields: bool,
    /// Whether its destinations also hear of their own troubles.
    pub operational_events: bool,
    /// Where web pages may come from that capture its leads; none: anywhere.
    pub allowed_origins: Vec<WebOrigin>,
    /// Its lead form.
    pub form: LeadForm,
    /// Whose pages may embed its own view of the console.
    pub frame_ancestors: Vec<WebOrigin>,
    /// When the client last changed.
    pub updated_at: Timestamp,
}

/// What to change; `None` leaves a setting as it is.
#[derive(Debug, Clone, Default)]
pub struct SettingsChange {
    /// Another URL, or `Some(None)` to have none.
    pub lead_webhook_url: Option<Option<WebhookUrl>>,
    /// Whether webhooks carry the lead's custom fields.
    pub include_custom_fields: Option<bool>,
    /// Whether its destinations also hear of their own troubles.
    pub operational_events: Option<bool>,
    /// Where web pages may come from that capture its leads.
    pub allowed_origins: Option<Vec<WebOrigin>>,
    /// Another lead form.
    pub form: Option<LeadForm>,
    /// Whose pages may embed its own view of the console.
    pub frame_ancestors: Option<Vec<WebOrigin>>,
}

/// What anybody may know of a client: its lead form, and where that may stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicForm {
    /// Where web pages may come from; none: anywhere.
    pub allowed_origins: Vec<WebOrigin>,
    /// The form.
    pub form: LeadForm,
}

/// What became of a change.
pub(crate) struct Applied {
    pub(crate) settings: Settings,
    /// A destination that was there before and isn't the same now.
    pub(crate) changed: Option<DestinationId>,
}

impl Store {
    /// Reads a client's settings.
    pub async fn settings(&self, client: ClientId) -> Result<Option<Settings>, StoreError> {
        let reader = &self.connections().reader;
        let Some(row) = Entity::find_by_id(client.as_uuid()).one(reader).await? else {
            return Ok(None);
        };
        let webhook = destinations::lead_webhook(reader, client).await?;
        let webhook = webhook.as_ref().map(behind).transpose()?;
        Ok(Some(settings(&row, webhook)?))
    }

    /// Reads a client's lead form, for which visitors wait. `None` when there is no such client.
    pub async fn public_form(&self, client: ClientId) -> Result<Option<PublicForm>, StoreError> {
        let row = Entity::find_by_id(client.as_uuid())
            .one(self.connections().prompt())
            .await?;
        row.as_ref().map(public_form).transpose()
    }

    /// Whose pages may embed a client's own view of the console; nobody's when there is no such client.
    pub async fn frame_ancestors(&self, client: ClientId) -> Result<Vec<WebOrigin>, StoreError> {
        let row = Entity::find_by_id(client.as_uuid())
            .one(&self.connections().reader)
            .await?;
        Ok(row.map(|row| origins(&row.frame_ancestors)).unwrap_or_default())
    }

    /// Changes a client's settings, for what is captured or attempted from now on. `None` when there
    /// is no such client.
    pub async fn change_settings(
        &self,
        client: ClientId,
        change: SettingsChange,
        actor: &Actor,
    ) -> Result<Option<Settings>, StoreError> {
        let transaction = self.connections().begin().await?;
        let Some(row) = clients::lock(&transaction, client).await? else {
            return Ok(None);
        };
        let applied = apply(&transaction, self.shared(), &row, &change, actor, self.now()).await?;
        transaction.commit().await?;
        self.shared().changed(applied.changed);
        match applied.changed {
            Some(deleted) if applied.settings.destination_id.is_none() => self.cancel_all_for(deleted).await,
            Some(elsewhere) => self.shared().receiver_changed(elsewhere),
            None => {}
        }
        Ok(Some(applied.settings))
    }
}

/// Applies a change to a client whose row is locked.
pub(crate) async fn apply(
    transaction: &DatabaseTransaction,
    shared: &Shared,
    client: &Model,
    change: &SettingsChange,
    actor: &Actor,
    now: Timestamp,
) -> Result<Applied, StoreError> {
    let id = ClientId::from_uuid(client.id);
    let webhook = destinations::lead_webhook(transaction, id).await?;
    let before = webhook.as_ref().map(behind).transpose()?;
    let mut changed = None;
    let after = match (&webhook, change.lead_webhook_url.as_ref()) {
        (_, None) | (None, Some(None)) => before.clone(),
        (None, Some(Some(url))) => {
            let keys = shared.directory.master_keys();
            let destination = destinations::create_lead_webhook(transaction, keys, id, url, now).await?;
            audit::log(transaction, now, actor, "destination.created", Some(id), destination).await?;
            Some((destination, url.clone()))
        }
        (Some(row), Some(None)) => {
            destinations::delete(transaction, row, now).await?;
            changed = before.as_ref().map(|(id, _)| *id);
            audit::log(transaction, now, actor, "destination.deleted", Some(id), row.id).await?;
            None
        }
        (Some(row), Some(Some(url))) => {
            if before.as_ref().is_some_and(|(_, before)| before != url) {
                destinations::change_url(transaction, row, url, now).await?;
                changed = before.as_ref().map(|(id, _)| *id);
                audit::log(transaction, now, actor, "destination.changed", Some(id), row.id).await?;
            }
            before.clone().map(|(id, _)| (id, url.clone()))
        }
    };
    let mut wanted = client.clone();
    wanted.include_custom_fields = change.include_custom_fields.unwrap_or(client.include_custom_fields);
    wanted.operational_events = change.operational_events.unwrap_or(client.operational_events);
    if let Some(origins) = &change.allowed_origins {
        wanted.allowed_origins = serde_json::to_string(origins).expect("texts become JSON");
    }
    if let Some(form) = &change.form {
        // The default isn't kept, so that it may become better.
        let is_own = *form != LeadForm::default();
        wanted.form = is_own.then(|| serde_json::to_string(form).expect("texts become JSON"));
    }
    if let Some(ancestors) = &change.frame_ancestors {
        let ancestors = ancestors.iter().map(WebOrigin::as_str);
        wanted.frame_ancestors = ancestors.collect::<Vec<_>>().join(" ");
    }
    let is_other = wanted != *client;
    if is_other || after != before {
        wanted.updated_at = now.as_millis();
        let row = ActiveModel {
            id: ActiveValue::Unchanged(client.id),
            include_custom_fields: ActiveValue::Set(wanted.include_custom_fields),
            operational_events: ActiveValue::Set(wanted.operational_events),
            allowed_origins: ActiveValue::Set(wanted.allowed_origins.clone()),
            form: ActiveValue::Set(wanted.form.clone()),
            frame_ancestors: ActiveValue::Set(wanted.frame_ancestors.clone()),
            updated_at: ActiveValue::Set(wanted.updated_at),
            ..Default::default()
        };
        Entity::update(row).exec(transaction).await?;
    }
    if is_other {
        audit::log(transaction, now, actor, "settings.changed", Some(id), id).await?;
    }
    Ok(Applied {
        settings: settings(&wanted, after)?,
        changed,
    })
}

fn settings(client: &Model, webhook: Option<(DestinationId, WebhookUrl)>) -> Result<Settings, StoreError> {
    let (destination_id, lead_webhook_url) = webhook.unzip();
    let PublicForm { allowed_origins, form } = public_form(client)?;
    Ok(Settings {
        client_id: ClientId::from_uuid(client.id),
        lead_webhook_url,
        destination_id,
        include_custom_fields: client.include_custom_fields,
        operational_events: client.operational_events,
        allowed_origins,
        form,
        frame_ancestors: origins(&client.frame_ancestors),
        updated_at: Timestamp::from_millis(client.updated_at),
    })
}

fn public_form(client: &Model) -> Result<PublicForm, StoreError> {
    let texts = serde_json::from_str::<Vec<String>>(&client.allowed_origins).ok();
    let origins = texts.and_then(|texts| texts.iter().map(|text| text.parse().ok()).collect());
    let form = client.form.as_ref().map(|form| {
        let form = serde_json::from_str(form).ok()?;
        LeadForm::from_json_at(&form, "").ok()
    });
    Ok(PublicForm {
        allowed_origins: origins.ok_or(StoreError::Unreadable {
            what: "allowed origins",
        })?,
        form: form
            .unwrap_or_else(|| Some(LeadForm::default()))
            .ok_or(StoreError::Unreadable { what: "lead form" })?,
    })
}

/// As they were joined; only what was parsed before is ever written.
fn origins(joined: &str) -> Vec<WebOrigin> {
    let origins = joined.split_ascii_whitespace();
    origins.filter_map(|origin| origin.parse().ok()).collect()
}

/// The destination and its URL, as a row has them.
fn behind(row: &crate::entities::destinations::Model) -> Result<(DestinationId, WebhookUrl), StoreError> {
    let config = serde_json::from_str::<serde_json::Value>(&row.config).ok();
    let url = config
        .as_ref()
        .and_then(|config| config.get("url")?.as_str()?.parse().ok());
    Ok((
        DestinationId::from_uuid(row.id),
        url.ok_or(StoreError::Unreadable { what: "webhook URL" })?,
    ))
}
