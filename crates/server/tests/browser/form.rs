//! The lead form as visitors meet it: hosted, and in a page of another origin; with and without a network.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::response::Html;
use axum::routing::get;
use sensei_test_support::{Browser, By};
use serde_json::json;

use crate::audit::axe;
use crate::world::{LIMIT, World, text};

/// How long a person takes to fill it in. What comes in two seconds is taken for a program's.
const FILLING: Duration = Duration::from_secs(3);
/// How soon what happens is to be seen. The bar is a second; a busy machine's browser needs some of its own to draw.
const SOON: Duration = Duration::from_secs(3);
/// How long the network is away.
const AWAY: Duration = Duration::from_secs(10);

/// Fills the form in, as slowly as a person does.
async fn fill(browser: &Browser, message: &str) -> Result<()> {
    let filled = async {
        browser.fill(By::Field("Your name"), "Jane Roe").await?;
        browser.fill(By::Field("Email address"), "jane@example.com").await?;
        browser.fill(By::Field("Message"), message).await
    };
    // Not a wait for something: time itself is looked at.
    let (filled, ()) = tokio::join!(filled, tokio::time::sleep(FILLING));
    filled
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_of_the_hosted_form_is_seen_live_in_the_log() -> Result<()> {
    let Some(world) = World::start().await? else {
        return Ok(());
    };
    let visitor = Browser::start().await.context("there is one")?;
    let client = world.client("Acme Corp", Some(&world.receiver.url())).await?;
    world.sign_in().await?;
    world.open(&format!("/admin/clients/{client}/deliveries")).await?;
    world.browser.sees(By::Css("[data-live-is=on]")).await?;

    visitor.open(&format!("{}/forms/{client}", world.origin)).await?;
    visitor.sees(By::Button("Send")).await?;
    fill(&visitor, "A quote, please").await?;
    visitor.click(By::Button("Send")).await?;
    visitor.reads("Thank you.").await?;
    world.browser.reads_within("Jane Roe", SOON).await?;
    world.browser.reads_within("Delivered", SOON).await?;
    let received = world.receiver.wait_for(1, LIMIT).await?;
    assert_eq!(received[0].json()["data"]["message"], "A quote, please");
    let leads = world.read(&format!("/v1/clients/{client}/leads")).await?;
    assert!(leads["items"][0]["suspected"].is_null(), "{leads}");
    Ok(())
}

/// A site of the client's, on a port of its own: another origin.
struct Site {
    origin: String,
    client: String,
}

async fn site(world: &World) -> Result<Site> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let made = json!({"name": "Acme Corp", "leadWebhookUrl": world.receiver.url()});
    let made = world.make("/v1/clients", &made).await?;
    let (client, key) = (text(&made, "id")?, text(&made, "publishableKey")?);
    let settings = json!({"allowedOrigins": [origin]});
    let set = world
        .api
        .patch(&format!("/v1/clients/{client}/settings"), &settings)
        .await?;
    ensure!(set.status == 200, "{set:?}");
    let page = format!(
        r#"<!doctype html><html lang="en"><head><title>Acme</title><meta name="viewport" content="width=device-width">
        <link rel="icon" href="data:,"></head><body><main><h1>Acme</h1><div class="contact">
        <script src="{}/embed.js" data-client="{client}" data-key="{key}" async></script></div></main></body></html>"#,
        world.origin
    );
    let app = Router::new().route("/", get(async move || Html(page)));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(Site { origin, client })
}

#[tokio::test(flavor = "multi_thread")]
async fn embed_js_in_a_page_of_another_origin_delivers() -> Result<()> {
    let Some(world) = World::start().await? else {
        return Ok(());
    };
    let site = site(&world).await?;
    let browser = &world.browser;
    for (width, is_dark) in [(360, false), (1280, true)] {
        browser.be(width, is_dark).await?;
        browser.open(&site.origin).await?;
        browser.sees(By::Button("Send")).await?;
        browser.click(By::Button("Send")).await?;
        ensure!(
            browser.text(By::Css("[part=status]")).await?.contains("Please correct"),
            "nothing is sent"
        );
        assert_eq!(axe(browser).await?, Vec::<String>::new());
        browser.picture().await.and_then(|picture| {
            Ok(std::fs::write(
                crate::world::artefacts()?.join(format!("embedded-{width}.png")),
                picture,
            )?)
        })?;
    }
    fill(browser, "From another origin").await?;
    browser.click(By::Button("Send")).await?;
    browser.sees(By::Css("[part=sent]")).await?;
    ensure!(browser.text(By::Css("[part=sent]")).await?.contains("Thank you."));
    assert_eq!(axe(browser).await?, Vec::<String>::new());
    let received = world.receiver.wait_for(1, LIMIT).await?;
    assert_eq!(received[0].json()["data"]["message"], "From another origin");
    let seen = browser.seen().await?;
    assert_eq!(seen.complaints, Vec::<String>::new());
    let strangers = seen.strangers(&site.origin);
    ensure!(
        strangers.iter().all(|url| url.starts_with(&world.origin)),
        "{strangers:?}"
    );
    let cookies = browser.run("return document.cookie", &json!([])).await?;
    assert_eq!(cookies, "");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn embed_js_that_is_offline_for_ten_seconds_sends_exactly_one_lead() -> Result<()> {
    let Some(world) = World::start().await? else {
        return Ok(());
    };
    let site = site(&world).await?;
    let browser = &world.browser;
    browser.open(&site.origin).await?;
    browser.sees(By::Button("Send")).await?;
    fill(browser, "From a train").await?;
    browser.be_offline(true).await?;
    browser.click(By::Button("Send")).await?;
    tokio::time::sleep(AWAY).await;
    let status = browser.text(By::Css("[part=status]")).await?;
    ensure!(status.contains("offline"), "{status}");
    assert_eq!(world.receiver.count(), 0, "it was really away");
    browser.be_offline(false).await?;
    browser.sees(By::Css("[part=sent]")).await?;
    world.receiver.wait_for(1, LIMIT).await?;
    let leads = world.read(&format!("/v1/clients/{}/leads", site.client)).await?;
    assert_eq!(leads["items"].as_array().map(Vec::len), Some(1), "{leads}");
    assert_eq!(leads["items"][0]["message"], "From a train");
    assert!(leads["items"][0]["suspected"].is_null(), "{leads}");
    Ok(())
}
