//! The delivery log as clients read it, and cancelling what is no longer wanted.

use sea_orm::sea_query::{Expr, ExprTrait as _, Func};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, Select,
};
use sensei_domain::{ClientId, DeliveryId, DeliveryState, DestinationId, EventId, LeadId, Timestamp};
use uuid::Uuid;

use crate::entities::attempts;
use crate::entities::deliveries::{Column, Entity, Model};
use crate::error::StoreError;
use crate::multi_row::Sql;
use crate::records::{Attempt, Delivery, Page};
use crate::store::Store;

/// An id's time may run ahead of its row's by as much as a clock was set back: ids only ever increase.
const CLOCK_STEP_MILLIS: i64 = 60 * 60 * 1000;

/// Which deliveries of a client; what is `None` doesn't matter.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeliveryFilter {
    /// In this state.
    pub state: Option<DeliveryState>,
    /// To this destination.
    pub destination_id: Option<DestinationId>,
    /// Of this lead.
    pub lead_id: Option<LeadId>,
    /// Captured then or later.
    pub since: Option<Timestamp>,
    /// Captured before then.
    pub until: Option<Timestamp>,
}

impl Store {
    /// Reads a delivery with its attempts, the first one first.
    pub async fn delivery(
        &self,
        client: ClientId,
        id: DeliveryId,
    ) -> Result<Option<(Delivery, Vec<Attempt>)>, StoreError> {
        let reader = &self.connections().reader;
        let found = Entity::find_by_id(id.as_uuid())
            .filter(Column::ClientId.eq(client.as_uuid()))
            .one(reader)
            .await?;
        let Some(found) = found else { return Ok(None) };
        let attempts = attempts::Entity::find()
            .filter(attempts::Column::DeliveryId.eq(id.as_uuid()))
            .order_by_asc(attempts::Column::Number)
            .all(reader)
            .await?;
        Ok(Some((
            delivery(found)?,
            attempts.into_iter().map(attempt).collect::<Result<_, _>>()?,
        )))
    }

    /// A client's deliveries.
    pub async fn deliveries(
        &self,
        client: ClientId,
        filter: DeliveryFilter,
        page: Page,
    ) -> Result<Vec<Delivery>, StoreError> {
        let rows = query(client, filter, page).all(&self.connections().reader).await?;
        rows.into_iter().map(delivery).collect()
    }
}

pub(crate) fn query(client: ClientId, filter: DeliveryFilter, page: Page) -> Select<Entity> {
    let query = match filter.lead_id {
        Some(lead) => Entity::find()
            .filter(Column::LeadId.eq(lead.as_uuid()))
            .filter(hidden(Column::ClientId).eq(client.as_uuid())),
        None => Entity::find().filter(Column::ClientId.eq(client.as_uuid())),
    };
    filtered(query, filter)
        .filter(before(page))
        .order_by_desc(Column::Id)
        .limit(u64::from(page.limit))
}

/// As [`query`], of those with one of these ids, or of these leads.
pub(crate) fn query_by(
    column: Column,
    ids: &[Uuid],
    client: ClientId,
    filter: DeliveryFilter,
    page: Page,
) -> Select<Entity> {
    let mut query = Entity::find()
        .filter(column.is_in(ids.iter().copied()))
        .filter(hidden(Column::ClientId).eq(client.as_uuid()));
    if let Some(lead) = filter.lead_id {
        query = query.filter(hidden(Column::LeadId).eq(lead.as_uuid()));
    }
    filtered(query, filter)
        .filter(before(page))
        .order_by_desc(Column::Id)
        .limit(u64::from(page.limit))
}

/// Hides a column from the planner: without statistics it would walk all that the client ever had.
fn hidden(column: Column) -> Expr {
    Func::coalesce([Expr::col(column), Expr::col(column)]).into()
}

fn before(page: Page) -> Condition {
    Condition::all().add_option(page.before.map(|before| Column::Id.lt(before)))
}

fn filtered(mut query: Select<Entity>, filter: DeliveryFilter) -> Select<Entity> {
    if let Some(state) = filter.state {
        // Written out, as a partial index isn't used for a parameter.
        query = query.filter(Expr::cust(format!("state = '{}'", state.name())));
    }
    if let Some(destination) = filter.destination_id {
        query = query.filter(Column::DestinationId.eq(destination.as_uuid()));
    }
    if let Some(since) = filter.since {
        query = query
            .filter(Column::CreatedAt.gte(since.as_millis()))
            .filter(Column::Id.gte(first_id_since(since)));
    }
    if let Some(until) = filter.until {
        query = query
            .filter(Column::CreatedAt.lt(until.as_millis()))
            .filter(Column::Id.lt(first_id_after(until)));
    }
    query
}

