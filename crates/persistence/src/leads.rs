//! Leads as clients read them, and erasing a person's data.

use std::collections::BTreeSet;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select, Statement};
use sensei_domain::{ClientId, DestinationId, LeadId, Timestamp};

use crate::audit::{self, Actor};
use crate::clients;
use crate::deliveries;
use crate::entities::leads::{Column, Entity, Model};
use crate::entities::{self, events};
use crate::error::StoreError;
use crate::lead_words;
use crate::records::{Lead, Page};
use crate::store::Store;

impl Store {
    /// Reads a lead.
    pub async fn lead(&self, client: ClientId, id: LeadId) -> Result<Option<Lead>, StoreError> {
        let query = Entity::find_by_id(id.as_uuid()).filter(Column::ClientId.eq(client.as_uuid()));
        let found = query.one(&self.connections().reader).await?.map(lead).transpose()?;
        Ok(self.marked(found.into_iter().collect()).await?.pop())
    }

    /// A client's leads.
    pub async fn leads(&self, client: ClientId, page: Page) -> Result<Vec<Lead>, StoreError> {
        let rows = query(client, page).all(&self.connections().reader).await?;
        self.marked(rows.into_iter().map(lead).collect::<Result<_, _>>()?).await
    }

    /// Erases a lead: the person's data here, in its events' bodies and in what receivers answered, and cancels
    /// what wasn't delivered. Its id and times stay. Answers kept for repeated requests end within a day
    /// by themselves. False when there is no such lead; erasing twice is no error.
    pub async fn erase_lead(&self, client: ClientId, id: LeadId, actor: &Actor) -> Result<bool, StoreError> {
        let now = self.now();
        let transaction = self.connections().begin().await?;
        lead_words::lock(&transaction).await?;
        if clients::lock(&transaction, client).await?.is_none() {
            return Ok(false);
        }
        let query = Entity::find_by_id(id.as_uuid()).filter(Column::ClientId.eq(client.as_uuid()));
        let Some(found) = query.one(&transaction).await? else {
            return Ok(false);
        };
        if found.erased_at.is_some() {
            return Ok(true);
        }
        lead_words::remove(&transaction, std::slice::from_ref(&found)).await?;
        deliveries::cancel_of_lead(&transaction, found.id, now).await?;
        let sql = "UPDATE leads SET name = '', email = '', phone = NULL, message = NULL, session_id = NULL, \
                   custom = NULL, erased_at = $1 WHERE id = $2";
        let values = [now.as_millis().into(), found.id.into()];
        transaction
            .execute_raw(Statement::from_sql_and_values(
                transaction.get_database_backend(),
                sql,
                values,
            ))
            .await?;
        entities::suspected_leads::Entity::delete_by_id(found.id)
            .exec(&transaction)
            .await?;
        events::Entity::update_many()
            .col_expr(events::Column::Body, Expr::value(Vec::<u8>::new()))
            .filter(events::Column::LeadId.eq(found.id))
            .exec(&transaction)
            .await?;
        let sql = "UPDATE attempts SET response_snippet = NULL, error = NULL, request_url = NULL \
                   WHERE delivery_id IN (SELECT id FROM deliveries WHERE lead_id = $1)";
        let values = [found.id.into()];
        transaction
            .execute_raw(Statement::from_sql_and_values(
                transaction.get_database_backend(),
                sql,
                values,
            ))
            .await?;
        audit::log(&transaction, now, actor, "lead.erased", Some(client), id).await?;
        let concerned = entities::deliveries::Entity::find()
            .filter(entities::deliveries::Column::LeadId.eq(found.id))
            .all(&transaction)
            .await?;
        // A receiver's words may quote the lead. In the order in which everybody locks several.
        for destination in concerned.iter().map(|row| row.destination_id).collect::<BTreeSet<_>>() {
            let sql = "UPDATE destination_health SET last_error = NULL WHERE destination_id = $1";
            let forget = Statement::from_sql_and_values(transaction.get_database_backend(), sql, [destination.into()]);
            transaction.execute_raw(forget).await?;
        }
        transaction.commit().await?;
        self.shared().changed(
            concerned
                .into_iter()
                .map(|row| DestinationId::from_uuid(row.destination_id)),
        );
        Ok(true)
    }
}

pub(crate) fn query(client: ClientId, page: Page) -> Select<Entity> {
    let mut query = Entity::find().filter(Column::ClientId.eq(client.as_uuid()));
    if let Some(before) = page.before {
        query = query.filter(Column::Id.lt(before));
    }
    query.order_by_desc(Column::Id).limit(u64::from(page.limit))
}

/// A lead as its row has it; whether it is suspected stands elsewhere.
pub(crate) fn lead(row: Model) -> Result<Lead, StoreError> {
    let custom = row.custom.map(|custom| serde_json::from_str(&custom)).transpose();
    Ok(Lead {
        id: LeadId::from_uuid(row.id),
        client_id: ClientId::from_uuid(row.client_id),
        name: row.name,
        email: row.email,
        phone: row.phone,
        message: row.message,
        session_id: row.session_id,
        custom: custom.map_err(|_| StoreError::Unreadable { what: "custom fields" })?,
        created_at: Timestamp::from_millis(row.created_at),
        erased_at: row.erased_at.map(Timestamp::from_millis),
        suspected: None,
    })
}
