//! The README's pictures of the console, made of what the program really shows. `cargo xtask pictures` writes them into `docs/pictures`.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use sensei_test_support::{By, Receiver};
use serde_json::{Value, json};

use crate::world::{World, artefacts, text};

/// Where to, for who wants to keep them.
const FOLDER_VARIABLE: &str = "SENSEI_PICTURES";
const MOST_BYTES: usize = 200_000;

const NAMES: [&str; 12] = [
    "Jane Roe",
    "Amir Haddad",
    "Chloé Martin",
    "Li Wei",
    "Sofia Rossi",
    "Tom Becker",
    "Aoife Byrne",
    "Priya Nair",
    "Marek Novák",
    "Ana Souza",
    "Noah Kim",
    "Ingrid Larsen",
];
const MESSAGES: [&str; 6] = [
    "I need a quote for the enterprise plan",
    "Can you call me back tomorrow morning?",
    "We are 40 people. Which plan fits?",
    "Does it work with our CRM?",
    "Interested in a demo next week",
    "Is there a discount for schools?",
];

/// A few customers with a morning's leads: most arrive, some meet a receiver that is broken.
async fn seed(world: &World, broken: &Receiver) -> Result<String> {
    let acme = world.client("Acme Corp", Some(&world.receiver.url())).await?;
    let path = format!("/v1/clients/{acme}/destinations");
    let slack = json!({"url": "https://hooks.slack.com/services/T024BE7LD/B05FQ2K9X/Xq3LrP0vYw8sTz1uNc6dKe"});
    world
        .make(
            &path,
            &json!({"kind": "slack", "name": "Sales channel", "config": slack}),
        )
        .await?;
    let system = json!({"kind": "webhook", "name": "Order system", "config": {"url": broken.url()}, "retry": {"policy": "none"}});
    world.make(&path, &system).await?;
    for (name, count) in [("Blue Harbor Travel", 5), ("Kestrel Bikes", 3), ("Northwind Dental", 4)] {
        let client = world.client(name, Some(&world.receiver.url())).await?;
        for number in 0..count {
            world.lead(&client, &lead(number)).await?;
        }
    }
    world.client("Quiet Garden Studio", None).await?;
    for number in 0..24 {
        // Mended for a while, and broken again.
        broken.set_status(if number % 6 == 5 { 503 } else { 200 });
        broken.set_body(r#"{"error": "down for maintenance"}"#);
        world.lead(&acme, &lead(number)).await?;
        settled(world, &acme).await?;
    }
    Ok(acme)
}

fn lead(number: usize) -> Value {
    let name = NAMES[number % NAMES.len()];
    let ascii: String = name.to_lowercase().chars().filter(char::is_ascii_alphabetic).collect();
    json!({
        "name": name,
        "email": format!("{ascii}@example.com"),
        "phone": number.is_multiple_of(3).then(|| format!("+4930555{:04}", 17 * (number + 3))),
        "message": MESSAGES[number % MESSAGES.len()],
    })
}

async fn settled(world: &World, client: &str) -> Result<()> {
    let stats = format!("/v1/clients/{client}/stats");
    world
        .until(&stats, |stats| stats["deliveries"]["pending"] == 0)
        .await
        .map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_the_console() -> Result<()> {
    // Every vendor answers as Slack does.
    let vendors = Receiver::start();
    vendors.set_body("ok");
    let at = format!("http://{}", vendors.address());
    let Some(world) = World::start_with(|binary| binary.env("SENSEI_VENDORS_AT", at)).await? else {
        return Ok(());
    };
    let folder = std::env::var_os(FOLDER_VARIABLE).map_or_else(
        || artefacts().map(|folder| folder.join("pictures")),
        |folder| Ok(PathBuf::from(folder)),
    )?;
    std::fs::create_dir_all(&folder)?;
    let broken = Receiver::start();
    let client = seed(&world, &broken).await?;
    let failed = world
        .read(&format!("/v1/clients/{client}/deliveries?state=failed"))
        .await?;
    let failed = text(&failed["items"][0], "id").context("some have failed")?;
    let browser = &world.browser;
    world.sign_in().await?;
    for (name, path, words, width, is_dark) in [
        (
            "overview",
            format!("/admin/clients/{client}"),
            "What needs attention",
            1280,
            false,
        ),
        (
            "deliveries",
            format!("/admin/clients/{client}/deliveries"),
            "Sales channel",
            1280,
            false,
        ),
        (
            "delivery",
            format!("/admin/clients/{client}/deliveries/{failed}"),
            "What to do",
            1280,
            true,
        ),
        ("form", format!("/forms/{client}"), "Email address", 390, false),
    ] {
        browser.be(width, is_dark).await?;
        world.open(&path).await?;
        browser.reads(words).await?;
        if browser.has(By::Css("[data-live-is]")).await? {
            browser.sees(By::Css("[data-live-is=on]")).await?;
        }
        let picture = browser.picture_of_window().await?;
        ensure!(picture.len() < MOST_BYTES, "{name} has {} bytes", picture.len());
        std::fs::write(folder.join(format!("{name}.png")), picture)?;
    }
    Ok(())
}
