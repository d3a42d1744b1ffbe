//! Claiming what is due, and giving it back: how deliveries leave the database for a lane other than at birth.
//!
//! Promises that a delivery is leased to one process at a time: rows are leased by guarded, counted
//! updates, under an immediate transaction (SQLite) or `FOR UPDATE SKIP LOCKED` (PostgreSQL). A lease
//! that ran out is due like any other row: `due_at` is then the lease's end. Of an ordered destination
//! only the head is leased ([`crate::head`]).
//! Leaves to others: which destinations have something due ([`crate::due`]), which lanes have room, and when to look (the sweeper).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryResult,
    Statement,
};
use sensei_domain::{DeliveryId, DeliveryState, DestinationId, DestinationStatus, EventId, Standing, Timestamp};
use uuid::Uuid;

use crate::checkpoints::Checkpoints;
use crate::connection::in_time;
use crate::directory::Directory;
use crate::entities::{deliveries, destinations};
use crate::error::StoreError;
use crate::head::due_head;
use crate::held;
use crate::job::{self, Job, Lease};
use crate::multi_row::{LARGEST_CHUNK, Sql, chunks};
use crate::orphans::{Orphans, cancel_eventless, cancel_orphans};
use crate::records::Destination;
use crate::store::Store;

/// What is due at `$2` for the destination `$1`, the longest due first.
pub(crate) const DUE_DELIVERIES: &str = "SELECT d.id, d.event_id, d.attempt_count, d.scheduled_attempts, \
    d.ours_since, d.prior_state, d.replayed, e.body FROM deliveries d JOIN events e ON e.id = d.event_id \
    WHERE d.state = 'pending' AND d.destination_id = $1 AND d.due_at <= $2 ORDER BY d.due_at, d.id LIMIT $3";

/// A wish for due deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Of which destination.
    pub destination_id: DestinationId,
    /// How many at most.
    pub room: usize,
}

/// What a claim got.
#[derive(Debug)]
pub struct Claimed<P> {
    /// Of which destination.
    pub destination_id: DestinationId,
    /// The deliveries, leased, what is due longest first, each with its place.
    pub jobs: Vec<(Job, P)>,
    /// Whether more due deliveries stayed behind.
    pub left: bool,
}

/// What a held delivery turned out to be when it was read again.
#[derive(Debug)]
pub enum Refreshed {
    /// Still pending, still ours: goes to this destination, as it is now.
    Current(Arc<Destination>),
    /// No longer ours to attempt.
    Gone,
}

impl Store {
    /// Leases due deliveries of some destinations, for each as many as there is room for and as find a place
    /// (`reserve`, told the size of the body); none that this process holds already (`is_held`), due as they may be:
    /// an attempt of them may be under way. What is due for a destination that was deleted is cancelled, for one
    /// that isn't active it is held.
    pub async fn claim<P: Send>(
        &self,
        claims: &[Claim],
        is_held: impl Fn(DeliveryId) -> bool + Send + Sync,
        reserve: impl Fn(&Arc<Destination>, usize) -> Option<P> + Send + Sync,
    ) -> Result<Vec<Claimed<P>>, StoreError> {
        in_time(self.claim_now(claims, is_held, reserve)).await
    }

    async fn claim_now<P: Send>(
        &self,
        claims: &[Claim],
        is_held: impl Fn(DeliveryId) -> bool + Send + Sync,
        reserve: impl Fn(&Arc<Destination>, usize) -> Option<P> + Send + Sync,
    ) -> Result<Vec<Claimed<P>>, StoreError> {
        // Before the first read: a lease's age counts from there.
        let (begun, now) = (Instant::now(), self.now());
        let leased_until = begun + self.lease();
        let lease = Lease::draw();
        let checkpoints = Checkpoints::of(Arc::clone(self.shared()));
        let transaction = self.connections().begin().await?;
        let mut claimed = Vec::with_capacity(claims.len());
        for &Claim { destination_id, room } in claims {
            let (mut jobs, mut left) = (Vec::new(), false);
            match Directory::by_id(&transaction, destination_id).await? {
                None => {
                    let cancelled = cancel_orphans(&transaction, destination_id, Orphans::Due, now).await?;
                    if cancelled > 0 {
                        tracing::warn!(destination = %destination_id, deliveries = cancelled, "cancelled what was due for a deleted destination");
                    }
                }
                Some(row) => {
                    if row.status != DestinationStatus::Active.name() {
                        held::hold_due(&transaction, destination_id, now).await?;
                    } else if let Some(destination) = self.shared().directory.readable(row) {
                        let due = if destination.ordered {
                            due_head(&transaction, destination_id, &is_held, now).await?
                        } else {
                            due_deliveries(&transaction, destination_id, room, &is_held, now).await?
                        };
                        for row in due.rows.iter().take(room) {
                            let job = job(row, &destination, lease, leased_until, begun, &checkpoints)?;
                            let Some(place) = reserve(&destination, job.body.len()) else {
                                break;
                            };
                            jobs.push((job, place));
                        }
                        left = due.left || due.rows.len() > jobs.len();
                    }
                }
            }
            claimed.push(Claimed {
                destination_id,
                jobs,
                left,
            });
        }
        let mut ids = claimed
            .iter()
            .flat_map(|claimed| &claimed.jobs)
            .map(|(job, _)| job.delivery_id.as_uuid())
            .collect::<Vec<_>>();
        ids.sort_unstable();
        lease_deliveries(&transaction, &ids, lease, now.after(self.lease())).await?;
        transaction.commit().await?;
        Ok(claimed)
    }

