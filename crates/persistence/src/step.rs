//! One step of a recovery: what each of its walks does within the step's transaction.
//!
//! Live traffic goes first: at most [`IN_FLIGHT`] recovered deliveries of a destination are due or under way, and none
//! is added while anything is due there that nobody has fetched. So a new lead is behind so many and not behind all.
//!
//! A destination that was deleted or isn't active is no reason to wait: its deliveries are counted as skipped, and a later
//! recovery can take them up. A replay makes them held instead, and passes over the leads until a pass finds nothing: ids
//! are made before they are committed.

mod replay;

use std::collections::BTreeSet;
use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, EntityTrait, QueryResult, Statement, Value,
};
use sensei_domain::{DeliveryState, DestinationId, RecoveryKind, Timestamp};
use uuid::Uuid;

use crate::deliveries::{self, cancelling};
use crate::entities::destinations;
use crate::error::StoreError;
use crate::multi_row::chunks;
use crate::records::Recovery;
use crate::recovery_rows::Walk;
use crate::redeliver::{self, NotRedelivered};

/// Rows that one walk reads in a step.
const PAGE: usize = 512;
/// Walks of one recovery that read a page in a step.
const PAGES: usize = 4;
/// Recovered deliveries of one destination that are due or under way.
const IN_FLIGHT: usize = 64;

/// What is due for the destination `$1` at `$3`, and recovered deliveries whose lease ends by `$2`; those that are due first.
pub(crate) const IN_THE_WAY: &str = "SELECT due_at FROM deliveries WHERE state = 'pending' AND destination_id = $1 \
    AND due_at <= $2 AND (due_at <= $3 OR (lease IS NOT NULL AND (prior_state IS NOT NULL OR replayed))) \
    ORDER BY due_at LIMIT $4";
/// What is held for the destination `$1` behind `$2`.
pub(crate) const HELD: &str = "SELECT id FROM deliveries WHERE state = 'held' AND destination_id = $1 \
    AND id > $2 AND id < $3 AND created_at <= $4 ORDER BY id LIMIT $5";
/// Leads of the client `$1` behind `$2`, each with its event if it was captured from `$5` to before `$6`, isn't erased, and
/// has no delivery to the destination `$7`.
const LEADS: &str = "SELECT page.id, e.id AS event_id FROM (SELECT id, created_at, erased_at FROM leads \
    WHERE client_id = $1 AND id > $2 AND id < $3 ORDER BY id LIMIT $4) AS page \
    LEFT JOIN events e ON e.lead_id = page.id AND e.type = 'lead.created' AND page.erased_at IS NULL \
    AND page.created_at >= $5 AND page.created_at < $6 AND NOT EXISTS \
    (SELECT 1 FROM deliveries d WHERE d.lead_id = page.id AND d.destination_id = $7)";

/// On PostgreSQL retention, which alone takes no heed of the client's lock, is waited for, or has removed them.
pub(crate) fn leads_sql(backend: DatabaseBackend) -> String {
    match backend {
        DatabaseBackend::Postgres => LEADS.replacen("LIMIT $4)", "LIMIT $4 FOR KEY SHARE)", 1),
        _ => LEADS.to_owned(),
    }
}

/// A client's deliveries behind `$2`, of this state or of any.
pub(crate) fn log_sql(state: DeliveryState) -> String {
    // Only what failed has an index, which isn't used for a parameter.
    let only = if state == DeliveryState::Failed {
        "AND state = 'failed' "
    } else {
        ""
    };
    format!(
        "SELECT id, destination_id, state, created_at, completed_at FROM deliveries WHERE client_id = $1 {only}AND id > $2 \
         AND id < $3 ORDER BY id LIMIT $4"
    )
}

/// What one step of one recovery does.
pub(crate) struct Step<'a> {
    transaction: &'a DatabaseTransaction,
    recovery: &'a Recovery,
    now: Timestamp,
    lease: Duration,
    /// How many deliveries are on their way now, made or cancelled.
    pub(crate) done: u64,
    /// How many stay as they are.
    pub(crate) skipped: u64,
    /// What is redelivered, all of it at the end: who locks several locks them in the order of their ids.
    redelivered: Vec<Uuid>,
    /// Destinations that something is due for now.
    pub(crate) reached: BTreeSet<DestinationId>,
    /// How many more pages may be read.
    pub(crate) pages: usize,
    /// Whether there is more to do that need not wait.
    pub(crate) more: bool,
    /// Why there is no sense in going on.
    pub(crate) error: Option<&'static str>,
}

impl<'a> Step<'a> {
    pub(crate) fn new(
        transaction: &'a DatabaseTransaction,
        recovery: &'a Recovery,
        now: Timestamp,
        lease: Duration,
    ) -> Self {
        Self {
            transaction,
            recovery,
            now,
            lease,
            done: 0,
            skipped: 0,
            redelivered: Vec::new(),
            reached: BTreeSet::new(),
            pages: PAGES,
            more: false,
            error: None,
        }
    }

