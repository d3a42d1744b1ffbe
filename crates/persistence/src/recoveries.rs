//! Recoveries as they are asked for, looked at and cancelled.
//!
//! A recovery is a row with what is to be done and how far it has come; doing it is left to `advance`. There is one at a
//! time of a kind and a destination: whoever asks twice is told of the first.

use sea_orm::{
    ActiveValue, ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
};
use sensei_domain::{
    ClientId, DeliveryState, DestinationId, DestinationStatus, RecoveryId, RecoveryKind, RecoveryState, Timestamp,
};
use uuid::Uuid;

use crate::audit::{self, Actor};
use crate::clients;
use crate::deliveries;
use crate::entities::destinations;
use crate::entities::recoveries::{ActiveModel, Column, Entity, Model};
use crate::error::StoreError;
use crate::idempotency::{self, Answer, KeyReused, KeyedRequest, Once};
use crate::records::{Page, Recovery, RecoveryCriteria};
use crate::recovery_rows::{Walk, read_criteria, recovery, write_criteria, write_walks};
use crate::redeliver::{self, NotRedelivered};
use crate::store::Store;

/// A recovery to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewRecovery {
    /// Redelivers what is in a state.
    Redeliver {
        /// `Failed` or `Succeeded`.
        state: DeliveryState,
        /// To this destination only; `None`: to any.
        destination_id: Option<DestinationId>,
        /// Made then or later.
        since: Option<Timestamp>,
        /// Made before then.
        until: Option<Timestamp>,
        /// Ended then or later.
        completed_since: Option<Timestamp>,
    },
    /// Sends a destination the leads that were captured before it existed.
    Replay {
        /// Which one.
        destination_id: DestinationId,
        /// Captured then or later.
        since: Option<Timestamp>,
        /// Captured before then.
        until: Option<Timestamp>,
    },
    /// Cancels what is held for a destination.
    Discard {
        /// Which one.
        destination_id: DestinationId,
    },
}

/// Why a recovery wasn't started or cancelled. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// There is no such client.
    #[error("there is no such client")]
    UnknownClient,
    /// There is no such destination, or it was deleted.
    #[error("there is no such destination")]
    UnknownDestination,
    /// The destination takes nothing now.
    #[error("the destination is {}: resume it first", .0.name())]
    Inactive(DestinationStatus),
    /// Another of its kind is at work there.
    #[error("recovery {0} does the same and is still running")]
    Running(RecoveryId),
    /// There is no such recovery.
    #[error("there is no such recovery")]
    Unknown,
    /// It has ended already.
    #[error("the recovery has ended: it is {}", .0.name())]
    Ended(RecoveryState),
    /// The idempotency key came with another request before.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for RecoveryError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

impl NewRecovery {
    const fn kind(&self) -> RecoveryKind {
        match self {
            Self::Redeliver { .. } => RecoveryKind::Redeliver,
            Self::Replay { .. } => RecoveryKind::Replay,
            Self::Discard { .. } => RecoveryKind::Discard,
        }
    }

    const fn criteria(&self) -> RecoveryCriteria {
        match *self {
            Self::Redeliver {
                state,
                destination_id,
                since,
                until,
                completed_since,
            } => RecoveryCriteria {
                state: Some(state),
                destination_id,
                since,
                until,
                completed_since,
            },
            Self::Replay {
                destination_id,
                since,
                until,
            } => RecoveryCriteria {
                state: None,
                destination_id: Some(destination_id),
                since,
                until,
                completed_since: None,
            },
            Self::Discard { destination_id } => RecoveryCriteria {
                state: None,
                destination_id: Some(destination_id),
                since: None,
                until: None,
                completed_since: None,
            },
        }
    }
}

impl Store {
    /// Starts work on many deliveries, which goes on in the background.
    pub async fn start_recovery(
        &self,
        client: ClientId,
        new: NewRecovery,
        actor: &Actor,
    ) -> Result<Recovery, RecoveryError> {
        let once = self
            .start_recovery_once(client, new, None, |_| Answer::NONE, actor)
            .await?;
        Ok(once.unkeyed())
    }

