//! What the console reads: lists, charts, what happens, search.

use sea_orm::{DatabaseBackend, QueryTrait, Statement, Value};
use sensei_domain::{ClientId, DeliveryState, DestinationId, LeadId, Timestamp};

use super::{Hot, open, primary};
use crate::deliveries::DeliveryFilter;
use crate::follow::{DELIVERY_BEHIND, LEAD_BEHIND};
use crate::lead_words;
use crate::live::{RETRIED, done_late_sql, since_sql};
use crate::log::{LogFilter, Of, PENDING, log_query, window_end};
use crate::log_names::{destination_names_sql, last_attempts_sql, lead_names_sql};
use crate::options::DatabaseUrl;
use crate::records::Page;
use crate::rollups::{DONE_BEHIND, LEADS, done_sql};
use crate::window::{NEW_LEADS, days_sql, new_done_sql, rolled_up_sql, standings_sql};

fn named(backend: DatabaseBackend, sqlite: &'static str, postgres: &'static str) -> &'static str {
    if backend == DatabaseBackend::Sqlite {
        sqlite
    } else {
        postgres
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn hot(backend: DatabaseBackend) -> Vec<Hot> {
    let now = Timestamp::from_millis(1_800_000_000_000);
    let (client, id) = (ClientId::new(now), LeadId::new(now).as_uuid());
    let page = Page {
        limit: 50,
        before: Some(id),
    };
    let millis: Value = now.as_millis().into();
    let raw = |sql: &str, values: Vec<Value>| Statement::from_sql_and_values(backend, sql, values);
    let by_code = LogFilter {
        status_code: Some(500..=599),
        kind: Some("webhook".to_owned()),
        ..LogFilter::default()
    };
    let failed = LogFilter {
        delivery: DeliveryFilter {
            state: Some(DeliveryState::Failed),
            destination_id: Some(DestinationId::new(now)),
            ..DeliveryFilter::default()
        },
        ..LogFilter::default()
    };
    let log = |filter: &LogFilter| log_query(client, filter, &Of::All, Some(id), page).build(backend);
    let new = |select: &str| {
        since_sql(backend, select, &[client], now, 50)
            .expect("a client")
            .statement()
    };
    let hot = |what, statement, names| Hot { what, statement, names };
    vec![
        hot(
            "the end of a window",
            window_end(client, &by_code, None).build(backend),
            "deliveries_of_client",
        ),
        hot(
            "the end of a window of failures",
            window_end(client, &failed, None).build(backend),
            "deliveries_stuck",
        ),
        hot("a window by status code", log(&by_code), "deliveries_of_client"),
        hot(
            "the attempts of a window",
            log(&by_code),
            named(backend, "sqlite_autoindex_attempts_1", "attempts_pkey"),
        ),
        hot(
            "a window of failures to one destination",
            log(&failed),
            "deliveries_stuck",
        ),
        hot(
            "last attempts",
            last_attempts_sql(backend, vec![id; 4]).statement(),
            named(
                backend,
                "sqlite_autoindex_attempts_1 (delivery_id=? AND number=?)",
                "attempts_pkey",
            ),
        ),
        hot(
            "deliveries of last attempts",
            last_attempts_sql(backend, vec![id; 4]).statement(),
            primary(backend),
        ),
        hot(
            "names of destinations",
            destination_names_sql(backend, vec![id; 4]).statement(),
            named(backend, "sqlite_autoindex_destinations_1", "destinations_pkey"),
        ),
        hot(
            "names of leads",
            lead_names_sql(backend, vec![id; 4]).statement(),
            named(backend, "sqlite_autoindex_leads_1", "leads_pkey"),
        ),
        hot(
            "new leads",
            new("SELECT client_id, id FROM leads WHERE "),
            "leads_of_client",
        ),
        hot(
            "new deliveries",
            new("SELECT id, state FROM deliveries WHERE "),
            "deliveries_of_client",
        ),
        hot(
            "what was done late",
            done_late_sql(backend, &[client], now, 50).statement(),
            "deliveries_done_late",
        ),
        hot(
            "what is pending for a client",
            raw(PENDING, vec![client.as_uuid().into(), 50_i64.into()]),
            "deliveries_due",
        ),
        hot(
            "retries",
            raw(RETRIED, vec![client.as_uuid().into(), 50_i64.into(), millis.clone()]),
            "deliveries_tried",
        ),
        hot(
            "how far leads are added up",
            raw(LEAD_BEHIND, vec![id.into(), 50_i64.into()]),
            named(backend, "sqlite_autoindex_leads_1", "leads_pkey"),
        ),
        hot(
            "leads whose words are written",
            raw(lead_words::found_sql(backend), vec![id.into(), id.into()]),
            named(backend, "sqlite_autoindex_leads_1", "leads_pkey"),
        ),
        hot(
            "how far deliveries are added up",
            raw(DELIVERY_BEHIND, vec![id.into(), 50_i64.into()]),
            primary(backend),
        ),
        hot(
            "how far what was done late is added up",
            raw(DONE_BEHIND, vec![millis.clone(), 50_i64.into()]),
            "deliveries_done_late",
        ),
        hot(
            "leads not added up yet",
            raw(NEW_LEADS, vec![client.as_uuid().into(), id.into(), 50_i64.into()]),
            "leads_of_client",
        ),
        hot(
            "deliveries not added up yet",
            raw(
                &new_done_sql(false),
                vec![client.as_uuid().into(), millis.clone(), 50_i64.into(), id.into()],
            ),
            "deliveries_of_client",
        ),
        hot(
            "late deliveries not added up yet",
            raw(
                &new_done_sql(true),
                vec![client.as_uuid().into(), millis, 50_i64.into()],
            ),
            "deliveries_done_late",
        ),
        hot(
            "days of clients",
            days_sql(backend, vec![id; 4], 5).statement(),
            named(backend, "PRIMARY KEY", "rollups_pkey"),
        ),
        hot(
            "how destinations stand",
            standings_sql(backend, vec![id; 4]).statement(),
            "destinations_name",
        ),
    ]
}

/// Charts are drawn from the rollups alone, of which a month has nine thousand; and what is added up goes by ids or by when it was done.
#[tokio::test(flavor = "multi_thread")]
async fn charts_read_rollups_and_no_history_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(DatabaseUrl::Sqlite(folder.path().join("sensei.db"))).await;
    let id: Value = LeadId::new(Timestamp::from_millis(1_800_000_000_000)).as_uuid().into();
    let millis: Value = 1_800_000_000_000_i64.into();
    for (sql, values, names, tables) in [
        (
            rolled_up_sql(),
            vec![id.clone(), millis.clone(), millis.clone()],
            "SEARCH rollups USING PRIMARY KEY",
            1,
        ),
        (
            LEADS.to_owned(),
            vec![id.clone(), id.clone()],
            "SEARCH leads USING INDEX sqlite_autoindex_leads_1",
            1,
        ),
        (
            done_sql(false),
            vec![millis.clone(), millis.clone(), id.clone(), id.clone()],
            "SEARCH deliveries USING INDEX sqlite_autoindex_deliveries_1",
            2,
        ),
        (
            done_sql(true),
            vec![millis.clone(), millis.clone()],
            "SEARCH deliveries USING INDEX deliveries_done_late",
            2,
        ),
        (
            crate::search::SQLITE.to_owned(),
            vec!["\"a\"*".into(), id.clone(), 5_i64.into()],
            "SEARCH searchable_leads USING INTEGER PRIMARY KEY",
            2,
        ),
    ] {
        let statement =
            Statement::from_sql_and_values(DatabaseBackend::Sqlite, format!("EXPLAIN QUERY PLAN {sql}"), values);
        let connection = &store.connections().reader;
        let rows = sea_orm::ConnectionTrait::query_all_raw(connection, statement)
            .await
            .expect("explained");
        let plan = rows
            .iter()
            .map(|row| row.try_get::<String>("", "detail").expect("a step"));
        let plan = plan.collect::<Vec<_>>();
        assert!(plan.iter().any(|step| step.contains(names)), "{sql}: {plan:#?}");
        let read = plan
            .iter()
            .filter(|step| step.starts_with("SEARCH") || step.contains("VIRTUAL TABLE"));
        assert!(read.count() >= tables, "{sql}: {plan:#?}");
        let whole = plan.iter().find(|step| {
            step.starts_with("SCAN")
                && !step.contains("VIRTUAL TABLE")
                && !step.contains("done")
                && !step.contains("USING")
        });
        assert_eq!(whole, None, "{sql}: {plan:#?}");
        let sorts_words = sql.contains("MATCH") && plan.iter().any(|step| step.contains("TEMP B-TREE"));
        assert!(!sorts_words, "what is found comes in its order: {plan:#?}");
    }
}
