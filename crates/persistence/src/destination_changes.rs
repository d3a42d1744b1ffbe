//! Destinations that clients make, change and delete by themselves.
//!
//! The Lead Webhook's may be changed here too, but for its name, by which it is found; its URL stays in step with
//! the settings, which read it here. Changes of one client come one after another: its row is locked first. Saving
//! what is there already changes nothing.

use std::sync::{Arc, PoisonError};

use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter};
use sensei_domain::{
    ClientId, DestinationId, DestinationName, DestinationStatus, Filter, RateLimit, RetryPolicy, Timestamp,
};
use serde_json::Value;

use crate::audit::{self, Actor};
use crate::clients;
use crate::destination_config::DestinationConfig;
use crate::destinations::{self, LEAD_WEBHOOK, written};
use crate::directory::Directory;
use crate::entities::destinations::{Column, Entity, Model};
use crate::error::{ChangeError, StoreError};
use crate::health;
use crate::idempotency::{self, Answer, KeyedRequest, Once};
use crate::master_keys::MasterKeys;
use crate::records::Destination;
use crate::store::Store;

/// Destinations of a client: each lead is a delivery for each of them.
pub(crate) const MOST_DESTINATIONS: u64 = 100;

/// A destination to make. Its kind has accepted its config.
#[derive(Debug, Clone)]
pub struct NewDestination {
    /// The kind's name.
    pub kind: String,
    /// Its name, unique among the client's.
    pub name: DestinationName,
    /// The kind's own settings.
    pub config: DestinationConfig,
    /// Templates for the kind's slots, which it has accepted.
    pub template: Option<Value>,
    /// What follows a failed attempt.
    pub retry: RetryPolicy,
    /// How fast attempts may follow each other.
    pub rate_limit: Option<RateLimit>,
    /// Whether deliveries go one at a time, in the order of their capture.
    pub ordered: bool,
    /// Which leads it gets; `None`: all of them.
    pub filter: Option<Filter>,
}

/// What to change; `None` leaves a thing as it is.
#[derive(Debug, Clone, Default)]
pub struct DestinationChange {
    /// Another name.
    pub name: Option<DestinationName>,
    /// Other settings of the kind, all of them. The kind has accepted them.
    pub config: Option<DestinationConfig>,
    /// Places of secrets of that config that shall be what they are when it is written, whoever has changed them meanwhile.
    pub kept_secrets: Vec<String>,
    /// The version of the destination for which it was judged that they may stay.
    pub judged: Option<i64>,
    /// Other templates, all of them, or `Some(None)` to have none.
    pub template: Option<Option<Value>>,
    /// What follows a failed attempt.
    pub retry: Option<RetryPolicy>,
    /// Another rate limit, or `Some(None)` to have none.
    pub rate_limit: Option<Option<RateLimit>>,
    /// Whether deliveries go one at a time.
    pub ordered: Option<bool>,
    /// Another filter, or `Some(None)` to have none.
    pub filter: Option<Option<Filter>>,
    /// `true` holds events back; `false` sends them again, whoever had stopped that.
    pub is_paused: Option<bool>,
}

impl Store {
    /// Makes a destination, for what is captured from now on.
    pub async fn create_destination(
        &self,
        client: ClientId,
        new: &NewDestination,
        request: Option<&KeyedRequest>,
        answer: impl FnOnce(&Destination) -> Answer,
        actor: &Actor,
    ) -> Result<Once<Destination>, ChangeError> {
        let directory = &self.shared().directory;
        let transaction = self.connections().begin().await?;
        let effect = Box::pin(async {
            let locked = clients::lock(&transaction, client).await?;
            locked.ok_or(ChangeError::UnknownClient)?;
            // Captures that were before us are of an earlier time.
            let now = self.now();
            if new.name.as_str().eq_ignore_ascii_case(LEAD_WEBHOOK) {
                return Err(ChangeError::NameReserved);
            }
            refuse_taken(&transaction, client, &new.name).await?;
            refuse_too_many(&transaction, client).await?;
            let row = destinations::create(&transaction, directory.master_keys(), client, new, now).await?;
            audit::log(&transaction, now, actor, "destination.created", Some(client), row.id).await?;
            Ok(directory.uncommitted(row)?)
        });
        let once = idempotency::once(&transaction, self.shared(), Some(client), request, effect, answer).await?;
        transaction.commit().await?;
        Ok(once)
    }

    /// Changes a destination, for what is attempted from now on.
    pub async fn change_destination(
        &self,
        client: ClientId,
        id: DestinationId,
        change: &DestinationChange,
        actor: &Actor,
    ) -> Result<Arc<Destination>, ChangeError> {
        let now = self.now();
        let transaction = self.connections().begin().await?;
        let row = locked(&transaction, client, id).await?;
        let wanted = applied(self.shared().directory.master_keys(), &row, change, now)?;
        if wanted == row {
            return Ok(self.shared().directory.destination(row)?);
        }
        if let Some(name) = change.name.as_ref().filter(|name| name.as_str() != row.name) {
            refuse_taken(&transaction, client, name).await?;
        }
        if row.name == LEAD_WEBHOOK && row.config != wanted.config {
            clients::touch(&transaction, client, now).await?;
        }
        let is_resumed = row.status != wanted.status && wanted.status == DestinationStatus::Active.name();
        // What failed with another config says nothing of this one. Of one that is stopped it says since when there is something to send again.
        let is_mended = row.config != wanted.config;
        if is_resumed || is_mended && row.status == DestinationStatus::Active.name() {
            health::resumed(&transaction, row.id).await?;
        }
        let written = destinations::write(&transaction, wanted, now).await?;
        let action = action(&row, &written);
        audit::log(&transaction, now, actor, action, Some(client), id).await?;
        transaction.commit().await?;
        if is_resumed {
            let mut resumed = self.shared().resumed.lock().unwrap_or_else(PoisonError::into_inner);
            resumed.insert(id);
            drop(resumed);
            // What is held goes before what comes from now on.
            self.shared().left_behind([id]);
        }
        self.shared().changed([id]);
        if is_mended {
            self.shared().receiver_changed(id);
        } else if is_resumed {
            self.shared().may_be_back(id);
        }
        Ok(self.shared().directory.destination(written)?)
    }