    /// As [`Store::start_recovery`], once for all requests with the same key.
    pub async fn start_recovery_once(
        &self,
        client: ClientId,
        new: NewRecovery,
        request: Option<&KeyedRequest>,
        answer: impl FnOnce(&Recovery) -> Answer,
        actor: &Actor,
    ) -> Result<Once<Recovery>, RecoveryError> {
        let transaction = self.connections().begin().await?;
        let effect = Box::pin(async {
            if clients::lock(&transaction, client).await?.is_none() {
                return Err(RecoveryError::UnknownClient);
            }
            start(&transaction, client, new, actor, self.now()).await
        });
        let once = idempotency::once(&transaction, self.shared(), Some(client), request, effect, answer).await?;
        transaction.commit().await?;
        Ok(once)
    }

    /// Reads a recovery.
    pub async fn recovery(&self, client: ClientId, id: RecoveryId) -> Result<Option<Recovery>, StoreError> {
        let query = Entity::find_by_id(id.as_uuid()).filter(Column::ClientId.eq(client.as_uuid()));
        query.one(&self.connections().reader).await?.map(recovery).transpose()
    }

    /// A client's recoveries.
    pub async fn recoveries(&self, client: ClientId, page: Page) -> Result<Vec<Recovery>, StoreError> {
        let mut query = Entity::find().filter(Column::ClientId.eq(client.as_uuid()));
        if let Some(before) = page.before {
            query = query.filter(Column::Id.lt(before));
        }
        let query = query.order_by_desc(Column::Id).limit(u64::from(page.limit));
        let rows = query.all(&self.connections().reader).await?;
        rows.into_iter().map(recovery).collect()
    }

    /// Ends a recovery before its end. What it has done stays done.
    pub async fn cancel_recovery(
        &self,
        client: ClientId,
        id: RecoveryId,
        actor: &Actor,
    ) -> Result<Recovery, RecoveryError> {
        let once = self
            .cancel_recovery_once(client, id, None, |_| Answer::NONE, actor)
            .await?;
        Ok(once.unkeyed())
    }

    /// As [`Store::cancel_recovery`], once for all requests with the same key.
    pub async fn cancel_recovery_once(
        &self,
        client: ClientId,
        id: RecoveryId,
        request: Option<&KeyedRequest>,
        answer: impl FnOnce(&Recovery) -> Answer,
        actor: &Actor,
    ) -> Result<Once<Recovery>, RecoveryError> {
        let transaction = self.connections().begin().await?;
        if !clients::lock_shared(&transaction, client).await? {
            return Err(RecoveryError::Unknown);
        }
        let effect = Box::pin(cancel(&transaction, client, id, actor, self.now()));
        let once = idempotency::once(&transaction, self.shared(), Some(client), request, effect, answer).await?;
        transaction.commit().await?;
        Ok(once)
    }
}

async fn start(
    transaction: &DatabaseTransaction,
    client: ClientId,
    new: NewRecovery,
    actor: &Actor,
    now: Timestamp,
) -> Result<Recovery, RecoveryError> {
    let (kind, criteria) = (new.kind(), new.criteria());
    let destinations = destinations_of(transaction, client, kind, &criteria).await?;
    if let Some(running) = running_like(transaction, client, kind, &criteria).await? {
        return Err(RecoveryError::Running(running));
    }
    let after = criteria.since.map_or(Uuid::nil(), deliveries::first_id_since);
    let walks = destinations.into_iter().map(|destination| Walk {
        destination,
        after,
        found: false,
    });
    let id = RecoveryId::new(now);
    let row = Model {
        id: id.as_uuid(),
        client_id: client.as_uuid(),
        kind: kind.name().to_owned(),
        state: RecoveryState::Running.name().to_owned(),
        criteria: write_criteria(&criteria),
        positions: write_walks(walks),
        done: 0,
        skipped: 0,
        error: None,
        created_at: now.as_millis(),
        updated_at: now.as_millis(),
        finished_at: None,
    };
    Entity::insert(row.clone().into_active_model())
        .exec_without_returning(transaction)
        .await?;
    audit::log(transaction, now, actor, "recovery.started", Some(client), id).await?;
    Ok(recovery(row)?)
}

