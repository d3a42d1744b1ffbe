//! Which destinations have something due: looked for in turn, a bounded part at a time.
//!
//! A look hops over the index of what is pending from destination to destination, however many rows each has, and at
//! most over [`HOPS`] of them, so that it costs the same with a hundred thousand destinations whose retries are due tomorrow.
//! The next look goes on where the last one ended; those that begin at the first destination and end at the last one
//! are a round.

use std::sync::PoisonError;

use sea_orm::{ConnectionTrait, Statement, Value};
use sensei_domain::{DestinationId, Timestamp};
use uuid::Uuid;

use crate::connection::in_time;
use crate::error::StoreError;
use crate::store::Store;

/// Destinations that one look hops over at most: some 2 ms on SQLite.
pub(crate) const HOPS: usize = 256;

/// Destinations after `$1` with anything pending, at most `$2`, each with what is due first there.
pub(crate) const DUE_DESTINATIONS: &str = "WITH RECURSIVE hop (destination_id, hops) AS ( \
    SELECT * FROM (SELECT destination_id, CAST(1 AS BIGINT) FROM deliveries WHERE state = 'pending' \
    AND destination_id > $1 ORDER BY destination_id LIMIT 1) AS nearest \
    UNION ALL \
    SELECT (SELECT destination_id FROM deliveries WHERE state = 'pending' AND destination_id > hop.destination_id \
    ORDER BY destination_id LIMIT 1), hops + 1 FROM hop WHERE hop.destination_id IS NOT NULL AND hops < $2) \
    SELECT destination_id, (SELECT due_at FROM deliveries WHERE state = 'pending' \
    AND deliveries.destination_id = hop.destination_id ORDER BY due_at LIMIT 1) \
    FROM hop WHERE destination_id IS NOT NULL";

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueLook {
    /// With something due now, leases that ran out included.
    pub destinations: Vec<DestinationId>,
    /// It began at the first destination of all.
    pub begins_round: bool,
    /// It came to the last one.
    pub ends_round: bool,
}

/// Where the looks are.
#[derive(Debug, Default)]
pub(crate) struct DueRound {
    after: Uuid,
    /// Due first of what this round came by.
    oldest: Option<Timestamp>,
    /// Due first of all, as the last finished round found.
    oldest_of_last: Option<Timestamp>,
}

impl Store {
    /// Looks for destinations with a delivery that is due, going on where the last look ended.
    pub async fn due_destinations(&self) -> Result<DueLook, StoreError> {
        let now = self.now();
        let round = || self.shared().due_round.lock().unwrap_or_else(PoisonError::into_inner);
        let after = round().after;
        let values: [Value; 2] = [after.into(), i64::try_from(HOPS).unwrap_or(i64::MAX).into()];
        let reader = self.connections().prompt();
        let statement = Statement::from_sql_and_values(reader.get_database_backend(), DUE_DESTINATIONS, values);
        let rows = in_time(reader.query_all_raw(statement)).await?;
        let (mut destinations, mut last, mut oldest) = (Vec::new(), after, None::<Timestamp>);
        for row in &rows {
            last = row.try_get_by_index(0)?;
            // Taken or moved since: then it isn't due.
            let due_at = row.try_get_by_index::<Option<i64>>(1)?.map(Timestamp::from_millis);
            if let Some(due_at) = due_at.filter(|&due_at| due_at <= now) {
                destinations.push(DestinationId::from_uuid(last));
                oldest = Some(oldest.map_or(due_at, |oldest| oldest.min(due_at)));
            }
        }
        let look = DueLook {
            destinations,
            begins_round: after.is_nil(),
            ends_round: rows.len() < HOPS,
        };
        let mut round = round();
        let before = round.oldest.take().filter(|_| !look.begins_round);
        let oldest = before.into_iter().chain(oldest).min();
        if look.ends_round {
            (round.after, round.oldest_of_last) = (Uuid::nil(), oldest);
        } else {
            (round.after, round.oldest) = (last, oldest);
        }
        Ok(look)
    }

    /// Since when the delivery is due that is due first, of all destinations, as the last finished round of looks found.
    /// `None` when nothing was due.
    pub fn oldest_due(&self) -> Option<Timestamp> {
        let round = self.shared().due_round.lock().unwrap_or_else(PoisonError::into_inner);
        round.oldest_of_last
    }
}
