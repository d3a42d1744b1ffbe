//! Sending a delivery again because somebody asks for it.
//!
//! Promises one attempt outside the schedule. `prior_state` and `prior_due_at` keep where the delivery was, and while
//! they do it is being redelivered, however often a crash or our own trouble makes the attempt begin anew. Once it is
//! delivered it has succeeded; whatever else comes of it, it goes back to where it was (`record`): a success stays one,
//! and the retries that were left are left.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QuerySelect,
    Statement,
};
use sensei_domain::{ClientId, DeliveryId, DeliveryState, DestinationStatus, Timestamp};
use uuid::Uuid;

use crate::audit::{self, Actor};
use crate::clients;
use crate::deliveries;
use crate::entities::deliveries::{Column, Entity, Model};
use crate::entities::{destinations, events};
use crate::error::StoreError;
use crate::idempotency::{self, Answer, KeyReused, KeyedRequest, Once};
use crate::live::Outcome;
use crate::multi_row::{Sql, chunks};
use crate::records::Delivery;
use crate::store::Store;
use crate::test_sends;

/// Why a delivery isn't redelivered. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RedeliverError {
    /// There is no such delivery.
    #[error("there is no such delivery")]
    Unknown,
    /// It can't be, as things are.
    #[error(transparent)]
    Refused(#[from] NotRedelivered),
    /// The idempotency key came with another request before.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for RedeliverError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// Why a delivery can't be redelivered as things are. The texts are for whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRedelivered {
    /// It is leased.
    #[error("an attempt of this delivery is under way: see first what comes of it")]
    UnderWay,
    /// Somebody has asked before.
    #[error("this delivery is being redelivered already")]
    Redelivering,
    /// It waits for its destination.
    #[error("this delivery is held, and sent once its destination is active again")]
    Held,
    /// It was cancelled.
    #[error("this delivery was cancelled")]
    Cancelled,
    /// It was sent to try its destination.
    #[error("this delivery was a test: send another test instead")]
    Test,
    /// Its event is empty.
    #[error("the lead of this delivery was erased: there is nothing left to send")]
    Erased,
    /// Its destination is gone.
    #[error("the destination of this delivery was deleted")]
    Deleted,
    /// Its destination takes nothing now.
    #[error("the destination of this delivery is {}: resume it first", .0.name())]
    Inactive(DestinationStatus),
}

impl Store {
    /// Attempts a delivery once more, soon: one that failed, one that succeeded, or one that waits for its next attempt.
    pub async fn redeliver(&self, client: ClientId, id: DeliveryId, actor: &Actor) -> Result<Delivery, RedeliverError> {
        let once = self.redeliver_once(client, id, None, |_| Answer::NONE, actor).await?;
        Ok(once.unkeyed())
    }

    /// As [`Store::redeliver`], once for all requests with the same key.
    pub async fn redeliver_once(
        &self,
        client: ClientId,
        id: DeliveryId,
        request: Option<&KeyedRequest>,
        answer: impl FnOnce(&Delivery) -> Answer,
        actor: &Actor,
    ) -> Result<Once<Delivery>, RedeliverError> {
        let now = self.now();
        let transaction = self.connections().begin().await?;
        // Its destination stays as it is, and its lead isn't erased meanwhile.
        if !clients::lock_shared(&transaction, client).await? {
            return Err(RedeliverError::Unknown);
        }
        let effect = Box::pin(redeliver(&transaction, client, id, actor, now));
        let once = idempotency::once(&transaction, self.shared(), Some(client), request, effect, answer).await?;
        transaction.commit().await?;
        self.shared().told.tell(once.done.iter().map(|delivery| Outcome {
            delivery_id: delivery.id,
            client_id: Some(client),
        }));
        self.shared()
            .left_behind(once.done.as_ref().map(|delivery| delivery.destination_id));
        Ok(once)
    }
}

