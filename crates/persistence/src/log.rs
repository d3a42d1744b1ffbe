//! The delivery log as it is shown: each delivery with the names of its destination and lead, and its last attempt.
//!
//! A page is read first, then what belongs to it in one read a table: never one a row. Conditions that no index serves are looked for in
//! windows of the log, and for so long only: what isn't found by then is on the next page, which goes on behind what was looked through.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, Select, Statement, Value};
use sensei_domain::{ClientId, DeliveryId, DeliveryState, EventId, LeadId};
use uuid::Uuid;

use crate::deliveries::{self, DeliveryFilter};
use crate::entities::deliveries::{Column, Entity, Model};
use crate::entities::{attempts, destinations, events};
use crate::error::StoreError;
use crate::log_names::padded;
use crate::records::{Attempt, Delivery, Page};
use crate::store::Store;

/// Rows of the log that are looked through at once. With 2,000, one window alone took longer than a page has.
const WINDOW: u64 = 500;
/// Deliveries whose ids are known that are read at once.
const MOST_BY_ID: u64 = 2_000;
/// No further window is begun after this. A page has 50 ms; what is found must be read as well.
const LOOKED_FOR: Duration = Duration::from_millis(15);

/// Which deliveries of a client's log; what is `None` doesn't matter.
#[derive(Debug, Clone, Default)]
pub struct LogFilter {
    /// What the delivery is.
    pub delivery: DeliveryFilter,
    /// To destinations of this kind.
    pub kind: Option<String>,
    /// Those whose last attempt was answered with a status in this range.
    pub status_code: Option<RangeInclusive<u16>>,
    /// With this id of their own, of their event or their lead; or of leads that are found by this text.
    pub text: Option<String>,
}

/// A delivery as the log shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedDelivery {
    /// The delivery.
    pub delivery: Delivery,
    /// The name of its destination, and its kind; a deleted one keeps them.
    pub destination: Option<NamedDestination>,
    /// Its lead: `None` of a sample or an operational event, and once the lead is forgotten or erased.
    pub lead: Option<NamedLead>,
    /// The attempt made last, unless it is forgotten.
    pub last_attempt: Option<Attempt>,
}

/// How a destination is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedDestination {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
}

/// Whose lead it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedLead {
    /// The lead's id.
    pub id: LeadId,
    /// Full name.
    pub name: String,
    /// Email address.
    pub email: String,
}

/// A piece of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// Newest first. Fewer than were asked for don't mean that nothing follows.
    pub deliveries: Vec<LoggedDelivery>,
    /// The id that the next page is before; `None` on the last one.
    pub next: Option<Uuid>,
}

/// A delivery with all that is kept about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryInFull {
    /// As the log shows it.
    pub logged: LoggedDelivery,
    /// Its attempts, the first one first.
    pub attempts: Vec<Attempt>,
    /// What it carries, unless that is forgotten.
    pub event: Option<StoredEvent>,
}

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its id.
    pub id: EventId,
    /// What happened, e.g. `lead.created`.
    pub event_type: String,
    /// The very bytes that are sent; empty once its lead is erased.
    pub body: Vec<u8>,
}

impl Store {
    /// A page of a client's delivery log, of at most `page.limit` deliveries.
    pub async fn log(&self, client: ClientId, filter: &LogFilter, page: Page) -> Result<LogPage, StoreError> {
        let found = match filter.text.as_deref() {
            None => {
                let of = self.pending_of(client, filter).await?.map_or(Of::All, Of::Ids);
                self.rows_of_log(client, filter, &of, page).await?
            }
            Some(text) => match text.parse::<DeliveryId>() {
                Ok(id) => {
                    let ids = self.ids_of(client, id.as_uuid()).await?;
                    self.rows_of_log(client, filter, &Of::Ids(ids), page).await?
                }
                Err(_) => self.rows_by_text(client, filter, text, page).await?,
            },
        };
        Ok(LogPage {
            deliveries: self.dressed(found.rows).await?,
            next: found.next,
        })
    }

