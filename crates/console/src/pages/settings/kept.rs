//! For how long things are kept, on a client's Settings page: the operator decides that for all clients.

use std::time::Duration;

use sensei_persistence::Retention;

use crate::moment::exactly;

/// In words; what is never removed by itself has none.
pub(super) struct Kept {
    pub(super) leads: Option<String>,
    pub(super) deliveries: Option<String>,
    pub(super) attempts: Option<String>,
}

impl Kept {
    pub(super) fn of(retention: &Retention) -> Self {
        let words = |time: Option<Duration>| time.map(exactly);
        Self {
            leads: words(retention.leads),
            deliveries: words(retention.deliveries),
            attempts: words(retention.attempts),
        }
    }
}
