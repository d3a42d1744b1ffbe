//! What runs in the background: holding, releasing, adding up, looking after health, forgetting.

use sea_orm::{DatabaseBackend, QueryTrait, Statement, Value};
use sensei_domain::{DestinationId, LeadId, Timestamp};

use super::{Hot, primary};
use crate::client_deletion;
use crate::health;
use crate::health_keeper;
use crate::held;
use crate::idempotency;
use crate::resealing;
use crate::retention;
use crate::secrets::EXPIRED;
use crate::tallies::{COUNTED, FOLD, UNFOLDED, UNFOLDED_OF_ALL};

pub(super) fn hot(backend: DatabaseBackend) -> Vec<Hot> {
    let now = Timestamp::from_millis(1_800_000_000_000);
    let (destination, client) = (DestinationId::new(now), LeadId::new(now).as_uuid());
    let raw = |sql: &str, values: Vec<Value>| Statement::from_sql_and_values(backend, sql, values);
    let key = idempotency::lookup((client, "POST", "/v1/clients", "key"));
    let by_key = if backend == DatabaseBackend::Sqlite {
        "sqlite_autoindex_idempotency_keys_1 (client_id=? AND method=? AND path=? AND key=?)"
    } else {
        "idempotency_keys_pkey"
    };
    // SQLite names of a comparison of rows only its first column.
    let behind_a_key = by_key.split(" (").next().unwrap_or(by_key);
    let old = vec![now.as_millis().into(), 50_i64.into()];
    let all = [
        Hot {
            what: "releasing what is held",
            statement: held::free_statement(backend, destination.as_uuid()),
            names: "deliveries_held",
        },
        Hot {
            what: "moving what is released",
            statement: held::free_statement(backend, destination.as_uuid()),
            names: primary(backend),
        },
        Hot {
            what: "holding what is due",
            statement: held::hold_due_statement(backend, destination, now),
            names: "deliveries_due",
        },
        Hot {
            what: "moving what is held",
            statement: held::hold_due_statement(backend, destination, now),
            names: primary(backend),
        },
        Hot {
            what: "destinations whose health is due",
            statement: health_keeper::due(now).build(backend),
            names: "destination_health_look",
        },
        Hot {
            what: "the health of destinations",
            statement: health::rows(&[destination.as_uuid(), client]).build(backend),
            names: if backend == DatabaseBackend::Sqlite {
                "sqlite_autoindex_destination_health_1"
            } else {
                "destination_health_pkey"
            },
        },
        Hot {
            what: "an idempotency key",
            statement: key.build(backend),
            names: by_key,
        },
        Hot {
            what: "old idempotency keys",
            statement: raw(idempotency::SWEEP, old.clone()),
            names: "idempotency_keys_age",
        },
        Hot {
            what: "removing old idempotency keys",
            statement: raw(idempotency::SWEEP, old.clone()),
            names: by_key,
        },
        Hot {
            what: "what may be sealed under the previous key",
            statement: raw(resealing::DESTINATIONS, vec![client.into(), 20_i64.into()]),
            names: if backend == DatabaseBackend::Sqlite {
                "sqlite_autoindex_destinations_1"
            } else {
                "destinations_pkey"
            },
        },
        Hot {
            what: "answers that may be",
            statement: raw(
                resealing::ANSWERS,
                vec![
                    client.into(),
                    "POST".into(),
                    "/v1/clients".into(),
                    "key".into(),
                    500_i64.into(),
                ],
            ),
            names: behind_a_key,
        },
        Hot {
            what: "secrets that were replaced",
            statement: raw(EXPIRED, old),
            names: "destinations_expiring",
        },
    ];
    all.into_iter()
        .chain(forgetting(backend, now))
        .chain(deleting(backend, &client.into()))
        .chain(counting(backend, client.into()))
        .collect()
}