    /// Reads deliveries again that this process holds; answers in the same order. What is bound for a destination that
    /// isn't active any more is held.
    pub async fn refresh(&self, held: &[(DeliveryId, Lease)]) -> Result<Vec<Refreshed>, StoreError> {
        in_time(self.refresh_now(held)).await
    }

    async fn refresh_now(&self, held: &[(DeliveryId, Lease)]) -> Result<Vec<Refreshed>, StoreError> {
        let reader = self.connections().prompt();
        let (mut refreshed, mut inactive) = (Vec::with_capacity(held.len()), Vec::new());
        for part in held.chunks(LARGEST_CHUNK) {
            let ids = part.iter().map(|(id, _)| id.as_uuid());
            let found = deliveries::Entity::find()
                .filter(deliveries::Column::Id.is_in(ids))
                .all(reader)
                .await?;
            let places = found.iter().map(|row| row.destination_id).collect::<BTreeSet<_>>();
            let living = destinations::Entity::find()
                .filter(destinations::Column::Id.is_in(places))
                .filter(destinations::Column::DeletedAt.is_null())
                .all(reader)
                .await?;
            // One that can't be read is as good as gone: its leases run out.
            let living = living
                .into_iter()
                .filter_map(|model| self.shared().directory.readable(model))
                .collect::<Vec<_>>();
            refreshed.extend(part.iter().map(|(id, lease)| {
                let is_held = |row: &&deliveries::Model| {
                    row.id == id.as_uuid() && row.state == "pending" && row.lease == Some(lease.as_column())
                };
                let row = found.iter().find(is_held);
                let place = row.and_then(|row| living.iter().find(|place| place.id.as_uuid() == row.destination_id));
                match place {
                    Some(place) if place.status == DestinationStatus::Active => Refreshed::Current(Arc::clone(place)),
                    Some(_) => {
                        inactive.push((*id, *lease));
                        Refreshed::Gone
                    }
                    None => Refreshed::Gone,
                }
            }));
        }
        if !inactive.is_empty() {
            let transaction = self.connections().begin().await?;
            held::hold_leased(&transaction, inactive).await?;
            transaction.commit().await?;
        }
        Ok(refreshed)
    }

    /// Gives leases back: what is still held by them is due at once, for whoever comes; what nobody has attempted since its capture, so that it
    /// keeps its place.
    pub async fn release(&self, held: &[(DeliveryId, Lease)]) -> Result<(), StoreError> {
        in_time(self.release_now(held)).await
    }

    async fn release_now(&self, held: &[(DeliveryId, Lease)]) -> Result<(), StoreError> {
        let mut held = held
            .iter()
            .map(|(id, lease)| (id.as_uuid(), lease.as_column()))
            .collect::<Vec<_>>();
        held.sort_unstable();
        let now = self.now().as_millis();
        let transaction = self.connections().begin().await?;
        let backend = transaction.get_database_backend();
        for part in chunks(backend, &held) {
            let release = release_statement(backend, part, now);
            transaction.execute_raw(release).await?;
        }
        Ok(transaction.commit().await?)
    }
}

/// Rows that may be leased, and whether there are more.
pub(crate) struct Due {
    pub(crate) rows: Vec<QueryResult>,
    pub(crate) left: bool,
}

