//! What is done about destinations that fail: their owners are warned, they are disabled, their recovery is told.
//!
//! One transaction a destination, with the client's row locked first, as everybody does who changes a
//! destination. A process that dies before it leaves the fact behind, and the next look finds it.

use std::sync::Arc;

use sea_orm::{
    ActiveValue, ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, ModelTrait as _, QueryFilter, QueryOrder,
    QuerySelect, Select,
};
use sensei_domain::{
    ClientId, DestinationEvent, DestinationEventData, DestinationId, DestinationStatus, DisableReason, HealthChange,
    HealthStep, RetryPolicy, Timestamp,
};

use crate::audit::{self, Actor};
use crate::clients;
use crate::connection::in_time;
use crate::destinations::LEAD_WEBHOOK;
use crate::directory::Directory;
use crate::entities::destination_health::{ActiveModel, Column, Entity, Model};
use crate::entities::{clients as client_rows, destinations};
use crate::error::StoreError;
use crate::health::failing;
use crate::operational;
use crate::store::{Shared, Store};

/// Destinations that one look deals with; the next goes on.
const LOOKED_AT_ONCE: u64 = 100;

impl Store {
    /// Does what is due about destinations that fail. True when there may be more to do.
    pub async fn keep_health(&self) -> Result<bool, StoreError> {
        in_time(keep(self.shared())).await
    }
}

/// See [`Store::keep_health`].
pub(crate) async fn keep(shared: &Arc<Shared>) -> Result<bool, StoreError> {
    let due = due(shared.clock.now()).all(shared.connections.prompt()).await?;
    for row in &due {
        let (id, client) = (row.destination_id, ClientId::from_uuid(row.client_id));
        let transaction = shared.connections.begin().await?;
        let told = Box::pin(look(&transaction, shared, DestinationId::from_uuid(id), client)).await?;
        transaction.commit().await?;
        if let Some(told) = told {
            shared.changed([DestinationId::from_uuid(id)]);
            shared.left_behind(told);
        }
    }
    Ok(due.len() as u64 == LOOKED_AT_ONCE)
}

/// Those that something is to be done about.
pub(crate) fn due(now: Timestamp) -> Select<Entity> {
    Entity::find()
        .filter(Column::LookAt.lte(now.as_millis()))
        .order_by_asc(Column::LookAt)
        .limit(LOOKED_AT_ONCE)
}

/// For the writer of attempts, who doesn't wait: what fails here is done at the next look.
pub(crate) async fn keep_at_once(shared: &Arc<Shared>) {
    if let Err(error) = keep(shared).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "a destination's health could not be looked at; it will be"
        );
    }
}

