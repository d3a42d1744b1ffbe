//! PostgreSQL restarted, or its connections cut, in the middle of the load.

use anyhow::{Result, ensure};
use sensei_test_support::{Api, PostgresOptions, PostgresServer, Receiver};

use super::load::{ADMIN_KEY, LIMIT, Load, all_delivered, binary, create_client, until};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_postgresql_restarts_and_service_resumes() -> Result<()> {
    let Some(server) = PostgresServer::own(&PostgresOptions {
        fsync: true,
        parent: None,
    }) else {
        return Ok(());
    };
    let database = server.database();
    let (binary, receiver) = (binary().env("DATABASE_URL", database.url()), Receiver::start());
    let mut process = binary.start()?;
    let address = process.wait_ready(LIMIT).await?;
    let api = Api::new(address, ADMIN_KEY);
    let client = create_client(&api, Some(&receiver.url())).await?;
    let load = Load::start(address, &client, 8, false);
    load.wait_acknowledged(100).await?;

    server.stop();
    until("requests to be told so", || {
        load.look(|told| told.refused.values().sum::<usize>() >= 8)
    })
    .await?;
    let ready = api.get("/readyz").await?;
    ensure!(ready.status == 503, "not ready without a database: {ready:?}");
    let alive = api.get("/healthz").await?;
    ensure!(alive.status == 200, "alive all the same: {alive:?}");

    server.restart();
    let before = load.acknowledged();
    load.wait_acknowledged(before + 100).await?;
    let told = load.stop().await;
    println!(
        "{} acknowledged, refused {:?}, {} cut",
        told.acknowledged.len(),
        told.refused,
        told.cut
    );
    for (status, problem) in told.refused.keys() {
        ensure!(
            *status == 503 && problem.starts_with("/problems/"),
            "{status} {problem}"
        );
    }
    assert_eq!(told.cut, 0, "every request has its answer");
    let repeats = all_delivered(&receiver, &told.acknowledged).await?;
    println!("{repeats} repeats");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_connections_are_cut() -> Result<()> {
    let Some(server) = PostgresServer::shared() else {
        return Ok(());
    };
    let database = server.database();
    let (binary, receiver) = (binary().env("DATABASE_URL", database.url()), Receiver::start());
    let mut process = binary.start()?;
    let address = process.wait_ready(LIMIT).await?;
    let client = create_client(&Api::new(address, ADMIN_KEY), Some(&receiver.url())).await?;
    let load = Load::start(address, &client, 8, false);
    for _ in 0..10 {
        let before = load.acknowledged();
        load.wait_acknowledged(before + 20).await?;
        database.cut_connections()?;
    }
    let before = load.acknowledged();
    load.wait_acknowledged(before + 20).await?;
    let told = load.stop().await;
    println!(
        "{} acknowledged, refused {:?}, {} cut",
        told.acknowledged.len(),
        told.refused,
        told.cut
    );
    ensure!(
        told.refused.keys().all(|(status, _)| *status == 503),
        "{:?}",
        told.refused
    );
    all_delivered(&receiver, &told.acknowledged).await?;
    Ok(())
}
