//! Sensei inside another program's router: the example, run.

#[path = "../../examples/embed.rs"]
#[expect(dead_code, reason = "its main is for the example itself; here its router is served")]
mod example;

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use sensei::{Config, Sensei};
use sensei_dispatcher::EgressOptions;
use sensei_persistence::DatabaseUrl;
use sensei_test_support::{Api, Receiver, http_client};
use serde_json::json;
use tokio::net::TcpListener;

use crate::faults::LIMIT;

#[tokio::test(flavor = "multi_thread")]
async fn product_serves_its_own_routes_and_delivers_leads() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = Config {
        database: DatabaseUrl::Sqlite(folder.path().join("sensei.db")),
        egress: EgressOptions {
            allow: vec!["127.0.0.0/8".parse()?],
            ..EgressOptions::default()
        },
        ..Config::default()
    };
    let sensei = Sensei::start(config.clone()).await?;
    let key = sensei
        .first_admin_key()
        .context("a new database has no admin key yet")?
        .to_owned();
    let (address, serving) = serve(example::product(&sensei)).await?;
    let receiver = Receiver::start();

    let own = http_client()
        .get(format!("http://{address}/"))
        .send()
        .await?
        .text()
        .await?;
    assert_eq!(own, "the product itself");
    let console = http_client()
        .get(format!("http://{address}/admin/sign-in"))
        .send()
        .await?;
    assert_eq!(console.status(), 200);
    let api = Api::new(address, &key);
    let client = api
        .post(
            "/v1/clients",
            &json!({"name": "Acme Corp", "leadWebhookUrl": receiver.url()}),
        )
        .await?;
    ensure!(client.status == 201, "{client:?}");
    let leads = format!("/v1/clients/{}/leads", client.json["id"].as_str().context("an id")?);
    let lead = api
        .post(&leads, &json!({"name": "John Doe", "email": "john@example.com"}))
        .await?;
    ensure!(lead.status == 201, "{lead:?}");
    let received = receiver.wait_for(1, LIMIT).await?;
    assert_eq!(received[0].json()["data"]["id"], lead.json["id"]);

    sensei.settled().await;
    sensei.shutdown().await;
    serving.abort();
    // Everything is let go of: the same program can start it again.
    let again = Sensei::start(config).await?;
    assert_eq!(again.first_admin_key(), None);
    again.shutdown().await;
    Ok(())
}

async fn serve(router: axum::Router) -> Result<(SocketAddr, tokio::task::JoinHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(async move {
        axum::serve(listener, router).await.ok();
    });
    Ok((address, serving))
}
