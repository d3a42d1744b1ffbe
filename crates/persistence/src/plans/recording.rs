//! Leasing deliveries, and recording what came of their attempts.

use std::sync::Arc;

use sea_orm::{ConnectionTrait, DatabaseBackend, Statement, Value};
use sensei_domain::{ClientId, DeliveryId, Timestamp};
use sensei_test_support::PostgresServer;
use uuid::Uuid;

use super::{Hot, open, primary};
use crate::claim;
use crate::directory::{self, Addressee};
use crate::held;
use crate::job::Lease;
use crate::multi_row::{LARGEST_CHUNK, Sql};
use crate::options::DatabaseUrl;
use crate::record::{known, read};

pub(super) fn hot(backend: DatabaseBackend) -> Vec<Hot> {
    let now = Timestamp::from_millis(1_800_000_000_000);
    // Of many more rows than go together SQLite goes through all deliveries.
    let ids = (0..LARGEST_CHUNK as u128).map(Uuid::from_u128).collect::<Vec<_>>();
    let each = || ids.iter().copied();
    let leases = each().map(|id| (id, 7)).collect::<Vec<_>>();
    let held = each().map(|id| (DeliveryId::from_uuid(id), Lease::draw()));
    let primary = primary(backend);
    let mut moving_on = Sql::new(backend, "");
    known::update(&mut moving_on, each().map(known), &[]);
    let mut moving_usual_on = Sql::new(backend, "");
    known::update(&mut moving_usual_on, each().map(usual), known::USUAL);
    vec![
        Hot {
            what: "leasing",
            statement: claim::lease_statement(backend, &ids, Lease::draw(), now),
            names: primary,
        },
        Hot {
            what: "giving leases back",
            statement: claim::release_statement(backend, &leases, 7),
            names: primary,
        },
        Hot {
            what: "holding what is leased",
            statement: held::hold_leased_statement(backend, &held.collect::<Vec<_>>()),
            names: primary,
        },
        Hot {
            what: "moving on what is known",
            statement: moving_on.statement(),
            names: primary,
        },
        Hot {
            what: "moving on what is usual",
            statement: moving_usual_on.statement(),
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
            statement: read::update_statement(backend, each().map(moved)),
            names: primary,
        },
    ]
}

fn number() -> Value {
    Value::BigInt(Some(7))
}

fn text() -> Value {
    Value::String(None)
}

fn known(id: Uuid) -> [Value; 10] {
    let state = || Value::from("pending");
    [
        id.into(),
        number(),
        state(),
        number(),
        state(),
        number(),
        number(),
        number(),
        number(),
        text(),
    ]
}

/// Of a usual one: what isn't the same of all.
fn usual(id: Uuid) -> [Value; 4] {
    let [id, lease, state_before, completed_at, ..] = known(id);
    [id, lease, state_before, completed_at]
}

fn moved(id: Uuid) -> [Value; 13] {
    let state = || Value::from("pending");
    [
        id.into(),
        state(),
        number(),
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
    ]
}

/// By its statistics PostgreSQL takes what is pending for next to nothing: to begin with that, and to look through a batch for each,
/// took seconds once there were some thousands.
#[tokio::test(flavor = "multi_thread")]
async fn batches_are_moved_on_by_their_ids_whatever_the_statistics() {
    let Some(server) = PostgresServer::shared() else { return };
    let database = server.database();
    let store = open(DatabaseUrl::Postgres(database.url().to_owned())).await;
    let committer = store.connections().begin_batch().await.expect("a connection");
    let ids = (0..400).map(Uuid::from_u128).collect::<Vec<_>>();
    let moved_on = || {
        let mut of_known = Sql::new(DatabaseBackend::Postgres, "");
        known::update(&mut of_known, ids.iter().copied().map(known), &[]);
        let mut of_usual = Sql::new(DatabaseBackend::Postgres, "");
        known::update(&mut of_usual, ids.iter().copied().map(usual), known::USUAL);
        let leased = ids.iter().map(|&id| (DeliveryId::from_uuid(id), Lease::draw()));
        let leases = ids.iter().map(|&id| (id, 7)).collect::<Vec<_>>();
        let addressee = Addressee {
            version: 7,
            name: "Acme Corp".to_owned(),
            include_custom_fields: false,
            destinations: Vec::new(),
        };
        let addressee = Arc::new(addressee);
        let addressees = ids.iter().map(|&id| (ClientId::from_uuid(id), Arc::clone(&addressee)));
        let mut unchanged = Sql::new(DatabaseBackend::Postgres, "");
        directory::are_unchanged(&mut unchanged, &addressees.take(30).collect());
        [
            unchanged.statement(),
            of_known.statement(),
            of_usual.statement(),
            read::update_statement(DatabaseBackend::Postgres, ids.iter().copied().map(moved)),
            claim::release_statement(DatabaseBackend::Postgres, &leases, 7),
            held::hold_leased_statement(DatabaseBackend::Postgres, &leased.collect::<Vec<_>>()),
        ]
    };
    let history = "INSERT INTO deliveries (id, client_id, event_id, destination_id, state, attempt_count, scheduled_attempts, \
        created_at) SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'succeeded', 1, 0, 7 \
        FROM generate_series(1, 10000)";
    let clients = "INSERT INTO clients (id, name, include_custom_fields, created_at, updated_at) \
        SELECT gen_random_uuid(), 'Acme Corp', false, 7, 7 FROM generate_series(1, 1000)";
    // A plan that was made by one row is kept for long.
    let few = "INSERT INTO deliveries (id, client_id, event_id, destination_id, state, attempt_count, scheduled_attempts, created_at) \
        SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'pending', 1, 0, 7 FROM generate_series(1, 3)";
    let client = "INSERT INTO clients (id, name, include_custom_fields, created_at, updated_at) VALUES (gen_random_uuid(), 'A', false, 7, 7)";
    for fill in [few, client, "ANALYZE", history, clients, "ANALYZE"] {
        committer.execute_unprepared(fill).await.expect("filled");
        for statement in moved_on() {
            let what = statement.sql.clone();
            // A batch is planned for any, and by others for itself.
            let values = statement.values.iter().flat_map(|values| &values.0);
            let nulls = values.map(|_| "NULL").collect::<Vec<_>>().join(", ");
            let prepare = format!("PREPARE batch AS {what}");
            committer.execute_unprepared(&prepare).await.expect("prepared");
            let any = Statement::from_string(DatabaseBackend::Postgres, format!("EXPLAIN EXECUTE batch ({nulls})"));
            let mut itself = statement;
            itself.sql = format!("EXPLAIN {what}");
            for explained in [any, itself] {
                let rows = committer.query_all_raw(explained).await.expect("explained");
                let plan = rows
                    .iter()
                    .map(|row| row.try_get_by_index::<String>(0).expect("a step"));
                let plan = plan.collect::<Vec<_>>();
                let is_by_id = |step: &String| step.contains("Index Cond: (id = ANY");
                assert!(plan.iter().any(is_by_id), "{what}: {plan:#?}");
            }
            committer
                .execute_unprepared("DEALLOCATE batch")
                .await
                .expect("forgotten");
        }
    }
}
