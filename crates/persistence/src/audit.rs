//! The audit log: who changed what, written in the transaction of the change.

use sea_orm::{ActiveValue, DatabaseTransaction, DbErr, EntityTrait};
use sensei_domain::{AuditId, ClientId, KeyId, Timestamp};

use crate::entities::audit_log;

/// Who changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Whoever holds this API key.
    Key(KeyId),
    /// Ourselves, or the operator of the process.
    System,
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its id.
    pub id: AuditId,
    /// When it was.
    pub at: Timestamp,
    /// Who did it: `key:` and a key's id, or `system`.
    pub actor: String,
    /// What was done, e.g. `client.renamed`.
    pub action: String,
    /// The client that it is about, if any; it may be gone.
    pub client_id: Option<ClientId>,
    /// The id of what it was done to.
    pub subject: String,
}

impl Actor {
    fn to_column(self) -> String {
        match self {
            Self::Key(key) => format!("key:{key}"),
            Self::System => "system".to_owned(),
        }
    }
}

/// Writes that `actor` did `action` (e.g. `client.renamed`) to the thing with the id `subject`.
pub(crate) async fn log(
    transaction: &DatabaseTransaction,
    at: Timestamp,
    actor: &Actor,
    action: &str,
    client: Option<ClientId>,
    subject: impl ToString + Send,
) -> Result<(), DbErr> {
    let entry = audit_log::ActiveModel {
        id: ActiveValue::Set(AuditId::new(at).as_uuid()),
        client_id: ActiveValue::Set(client.map(ClientId::as_uuid)),
        actor: ActiveValue::Set(actor.to_column()),
        action: ActiveValue::Set(action.to_owned()),
        subject: ActiveValue::Set(subject.to_string()),
        at: ActiveValue::Set(at.as_millis()),
    };
    audit_log::Entity::insert(entry)
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}
