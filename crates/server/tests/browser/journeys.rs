//! What people come for, from the first click to the last.

use anyhow::Result;
use sensei_test_support::{By, keys};

use crate::world::{ADMIN_KEY, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_first_client_is_made_with_the_keyboard_alone() -> Result<()> {
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
    browser.press(&world.receiver.url()).await?;
    browser.tab_to(By::Button("Create client")).await?;
    browser.press(keys::ENTER).await?;
    let clients = world
        .until("/v1/clients", |list| list["items"][0]["name"] == "Acme Corp")
        .await?;
    let id = clients["items"][0]["id"].as_str().unwrap_or_default();
    let settings = world.read(&format!("/v1/clients/{id}/settings")).await?;
    assert_eq!(settings["leadWebhookUrl"], world.receiver.url());
    Ok(())
}
