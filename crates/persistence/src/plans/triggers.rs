//! What the triggers of SQLite's views look up, a row at a time: by its key, never through a table.

use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};

use super::open;
use crate::options::DatabaseUrl;

const TRIGGERS: &str = "SELECT sql FROM sqlite_master WHERE name IN ('captures_insert', 'usual_outcomes_insert')";

/// A trigger's statements as they can be planned outside of it: without what only a trigger may say.
fn statements(trigger: &str) -> Vec<String> {
    let (_, body) = trigger.split_once("BEGIN").expect("a body");
    let body = body.trim_end().strip_suffix("END").expect("an end");
    let all = body.split(';').map(str::trim).filter(|one| !one.is_empty());
    all.map(|one| without_raise(&without_new(one))).collect()
}

/// `NEW.client_id` becomes `?`.
fn without_new(statement: &str) -> String {
    let mut parts = statement.split("NEW.");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_lowercase() || c == '_');
        all + "?" + rest
    })
}

fn without_raise(statement: &str) -> String {
    let Some((before, rest)) = statement.split_once("RAISE(") else {
        return statement.to_owned();
    };
    let (_, after) = rest.split_once(')').expect("it is closed");
    format!("{before}1{after}")
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_of_views_find_rows_by_their_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(DatabaseUrl::Sqlite(folder.path().join("sensei.db"))).await;
    let reader = &store.connections().reader;
    let query = |sql: String| Statement::from_string(DatabaseBackend::Sqlite, sql);
    let triggers = reader.query_all_raw(query(TRIGGERS.to_owned())).await.expect("read");
    assert_eq!(triggers.len(), 2);
    let mut plan = Vec::new();
    for row in triggers {
        let trigger: String = row.try_get_by_index(0).expect("a text");
        for sql in statements(&trigger) {
            let steps = reader.query_all_raw(query(format!("EXPLAIN QUERY PLAN {sql}"))).await;
            for step in steps.unwrap_or_else(|error| panic!("{sql}: {error}")) {
                plan.push(step.try_get::<String>("", "detail").expect("a step"));
            }
        }
    }
    for key in [
        "SEARCH clients USING INDEX sqlite_autoindex_clients_1 (id=?)",
        "SEARCH deliveries USING INDEX sqlite_autoindex_deliveries_1 (id=?)",
    ] {
        assert!(plan.iter().any(|step| step == key), "{plan:#?}");
    }
    let mut scans = plan.iter().filter(|step| step.starts_with("SCAN"));
    assert!(scans.all(|step| step == "SCAN CONSTANT ROW"), "{plan:#?}");
}