    /// Deletes a destination and cancels what was bound for it; of the Lead Webhook, empties the URL. False when
    /// there is none.
    pub async fn delete_destination(
        &self,
        client: ClientId,
        id: DestinationId,
        actor: &Actor,
    ) -> Result<bool, StoreError> {
        let now = self.now();
        let transaction = self.connections().begin().await?;
        let row = match locked(&transaction, client, id).await {
            Ok(row) => row,
            Err(ChangeError::Store(error)) => return Err(error),
            Err(_) => return Ok(false),
        };
        destinations::delete(&transaction, &row, now).await?;
        if row.name == LEAD_WEBHOOK {
            clients::touch(&transaction, client, now).await?;
        }
        audit::log(&transaction, now, actor, "destination.deleted", Some(client), id).await?;
        transaction.commit().await?;
        self.shared().changed([id]);
        self.cancel_all_for(id).await;
        Ok(true)
    }
}

/// Locks a client and reads one of its living destinations.
pub(crate) async fn locked(
    transaction: &DatabaseTransaction,
    client: ClientId,
    id: DestinationId,
) -> Result<Model, ChangeError> {
    let locked = clients::lock(transaction, client).await?;
    locked.ok_or(ChangeError::UnknownDestination)?;
    let row = Directory::by_id(transaction, id).await?;
    row.filter(|row| row.client_id == client.as_uuid())
        .ok_or(ChangeError::UnknownDestination)
}

/// The row as it is wanted; equal to what it was when nothing changes.
fn applied(
    master_keys: &MasterKeys,
    row: &Model,
    change: &DestinationChange,
    now: Timestamp,
) -> Result<Model, ChangeError> {
    let mut wanted = row.clone();
    if !change.kept_secrets.is_empty() && change.judged.is_some_and(|version| version != row.version) {
        return Err(ChangeError::ChangedMeanwhile);
    }
    if let Some(name) = change.name.as_ref().filter(|name| name.as_str() != row.name) {
        if row.name == LEAD_WEBHOOK {
            return Err(ChangeError::NameFixed);
        }
        if [row.name.as_str(), name.as_str()]
            .into_iter()
            .any(DestinationName::is_hooks)
        {
            return Err(ChangeError::HooksName);
        }
        if name.as_str().eq_ignore_ascii_case(LEAD_WEBHOOK) {
            return Err(ChangeError::NameReserved);
        }
        name.as_str().clone_into(&mut wanted.name);
    }
    // Compared as values: what is sealed is another text each time.
    if let Some(config) = &change.config {
        let current = DestinationConfig::unsealed(master_keys, row.id, &row.config).ok();
        let config = match &current {
            Some(current) => config.clone().keeping(&change.kept_secrets, current),
            None => config.clone(),
        };
        if current.as_ref() != Some(&config) {
            wanted.config = config.sealed(master_keys, row.id);
        }
    }
    if let Some(template) = &change.template {
        wanted.template = template.as_ref().map(written).transpose()?;
    }
    if let Some(retry) = &change.retry {
        wanted.retry = written(retry)?;
    }
    if let Some(limit) = &change.rate_limit {
        wanted.rate_limit = limit.as_ref().map(written).transpose()?;
    }
    if let Some(filter) = &change.filter {
        wanted.filter = filter.as_ref().map(written).transpose()?;
    }
    wanted.ordered = change.ordered.unwrap_or(row.ordered);
    if let Some(is_paused) = change.is_paused {
        let status = if is_paused {
            DestinationStatus::Paused
        } else {
            DestinationStatus::Active
        };
        if row.status != status.name() {
            status.name().clone_into(&mut wanted.status);
            (wanted.status_reason, wanted.status_since) = (None, now.as_millis());
        }
    }
    Ok(wanted)
}

fn action(before: &Model, after: &Model) -> &'static str {
    match (before.status == after.status, &*after.status) {
        (false, "paused") => "destination.paused",
        (false, "active") => "destination.resumed",
        _ => "destination.changed",
    }
}

async fn refuse_taken(
    transaction: &DatabaseTransaction,
    client: ClientId,
    name: &DestinationName,
) -> Result<(), ChangeError> {
    let namesakes = Entity::find()
        .filter(Column::ClientId.eq(client.as_uuid()))
        .filter(Column::Name.eq(name.as_str()))
        .filter(Column::DeletedAt.is_null());
    let is_taken = namesakes.count(transaction).await? > 0;
    if is_taken { Err(ChangeError::NameTaken) } else { Ok(()) }
}

async fn refuse_too_many(transaction: &DatabaseTransaction, client: ClientId) -> Result<(), ChangeError> {
    let living = Entity::find()
        .filter(Column::ClientId.eq(client.as_uuid()))
        .filter(Column::Name.ne(LEAD_WEBHOOK))
        .filter(Column::DeletedAt.is_null());
    if living.count(transaction).await? >= MOST_DESTINATIONS {
        return Err(ChangeError::TooManyDestinations);
    }
    Ok(())
}
