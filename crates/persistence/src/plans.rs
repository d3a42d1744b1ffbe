//! The plans of hot queries, pinned: each goes by the index that was made for it, on both databases.
//!
//! SQLite plans by its rules alone. PostgreSQL prefers to read small tables whole, so here it is told not to:
//! what is pinned is that the index can serve the query.

use std::sync::Arc;

use sea_orm::{ConnectionTrait, DatabaseBackend, QueryTrait, Statement, Value};
use sensei_domain::{ClientId, DeliveryState, DestinationId, LeadId, ManualClock, Timestamp};
use sensei_test_support::PostgresServer;
use uuid::Uuid;

use crate::advance::RUNNING;
use crate::claim::DUE_DELIVERIES;
use crate::dead_leases::{FREE_RECENT, PENDING};
use crate::deliveries::{self, DeliveryFilter};
use crate::directory;
use crate::due::DUE_DESTINATIONS;
use crate::head;
use crate::held::RELEASABLE;
use crate::keys;
use crate::leads;
use crate::master_key::MasterKey;
use crate::options::{DatabaseUrl, StoreOptions};
use crate::records::Page;
use crate::redeliver;
use crate::stats::STANDING;
use crate::step::{self, HELD, IN_THE_WAY, leads_sql};
use crate::store::Store;

mod form_gate;
mod housekeeping;
mod reading;
mod recording;
mod triggers;

/// A query, and what its plan must name.
struct Hot {
    what: &'static str,
    statement: Statement,
    names: &'static str,
}

fn hot(backend: DatabaseBackend) -> Vec<Hot> {
    let now = Timestamp::from_millis(1_800_000_000_000);
    let (client, destination, lead) = (ClientId::new(now), DestinationId::new(now), LeadId::new(now));
    let page = Page {
        limit: 50,
        before: Some(lead.as_uuid()),
    };
    let none = DeliveryFilter::default();
    let raw = |sql: &str, values: Vec<Value>| Statement::from_sql_and_values(backend, sql, values);
    let log = |filter| deliveries::query(client, filter, page).build(backend);
    let due: Vec<Value> = vec![destination.as_uuid().into(), now.as_millis().into(), 50_i64.into()];
    let ordered = of_ordered(backend, due[0].clone(), due[1].clone());
    let others = vec![
        Hot {
            what: "due destinations",
            statement: raw(DUE_DESTINATIONS, vec![destination.as_uuid().into(), 50_i64.into()]),
            names: "deliveries_due",
        },
        Hot {
            what: "due deliveries",
            statement: raw(DUE_DELIVERIES, due),
            names: "deliveries_due",
        },
        Hot {
            what: "leads",
            statement: leads::query(client, page).build(backend),
            names: "leads_of_client",
        },
        Hot {
            what: "the log",
            statement: log(none),
            names: "deliveries_of_client",
        },
        Hot {
            what: "what failed",
            statement: log(DeliveryFilter {
                state: Some(DeliveryState::Failed),
                ..none
            }),
            names: "deliveries_stuck",
        },
        Hot {
            what: "what is held",
            statement: log(DeliveryFilter {
                state: Some(DeliveryState::Held),
                ..none
            }),
            names: "deliveries_stuck",
        },
        Hot {
            what: "the log of a day",
            statement: log(DeliveryFilter {
                since: Some(now),
                until: Some(now),
                ..none
            }),
            names: "deliveries_of_client",
        },
        Hot {
            what: "deliveries of a lead",
            statement: log(DeliveryFilter {
                lead_id: Some(lead),
                ..none
            }),
            names: "deliveries_of_lead",
        },
    ];
    others.into_iter().chain(ordered).collect()
}

/// How the head of an ordered destination is found.
fn of_ordered(backend: DatabaseBackend, destination: Value, now: Value) -> [Hot; 5] {
    let raw = |sql: &str, values: Vec<Value>| Statement::from_sql_and_values(backend, sql, values);
    let due = vec![destination.clone(), now];
    [
        Hot {
            what: "what blocks an ordered destination: leases and retries",
            statement: raw(head::BLOCKED, due.clone()),
            names: "deliveries_due",
        },
        Hot {
            what: "what blocks an ordered destination: held ones",
            statement: raw(head::BLOCKED, due.clone()),
            names: "deliveries_held",
        },
        Hot {
            what: "the head that was tried",
            statement: raw(head::TRIED, vec![destination]),
            names: "deliveries_tried",
        },
        Hot {
            what: "the head that wasn't tried",
            statement: raw(head::UNTRIED, due.clone()),
            names: "deliveries_due",
        },
        Hot {
            what: "the head that the clock is behind of",
            statement: raw(head::AHEAD, due),
            names: "deliveries_due",
        },
    ]
}