    /// A delivery with all that is kept about it.
    pub async fn delivery_in_full(
        &self,
        client: ClientId,
        id: DeliveryId,
    ) -> Result<Option<DeliveryInFull>, StoreError> {
        let Some((delivery, attempts)) = self.delivery(client, id).await? else {
            return Ok(None);
        };
        let reader = &self.connections().reader;
        let event = events::Entity::find_by_id(delivery.event_id.as_uuid())
            .one(reader)
            .await?;
        let event = event.map(|row| StoredEvent {
            id: EventId::from_uuid(row.id),
            event_type: row.event_type,
            body: row.body,
        });
        let mut names = self.names(std::slice::from_ref(&delivery)).await?;
        let logged = LoggedDelivery {
            destination: names.destinations.remove(&delivery.destination_id.as_uuid()),
            lead: delivery.lead_id.and_then(|lead| names.leads.remove(&lead.as_uuid())),
            last_attempt: attempts.last().cloned(),
            delivery,
        };
        Ok(Some(DeliveryInFull {
            logged,
            attempts,
            event,
        }))
    }

    /// All that is pending for a client, where that is what is asked for and isn't too much: it would be looked for among all the others.
    async fn pending_of(&self, client: ClientId, filter: &LogFilter) -> Result<Option<Vec<Uuid>>, StoreError> {
        if filter.delivery.state != Some(DeliveryState::Pending) || filter.delivery.lead_id.is_some() {
            return Ok(None);
        }
        let reader = &self.connections().reader;
        let most = i64::try_from(MOST_BY_ID).unwrap_or(i64::MAX);
        let values: [Value; 2] = [client.as_uuid().into(), (most + 1).into()];
        let statement = Statement::from_sql_and_values(reader.get_database_backend(), PENDING, values);
        let rows = reader.query_all_raw(statement).await?;
        if rows.len() as u64 > MOST_BY_ID {
            return Ok(None);
        }
        let ids = rows.iter().map(|row| row.try_get_by_index(0));
        let ids = ids.collect::<Result<Vec<Uuid>, _>>()?;
        // Filled up to one of a few numbers; of nothing, with what isn't there.
        Ok(Some(padded(ids).unwrap_or_else(|| vec![Uuid::nil()])))
    }

    /// Looks through the log until the page is full, nothing is left, or the time is over.
    async fn rows_of_log(
        &self,
        client: ClientId,
        filter: &LogFilter,
        of: &Of,
        page: Page,
    ) -> Result<Found, StoreError> {
        let reader = &self.connections().reader;
        let wanted = page.limit as usize;
        let (begun, mut rows, mut before) = (Instant::now(), Vec::new(), page.before);
        loop {
            let limit = u32::try_from(wanted + 1 - rows.len()).unwrap_or(u32::MAX);
            let from = Page { limit, before };
            // A condition that an index serves finds a page in as many rows.
            let end = if matches!(of, Of::All) && filter.is_looked_for() {
                let end = window_end(client, filter, before).into_tuple::<Uuid>();
                end.one(reader).await?
            } else {
                None
            };
            rows.extend(log_query(client, filter, of, end, from).all(reader).await?);
            if rows.len() > wanted {
                rows.truncate(wanted);
                let next = rows.last().map(|row| row.id);
                return Ok(Found { rows, next });
            }
            if end.is_none() || begun.elapsed() > LOOKED_FOR {
                return Ok(Found { rows, next: end });
            }
            before = end;
        }
    }

    /// The deliveries that an id is of: their own, their lead's or their event's.
    async fn ids_of(&self, client: ClientId, id: Uuid) -> Result<Vec<Uuid>, StoreError> {
        let reader = &self.connections().reader;
        let event = events::Entity::find_by_id(id)
            .filter(events::Column::ClientId.eq(client.as_uuid()))
            .one(reader)
            .await?;
        let mut ids = vec![id];
        let lead = match &event {
            Some(event) => event.lead_id,
            None => Some(id),
        };
        let filter = DeliveryFilter {
            lead_id: lead.map(LeadId::from_uuid),
            ..DeliveryFilter::default()
        };
        let most = Page {
            limit: u32::try_from(MOST_BY_ID).unwrap_or(u32::MAX),
            before: None,
        };
        let mut query = deliveries::query(client, filter, most);
        if let Some(event) = event {
            query = query.filter(Column::EventId.eq(id));
            if lead.is_none() {
                // A sample's delivery was made with its event: no index finds it, but its id is near.
                let at = sensei_domain::Timestamp::from_millis(event.created_at);
                query = query
                    .filter(Column::Id.gte(deliveries::first_id_since(at)))
                    .filter(Column::Id.lt(deliveries::first_id_after(at)));
            }
        }
        ids.extend(query.all(reader).await?.into_iter().map(|row| row.id));
        Ok(ids)
    }
}

