//! The private PostgreSQL.

use std::net::TcpStream;
use std::path::PathBuf;

use sensei_test_support::{PostgresOptions, PostgresServer};

#[test]
fn databases_are_separate_and_empty() {
    let Some(server) = PostgresServer::shared() else { return };
    let one = server.database();
    let other = server.database();
    one.psql("CREATE TABLE leads (id int)").expect("a table can be made");
    let sql = "SELECT count(*) FROM pg_tables WHERE tablename = 'leads'";
    assert_eq!(one.psql(sql).expect("asked"), "1");
    assert_eq!(other.psql(sql).expect("asked"), "0");
}

#[test]
fn a_stopped_server_comes_back_with_its_data() {
    let Some(server) = PostgresServer::own(&PostgresOptions {
        fsync: true,
        parent: None,
    }) else {
        return;
    };
    let database = server.database();
    database
        .psql("CREATE TABLE leads (id int); INSERT INTO leads VALUES (7)")
        .expect("a row can be written");
    server.stop();
    database.psql("SELECT 1").expect_err("a stopped server doesn't answer");
    server.restart();
    assert_eq!(database.psql("SELECT id FROM leads").expect("asked"), "7");
    assert_eq!(database.psql("SHOW fsync").expect("asked"), "on");
}

#[test]
fn a_dropped_server_leaves_nothing_behind() {
    let Some(server) = PostgresServer::own(&PostgresOptions::default()) else {
        return;
    };
    let directory = PathBuf::from(server.psql("postgres", "SHOW data_directory").expect("asked"));
    let address = server
        .base_url()
        .rsplit('@')
        .next()
        .expect("a URL with a user")
        .to_owned();
    assert!(directory.exists() && TcpStream::connect(&address).is_ok());
    drop(server);
    assert!(!directory.exists());
    assert!(TcpStream::connect(&address).is_err());
}

#[test]
fn a_killed_server_comes_back_with_its_data() {
    let Some(server) = PostgresServer::own(&PostgresOptions {
        fsync: true,
        parent: None,
    }) else {
        return;
    };
    let database = server.database();
    for row in 4..6 {
        database
            .psql(&format!(
                "CREATE TABLE IF NOT EXISTS leads (id int); INSERT INTO leads VALUES ({row})"
            ))
            .expect("a row can be written");
        server.crash();
        database.psql("SELECT 1").expect_err("a killed server doesn't answer");
        server.restart();
    }
    assert_eq!(database.psql("SELECT sum(id) FROM leads").expect("asked"), "9");
}
