//! Leasing deliveries, and recording what came of their attempts.

use sea_orm::{DatabaseBackend, Value};
use sensei_domain::{DeliveryId, DestinationId, LeadId, Timestamp};

use super::{Hot, primary};
use crate::claim;
use crate::held;
use crate::job::Lease;
use crate::multi_row::Sql;
use crate::record::{known, read};

pub(super) fn hot(backend: DatabaseBackend) -> Vec<Hot> {
    let now = Timestamp::from_millis(1_800_000_000_000);
    let (destination, lead) = (DestinationId::new(now), LeadId::new(now));
    let ids = [destination.as_uuid(), lead.as_uuid()];
    let primary = primary(backend);
    let (number, text) = (|| Value::BigInt(Some(7)), || Value::String(None));
    let (id, state) = (|| Value::from(lead.as_uuid()), || Value::from("pending"));
    let moved = || {
        let before = [id(), state(), number()];
        let after = [
            state(),
            number(),
            number(),
            number(),
            number(),
            number(),
            text(),
            number(),
            text(),
            number(),
        ];
        <[Value; 13]>::try_from([&before[..], &after[..]].concat()).expect("3 and 10")
    };
    let known = || {
        [
            id(),
            number(),
            state(),
            state(),
            number(),
            number(),
            number(),
            number(),
            text(),
            number(),
        ]
    };
    let mut moving_on = Sql::new(backend, "");
    known::update(&mut moving_on, [known(), known()]);
    vec![
        Hot {
            what: "leasing",
            statement: claim::lease_statement(backend, &ids, Lease::draw(), now),
            names: primary,
        },
        Hot {
            what: "giving leases back",
            statement: claim::release_statement(backend, &ids.map(|id| (id, 7)), 7),
            names: primary,
        },
        Hot {
            what: "holding what is leased",
            statement: held::hold_leased_statement(backend, &ids.map(|id| (DeliveryId::from_uuid(id), Lease::draw()))),
            names: primary,
        },
        Hot {
            what: "moving on what is known",
            statement: moving_on.statement(),
            names: primary,
        },
        Hot {
            what: "what is to be moved on",
            statement: read::lock_statement(backend, &ids),
            names: primary,
        },
        Hot {
            what: "what was logged before",
            statement: read::logged_statement(backend, &ids),
            names: ["attempts_pkey", "sqlite_autoindex_attempts_1"][usize::from(backend == DatabaseBackend::Sqlite)],
        },
        Hot {
            what: "moving on",
            statement: read::update_statement(backend, [moved(), moved()]),
            names: primary,
        },
    ]
}