/// What is pending for the client `$1`: so many of it. What is bound for a deleted destination was cancelled.
pub(crate) const PENDING: &str = "SELECT id FROM deliveries WHERE state = 'pending' AND destination_id IN \
    (SELECT id FROM destinations WHERE client_id = $1 AND deleted_at IS NULL) LIMIT $2";

/// What a search in the log came to.
pub(crate) struct Found {
    pub(crate) rows: Vec<Model>,
    pub(crate) next: Option<Uuid>,
}

/// Among which deliveries is looked.
pub(crate) enum Of {
    /// All of the client.
    All,
    /// These.
    Ids(Vec<Uuid>),
}

impl LogFilter {
    /// Whether rows must be looked at that aren't wanted: no index leads to those that are.
    fn is_looked_for(&self) -> bool {
        let is_served = self.delivery.lead_id.is_some()
            || matches!(
                self.delivery.state,
                None | Some(DeliveryState::Failed | DeliveryState::Held)
            );
        !is_served || self.delivery.destination_id.is_some() || self.kind.is_some() || self.status_code.is_some()
    }

    /// As far as indexes serve it.
    fn served(&self) -> DeliveryFilter {
        let state = self.delivery.state;
        DeliveryFilter {
            state: state.filter(|state| matches!(state, DeliveryState::Failed | DeliveryState::Held)),
            destination_id: None,
            ..self.delivery
        }
    }
}

/// The last id of the next window; nothing when there are fewer rows than that.
pub(crate) fn window_end(client: ClientId, filter: &LogFilter, before: Option<Uuid>) -> Select<Entity> {
    let window = deliveries::query(client, filter.served(), Page { limit: 1, before });
    window.select_only().column(Column::Id).offset(WINDOW - 1)
}

/// What is wanted of a window.
pub(crate) fn log_query(
    client: ClientId,
    filter: &LogFilter,
    of: &Of,
    window_end: Option<Uuid>,
    page: Page,
) -> Select<Entity> {
    let mut query = match of {
        Of::All => deliveries::query(client, filter.delivery, page),
        Of::Ids(ids) => deliveries::query_by(Column::Id, ids, client, filter.delivery, page),
    };
    if let Some(end) = window_end {
        query = query.filter(Column::Id.gte(end));
    }
    looked_for(query, filter)
}

/// With the conditions that no index serves.
pub(crate) fn looked_for(mut query: Select<Entity>, filter: &LogFilter) -> Select<Entity> {
    if let Some(kind) = &filter.kind {
        let of_kind = Query::select()
            .expr(Expr::val(1))
            .from(destinations::Entity)
            .and_where(
                Expr::col((destinations::Entity, destinations::Column::Id)).equals((Entity, Column::DestinationId)),
            )
            .and_where(Expr::col((destinations::Entity, destinations::Column::Kind)).eq(kind.as_str()))
            .to_owned();
        query = query.filter(Expr::exists(of_kind));
    }
    if let Some(status) = &filter.status_code {
        let code = || Expr::col((attempts::Entity, attempts::Column::StatusCode));
        let answered = Query::select()
            .expr(Expr::val(1))
            .from(attempts::Entity)
            .and_where(Expr::col((attempts::Entity, attempts::Column::DeliveryId)).equals((Entity, Column::Id)))
            .and_where(Expr::col((attempts::Entity, attempts::Column::Number)).equals((Entity, Column::AttemptCount)))
            .and_where(code().between(i64::from(*status.start()), i64::from(*status.end())))
            .to_owned();
        query = query.filter(Expr::exists(answered));
    }
    query
}
