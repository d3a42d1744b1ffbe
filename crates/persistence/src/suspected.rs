//! Leads that are suspected to be no person's: kept and marked, and not delivered until somebody releases them.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, EntityTrait, FromQueryResult, QueryFilter, Select, Statement,
};
use sensei_domain::{ClientId, LeadId, Suspicion, Timestamp};
use uuid::Uuid;

use crate::entities::leads;
use crate::entities::suspected_leads::{Column, Entity, Model};
use crate::error::StoreError;
use crate::leads::lead;
use crate::multi_row::Table;
use crate::records::{Lead, Page};
use crate::store::Store;

/// Why a lead is kept back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspected {
    /// What speaks against it.
    pub reasons: Vec<Suspicion>,
    /// Since when.
    pub at: Timestamp,
}

/// What is written of suspected leads beside the leads.
pub(crate) const SUSPECTED: Table<4> = Table {
    name: "suspected_leads",
    columns: ["lead_id", "client_id", "reasons", "at"],
    constants: &[],
};

/// Leads of the client `$1` before `$2` that are kept back, at most `$3`.
pub(crate) const KEPT_BACK: &str = "SELECT l.* FROM suspected_leads s JOIN leads l ON l.id = s.lead_id \
    WHERE s.client_id = $1 AND s.released_at IS NULL AND s.lead_id < $2 ORDER BY s.lead_id DESC LIMIT $3";
/// Leads of the client `$1` before `$2` that aren't, at most `$3`.
pub(crate) const TRUSTED: &str = "SELECT l.* FROM leads l WHERE l.client_id = $1 AND l.id < $2 AND NOT EXISTS \
    (SELECT 1 FROM suspected_leads s WHERE s.lead_id = l.id AND s.released_at IS NULL) ORDER BY l.id DESC LIMIT $3";

pub(crate) fn query(backend: DatabaseBackend, client: ClientId, is_suspected: bool, page: Page) -> Statement {
    let sql = if is_suspected { KEPT_BACK } else { TRUSTED };
    let before = page.before.unwrap_or(Uuid::max());
    let values = [client.as_uuid().into(), before.into(), i64::from(page.limit).into()];
    Statement::from_sql_and_values(backend, sql, values)
}

/// Names of suspicions as they are kept.
pub(crate) fn to_column(reasons: &[Suspicion]) -> String {
    serde_json::to_string(reasons).expect("names become JSON")
}

impl Store {
    /// A client's leads that are kept back, or those that aren't.
    pub async fn leads_by_suspicion(
        &self,
        client: ClientId,
        is_suspected: bool,
        page: Page,
    ) -> Result<Vec<Lead>, StoreError> {
        let reader = &self.connections().reader;
        let query = query(reader.get_database_backend(), client, is_suspected, page);
        let mut found = Vec::new();
        for row in reader.query_all_raw(query).await? {
            found.push(lead(leads::Model::from_query_result(&row, "")?)?);
        }
        self.marked(found).await
    }

    /// The same leads, each with why it is kept back, if it is.
    pub(crate) async fn marked(&self, mut leads: Vec<Lead>) -> Result<Vec<Lead>, StoreError> {
        if leads.is_empty() {
            return Ok(leads);
        }
        let ids = leads.iter().map(|lead| lead.id.as_uuid());
        let rows = marks(ids).all(&self.connections().reader).await?;
        if rows.is_empty() {
            return Ok(leads);
        }
        let mut marks = HashMap::with_capacity(rows.len());
        for row in rows {
            marks.insert(LeadId::from_uuid(row.lead_id), suspected(&row)?);
        }
        for lead in &mut leads {
            lead.suspected = marks.remove(&lead.id);
        }
        Ok(leads)
    }
}

/// Why those of these leads are kept back that are.
pub(crate) fn marks(leads: impl Iterator<Item = Uuid>) -> Select<Entity> {
    Entity::find()
        .filter(Column::LeadId.is_in(leads))
        .filter(Column::ReleasedAt.is_null())
}

fn suspected(row: &Model) -> Result<Suspected, StoreError> {
    let names = serde_json::from_str::<Vec<String>>(&row.reasons).ok();
    let reasons = names.and_then(|names| names.iter().map(|name| name.parse().ok()).collect());
    Ok(Suspected {
        reasons: reasons.ok_or(StoreError::Unreadable { what: "suspicion" })?,
        at: Timestamp::from_millis(row.at),
    })
}
