//! How a client stands: its deliveries by state, since when one is due, and how many are being attempted.

use sea_orm::{ConnectionTrait, Statement, Value};
use sensei_domain::{ClientId, Timestamp};

use crate::connection::in_time;
use crate::error::StoreError;
use crate::store::Store;
use crate::tallies::Tally;

/// Deliveries that come due or lose their lease soon, of which those that are leased are counted for one destination.
const LOOKED_AT: i64 = 10_000;

/// Of each destination of the client `$1`: what was due first at `$2`, and how many are leased until `$3` at the latest, of `$4`
/// that are looked at. A lease's end is a due time: only what is due between the two can be leased.
pub(crate) const STANDING: &str = "SELECT \
    (SELECT due_at FROM deliveries WHERE state = 'pending' AND destination_id = destinations.id AND due_at <= $2 \
    ORDER BY due_at LIMIT 1), \
    (SELECT count(lease) FROM (SELECT lease FROM deliveries WHERE state = 'pending' \
    AND destination_id = destinations.id AND due_at > $2 AND due_at <= $3 LIMIT $4) AS page) \
    FROM destinations WHERE client_id = $1 AND deleted_at IS NULL";

/// How a client stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientStats {
    /// Its deliveries by state.
    pub deliveries: Tally,
    /// Since when the delivery is due that is due longest; `None` when none is.
    pub oldest_due: Option<Timestamp>,
    /// Deliveries that a process holds to attempt them: under way, or waiting in its memory. Of a destination, ten thousand
    /// at most.
    pub in_flight: u64,
    /// When this was so.
    pub as_of: Timestamp,
}

impl Store {
    /// How a client stands; of an unknown one, nothing is counted.
    pub async fn client_stats(&self, client: ClientId) -> Result<ClientStats, StoreError> {
        let as_of = self.now();
        let values: [Value; 4] = [
            client.as_uuid().into(),
            as_of.as_millis().into(),
            as_of.after(self.lease()).as_millis().into(),
            LOOKED_AT.into(),
        ];
        let reader = &self.connections().reader;
        let standing = Statement::from_sql_and_values(reader.get_database_backend(), STANDING, values);
        let (mut oldest_due, mut in_flight) = (None::<Timestamp>, 0);
        for row in in_time(reader.query_all_raw(standing)).await? {
            let due = row.try_get_by_index::<Option<i64>>(0)?.map(Timestamp::from_millis);
            oldest_due = oldest_due.into_iter().chain(due).min();
            in_flight += u64::try_from(row.try_get_by_index::<i64>(1)?).unwrap_or(0);
        }
        Ok(ClientStats {
            deliveries: self.tally(Some(client)).await?,
            oldest_due,
            in_flight,
            as_of,
        })
    }
}
