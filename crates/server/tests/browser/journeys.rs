//! What people come for, from the first click to the last.

use std::time::Duration;

use anyhow::{Result, ensure};
use sensei_test_support::{By, keys};
use serde_json::json;

use crate::world::{ADMIN_KEY, World};

/// How soon what happens is to be seen. The bar is a second; a busy machine's browser needs some of its own to draw.
const SOON: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_path_click_by_click() -> Result<()> {
    let Some(world) = World::start().await? else {
        return Ok(());
    };
    let client = world.client("Acme Corp", None).await?;
    let browser = &world.browser;
    world.sign_in().await?;
    browser.click(By::Link("Admin")).await?;
    browser.click(By::Link("Clients")).await?;
    browser.click(By::Link("Acme Corp")).await?;
    browser.click(By::Link("Settings")).await?;
    browser
        .fill(By::Field("Lead Webhook URL"), &world.receiver.url())
        .await?;
    browser.click(By::Button("Save settings")).await?;
    browser.reads("Saved.").await?;
    ensure!(browser.value(By::Field("Lead Webhook URL")).await? == world.receiver.url());

    let john = json!({"name": "John Doe", "email": "john@example.com"});
    let lead = world.lead(&client, &john).await?;
    let received = world.receiver.wait_for(1, crate::world::LIMIT).await?;
    assert_eq!(received[0].json()["data"]["id"], lead.as_str(), "active when saved");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_keyboard_alone_a_client_is_made_and_its_url_changed() -> Result<()> {
    let Some(world) = World::start().await? else {
        return Ok(());
    };
    let browser = &world.browser;
    world.open("/admin").await?;
    browser.sees(By::Field("Secret key")).await?;
    // The field has the focus.
    browser.press(&format!("{ADMIN_KEY}{}", keys::ENTER)).await?;
    browser.tab_to(By::Link("Create the first client")).await?;
    browser.press(keys::ENTER).await?;
    browser.tab_to(By::Field("Name")).await?;
    browser.press("Acme Corp").await?;
    browser.tab_to(By::Field("Lead Webhook URL")).await?;
    browser.press("http://127.0.0.1:9/leads").await?;
    browser.tab_to(By::Button("Create client")).await?;
    browser.press(keys::ENTER).await?;
    browser.tab_to(By::Link("Settings")).await?;
    browser.press(keys::ENTER).await?;
    browser.tab_to(By::Field("Lead Webhook URL")).await?;
    // Tab has selected what the field holds.
    browser.press(&world.receiver.url()).await?;
    browser.tab_to(By::Button("Save settings")).await?;
    browser.press(keys::ENTER).await?;
    browser.reads("Saved.").await?;
    let clients = world.read("/v1/clients").await?;
    let id = clients["items"][0]["id"].as_str().unwrap_or_default();
    let settings = world.read(&format!("/v1/clients/{id}/settings")).await?;
    assert_eq!(settings["leadWebhookUrl"], world.receiver.url());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_is_seen_live_in_the_log_and_redelivered() -> Result<()> {
    let Some(world) = World::start().await? else {
        return Ok(());
    };
    let client = world.client("Acme Corp", Some(&world.receiver.url())).await?;
    let browser = &world.browser;
    world.sign_in().await?;
    world.open(&format!("/admin/clients/{client}/deliveries")).await?;
    browser.reads("No deliveries yet").await?;
    // Gone with a reload.
    browser.run("window.neverReloaded = true", &json!([])).await?;
    browser.reads("Live").await?;
    let jane = json!({"name": "Jane Roe", "email": "jane@example.com"});
    let lead = world.lead(&client, &jane).await?;
    browser.reads_within("Jane Roe", SOON).await?;
    browser.reads_within("Delivered", SOON).await?;
    ensure!(
        browser.run("return window.neverReloaded", &json!([])).await? == true,
        "it was reloaded"
    );

    let list = world.read(&format!("/v1/clients/{client}/deliveries")).await?;
    let delivery = list["items"][0]["id"].as_str().unwrap_or_default().to_owned();
    browser.click(By::Css(&format!("a[href$='{delivery}']"))).await?;
    browser.click(By::Button("Redeliver")).await?;
    let received = world.receiver.wait_for(2, crate::world::LIMIT).await?;
    assert_eq!(
        received[0].webhook_id(),
        received[1].webhook_id(),
        "a receiver can tell that it has it"
    );
    assert_eq!(received[1].json()["data"]["id"], lead.as_str());
    browser.reads("Attempt 2").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_much_has_come_to_meanwhile_leaves_nothing_out() -> Result<()> {
    const OLDER: &str = "return document.querySelector('[rel=next]')?.href";
    const KEYS: &str = "return [...document.querySelectorAll('[data-key]')].map((row) => row.dataset.key)";
    let Some(world) = World::start().await? else {
        return Ok(());
    };
    let client = world.client("Acme Corp", Some(&world.receiver.url())).await?;
    let browser = &world.browser;
    let captured = async |names: std::ops::Range<usize>| -> Result<()> {
        for number in names {
            let lead = json!({"name": format!("Visitor {number}."), "email": format!("v{number}@example.com")});
            world.lead(&client, &lead).await?;
        }
        Ok(())
    };
    captured(0..60).await?;
    world.sign_in().await?;
    world.open(&format!("/admin/clients/{client}/deliveries")).await?;
    browser.reads("Visitor 59.").await?;
    browser.reads("Live").await?;
    browser.click(By::Button("Pause")).await?;
    browser.reads("Paused").await?;
    captured(60..160).await?;
    browser.click(By::Button("Resume")).await?;
    browser.reads("Visitor 159.").await?;

    let mut shown = Vec::new();
    loop {
        let rows = browser.run(KEYS, &json!([])).await?;
        shown.extend(rows.as_array().into_iter().flatten().cloned());
        let older = browser.run(OLDER, &json!([])).await?;
        let Some(older) = older.as_str() else { break };
        browser.open(older).await?;
    }
    let shown: std::collections::HashSet<_> = shown.iter().filter_map(|key| key.as_str()).collect();
    ensure!(shown.len() == 160, "{} of 160 are shown", shown.len());
    Ok(())
}

/// Whoever is about to press something doesn't lose it.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_asks_again_and_again_changes_in_place() -> Result<()> {
    const WATCH: &str = "const link = document.querySelector('#operator a'); link.focus(); link.kept = true; window.asked = 0; \
                         document.addEventListener('htmx:beforeSwap', () => window.asked += 1)";
    const ASKED: &str = "return window.asked";
    const KEPT: &str =
        "return document.activeElement.kept === true && document.querySelector('#operator a').kept === true";
    let Some(world) = World::start().await? else {
        return Ok(());
    };
    let client = world.client("Acme Corp", Some("http://127.0.0.1:9/leads")).await?;
    let settings = world.read(&format!("/v1/clients/{client}/settings")).await?;
    let destination = settings["destinationId"].as_str().unwrap_or_default();
    let breaker = format!("/v1/clients/{client}/destinations/{destination}");
    for number in 0..10 {
        let lead = json!({"name": "Jane Roe", "email": format!("jane{number}@example.com")});
        world.lead(&client, &lead).await?;
    }
    world
        .until(&breaker, |shown| shown["health"]["breaker"]["state"] == "open")
        .await?;
    let browser = &world.browser;
    world.sign_in().await?;
    world.open("/admin/operator").await?;
    browser.reads("Acme Corp").await?;
    browser.run(WATCH, &json!([])).await?;
    let asked = async {
        while browser.run(ASKED, &json!([])).await?.as_u64().unwrap_or_default() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(crate::world::LIMIT, asked).await??;
    ensure!(browser.run(KEPT, &json!([])).await? == true, "it was replaced");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_with_a_fault_is_mended_by_following_the_message() -> Result<()> {
    let Some(world) = World::start().await? else {
        return Ok(());
    };
    // It says where it has moved to.
    let moved = sensei_test_support::Receiver::start();
    moved.set_status(301);
    moved.set_header("location", &world.receiver.url());
    let client = world.client("Acme Corp", Some(&moved.url())).await?;
    let jane = json!({"name": "Jane Roe", "email": "jane@example.com"});
    world.lead(&client, &jane).await?;
    let path = format!("/v1/clients/{client}/deliveries");
    world.until(&path, |list| list["items"][0]["state"] == "failed").await?;
    let browser = &world.browser;
    world.sign_in().await?;
    world
        .open(&format!("/admin/clients/{client}/deliveries?state=failed"))
        .await?;
    let list = world.read(&path).await?;
    let delivery = list["items"][0]["id"].as_str().unwrap_or_default().to_owned();
    browser.click(By::Css(&format!("a[href$='{delivery}']"))).await?;
    browser.reads("What to do").await?;
    browser.reads(&world.receiver.url()).await?;
    browser.click(By::Link("Settings")).await?;
    browser
        .fill(By::Field("Lead Webhook URL"), &world.receiver.url())
        .await?;
    browser.click(By::Button("Save settings")).await?;
    browser.reads("Saved.").await?;
    world
        .open(&format!("/admin/clients/{client}/deliveries/{delivery}"))
        .await?;
    browser.click(By::Button("Redeliver")).await?;
    let received = world.receiver.wait_for(1, crate::world::LIMIT).await?;
    assert_eq!(received[0].json()["data"]["name"], "Jane Roe");
    // The page is live: what came of it appears by itself.
    browser.reads("Delivered").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slack_destination_is_made_by_its_form_and_tried() -> Result<()> {
    let slack = sensei_test_support::Receiver::start();
    slack.set_body("ok");
    let vendors = format!("http://{}", slack.address());
    let Some(world) = World::start_with(|binary| binary.env("SENSEI_VENDORS_AT", vendors)).await? else {
        return Ok(());
    };
    let client = world.client("Acme Corp", None).await?;
    let browser = &world.browser;
    world.sign_in().await?;
    world.open(&format!("/admin/clients/{client}")).await?;
    browser.click(By::Link("Destinations")).await?;
    browser.click(By::Link("New destination")).await?;
    browser.click(By::Link("Slack")).await?;
    browser.fill(By::Field("Name"), "Sales channel").await?;
    // A page of Slack, as people copy it: what is wrong stands at the field, and what was typed stays.
    let url = By::Css("input[name='config/url'], input[name='url'], input[type=password]");
    browser.fill(url, "https://app.slack.com/client/T0/C0").await?;
    browser.click(By::Button("Create destination")).await?;
    browser.reads("must be an incoming webhook's URL").await?;
    ensure!(browser.value(By::Field("Name")).await? == "Sales channel");
    browser
        .fill(
            url,
            "https://hooks.slack.com/services/T00000000/B00000000/5ec7e75ec7e75ec7e75ec7e7",
        )
        .await?;
    browser.click(By::Button("Create destination")).await?;
    browser.reads("Created.").await?;
    browser.click(By::Button("Send test lead")).await?;
    slack.wait_for(1, crate::world::LIMIT).await?;
    let jane = json!({"name": "Jane Roe", "email": "jane@example.com", "message": "A quote, please"});
    world.lead(&client, &jane).await?;
    let received = slack.wait_for(2, crate::world::LIMIT).await?;
    let message = String::from_utf8_lossy(&received[1].body).into_owned();
    ensure!(
        message.contains("Jane Roe") && message.contains("A quote, please"),
        "{message}"
    );
    ensure!(
        received[1].uri.path().contains("/services/T00000000/B00000000/"),
        "{}",
        received[1].uri
    );
    Ok(())
}