/// A step of retention: the page that it looks at, and what it removes.
fn forgetting(backend: DatabaseBackend, now: Timestamp) -> Vec<Hot> {
    let id: Value = LeadId::new(now).as_uuid().into();
    let mut all = Vec::new();
    for (task, names) in [
        (&retention::ATTEMPTS, ["attempts_pkey", "sqlite_autoindex_attempts_1"]),
        (
            &retention::DELIVERIES,
            ["deliveries_pkey", "sqlite_autoindex_deliveries_1"],
        ),
        (&retention::EVENTS, ["events_pkey", "sqlite_autoindex_events_1"]),
        (&retention::LEADS, ["leads_pkey", "sqlite_autoindex_leads_1"]),
    ] {
        let names = names[usize::from(backend == DatabaseBackend::Sqlite)];
        let mut add = |what, sql: &str, mut values: Vec<Value>| {
            if !sql.contains("$4") {
                values.truncate(3);
            }
            let statement = Statement::from_sql_and_values(backend, sql, values);
            all.push(Hot { what, statement, names });
        };
        add(
            "what may be old",
            task.page,
            vec![id.clone(), id.clone(), 500_i64.into()],
        );
        if let Some(lock) = task.lock.filter(|_| backend == DatabaseBackend::Postgres) {
            let values = vec![id.clone(), id.clone(), now.as_millis().into()];
            add("locking what is old", lock, values);
        }
        for sql in task.removals {
            let values = vec![id.clone(), id.clone(), now.as_millis().into(), id.clone()];
            add("removing what is old", sql, values);
        }
    }
    let by_key = ["rollups_pkey", "PRIMARY KEY (client_id=? AND at=?)"];
    let by_key = by_key[usize::from(backend == DatabaseBackend::Sqlite)];
    all.extend(["rollups_age", by_key].map(|names| Hot {
        what: "removing old sums",
        statement: Statement::from_sql_and_values(backend, retention::ROLLUPS, [now.as_millis().into(), 50_i64.into()]),
        names,
    }));
    all
}

/// A step of a client's deletion.
fn deleting(backend: DatabaseBackend, id: &Value) -> Vec<Hot> {
    let locking: &[&str] = match backend {
        DatabaseBackend::Postgres => &[
            client_deletion::LOCK_SOME_LEADS,
            client_deletion::LOCK_DELIVERIES_OF_LEADS,
        ],
        _ => &[],
    };
    let of_leads = locking.iter().chain(client_deletion::OF_LEADS).map(|sql| Hot {
        what: "removing some of a client's leads",
        statement: Statement::from_sql_and_values(backend, *sql, vec![id.clone(), id.clone(), id.clone()]),
        names: "leads_of_client",
    });
    let names = usize::from(backend == DatabaseBackend::Sqlite);
    let others = [
        (
            client_deletion::KEYS,
            ["idempotency_keys_pkey", "sqlite_autoindex_idempotency_keys_1"][names],
        ),
        (client_deletion::ROLLUPS, ["rollups_pkey", "PRIMARY KEY"][names]),
    ];
    let others = others.into_iter().map(|(sql, names)| Hot {
        what: "removing some of what else a client has",
        statement: Statement::from_sql_and_values(backend, sql, vec![id.clone(), 50_i64.into()]),
        names,
    });
    of_leads.chain(others).collect()
}

/// What was counted. On PostgreSQL what isn't added up yet is read whole: it is what changed in the last second.
fn counting(backend: DatabaseBackend, client: Value) -> Vec<Hot> {
    let raw = |sql: &str, values: Vec<Value>| Statement::from_sql_and_values(backend, sql, values);
    if backend == DatabaseBackend::Sqlite {
        return vec![Hot {
            what: "counts of a client",
            statement: raw(COUNTED, vec![client]),
            names: "PRIMARY KEY (client_id=?)",
        }];
    }
    vec![
        Hot {
            what: "counts of a client",
            statement: raw(&format!("{COUNTED} UNION ALL {UNFOLDED}"), vec![client.clone()]),
            names: "tallies_pkey",
        },
        Hot {
            what: "counts of all",
            statement: raw(&format!("{COUNTED} UNION ALL {UNFOLDED_OF_ALL}"), vec![client]),
            names: "tallies_pkey",
        },
        Hot {
            what: "adding up what was counted",
            statement: raw(FOLD, vec![50_i64.into()]),
            names: "tally_changes_pkey",
        },
    ]
}