/// Decides about one destination. Names those whom its news is bound for, if there is any.
async fn look(
    transaction: &DatabaseTransaction,
    shared: &Shared,
    id: DestinationId,
    client: ClientId,
) -> Result<Option<Vec<DestinationId>>, DbErr> {
    let now = shared.clock.now();
    let client = clients::lock(transaction, client).await?;
    // Read again under the lock: another process may have been here. Locked itself, since who records attempts locks no client.
    let row = Entity::find_by_id(id.as_uuid()).lock_exclusive();
    let Some(mut row) = row.one(transaction).await? else {
        return Ok(None);
    };
    if row.look_at.is_none_or(|at| at > now.as_millis()) {
        return Ok(None);
    }
    let (Some(client), Some(destination)) = (client, Directory::by_id(transaction, id).await?) else {
        row.delete(transaction).await?;
        return Ok(None);
    };
    // Said of what it was before it was changed, by an attempt that was under way: the next one tells whether it still is.
    row.is_gone &= row.gone_version.is_none_or(|version| version >= destination.version);
    let news = News {
        client: &client,
        destination: &destination,
        health: &row,
        now,
    };
    if row.recovered_at.is_some() {
        let told = news.tell(transaction, shared, HealthChange::Recovered, None, RECOVERED);
        let told = told.await?;
        row.delete(transaction).await?;
        return Ok(Some(told));
    }
    let mut change = ActiveModel {
        destination_id: ActiveValue::Unchanged(row.destination_id),
        is_gone: ActiveValue::Set(row.is_gone),
        look_at: ActiveValue::Set(None),
        ..Default::default()
    };
    let only_warns = destination.name == LEAD_WEBHOOK
        && serde_json::from_str::<RetryPolicy>(&destination.retry).is_ok_and(|retry| retry == RetryPolicy::None);
    let told = if destination.status == DestinationStatus::Active.name() {
        match failing(&row).next_step(only_warns, now) {
            HealthStep::Look { at } => {
                change.look_at = ActiveValue::Set(at.map(Timestamp::as_millis));
                None
            }
            HealthStep::Warn { disables_at } => {
                change.warned_at = ActiveValue::Set(Some(now.as_millis()));
                change.is_announced = ActiveValue::Set(true);
                change.look_at = ActiveValue::Set(disables_at.map(Timestamp::as_millis));
                let reason = if row.is_gone { GONE } else { FAILING };
                Some(
                    news.tell(transaction, shared, HealthChange::Warned, disables_at, reason)
                        .await?,
                )
            }
            HealthStep::Disable(reason) => {
                change.is_announced = ActiveValue::Set(true);
                let reason = match reason {
                    DisableReason::Gone => GONE,
                    DisableReason::Failing => FAILING,
                };
                disable(transaction, &destination, reason, now).await?;
                Some(
                    news.tell(transaction, shared, HealthChange::Disabled, None, reason)
                        .await?,
                )
            }
        }
    } else {
        // Nothing is sent: it is looked at again when it was resumed and fails.
        None
    };
    Entity::update(change).exec(transaction).await?;
    Ok(told)
}

const GONE: &str = "the receiver says that it is gone (410)";
const FAILING: &str = "every attempt has failed for days";
const RECOVERED: &str = "an attempt has succeeded";

async fn disable(
    transaction: &DatabaseTransaction,
    destination: &destinations::Model,
    reason: &str,
    now: Timestamp,
) -> Result<(), DbErr> {
    let change = destinations::ActiveModel {
        id: ActiveValue::Unchanged(destination.id),
        status: ActiveValue::Set(DestinationStatus::Disabled.name().to_owned()),
        status_reason: ActiveValue::Set(Some(reason.to_owned())),
        status_since: ActiveValue::Set(now.as_millis()),
        version: ActiveValue::Set(destination.version + 1),
        updated_at: ActiveValue::Set(now.as_millis()),
        ..Default::default()
    };
    destinations::Entity::update(change).exec(transaction).await?;
    let client = ClientId::from_uuid(destination.client_id);
    let action = "destination.disabled";
    audit::log(transaction, now, &Actor::System, action, Some(client), destination.id).await
}

/// What there is to tell about a destination.
struct News<'a> {
    client: &'a client_rows::Model,
    destination: &'a destinations::Model,
    health: &'a Model,
    now: Timestamp,
}

impl News<'_> {
    async fn tell(
        &self,
        transaction: &DatabaseTransaction,
        shared: &Shared,
        change: HealthChange,
        disables_at: Option<Timestamp>,
        reason: &str,
    ) -> Result<Vec<DestinationId>, DbErr> {
        let failing = failing(self.health);
        let event = DestinationEvent {
            event: change.name().into(),
            timestamp: self.now,
            data: DestinationEventData {
                client_id: ClientId::from_uuid(self.client.id),
                client_name: (&*self.client.name).into(),
                destination_id: DestinationId::from_uuid(self.destination.id),
                destination_name: (&*self.destination.name).into(),
                kind: (&*self.destination.kind).into(),
                reason: reason.into(),
                failing_since: failing.since,
                failed_attempts: failing.attempts,
                last_error: self.health.last_error.as_deref().map(Into::into),
                disables_at,
            },
        };
        operational::announce(transaction, &shared.directory, change, &event.to_bytes(), self.now).await
    }
}