fn all_hot(backend: DatabaseBackend) -> Vec<Hot> {
    let all = [
        hot,
        hot_of_recoveries,
        hot_of_clients,
        form_gate::hot,
        housekeeping::hot,
        recording::hot,
        reading::hot,
    ];
    all.into_iter().flat_map(|of| of(backend)).collect()
}

/// At the start, on SQLite alone.
fn of_dead_leases() -> [Hot; 2] {
    let raw = |sql: &str, values: Vec<Value>| Statement::from_sql_and_values(DatabaseBackend::Sqlite, sql, values);
    [
        Hot {
            what: "what was leased lately",
            statement: raw(FREE_RECENT, vec![1.into(), 2.into()]),
            names: "deliveries_due (destination_id=? AND due_at>? AND due_at<?)",
        },
        Hot {
            what: "all that waits",
            statement: raw(
                PENDING,
                vec![Uuid::nil().into(), 1.into(), Uuid::nil().into(), 9.into()],
            ),
            names: "deliveries_due",
        },
    ]
}

fn hot_of_recoveries(backend: DatabaseBackend) -> Vec<Hot> {
    let now = Timestamp::from_millis(1_800_000_000_000);
    let raw = |sql: &str, values: Vec<Value>| Statement::from_sql_and_values(backend, sql, values);
    let (id, millis) = (LeadId::new(now).as_uuid(), now.as_millis());
    let in_the_way = vec![id.into(), millis.into(), millis.into(), 64_i64.into()];
    let held = vec![id.into(), id.into(), id.into(), millis.into(), 512_i64.into()];
    let walked: Vec<Value> = vec![id.into(), id.into(), id.into(), 512_i64.into()];
    let replayed = vec![millis.into(), millis.into(), id.into()];
    let replayed = walked.iter().cloned().chain(replayed).collect::<Vec<Value>>();
    vec![
        Hot {
            what: "running recoveries",
            statement: raw(RUNNING, vec![id.into(), 8_i64.into()]),
            names: "recoveries_running",
        },
        Hot {
            what: "what is in a recovery's way",
            statement: raw(IN_THE_WAY, in_the_way),
            names: "deliveries_due",
        },
        Hot {
            what: "held deliveries to discard",
            statement: raw(HELD, held),
            names: "deliveries_held",
        },
        Hot {
            what: "leads to replay",
            statement: raw(&leads_sql(backend), replayed.clone()),
            names: "leads_of_client",
        },
        Hot {
            what: "events to replay",
            statement: raw(&leads_sql(backend), replayed.clone()),
            names: "events_of_lead",
        },
        Hot {
            what: "what was replayed before",
            statement: raw(&leads_sql(backend), replayed),
            names: "deliveries_of_lead",
        },
        Hot {
            what: "failures to redeliver",
            statement: raw(&step::log_sql(DeliveryState::Failed), walked.clone()),
            names: "deliveries_stuck",
        },
        Hot {
            what: "successes to redeliver",
            statement: raw(&step::log_sql(DeliveryState::Succeeded), walked),
            names: "deliveries_of_client",
        },
        Hot {
            what: "making due",
            statement: redeliver::make_due_statement(backend, &[id; 4], DeliveryState::Failed, now),
            names: primary(backend),
        },
    ]
}