async fn cancel(
    transaction: &DatabaseTransaction,
    client: ClientId,
    id: RecoveryId,
    actor: &Actor,
    now: Timestamp,
) -> Result<Recovery, RecoveryError> {
    let found = Entity::find_by_id(id.as_uuid())
        .filter(Column::ClientId.eq(client.as_uuid()))
        .lock_exclusive()
        .one(transaction)
        .await?;
    let before = recovery(found.ok_or(RecoveryError::Unknown)?)?;
    if before.state != RecoveryState::Running {
        return Err(RecoveryError::Ended(before.state));
    }
    end(transaction, id, RecoveryState::Cancelled, None, now).await?;
    audit::log(transaction, now, actor, "recovery.cancelled", Some(client), id).await?;
    Ok(Recovery {
        state: RecoveryState::Cancelled,
        updated_at: now,
        finished_at: Some(now),
        ..before
    })
}

/// Ends a recovery whose row is locked.
pub(crate) async fn end(
    transaction: &DatabaseTransaction,
    id: RecoveryId,
    state: RecoveryState,
    error: Option<&str>,
    now: Timestamp,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: ActiveValue::Unchanged(id.as_uuid()),
        state: ActiveValue::Set(state.name().to_owned()),
        error: ActiveValue::Set(error.map(str::to_owned)),
        updated_at: ActiveValue::Set(now.as_millis()),
        finished_at: ActiveValue::Set(Some(now.as_millis())),
        ..Default::default()
    };
    Entity::update(row).exec(transaction).await.map(drop)
}

/// Which destinations a recovery goes over. Of a client's deleted ones too: what failed there is counted as skipped.
async fn destinations_of(
    transaction: &DatabaseTransaction,
    client: ClientId,
    kind: RecoveryKind,
    criteria: &RecoveryCriteria,
) -> Result<Vec<Uuid>, RecoveryError> {
    let all = destinations::Entity::find().filter(destinations::Column::ClientId.eq(client.as_uuid()));
    let Some(id) = criteria.destination_id else {
        let all = all.order_by_asc(destinations::Column::Id).all(transaction).await?;
        return Ok(all.into_iter().map(|row| row.id).collect());
    };
    let found = all
        .filter(destinations::Column::Id.eq(id.as_uuid()))
        .filter(destinations::Column::DeletedAt.is_null())
        .one(transaction)
        .await?;
    let row = found.ok_or(RecoveryError::UnknownDestination)?;
    // A replay's deliveries can be held, and a discard is for those that are.
    if kind == RecoveryKind::Redeliver
        && let Err(NotRedelivered::Inactive(status)) = redeliver::active(Some(&row))
    {
        return Err(RecoveryError::Inactive(status));
    }
    Ok(vec![row.id])
}

/// A recovery of the same kind that is at work on the same destination, or on all.
async fn running_like(
    transaction: &DatabaseTransaction,
    client: ClientId,
    kind: RecoveryKind,
    criteria: &RecoveryCriteria,
) -> Result<Option<RecoveryId>, RecoveryError> {
    let running = Entity::find()
        .filter(Column::ClientId.eq(client.as_uuid()))
        .filter(Column::Kind.eq(kind.name()))
        .filter(sea_orm::sea_query::Expr::cust("state = 'running'"))
        .all(transaction)
        .await?;
    for row in running {
        if read_criteria(&row.criteria)?.destination_id == criteria.destination_id {
            return Ok(Some(RecoveryId::from_uuid(row.id)));
        }
    }
    Ok(None)
}
