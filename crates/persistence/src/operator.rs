//! What an operator looks at: over all clients, what is in trouble and what runs, and who changed what.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QueryResult, QuerySelect,
    Statement, Value,
};
use sensei_domain::{AuditId, ClientId, DestinationId, DestinationStatus, Timestamp};
use uuid::Uuid;

use crate::audit::AuditEntry;
use crate::entities::audit_log::{Column, Entity};
use crate::entities::{clients, destinations, recoveries};
use crate::error::StoreError;
use crate::log_names::padded;
use crate::records::{Page, Recovery};
use crate::recovery_rows::recovery;
use crate::store::Store;

/// A destination, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationOf {
    /// Whose it is.
    pub client_id: ClientId,
    /// What that client is called.
    pub client_name: String,
    /// The destination.
    pub destination_id: DestinationId,
    /// What it is called.
    pub destination_name: String,
}

/// A destination that is disabled, or that fails so that somebody was warned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Troubled {
    /// Which one.
    pub of: DestinationOf,
    /// Its kind.
    pub kind: String,
    /// Whether events are sent to it.
    pub status: DestinationStatus,
    /// Why it isn't active, or what went wrong last.
    pub reason: Option<String>,
    /// Since when it has this status, or fails.
    pub since: Timestamp,
}

/// Those that are disabled, the last one first.
pub(crate) const DISABLED: &str = "SELECT clients.id, clients.name, destinations.id, destinations.name, kind, status, status_reason, \
    status_since FROM destinations JOIN clients ON clients.id = destinations.client_id \
    WHERE status = 'disabled' AND deleted_at IS NULL ORDER BY status_since DESC LIMIT $1";
/// Those of which somebody was warned. The table has those alone that fail.
pub(crate) const WARNED: &str = "SELECT clients.id, clients.name, destinations.id, destinations.name, kind, status, last_error, \
    failing_since FROM destination_health JOIN destinations ON destinations.id = destination_health.destination_id \
    JOIN clients ON clients.id = destinations.client_id WHERE warned_at IS NOT NULL AND status <> 'disabled' \
    AND deleted_at IS NULL LIMIT $1";

impl Store {
    /// Destinations in trouble: at most so many that are disabled, and as many that fail.
    pub async fn troubled(&self, most: u32) -> Result<Vec<Troubled>, StoreError> {
        let reader = &self.connections().reader;
        let mut all = Vec::new();
        for sql in [DISABLED, WARNED] {
            let values: [Value; 1] = [i64::from(most).into()];
            let statement = Statement::from_sql_and_values(reader.get_database_backend(), sql, values);
            for row in reader.query_all_raw(statement).await? {
                let status: String = row.try_get_by_index(5)?;
                all.push(Troubled {
                    of: destination_of(&row)?,
                    kind: row.try_get_by_index(4)?,
                    status: status.parse().map_err(|_| StoreError::Unreadable {
                        what: "destination status",
                    })?,
                    reason: row.try_get_by_index(6)?,
                    since: Timestamp::from_millis(row.try_get_by_index(7)?),
                });
            }
        }
        Ok(all)
    }

    /// What these destinations are called, and their clients.
    pub async fn destinations_of(
        &self,
        ids: Vec<DestinationId>,
    ) -> Result<HashMap<DestinationId, DestinationOf>, StoreError> {
        let Some(ids) = padded(ids.into_iter().map(DestinationId::as_uuid).collect()) else {
            return Ok(HashMap::new());
        };
        let reader = &self.connections().reader;
        let query = destinations::Entity::find().filter(destinations::Column::Id.is_in(ids));
        let rows = query.all(reader).await?;
        let names = self
            .client_names(rows.iter().map(|row| row.client_id).collect())
            .await?;
        let rows = rows.into_iter().map(|row| {
            let of = DestinationOf {
                client_id: ClientId::from_uuid(row.client_id),
                client_name: names.get(&row.client_id).cloned().unwrap_or_default(),
                destination_id: DestinationId::from_uuid(row.id),
                destination_name: row.name,
            };
            (of.destination_id, of)
        });
        Ok(rows.collect())
    }

    /// Recoveries that run, of all clients, each with its client's name.
    pub async fn recoveries_under_way(&self, most: u32) -> Result<Vec<(Recovery, String)>, StoreError> {
        let query = recoveries::Entity::find()
            // Written out, as a partial index isn't used for a parameter.
            .filter(sea_orm::sea_query::Expr::cust("state = 'running'"))
            .order_by_asc(recoveries::Column::Id)
            .limit(u64::from(most));
        let rows = query.all(&self.connections().reader).await?;
        let names = self
            .client_names(rows.iter().map(|row| row.client_id).collect())
            .await?;
        let rows = rows.into_iter().map(|row| {
            let name = names.get(&row.client_id).cloned().unwrap_or_default();
            Ok((recovery(row)?, name))
        });
        rows.collect()
    }

    /// The audit log, of a client or (`None`) of all.
    pub async fn audit_log(&self, client: Option<ClientId>, page: Page) -> Result<Vec<AuditEntry>, StoreError> {
        let mut query = Entity::find();
        if let Some(client) = client {
            query = query.filter(Column::ClientId.eq(client.as_uuid()));
        }
        if let Some(before) = page.before {
            query = query.filter(Column::Id.lt(before));
        }
        let query = query.order_by_desc(Column::Id).limit(u64::from(page.limit));
        let rows = query.all(&self.connections().reader).await?;
        let rows = rows.into_iter().map(|row| AuditEntry {
            id: AuditId::from_uuid(row.id),
            at: Timestamp::from_millis(row.at),
            actor: row.actor,
            action: row.action,
            client_id: row.client_id.map(ClientId::from_uuid),
            subject: row.subject,
        });
        Ok(rows.collect())
    }

    async fn client_names(&self, ids: Vec<Uuid>) -> Result<HashMap<Uuid, String>, DbErr> {
        let Some(ids) = padded(ids) else {
            return Ok(HashMap::new());
        };
        let query = clients::Entity::find().filter(clients::Column::Id.is_in(ids));
        let rows = query.all(&self.connections().reader).await?;
        Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
    }
}

fn destination_of(row: &QueryResult) -> Result<DestinationOf, DbErr> {
    Ok(DestinationOf {
        client_id: ClientId::from_uuid(row.try_get_by_index(0)?),
        client_name: row.try_get_by_index(1)?,
        destination_id: DestinationId::from_uuid(row.try_get_by_index(2)?),
        destination_name: row.try_get_by_index(3)?,
    })
}