async fn redeliver(
    transaction: &DatabaseTransaction,
    client: ClientId,
    id: DeliveryId,
    actor: &Actor,
    now: Timestamp,
) -> Result<Delivery, RedeliverError> {
    let found = Entity::find_by_id(id.as_uuid())
        .filter(Column::ClientId.eq(client.as_uuid()))
        .lock_exclusive()
        .one(transaction)
        .await?;
    let mut row = found.ok_or(RedeliverError::Unknown)?;
    let event = events::Entity::find_by_id(row.event_id).one(transaction).await?;
    if event.as_ref().is_some_and(test_sends::is_sample) {
        return Err(NotRedelivered::Test.into());
    }
    let state = redeliverable(&row)?;
    let destination = destinations::Entity::find_by_id(row.destination_id)
        .one(transaction)
        .await?;
    active(destination.as_ref())?;
    if event.is_none_or(|event| event.body.is_empty()) {
        return Err(NotRedelivered::Erased.into());
    }
    let moved = make_due(transaction, &[row.id], state, now).await?;
    if moved != 1 {
        return Err(DbErr::Custom(format!("{moved} instead of one locked delivery were made due")).into());
    }
    audit::log(transaction, now, actor, "delivery.redelivered", Some(client), id).await?;
    DeliveryState::Pending.name().clone_into(&mut row.state);
    row.due_at = Some(now.as_millis());
    Ok(deliveries::delivery(row)?)
}

/// The state that a delivery is redelivered from, if it can be.
fn redeliverable(row: &Model) -> Result<DeliveryState, RedeliverError> {
    let state = row
        .state
        .parse()
        .map_err(|_| StoreError::Unreadable { what: "delivery state" })?;
    match state {
        DeliveryState::Pending if row.lease.is_some() => Err(NotRedelivered::UnderWay.into()),
        DeliveryState::Pending if row.prior_state.is_some() => Err(NotRedelivered::Redelivering.into()),
        DeliveryState::Pending | DeliveryState::Succeeded | DeliveryState::Failed => Ok(state),
        DeliveryState::Held => Err(NotRedelivered::Held.into()),
        DeliveryState::Cancelled => Err(NotRedelivered::Cancelled.into()),
    }
}

/// Whether a destination takes deliveries now.
pub(crate) fn active(row: Option<&destinations::Model>) -> Result<(), NotRedelivered> {
    let row = row
        .filter(|row| row.deleted_at.is_none())
        .ok_or(NotRedelivered::Deleted)?;
    match row.status.parse() {
        Ok(DestinationStatus::Active) => Ok(()),
        Ok(status) => Err(NotRedelivered::Inactive(status)),
        Err(_) => Err(NotRedelivered::Inactive(DestinationStatus::Disabled)),
    }
}

/// Makes deliveries due that are in this state, held by nobody and not being redelivered; says how many were. Their ids are
/// in order, as everybody's are who locks several. What was erased has nothing to send and stays, and so do tests.
pub(crate) async fn make_due(
    transaction: &DatabaseTransaction,
    ids: &[Uuid],
    state: DeliveryState,
    now: Timestamp,
) -> Result<u64, DbErr> {
    let (backend, mut moved) = (transaction.get_database_backend(), 0);
    for part in chunks(backend, ids) {
        let statement = make_due_statement(backend, part, state, now);
        moved += transaction.execute_raw(statement).await?.rows_affected();
    }
    Ok(moved)
}

pub(crate) fn make_due_statement(
    backend: DatabaseBackend,
    ids: &[Uuid],
    state: DeliveryState,
    now: Timestamp,
) -> Statement {
    let mut sql = Sql::new(
        backend,
        "UPDATE deliveries SET state = 'pending', prior_state = state, prior_due_at = due_at, ours_since = NULL, due_at = ",
    );
    sql.value(now.as_millis());
    sql.push(" WHERE state = ");
    sql.value(state.name());
    sql.push(
        " AND lease IS NULL AND prior_state IS NULL \
         AND EXISTS (SELECT 1 FROM events WHERE events.id = deliveries.event_id AND length(body) > 0 \
         AND NOT (events.lead_id IS NULL AND events.type = 'lead.created')) \
         AND id IN (SELECT id FROM deliveries WHERE id ",
    );
    sql.among(ids.iter().copied());
    sql.push(if backend == DatabaseBackend::Postgres {
        " ORDER BY id FOR UPDATE)"
    } else {
        ")"
    });
    sql.statement()
}