/// How a client stands.
fn hot_of_clients(backend: DatabaseBackend) -> Vec<Hot> {
    let now = Timestamp::from_millis(1_800_000_000_000);
    let raw = |sql: &str, values: Vec<Value>| Statement::from_sql_and_values(backend, sql, values);
    let (id, millis): (Value, Value) = (LeadId::new(now).as_uuid().into(), now.as_millis().into());
    let standing = || vec![id.clone(), millis.clone(), millis.clone(), 50_i64.into()];
    let uuid = LeadId::new(now).as_uuid();
    let is_sqlite = usize::from(backend == DatabaseBackend::Sqlite);
    let ahead = Hot {
        what: "clients and destinations of which nothing is known",
        statement: directory::client_and_destination_rows(&[uuid, uuid]),
        names: "destinations_name",
    };
    let ahead = (backend == DatabaseBackend::Postgres).then_some(ahead);
    let others = [
        Hot {
            what: "clients that leads come for",
            statement: directory::client_rows(backend, &[uuid, uuid]),
            names: ["clients_pkey", "sqlite_autoindex_clients_1"][is_sqlite],
        },
        Hot {
            what: "destinations that leads are bound for",
            statement: directory::destination_rows(backend, &[uuid, uuid]),
            names: "destinations_name",
        },
        Hot {
            what: "a key",
            statement: keys::by_hash(&[7; 32]).build(backend),
            names: "api_keys_hash",
        },
        Hot {
            what: "destinations to release for",
            statement: raw(RELEASABLE, vec![id.clone(), 50_i64.into()]),
            names: "deliveries_held",
        },
        Hot {
            what: "a client's destinations, how they stand",
            statement: raw(STANDING, standing()),
            names: "destinations_name",
        },
        Hot {
            what: "what is due or leased of a client",
            statement: raw(STANDING, standing()),
            names: "deliveries_due",
        },
    ];
    others.into_iter().chain(ahead).collect()
}

fn primary(backend: DatabaseBackend) -> &'static str {
    if backend == DatabaseBackend::Sqlite {
        "sqlite_autoindex_deliveries_1"
    } else {
        "deliveries_pkey"
    }
}

pub(crate) async fn open(database: DatabaseUrl) -> Store {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let lease = std::time::Duration::from_mins(1);
    let options = StoreOptions {
        database,
        master_key: format!("{}=", "A".repeat(43)).parse::<MasterKey>().expect("a key"),
        previous_master_key: None,
        lease,
        clock,
    };
    Store::open(options).await.expect("an empty database opens")
}

#[tokio::test(flavor = "multi_thread")]
async fn hot_queries_go_by_their_indexes_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = DatabaseUrl::Sqlite(folder.path().join("sensei.db"));
    let store = open(database.clone()).await;
    // Statistics of a day when there was one event: by them the table would be read whole for each due delivery.
    for sql in [
        "ANALYZE",
        "INSERT INTO sqlite_stat1 VALUES ('events', 'sqlite_autoindex_events_1', '1 1'), ('events', 'events_of_lead', '1 1')",
    ] {
        let writer = &store.connections().writer;
        writer.execute_unprepared(sql).await.expect("statistics");
    }
    store.close().await;
    drop(store);
    let store = open(database).await;
    for Hot {
        what,
        mut statement,
        names,
    } in all_hot(DatabaseBackend::Sqlite).into_iter().chain(of_dead_leases())
    {
        statement.sql = format!("EXPLAIN QUERY PLAN {}", statement.sql);
        let rows = store.connections().writer.query_all_raw(statement).await.expect(what);
        let plan = rows
            .iter()
            .map(|row| row.try_get::<String>("", "detail").expect("a step"))
            .collect::<Vec<_>>();
        assert!(plan.iter().any(|step| step.contains(names)), "{what}: {plan:#?}");
        // What a statement makes for itself may be read whole; a table may not, and nothing is sorted.
        let is_whole = |step: &&String| {
            let own = ["hop", "moved", "nearest", "page", "CONSTANT"];
            step.starts_with("SCAN") && !step.contains("USING") && !own.iter().any(|name| step.contains(name))
        };
        assert!(!plan.iter().any(|step| is_whole(&step)), "{what}: {plan:#?}");
        assert!(
            !plan.iter().any(|step| step.contains("TEMP B-TREE")),
            "{what}: {plan:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hot_queries_go_by_their_indexes_on_postgres() {
    let Some(server) = PostgresServer::shared() else { return };
    let database = server.database();
    let store = open(DatabaseUrl::Postgres(database.url().to_owned())).await;
    let transaction = store.connections().begin().await.expect("begun");
    transaction
        .execute_unprepared("SET LOCAL enable_seqscan = off")
        .await
        .expect("set");
    for Hot {
        what,
        mut statement,
        names,
    } in all_hot(DatabaseBackend::Postgres)
    {
        statement.sql = format!("EXPLAIN {}", statement.sql);
        let rows = transaction.query_all_raw(statement).await.expect(what);
        let plan = rows
            .iter()
            .map(|row| row.try_get_by_index::<String>(0).expect("a step"))
            .collect::<Vec<_>>();
        assert!(plan.iter().any(|step| step.contains(names)), "{what}: {plan:#?}");
    }
}