    /// Takes a walk as far as it may go now. `None`: it is at its end.
    pub(crate) async fn go_on(&mut self, walk: Walk) -> Result<Option<Walk>, StoreError> {
        let destination = destinations::Entity::find_by_id(walk.destination)
            .one(self.transaction)
            .await?;
        let standing = redeliver::active(destination.as_ref());
        let room = if standing.is_ok() {
            self.room(walk.destination).await?
        } else {
            usize::MAX
        };
        if room == 0 && self.recovery.kind != RecoveryKind::Discard {
            return Ok(Some(walk));
        }
        self.pages -= 1;
        match (self.recovery.kind, destination) {
            (RecoveryKind::Redeliver, _) => self.redeliver_some(walk, standing.is_ok(), room).await,
            (RecoveryKind::Discard, _) => self.discard_some(walk).await,
            (RecoveryKind::Replay, Some(destination)) if standing != Err(NotRedelivered::Deleted) => {
                self.replay_some(walk, &destination, standing.is_ok(), room).await
            }
            (RecoveryKind::Replay, _) => {
                self.error = Some("its destination was deleted");
                Ok(None)
            }
        }
    }

    /// How many more deliveries of a destination may be made due.
    async fn room(&self, destination: Uuid) -> Result<usize, DbErr> {
        let values = [
            destination.into(),
            self.now.after(self.lease).as_millis().into(),
            self.now.as_millis().into(),
            bound(IN_FLIGHT).into(),
        ];
        let in_the_way = self.query(IN_THE_WAY, values).await?;
        let first: Option<i64> = in_the_way.first().map(|row| row.try_get("", "due_at")).transpose()?;
        Ok(if first.is_some_and(|due_at| due_at <= self.now.as_millis()) {
            0
        } else {
            IN_FLIGHT.saturating_sub(in_the_way.len())
        })
    }

    async fn redeliver_some(
        &mut self,
        mut walk: Walk,
        is_active: bool,
        room: usize,
    ) -> Result<Option<Walk>, StoreError> {
        let state = self.redelivered_state()?;
        let client = self.recovery.client_id.as_uuid();
        let values = [
            client.into(),
            walk.after.into(),
            self.before().into(),
            bound(PAGE).into(),
        ];
        let page = self.query(&log_sql(state), values).await?;
        let mut taken = 0;
        for row in &page {
            let id: Uuid = row.try_get("", "id")?;
            let is_meant = row.try_get::<String>("", "state")? == state.name()
                && row.try_get::<Uuid>("", "destination_id")? == walk.destination
                && self.is_of_its_time(row.try_get("", "created_at")?, row.try_get("", "completed_at")?);
            if is_meant && !is_active {
                self.skipped += 1;
            } else if is_meant {
                if taken == room {
                    return Ok(Some(walk));
                }
                taken += 1;
                self.redelivered.push(id);
                self.reached.insert(DestinationId::from_uuid(walk.destination));
            }
            walk.after = id;
        }
        Ok(self.unless(page.len() < PAGE, walk))
    }

    /// Makes due what the walks found.
    pub(crate) async fn redeliver(&mut self) -> Result<(), StoreError> {
        if self.redelivered.is_empty() {
            return Ok(());
        }
        self.redelivered.sort_unstable();
        let state = self.redelivered_state()?;
        let moved = redeliver::make_due(self.transaction, &self.redelivered, state, self.now).await?;
        self.done += moved;
        self.skipped += self.redelivered.len() as u64 - moved;
        Ok(())
    }

    fn redelivered_state(&self) -> Result<DeliveryState, StoreError> {
        self.recovery.criteria.state.ok_or(StoreError::Unreadable {
            what: "recovery's criteria",
        })
    }

    async fn discard_some(&mut self, mut walk: Walk) -> Result<Option<Walk>, StoreError> {
        let values = [
            walk.destination.into(),
            walk.after.into(),
            self.before().into(),
            self.recovery.created_at.as_millis().into(),
            bound(PAGE).into(),
        ];
        let lock = if self.transaction.get_database_backend() == DatabaseBackend::Postgres {
            " FOR UPDATE"
        } else {
            ""
        };
        let mut page = Vec::with_capacity(PAGE);
        for row in self.query(&format!("{HELD}{lock}"), values).await? {
            page.push(row.try_get::<Uuid>("", "id")?);
        }
        walk.after = page.last().copied().unwrap_or(walk.after);
        let backend = self.transaction.get_database_backend();
        for part in chunks(backend, &page) {
            let mut sql = cancelling(backend, self.now);
            sql.push("state = 'held' AND id ");
            sql.among(part.iter().copied());
            self.done += self.transaction.execute_raw(sql.statement()).await?.rows_affected();
        }
        Ok(self.unless(page.len() < PAGE, walk))
    }

    /// The walk as it goes on after a page, unless that was the last one.
    fn unless(&mut self, was_last: bool, walk: Walk) -> Option<Walk> {
        self.more |= !was_last;
        (!was_last).then_some(walk)
    }

    /// Beyond what was there when the recovery was asked for.
    fn before(&self) -> Uuid {
        let created_at = self.recovery.created_at;
        deliveries::first_id_after(
            self.recovery
                .criteria
                .until
                .map_or(created_at, |until| until.min(created_at)),
        )
    }

    fn is_of_its_time(&self, created_at: i64, completed_at: Option<i64>) -> bool {
        let criteria = &self.recovery.criteria;
        created_at <= self.recovery.created_at.as_millis()
            && criteria.since.is_none_or(|since| created_at >= since.as_millis())
            && criteria.until.is_none_or(|until| created_at < until.as_millis())
            && criteria
                .completed_since
                .is_none_or(|since| completed_at >= Some(since.as_millis()))
    }

    async fn query(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<Vec<QueryResult>, DbErr> {
        let statement = Statement::from_sql_and_values(self.transaction.get_database_backend(), sql, values);
        self.transaction.query_all_raw(statement).await
    }
}

pub(crate) fn bound(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
