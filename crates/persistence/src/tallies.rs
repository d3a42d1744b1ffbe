//! How many deliveries are in each state: of a client, and of all.
//!
//! The database counts by itself, in triggers (see the migration), so nothing here or elsewhere has to think of it, and a
//! count is right at every commit. On SQLite it counts in place. On PostgreSQL each statement appends its changes, which
//! [`Store::fold_tallies`] adds up: writers never wait for each other's counts. Reading is folded plus not yet folded,
//! in one statement, and so of one moment.

use sea_orm::{ConnectionTrait, DatabaseBackend, Statement, Value};
use sensei_domain::{ClientId, DeliveryState};
use uuid::Uuid;

use crate::connection::in_time;
use crate::error::StoreError;
use crate::store::Store;

/// All clients together are counted under this id.
const ALL_CLIENTS: Uuid = Uuid::nil();
/// Changes that one step folds at most.
const FOLDED_AT_ONCE: i64 = 5_000;

/// What was counted for `$1`.
pub(crate) const COUNTED: &str = "SELECT state, count FROM tallies WHERE client_id = $1";
pub(crate) const UNFOLDED: &str =
    "SELECT state, CAST(sum(change) AS BIGINT) FROM tally_changes WHERE client_id = $1 GROUP BY state";
pub(crate) const UNFOLDED_OF_ALL: &str = "SELECT state, CAST(sum(change) AS BIGINT) FROM tally_changes GROUP BY state";
/// Adds up to `$1` changes to the counts. Those that another process folds are left to it; counts are locked in one order.
pub(crate) const FOLD: &str = "WITH gone AS (DELETE FROM tally_changes WHERE id IN \
    (SELECT id FROM tally_changes ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING client_id, state, change), \
    added AS (SELECT client_id, state, sum(change) AS change FROM gone GROUP BY client_id, state \
    UNION ALL SELECT '00000000-0000-0000-0000-000000000000'::uuid, state, sum(change) FROM gone GROUP BY state), \
    counted AS (INSERT INTO tallies (client_id, state, count) \
    SELECT client_id, state, change FROM added WHERE change <> 0 ORDER BY client_id, state \
    ON CONFLICT (client_id, state) DO UPDATE SET count = tallies.count + excluded.count) \
    SELECT count(*) FROM gone";
/// Counts of nothing, of clients that are gone.
pub(crate) const EMPTY: &str =
    "DELETE FROM tallies WHERE count = 0 AND NOT EXISTS (SELECT 1 FROM clients WHERE clients.id = tallies.client_id)";

/// Deliveries by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Due at some time, or under way.
    pub pending: u64,
    /// Kept until their destination is active again.
    pub held: u64,
    /// The receiver has them.
    pub succeeded: u64,
    /// No attempt will follow by itself.
    pub failed: u64,
    /// Their destination was deleted or their lead erased, or the lead didn't match the destination's filter.
    pub cancelled: u64,
}

impl Tally {
    /// How many are in a state.
    pub const fn of(&self, state: DeliveryState) -> u64 {
        match state {
            DeliveryState::Pending => self.pending,
            DeliveryState::Held => self.held,
            DeliveryState::Succeeded => self.succeeded,
            DeliveryState::Failed => self.failed,
            DeliveryState::Cancelled => self.cancelled,
        }
    }
}

impl Store {
    /// How many deliveries are in each state, of a client or (`None`) of all. Exact, and as cheap with millions of them.
    pub async fn tally(&self, client: Option<ClientId>) -> Result<Tally, StoreError> {
        let reader = self.connections().prompt();
        let backend = reader.get_database_backend();
        let sql = match (backend, client) {
            (DatabaseBackend::Postgres, Some(_)) => format!("{COUNTED} UNION ALL {UNFOLDED}"),
            (DatabaseBackend::Postgres, None) => format!("{COUNTED} UNION ALL {UNFOLDED_OF_ALL}"),
            _ => COUNTED.to_owned(),
        };
        let of = client.map_or(ALL_CLIENTS, ClientId::as_uuid);
        let values: [Value; 1] = [of.into()];
        let rows = in_time(reader.query_all_raw(Statement::from_sql_and_values(backend, sql, values))).await?;
        let mut counts = [0_i64; 5];
        for row in rows {
            // Whatever else somebody wrote there by hand is none of these.
            let Ok(state) = row.try_get_by_index::<String>(0)?.parse::<DeliveryState>() else {
                continue;
            };
            counts[state as usize] += row.try_get_by_index::<i64>(1)?;
        }
        let count = |state: DeliveryState| u64::try_from(counts[state as usize]).unwrap_or(0);
        Ok(Tally {
            pending: count(DeliveryState::Pending),
            held: count(DeliveryState::Held),
            succeeded: count(DeliveryState::Succeeded),
            failed: count(DeliveryState::Failed),
            cancelled: count(DeliveryState::Cancelled),
        })
    }

    /// Adds up what changed since it was last called, some of it. True when there may be more. Nothing is to be done on
    /// SQLite. However late, counts are right meanwhile: reading them only takes longer.
    pub async fn fold_tallies(&self) -> Result<bool, StoreError> {
        if self.connections().is_sqlite() {
            return Ok(false);
        }
        let writer = &self.connections().writer;
        let values: [Value; 1] = [FOLDED_AT_ONCE.into()];
        let fold = Statement::from_sql_and_values(writer.get_database_backend(), FOLD, values);
        let row = in_time(writer.query_one_raw(fold)).await?;
        let folded = row.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0))?;
        Ok(folded == FOLDED_AT_ONCE)
    }
}
