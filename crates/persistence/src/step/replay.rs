//! A step of a replay: deliveries of leads that have none to the destination yet, less those that don't match its filter.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait as _, DatabaseBackend, Value};
use sensei_domain::{DeliveryId, DeliveryState, DestinationId, EventId, Filter, LeadId, Mismatch, Timestamp};
use uuid::Uuid;

use super::{PAGE, Step, bound, leads_sql};
use crate::deliveries;
use crate::entities::destinations;
use crate::error::StoreError;
use crate::follow::CLOCK_TOLERANCE_MILLIS;
use crate::multi_row::{self, Sql, Table};
use crate::recovery_rows::Walk;
use crate::unmatched::{self, UNMATCHED};

/// Leads that a walk reads in a step where each event is judged: that may take some milliseconds at worst.
const FILTERED_PAGE: usize = 64;

/// What a replay makes.
const REPLAYED: Table<11> = Table {
    name: "deliveries",
    columns: [
        "id",
        "client_id",
        "event_id",
        "lead_id",
        "destination_id",
        "state",
        "due_at",
        "attempt_count",
        "scheduled_attempts",
        "replayed",
        "created_at",
    ],
    constants: &[],
};

/// A lead behind the position.
struct Found {
    lead: Uuid,
    /// Its event, if it is to be replayed.
    event: Option<Uuid>,
    /// Why the destination's filter keeps it back.
    mismatch: Option<Mismatch>,
}

/// Keeps these events from being removed, in the order of ids.
pub(crate) fn events_sql(ids: Vec<Uuid>) -> Sql {
    let mut sql = Sql::new(DatabaseBackend::Postgres, "SELECT id FROM events WHERE id ");
    sql.among(ids);
    sql.push(" ORDER BY id FOR KEY SHARE");
    sql
}

impl Step<'_> {
    pub(super) async fn replay_some(
        &mut self,
        mut walk: Walk,
        destination: &destinations::Model,
        is_active: bool,
        room: usize,
    ) -> Result<Option<Walk>, StoreError> {
        let client = self.recovery.client_id;
        let filter = destination.filter.as_deref().map(serde_json::from_str::<Filter>);
        let filter = filter
            .transpose()
            .map_err(|_| StoreError::Unreadable { what: "filter" })?;
        let size = if filter.is_some() { FILTERED_PAGE } else { PAGE };
        let page = self.leads(walk, destination, filter.as_ref(), size).await?;
        let (state, due_at) = if is_active {
            (DeliveryState::Pending, Some(self.now.as_millis()))
        } else {
            (DeliveryState::Held, None)
        };
        let (mut born, mut unmatched) = (Vec::<[Value; 11]>::new(), Vec::new());
        let mut is_full = false;
        for Found { lead, event, mismatch } in &page {
            if let Some((event, why)) = event.zip(mismatch.as_ref()) {
                let (event, lead) = (EventId::from_uuid(event), LeadId::from_uuid(*lead));
                let destination = DestinationId::from_uuid(walk.destination);
                unmatched.push(unmatched::row(client, event, lead, destination, why, self.now));
            } else if let Some(event) = *event {
                is_full = born.len() == room;
                if is_full {
                    break;
                }
                born.push([
                    DeliveryId::new(self.now).as_uuid().into(),
                    client.as_uuid().into(),
                    event.into(),
                    (*lead).into(),
                    walk.destination.into(),
                    state.name().into(),
                    due_at.into(),
                    0_i64.into(),
                    0_i64.into(),
                    true.into(),
                    self.now.as_millis().into(),
                ]);
            }
            walk.after = *lead;
        }
        walk.found |= !born.is_empty() || !unmatched.is_empty();
        self.done += born.len() as u64;
        self.skipped += unmatched.len() as u64;
        if !born.is_empty() && is_active {
            self.reached.insert(DestinationId::from_uuid(walk.destination));
        }
        multi_row::insert(self.transaction, &REPLAYED, born).await?;
        multi_row::insert(self.transaction, &UNMATCHED, unmatched).await?;
        if is_full {
            return Ok(Some(walk));
        }
        let since = self.recovery.criteria.since;
        let next_pass = walk.found.then(|| Walk {
            after: since.map_or(Uuid::nil(), deliveries::first_id_since),
            found: false,
            ..walk
        });
        Ok(self.unless(page.len() < size, walk).or_else(|| {
            self.more |= next_pass.is_some();
            next_pass
        }))
    }

    /// So many leads behind a position, in the order of their ids.
    async fn leads(
        &self,
        walk: Walk,
        destination: &destinations::Model,
        filter: Option<&Filter>,
        size: usize,
    ) -> Result<Vec<Found>, StoreError> {
        let criteria = &self.recovery.criteria;
        let since = criteria.since.map_or(i64::MIN, Timestamp::as_millis);
        let until = criteria.until.map_or(i64::MAX, Timestamp::as_millis);
        let values = [
            self.recovery.client_id.as_uuid().into(),
            walk.after.into(),
            self.before().into(),
            bound(size).into(),
            since.into(),
            // Somebody else's clock may be ahead of that by which it was made. What was captured after it has a delivery.
            until.min(destination.created_at + CLOCK_TOLERANCE_MILLIS).into(),
            walk.destination.into(),
        ];
        // A filter looks at what was sent to others.
        let mut sql = leads_sql(self.transaction.get_database_backend());
        if filter.is_some() {
            sql = sql.replacen("e.id AS event_id", "e.id AS event_id, e.body", 1);
        }
        let mut page = Vec::with_capacity(size);
        for row in self.query(&sql, values).await? {
            let event = row.try_get::<Option<Uuid>>("", "event_id")?;
            let mismatch = match filter.filter(|_| event.is_some()) {
                Some(filter) => unmatched::why(filter, &row.try_get::<Vec<u8>>("", "body")?)?,
                None => None,
            };
            page.push(Found {
                lead: row.try_get("", "id")?,
                event,
                mismatch,
            });
        }
        page.sort_unstable_by_key(|found| found.lead);
        self.keep_events(&mut page).await?;
        Ok(page)
    }

    /// On PostgreSQL retention may remove events at this moment: it waits for us, or we for it and find them gone.
    async fn keep_events(&self, page: &mut [Found]) -> Result<(), StoreError> {
        let backend = self.transaction.get_database_backend();
        let ids = page.iter().filter_map(|found| found.event).collect::<Vec<_>>();
        if backend != DatabaseBackend::Postgres || ids.is_empty() {
            return Ok(());
        }
        let rows = self.transaction.query_all_raw(events_sql(ids).statement()).await?;
        let kept = rows.iter().map(|row| row.try_get_by_index::<Uuid>(0));
        let kept = kept.collect::<Result<BTreeSet<_>, _>>()?;
        for found in page {
            found.event = found.event.filter(|event| kept.contains(event));
        }
        Ok(())
    }
}
