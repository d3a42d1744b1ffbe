//! Releasing a lead that was kept back: it is delivered as if it were captured now, once.

use std::time::Instant;

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, Statement};
use sensei_domain::{ClientId, LeadId, NewLead};
use serde_json::json;

use super::births::Births;
use super::{CaptureLead, rows};
use crate::audit::{self, Actor};
use crate::directory::Reading;
use crate::entities::{leads, suspected_leads};
use crate::error::StoreError;
use crate::leads::lead;
use crate::records::Lead;
use crate::store::Store;

/// Releases the lead `$2` at `$1`, unless it was.
const RELEASE: &str = "UPDATE suspected_leads SET released_at = $1 WHERE lead_id = $2 AND released_at IS NULL";

/// Why a lead isn't released.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// There is no such lead.
    #[error("there is no such lead")]
    Unknown,
    /// It was delivered when it was captured.
    #[error("the lead was never suspected: it was delivered when it was captured")]
    NeverSuspected,
    /// There is nothing left to send.
    #[error("the lead's data was erased: there is nothing left to send")]
    Erased,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for ReleaseError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Delivers a lead that is kept back, to where its client's leads go now. One that was released before stays so.
    pub async fn release_lead(&self, client: ClientId, id: LeadId, actor: &Actor) -> Result<Lead, ReleaseError> {
        let (begun, now) = (Instant::now(), self.now());
        let shared = self.shared();
        let transaction = self.connections().begin().await?;
        // Locks the client, so that it and its destinations are as they are, and the lead isn't erased meanwhile.
        let addressees = shared
            .directory
            .addressees(&transaction, &[client], Reading::Committed)
            .await?;
        let addressee = addressees.get(&client).ok_or(ReleaseError::Unknown)?;
        let query = leads::Entity::find_by_id(id.as_uuid()).filter(leads::Column::ClientId.eq(client.as_uuid()));
        let found = query.one(&transaction).await?.ok_or(ReleaseError::Unknown)?;
        if found.erased_at.is_some() {
            return Err(ReleaseError::Erased);
        }
        let mark = suspected_leads::Entity::find_by_id(id.as_uuid())
            .one(&transaction)
            .await?;
        mark.ok_or(ReleaseError::NeverSuspected)?;
        let released = lead(found)?;
        let values = [now.as_millis().into(), id.as_uuid().into()];
        let release = Statement::from_sql_and_values(transaction.get_database_backend(), RELEASE, values);
        if transaction.execute_raw(release).await?.rows_affected() == 0 {
            return Ok(released);
        }
        let mut births = Births::new(shared, begun, now);
        let again = CaptureLead {
            id,
            lead: as_new(&released)?,
        };
        births.add_released(client, &again, addressee);
        let (born, unmatched) = (std::mem::take(&mut births.rows), std::mem::take(&mut births.unmatched));
        rows::insert_released(&transaction, born, unmatched).await?;
        audit::log(&transaction, now, actor, "lead.released", Some(client), id).await?;
        transaction.commit().await?;
        for (place, job) in births.filled {
            place.fill(job);
        }
        shared.left_behind(births.left_behind);
        Ok(released)
    }
}

/// The lead as it came in.
fn as_new(lead: &Lead) -> Result<NewLead, StoreError> {
    let value = json!({
        "name": lead.name, "email": lead.email, "phone": lead.phone, "message": lead.message,
        "sessionId": lead.session_id, "custom": lead.custom,
    });
    NewLead::from_json(&value).map_err(|_| StoreError::Unreadable { what: "lead" })
}
