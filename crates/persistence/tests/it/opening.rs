//! Opening a database, or refusing it in words.

use std::error::Error;

use futures_util::future::join_all;
use sensei_domain::SystemClock;
use sensei_persistence::{DatabaseUrl, MasterKey, OpenError, Store, StoreOptions, Unready};
use std::sync::Arc;

use crate::fixtures::{ALL, TestDatabase, URL, acme, create, on_both, soon};

on_both!(
    database_opens_again_with_what_it_had,
    other_master_key_is_refused,
    other_master_key_is_refused_on_an_empty_database,
    readiness_tells_the_clocks_distance,
    several_open_a_new_database_at_once,
);

async fn database_opens_again_with_what_it_had(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    soon(store.close()).await;
    let store = database.open().await;
    assert_eq!(store.client(client.id).await.expect("read"), Some(client));
    assert!(!format!("{store:?}").contains("t0ken"));
}

async fn other_master_key_is_refused(database: &TestDatabase) {
    let store = database.open().await;
    create(&store, "Acme Corp", Some(URL)).await;
    soon(store.close()).await;
    let other = MasterKey::generate();
    let options = StoreOptions {
        master_key: other.clone(),
        ..database.options()
    };
    let Err(OpenError::OtherMasterKey { sealed, given }) = Store::open(options).await else {
        panic!("it must be refused");
    };
    assert_eq!(
        (sealed.as_str(), given.as_str()),
        (database.master_key.id(), other.id())
    );
    database.open().await;
}

async fn other_master_key_is_refused_on_an_empty_database(database: &TestDatabase) {
    soon(database.open().await.close()).await;
    let options = StoreOptions {
        master_key: MasterKey::generate(),
        ..database.options()
    };
    let error = Store::open(options).await.expect_err("it must be refused");
    assert!(matches!(error, OpenError::OtherMasterKey { .. }), "{error:?}");
    database.open().await;
}

async fn readiness_tells_the_clocks_distance(database: &TestDatabase) {
    let store = database.open().await;
    let ready = store.check().await;
    if database.is_sqlite() {
        ready.expect("SQLite has no clock of its own");
    } else {
        // The test's clock stands still, in another year perhaps.
        assert!(
            matches!(ready, Err(Unready::Clock { seconds }) if seconds > 5),
            "{ready:?}"
        );
        let options = StoreOptions {
            clock: Arc::new(SystemClock),
            ..database.options()
        };
        Store::open(options)
            .await
            .expect("opens")
            .check()
            .await
            .expect("this machine's clock agrees with itself");
    }
}

async fn several_open_a_new_database_at_once(database: &TestDatabase) {
    if database.is_sqlite() {
        return;
    }
    let opened = soon(join_all((0..4).map(|_| Box::pin(database.open())))).await;
    acme(&opened[0]).await;
    assert_eq!(opened[3].clients(ALL).await.expect("listed").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn second_process_on_a_sqlite_file_is_refused_in_words() {
    let database = TestDatabase::sqlite();
    let store = database.open().await;
    let error = Store::open(database.options()).await.expect_err("it is in use");
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    assert!(error.to_string().contains("in use by another process"), "{error}");
    soon(store.close()).await;
    database.open().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_syncs_before_it_answers() {
    let database = TestDatabase::sqlite();
    let store = database.open().await;
    assert_eq!(
        store.sync_mode().await.expect("read"),
        2,
        "FULL, on the connection that writes"
    );
    assert_eq!(database.texts("PRAGMA journal_mode").await, ["wal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_of_a_new_sqlite_database_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("deep/er/sensei.db");
    let database = TestDatabase::sqlite();
    let options = StoreOptions {
        database: DatabaseUrl::Sqlite(path.clone()),
        ..database.options()
    };
    let store = Store::open(options).await.expect("it opens");
    assert!(path.is_file());
    soon(store.close()).await;
    let options = StoreOptions {
        database: DatabaseUrl::Sqlite("/proc/nowhere/x.db".into()),
        ..database.options()
    };
    let error = Store::open(options).await.expect_err("no folder can be made there");
    assert!(
        matches!(error, OpenError::File { .. }) && error.source().is_some(),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_that_forgets_commits_is_refused() {
    let Some(database) = TestDatabase::postgres() else {
        return;
    };
    let name = database.texts("SELECT current_database()::text").await.remove(0);
    database
        .execute(&format!("ALTER DATABASE {name} SET synchronous_commit = off"))
        .await;
    let error = Store::open(database.options()).await.expect_err("not durable");
    assert!(matches!(error, OpenError::NotDurable), "{error:?}");
    database
        .execute(&format!("ALTER DATABASE {name} SET synchronous_commit = on"))
        .await;
    database.open().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_postgres_is_an_error_without_its_password() {
    let database = TestDatabase::sqlite();
    let url = "postgres://sensei:s3cret@127.0.0.1:1/none".parse().expect("a URL");
    let error = Store::open(StoreOptions {
        database: url,
        ..database.options()
    })
    .await
    .expect_err("nobody listens");
    assert!(matches!(error, OpenError::Connect(_)), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("s3cret"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_file_is_private_and_locked_under_all_its_names() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("new/100%25 odd?#.db");
    let database = TestDatabase::sqlite();
    let open = |path: &std::path::Path| {
        Store::open(StoreOptions {
            database: DatabaseUrl::Sqlite(path.to_owned()),
            ..database.options()
        })
    };
    let store = open(&path).await.expect("it opens");
    acme(&store).await;
    let mode = |path: &std::path::Path| path.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&folder.path().join("new"))), (0o600, 0o700));
    assert!(path.metadata().expect("there").len() > 0, "by its very name");
    let other_name = folder.path().join("other.db");
    symlink(&path, &other_name).expect("linked");
    let error = open(&other_name).await.expect_err("it is the same file");
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    soon(store.close()).await;
    let store = open(&other_name).await.expect("it opens");
    assert_eq!(store.clients(ALL).await.expect("listed").len(), 1);
}
