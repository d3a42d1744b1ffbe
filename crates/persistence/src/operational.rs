//! Operational events on their way to the operator: to the destinations of the clients that asked for them.

use sea_orm::{ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder};
use sensei_domain::{
    ClientId, DeliveryId, DeliveryState, DestinationId, DestinationStatus, EventId, HealthChange, Timestamp,
};

use crate::directory::{Directory, Reading};
use crate::entities::clients;
use crate::multi_row::{self, Table};

/// Writes an event and its deliveries for every operator, due at once. Says for which destinations.
pub(crate) async fn announce(
    transaction: &DatabaseTransaction,
    directory: &Directory,
    change: HealthChange,
    body: &[u8],
    now: Timestamp,
) -> Result<Vec<DestinationId>, DbErr> {
    let operators = clients::Entity::find()
        .filter(clients::Column::OperationalEvents.eq(true))
        .order_by_asc(clients::Column::Id)
        .all(transaction)
        .await?;
    let operators = operators
        .iter()
        .map(|row| ClientId::from_uuid(row.id))
        .collect::<Vec<_>>();
    let (mut events, mut deliveries, mut behind) = (Vec::new(), Vec::new(), Vec::new());
    for (client, addressee) in directory
        .addressees(transaction, &operators, Reading::AmidChanges)
        .await?
    {
        let event_id = EventId::new(now);
        events.push([
            event_id.as_uuid().into(),
            client.as_uuid().into(),
            change.name().into(),
            body.to_vec().into(),
            now.as_millis().into(),
        ]);
        for bound in &addressee.destinations {
            let is_active = bound
                .destination
                .as_ref()
                .is_none_or(|destination| destination.status == DestinationStatus::Active);
            let (state, due_at) = if is_active {
                behind.push(bound.id);
                (DeliveryState::Pending, Some(now.as_millis()))
            } else {
                (DeliveryState::Held, None)
            };
            deliveries.push([
                DeliveryId::new(now).as_uuid().into(),
                client.as_uuid().into(),
                event_id.as_uuid().into(),
                bound.id.as_uuid().into(),
                state.name().into(),
                due_at.into(),
                0_i64.into(),
                0_i64.into(),
                now.as_millis().into(),
            ]);
        }
    }
    let table = Table {
        name: "events",
        columns: ["id", "client_id", "type", "body", "created_at"],
        constants: &[],
    };
    multi_row::insert(transaction, &table, events).await?;
    let table = Table {
        name: "deliveries",
        columns: [
            "id",
            "client_id",
            "event_id",
            "destination_id",
            "state",
            "due_at",
            "attempt_count",
            "scheduled_attempts",
            "created_at",
        ],
        constants: &[],
    };
    multi_row::insert(transaction, &table, deliveries).await?;
    Ok(behind)
}