/// No row of this time or later has a smaller id.
pub(crate) fn first_id_since(since: Timestamp) -> Uuid {
    first_id(since.as_millis() - CLOCK_STEP_MILLIS)
}

/// No row of this time or earlier has such an id, or a greater one.
pub(crate) fn first_id_after(until: Timestamp) -> Uuid {
    first_id(until.as_millis() + CLOCK_STEP_MILLIS)
}

/// The smallest id of a millisecond: a UUID v7 begins with its time.
pub(crate) fn first_id(millis: i64) -> Uuid {
    let millis = u128::try_from(millis).unwrap_or(0).min((1 << 48) - 1);
    Uuid::from_u128(millis << 80)
}

/// Begins a statement that cancels deliveries; which ones follows. What is being redelivered goes back to what it was if
/// that was final: a receiver that has a lead keeps having it.
pub(crate) fn cancelling(backend: DatabaseBackend, at: Timestamp) -> Sql {
    let text = "UPDATE deliveries SET \
        state = CASE WHEN prior_state IN ('succeeded', 'failed') THEN prior_state ELSE 'cancelled' END, \
        due_at = NULL, lease = NULL, prior_state = NULL, prior_due_at = NULL, \
        completed_at = CASE WHEN prior_state IN ('succeeded', 'failed') THEN completed_at ELSE ";
    let mut sql = Sql::new(backend, text);
    sql.value(at.as_millis());
    sql.push(" END WHERE ");
    sql
}

/// Cancels what is pending or held of a lead.
pub(crate) async fn cancel_of_lead(transaction: &DatabaseTransaction, lead: Uuid, now: Timestamp) -> Result<(), DbErr> {
    let backend = transaction.get_database_backend();
    // Locked in the order of ids, as everybody does who locks several.
    let lock = if backend == DatabaseBackend::Postgres {
        "ORDER BY id FOR UPDATE"
    } else {
        ""
    };
    let mut sql = cancelling(backend, now);
    sql.push("state IN ('pending', 'held') AND id IN (SELECT id FROM deliveries WHERE lead_id = ");
    sql.value(lead);
    sql.push(" AND state IN ('pending', 'held') ");
    sql.push(lock);
    sql.push(")");
    transaction.execute_raw(sql.statement()).await.map(drop)
}

pub(crate) fn delivery(row: Model) -> Result<Delivery, StoreError> {
    let state = row
        .state
        .parse()
        .map_err(|_| StoreError::Unreadable { what: "delivery state" })?;
    let is_pending = state == DeliveryState::Pending;
    let waits = is_pending && row.lease.is_none();
    Ok(Delivery {
        id: DeliveryId::from_uuid(row.id),
        client_id: ClientId::from_uuid(row.client_id),
        event_id: EventId::from_uuid(row.event_id),
        lead_id: row.lead_id.map(LeadId::from_uuid),
        destination_id: DestinationId::from_uuid(row.destination_id),
        state,
        attempt_count: u32::try_from(row.attempt_count).unwrap_or(u32::MAX),
        due_at: row.due_at.filter(|_| waits).map(Timestamp::from_millis),
        // One that is redelivered keeps what it may go back to.
        failure_reason: row.failure_reason.filter(|_| !is_pending),
        created_at: Timestamp::from_millis(row.created_at),
        completed_at: row.completed_at.filter(|_| !is_pending).map(Timestamp::from_millis),
    })
}

pub(crate) fn attempt(row: attempts::Model) -> Result<Attempt, StoreError> {
    Ok(Attempt {
        number: u32::try_from(row.number).unwrap_or(u32::MAX),
        trigger: row.trigger_name.parse().map_err(|_| StoreError::Unreadable {
            what: "attempt trigger",
        })?,
        started_at: Timestamp::from_millis(row.started_at),
        duration_ms: u64::try_from(row.duration_ms).unwrap_or(0),
        outcome: row.outcome,
        status_code: row.status_code.and_then(|status| u16::try_from(status).ok()),
        error: row.error,
        response_snippet: row.response_snippet,
        request_url: row.request_url,
    })
}
