//! What is shown with deliveries: the names of their destinations and leads, and their last attempts. One read a table for all of a page.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DatabaseBackend, EntityTrait};
use sensei_domain::LeadId;
use uuid::Uuid;

use crate::deliveries;
use crate::entities::attempts;
use crate::entities::deliveries::Model;
use crate::error::StoreError;
use crate::log::{LoggedDelivery, NamedDestination, NamedLead};
use crate::multi_row::Sql;
use crate::records::{Attempt, Delivery};
use crate::store::Store;

impl Store {
    /// Adds to deliveries what is shown with them, by one read a table.
    pub(crate) async fn dressed(&self, rows: Vec<Model>) -> Result<Vec<LoggedDelivery>, StoreError> {
        let rows = rows.into_iter().map(deliveries::delivery);
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let tried = rows.iter().filter(|row| row.attempt_count > 0);
        let tried = tried.map(|row| row.id.as_uuid()).collect::<Vec<_>>();
        let mut last = self.last_attempts(tried).await?;
        let names = self.names(&rows).await?;
        let dressed = rows.into_iter().map(|delivery| LoggedDelivery {
            destination: names.destinations.get(&delivery.destination_id.as_uuid()).cloned(),
            lead: delivery
                .lead_id
                .and_then(|lead| names.leads.get(&lead.as_uuid()).cloned()),
            last_attempt: last.remove(&delivery.id.as_uuid()),
            delivery,
        });
        Ok(dressed.collect())
    }

    async fn last_attempts(&self, of: Vec<Uuid>) -> Result<HashMap<Uuid, Attempt>, StoreError> {
        let reader = &self.connections().reader;
        let Some(of) = padded(of) else {
            return Ok(HashMap::new());
        };
        let statement = last_attempts_sql(reader.get_database_backend(), of).statement();
        let found = attempts::Entity::find().from_raw_sql(statement).all(reader).await?;
        let found = found.into_iter().map(|row| {
            let id = row.delivery_id;
            deliveries::attempt(row).map(|attempt| (id, attempt))
        });
        found.collect()
    }

    pub(crate) async fn names(&self, of: &[Delivery]) -> Result<Names, StoreError> {
        let reader = &self.connections().reader;
        let backend = reader.get_database_backend();
        let mut names = Names::default();
        let ids = of.iter().map(|row| row.destination_id.as_uuid()).collect::<Vec<_>>();
        if let Some(ids) = padded(ids) {
            let statement = destination_names_sql(backend, ids).statement();
            for row in reader.query_all_raw(statement).await? {
                let named = NamedDestination {
                    name: row.try_get_by_index(1)?,
                    kind: row.try_get_by_index(2)?,
                };
                names.destinations.insert(row.try_get_by_index(0)?, named);
            }
        }
        let ids = of.iter().filter_map(|row| row.lead_id).map(LeadId::as_uuid);
        if let Some(ids) = padded(ids.collect()) {
            let statement = lead_names_sql(backend, ids).statement();
            for row in reader.query_all_raw(statement).await? {
                let id: Uuid = row.try_get_by_index(0)?;
                let named = NamedLead {
                    id: LeadId::from_uuid(id),
                    name: row.try_get_by_index(1)?,
                    email: row.try_get_by_index(2)?,
                };
                names.leads.insert(id, named);
            }
        }
        Ok(names)
    }
}

#[derive(Default)]
pub(crate) struct Names {
    pub(crate) destinations: HashMap<Uuid, NamedDestination>,
    pub(crate) leads: HashMap<Uuid, NamedLead>,
}

/// The last attempt of each of these deliveries: its number is how many there are.
pub(crate) fn last_attempts_sql(backend: DatabaseBackend, of: Vec<Uuid>) -> Sql {
    let text = "SELECT attempts.* FROM deliveries JOIN attempts ON attempts.delivery_id = deliveries.id \
                AND attempts.number = deliveries.attempt_count WHERE deliveries.id ";
    let mut sql = Sql::new(backend, text);
    sql.among(of);
    sql
}

pub(crate) fn destination_names_sql(backend: DatabaseBackend, of: Vec<Uuid>) -> Sql {
    let mut sql = Sql::new(backend, "SELECT id, name, kind FROM destinations WHERE id ");
    sql.among(of);
    sql
}

pub(crate) fn lead_names_sql(backend: DatabaseBackend, of: Vec<Uuid>) -> Sql {
    let mut sql = Sql::new(
        backend,
        "SELECT id, name, email FROM leads WHERE erased_at IS NULL AND id ",
    );
    sql.among(of);
    sql
}

/// Each id once, filled up to one of a few numbers with one that is there already: each length is another prepared statement.
/// Nothing of nothing.
pub(crate) fn padded(mut ids: Vec<Uuid>) -> Option<Vec<Uuid>> {
    ids.sort_unstable();
    ids.dedup();
    let last = *ids.last()?;
    ids.resize(ids.len().next_power_of_two(), last);
    Some(ids)
}
