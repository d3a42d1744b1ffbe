//! The delivery log of leads with a text in them.

use sea_orm::{ColumnTrait, EntityTrait, ExprTrait as _, QueryFilter, QueryOrder, QueryTrait, Select};
use sensei_domain::ClientId;
use uuid::Uuid;

use crate::deliveries;
use crate::entities::deliveries::{Column, Entity};
use crate::error::StoreError;
use crate::log::{Found, LogFilter, looked_for};
use crate::log_names::padded;
use crate::records::Page;
use crate::search::LeadFilter;
use crate::store::Store;

/// Leads that a text is looked for in the deliveries of: well under what a search's first step finds.
const LEADS_OF_A_PAGE: usize = 200;

impl Store {
    /// Deliveries of leads with a text in them, by their leads, the newest first: one may be made long after its lead. What the next page goes on
    /// behind is the delivery that this one ends with, or the lead, once all deliveries of that are told.
    pub(crate) async fn rows_by_text(
        &self,
        client: ClientId,
        filter: &LogFilter,
        text: &str,
        page: Page,
    ) -> Result<Found, StoreError> {
        let reader = &self.connections().reader;
        let last = match page.before {
            Some(id) => {
                let found = Entity::find_by_id(id).filter(Column::ClientId.eq(client.as_uuid()));
                found.one(reader).await?
            }
            None => None,
        };
        let last = last.and_then(|row| Some((row.lead_id?, row.id)));
        // The lead of the last delivery may have more.
        let before = last.map_or(page.before, |(lead, _)| {
            Some(Uuid::from_u128(lead.as_u128().saturating_add(1)))
        });
        let leads = self
            .leads_with(client, text, &LeadFilter::default(), before, LEADS_OF_A_PAGE)
            .await?;
        let Some(ids) = padded(leads.rows.into_iter().map(|row| row.id).collect()) else {
            return Ok(Found {
                rows: Vec::new(),
                next: leads.next,
            });
        };
        let mut rows = by_leads(client, filter, &ids, last, page.limit + 1).all(reader).await?;
        let wanted = page.limit as usize;
        let next = if rows.len() > wanted {
            rows.truncate(wanted);
            rows.last().map(|row| row.id)
        } else {
            leads.next
        };
        rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.id));
        Ok(Found { rows, next })
    }
}

/// What is wanted of these leads, behind a lead's delivery.
fn by_leads(
    client: ClientId,
    filter: &LogFilter,
    leads: &[Uuid],
    behind: Option<(Uuid, Uuid)>,
    limit: u32,
) -> Select<Entity> {
    let page = Page { limit, before: None };
    let mut query = deliveries::query_by(Column::LeadId, leads, client, filter.delivery, page);
    if let Some((lead, delivery)) = behind {
        let is_behind = Column::LeadId.ne(lead).or(Column::Id.lt(delivery));
        query = query.filter(is_behind);
    }
    QueryTrait::query(&mut query).clear_order_by();
    looked_for(query.order_by_desc(Column::LeadId).order_by_desc(Column::Id), filter)
}