/// The due deliveries of a destination that this process doesn't hold, one more than there is room for.
async fn due_deliveries(
    transaction: &DatabaseTransaction,
    destination: DestinationId,
    room: usize,
    is_held: &(impl Fn(DeliveryId) -> bool + Sync),
    now: Timestamp,
) -> Result<Due, DbErr> {
    let backend = transaction.get_database_backend();
    let lock = if backend == DatabaseBackend::Postgres {
        " FOR UPDATE OF d SKIP LOCKED"
    } else {
        ""
    };
    let mut limit = room.saturating_add(1);
    loop {
        let bound = i64::try_from(limit).unwrap_or(i64::MAX);
        let values = [destination.as_uuid().into(), now.as_millis().into(), bound.into()];
        let sql = format!("{DUE_DELIVERIES}{lock}");
        let statement = Statement::from_sql_and_values(backend, sql, values);
        let rows = transaction.query_all_raw(statement).await?;
        let found = rows.len();
        if found == 0 {
            cancel_eventless(transaction, destination, None, now).await?;
        }
        let mut free = Vec::with_capacity(found);
        for row in rows {
            if !is_held(DeliveryId::from_uuid(row.try_get("", "id")?)) {
                free.push(row);
            }
        }
        if free.len() > room || found < limit {
            return Ok(Due {
                rows: free,
                left: false,
            });
        }
        // Those that are held hide others behind them.
        limit = limit.saturating_mul(2).saturating_add(found);
    }
}

fn job(
    row: &QueryResult,
    destination: &Arc<Destination>,
    lease: Lease,
    leased_until: Instant,
    read_at: Instant,
    checkpoints: &Checkpoints,
) -> Result<Job, DbErr> {
    let attempts: i64 = row.try_get("", "attempt_count")?;
    let scheduled: i64 = row.try_get("", "scheduled_attempts")?;
    let is_redelivered = row.try_get::<Option<String>>("", "prior_state")?.is_some();
    Ok(Job {
        delivery_id: DeliveryId::from_uuid(row.try_get("", "id")?),
        event_id: EventId::from_uuid(row.try_get("", "event_id")?),
        lease,
        leased_until,
        read_at,
        destination: Arc::clone(destination),
        body: row.try_get::<Vec<u8>>("", "body")?.into(),
        trigger: job::trigger(is_redelivered, attempts, row.try_get("", "replayed")?),
        attempts,
        standing: Standing {
            scheduled_attempt: u32::try_from(scheduled + 1).unwrap_or(u32::MAX),
            ours_since: row
                .try_get::<Option<i64>>("", "ours_since")?
                .map(Timestamp::from_millis),
        },
        checkpoints: checkpoints.clone(),
    })
}

/// Makes deliveries due that are still under these leases.
pub(crate) fn release_statement(backend: DatabaseBackend, held: &[(Uuid, i64)], now: i64) -> Statement {
    let mut sql = Sql::new(backend, "WITH moved (id, lease, state) AS (");
    let pending = DeliveryState::Pending.name();
    sql.rows(
        held.iter()
            .map(|&(id, lease)| [id.into(), lease.into(), pending.into()]),
    );
    sql.push(
        ") UPDATE deliveries SET lease = NULL, \
         due_at = CASE WHEN attempt_count = 0 AND prior_state IS NULL AND created_at < ",
    );
    sql.value(now);
    sql.push(" THEN created_at ELSE ");
    sql.value(now);
    // As where attempts are recorded: `= 'pending'` would tempt a planner.
    sql.push(
        " END FROM moved WHERE deliveries.id = moved.id AND deliveries.lease = moved.lease \
         AND deliveries.state = moved.state",
    );
    sql.and_among_them("deliveries.id");
    sql.statement()
}

/// Leases rows. By id alone: they are locked, or nobody else writes, and a second condition tempts a planner to
/// go through all that is due.
pub(crate) fn lease_statement(
    backend: DatabaseBackend,
    ids: &[Uuid],
    lease: Lease,
    lease_ends: Timestamp,
) -> Statement {
    let mut sql = Sql::new(backend, "UPDATE deliveries SET lease = ");
    sql.value(lease.as_column());
    sql.push(", due_at = ");
    sql.value(lease_ends.as_millis());
    sql.push(" WHERE id ");
    sql.among(ids.iter().copied());
    sql.statement()
}

/// Writes the lease into rows that this transaction has found due.
async fn lease_deliveries(
    transaction: &DatabaseTransaction,
    ids: &[Uuid],
    lease: Lease,
    lease_ends: Timestamp,
) -> Result<(), DbErr> {
    let backend = transaction.get_database_backend();
    for part in chunks(backend, ids) {
        let statement = lease_statement(backend, part, lease, lease_ends);
        let leased = transaction.execute_raw(statement).await?.rows_affected();
        if leased != part.len() as u64 {
            return Err(DbErr::Custom(format!(
                "{leased} of {} due deliveries were leased",
                part.len()
            )));
        }
    }
    Ok(())
}
