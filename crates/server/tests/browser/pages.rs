//! Every page of the console, with everything that must hold of each: on a phone and on a desk, in the light and in the dark.

use anyhow::{Context, Result};
use sensei_test_support::By;
use serde_json::{Value, json};

use crate::audit::View;
use crate::world::{World, artefacts, text};

/// What a visitor may write: nothing of it may be more than text, nor make a page wider.
const HOSTILE: &str =
    "<script>alert(1)</script><img src=x onerror=alert(2)>\"'>{{7*7}}=HYPERLINK(\"http://evil.example\")";

/// A page, and how it is come by.
struct Page {
    /// What its pictures are called.
    name: String,
    path: String,
    /// Filled and sent, by a button's words: the page is what answers then.
    form: Option<Sent>,
    status: u16,
}

struct Sent {
    fields: Vec<(&'static str, String)>,
    button: &'static str,
}

impl Page {
    fn new(name: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            path: path.into(),
            form: None,
            status: 200,
        }
    }

    fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    fn sent(self, name: &str, fields: &[(&'static str, &str)], button: &'static str) -> Self {
        let fields = fields
            .iter()
            .map(|(label, text)| (*label, (*text).to_owned()))
            .collect();
        let form = Some(Sent { fields, button });
        Self {
            name: name.to_owned(),
            form,
            status: 422,
            ..self
        }
    }
}

/// What the pages show.
struct Seed {
    /// With everything: leads, destinations in every state, deliveries in every state.
    busy: String,
    /// With nothing.
    quiet: String,
    lead: String,
    succeeded: String,
    failed: String,
    destination: String,
    slack: String,
    /// Where a link to the busy client's own view leads.
    link: String,
}

async fn seed(world: &World) -> Result<Seed> {
    let busy = world.client("Acme Corp", Some(&world.receiver.url())).await?;
    let quiet = world.client("Quiet GmbH", None).await?;
    world.client(HOSTILE, None).await?;
    let path = format!("/v1/clients/{busy}");
    let settings = world.read(&format!("{path}/settings")).await?;
    let destination = text(&settings, "destinationId")?;
    let broken = json!({"kind": "webhook", "name": "Order system", "config": {"url": "http://127.0.0.1:9/orders"},
        "retry": {"policy": "none"}});
    world.make(&format!("{path}/destinations"), &broken).await?;
    let retried = json!({"kind": "webhook", "name": HOSTILE, "config": {"url": "http://127.0.0.1:9/again"},
        "retry": {"policy": "custom", "delays": ["1h"]}});
    world.make(&format!("{path}/destinations"), &retried).await?;
    let slack = json!({"kind": "slack", "name": "Sales channel",
        "config": {"url": "https://hooks.slack.com/services/T0/B0/5ec7e75ec7e75ec7e75ec7e7"}});
    let slack = world.make_id(&format!("{path}/destinations"), &slack).await?;
    let paused = json!({"status": "paused"});
    let answer = world
        .api
        .patch(&format!("{path}/destinations/{slack}"), &paused)
        .await?;
    anyhow::ensure!(answer.status == 200, "{answer:?}");
    let john = json!({"name": "John Doe", "email": "john@example.com", "phone": "+1234567890",
        "message": "I need a quote for enterprise plan", "sessionId": "session-1"});
    let lead = world.lead(&path_id(&path), &john).await?;
    let hostile =
        json!({"name": HOSTILE, "email": "\"a<b>\"@example.com", "phone": "=1+1", "message": HOSTILE.repeat(8)});
    if world.api.post(&format!("{path}/leads"), &hostile).await?.status != 201 {
        let hostile = json!({"name": HOSTILE, "email": "a@example.com", "message": HOSTILE.repeat(8)});
        world.lead(&busy, &hostile).await?;
    }
    let all = format!("{path}/deliveries");
    let deliveries = world
        .until(&all, |list| {
            let states = |state: &str| items(list).filter(|item| item["state"] == state).count();
            states("succeeded") == 2
                && states("failed") == 2
                && states("held") == 2
                && items(list)
                    .filter(|item| item["state"] == "pending")
                    .all(|item| item["attemptCount"] == 1)
        })
        .await?;
    let link = json!({"expiresIn": "1h"});
    let link = world.make(&format!("{path}/sign-in-links"), &link).await?;
    let one = |state: &str| {
        let found = items(&deliveries).find(|item| item["state"] == state);
        text(found.context("it was waited for")?, "id")
    };
    Ok(Seed {
        lead,
        succeeded: one("succeeded")?,
        failed: one("failed")?,
        busy,
        quiet,
        destination,
        slack,
        link: text(&link, "path")?,
    })
}

fn path_id(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

/// Pages for whom nobody is signed in.
fn public() -> Vec<Page> {
    vec![
        Page::new("sign-in", "/admin/sign-in"),
        Page::new("sign-in", "/admin/sign-in").sent("sign-in-wrong", &[("Secret key", "sk_mistyped")], "Sign in"),
        Page::new("sign-in-link-over", "/admin/sign-in/over").status(403),
    ]
}

/// An admin's pages before there is anything.
fn empty() -> Vec<Page> {
    vec![Page::new("clients-none", "/admin/clients")]
}

/// An admin's pages.
fn admin(seed: &Seed) -> Vec<Page> {
    let new = || Page::new("client-new", "/admin/clients/new");
    let wrong = [("Name", HOSTILE), ("Lead Webhook URL", "http://10.0.0.1/leads")];
    let mut pages = vec![
        Page::new("clients", "/admin/clients"),
        Page::new("clients-none-found", "/admin/clients?q=nobody"),
        new(),
        new().sent("client-new-wrong", &wrong, "Create client"),
        Page::new("nowhere", "/admin/nowhere").status(404),
        Page::new("sign-in-instead", seed.link.clone()),
        Page::new("operator", "/admin/operator"),
        Page::new("audit", "/admin/operator/audit"),
    ];
    pages.extend(log(seed));
    pages.extend(settings(seed));
    pages.extend(forms(seed));
    pages
}

/// What comes and goes.
fn log(seed: &Seed) -> Vec<Page> {
    let busy = |name: &str, rest: &str| Page::new(name, format!("/admin/clients/{}{rest}", seed.busy));
    let quiet = |name: &str, rest: &str| Page::new(name, format!("/admin/clients/{}{rest}", seed.quiet));
    let (lead, succeeded, failed) = (&seed.lead, &seed.succeeded, &seed.failed);
    vec![
        busy("overview", ""),
        quiet("overview-none", ""),
        busy("leads", "/leads"),
        busy("leads-none-found", "/leads?q=nobody"),
        quiet("leads-none", "/leads"),
        busy("lead", &format!("/leads/{lead}")),
        busy("deliveries", "/deliveries"),
        busy("deliveries-failed", "/deliveries?state=failed"),
        busy("deliveries-none-found", "/deliveries?statusCode=418"),
        quiet("deliveries-none", "/deliveries"),
        busy("delivery", &format!("/deliveries/{succeeded}")),
        busy("delivery-failed", &format!("/deliveries/{failed}")),
        busy("delivery-response", &format!("/deliveries/{failed}?tab=response")),
        busy("deliveries-wrong", "/deliveries?statusCode=9999").status(400),
        busy("redeliver-many", "/deliveries/redeliver?state=failed"),
        busy("recoveries", "/recoveries"),
        quiet("recoveries-none", "/recoveries"),
    ]
}

/// What is set.
fn settings(seed: &Seed) -> Vec<Page> {
    let busy = |name: &str, rest: &str| Page::new(name, format!("/admin/clients/{}{rest}", seed.busy));
    let quiet = |name: &str, rest: &str| Page::new(name, format!("/admin/clients/{}{rest}", seed.quiet));
    let (webhook, slack) = (&seed.destination, &seed.slack);
    let mut pages = vec![
        busy("settings", "/settings"),
        quiet("settings-none", "/settings"),
        busy("settings", "/settings").sent(
            "settings-wrong",
            &[("Lead Webhook URL", "http://10.0.0.1/leads")],
            "Save settings",
        ),
        busy("settings-delete", "/settings/delete"),
        busy("settings", "/settings")
            .sent("settings-key", &[("What it is for", HOSTILE)], "Create key")
            .status(200),
        busy("settings-form", "/settings/form"),
        busy("settings-form", "/settings/form")
            .sent("settings-form-more", &[("Language", "de")], "Add a field")
            .status(200),
        busy("secret", &format!("/destinations/{webhook}/secret")),
        busy("destinations", "/destinations"),
        quiet("destinations-none", "/destinations"),
        busy("destination-kinds", "/destinations/new"),
        busy("destination", &format!("/destinations/{webhook}")),
        busy("destination-slack", &format!("/destinations/{slack}")),
        busy("destination-edit", &format!("/destinations/{webhook}/edit")),
        busy("destination-preview", &format!("/destinations/{slack}/preview")),
        busy("destination-delete", &format!("/destinations/{slack}/delete")),
        busy("destination-discard", &format!("/destinations/{slack}/discard")),
        busy("slack", "/destinations/new/slack").sent("slack-wrong", &[("Name", HOSTILE)], "Create destination"),
    ];
    // Between them they have every sort of field.
    for kind in ["webhook", "slack", "salesforce", "email", "jira"] {
        pages.push(busy(
            &format!("destination-new-{kind}"),
            &format!("/destinations/new/{kind}"),
        ));
    }
    pages
}

/// What visitors see.
fn forms(seed: &Seed) -> Vec<Page> {
    let form = |name: &str| Page::new(name, format!("/forms/{}", seed.busy));
    let empty = [("Your name", ""), ("Email address", "nobody")];
    let filled = [
        ("Your name", HOSTILE),
        ("Email address", "jane@example.com"),
        ("Message", HOSTILE),
    ];
    vec![
        form("form"),
        form("form").sent("form-wrong", &empty, "Send"),
        form("form").sent("form-sent", &filled, "Send").status(200),
        Page::new("form-none", "/forms/d454991a-eddb-4e81-959d-87c868e050ca").status(404),
    ]
}

/// A client's own view, and what it may not see.
fn own(seed: &Seed) -> Vec<Page> {
    let busy = |name: &str, rest: &str| Page::new(name, format!("/admin/clients/{}{rest}", seed.busy));
    vec![
        busy("own-overview", ""),
        busy("own-settings", "/settings"),
        Page::new("forbidden", "/admin/clients").status(403),
        Page::new("forbidden-operator", "/admin/operator").status(403),
        Page::new("forbidden-client", format!("/admin/clients/{}", seed.quiet)).status(404),
    ]
}

/// Looks at each page in one view, and fails with all that is wrong with any.
async fn every_page(view: View) -> Result<()> {
    let Some(world) = World::start().await? else {
        return Ok(());
    };
    view.begin(&world.browser).await?;
    let mut faults = Vec::new();
    faults.extend(look(&world, view, &public()).await?);
    world.sign_in().await?;
    faults.extend(look(&world, view, &empty()).await?);
    let seed = seed(&world).await?;
    faults.extend(look(&world, view, &admin(&seed)).await?);
    let key = json!({"kind": "secret", "name": "Acme's own", "clientId": seed.busy});
    let key = text(&world.make("/v1/keys", &key).await?, "key")?;
    world.sign_in_with(&key).await?;
    faults.extend(look(&world, view, &own(&seed)).await?);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

async fn look(world: &World, view: View, pages: &[Page]) -> Result<Vec<String>> {
    let (browser, folder) = (&world.browser, artefacts()?);
    let mut faults = Vec::new();
    for page in pages {
        // What the page before still asks for, as a live one does, isn't this one's.
        browser.open("about:blank").await?;
        browser.seen().await?;
        world.open(&page.path).await?;
        if let Some(Sent { fields, button }) = &page.form {
            for (label, text) in fields {
                // What a browser would check itself is to be answered by the server here.
                browser
                    .run("for (const form of document.forms) form.noValidate = true", &json!([]))
                    .await?;
                browser.fill(By::Field(label), text).await?;
            }
            browser.click(By::Button(button)).await?;
        }
        let seen = browser.seen().await?;
        view.keep(browser, &folder, &page.name).await?;
        let found = view.faults(browser, &world.origin, page.status, &seen).await;
        let found = found.with_context(|| page.path.clone())?;
        faults.extend(
            found
                .into_iter()
                .map(|fault| format!("{} ({}): {fault}", page.name, page.path)),
        );
    }
    Ok(faults)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_on_a_light_phone() -> Result<()> {
    every_page(View {
        width: 360,
        is_dark: false,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_on_a_dark_phone() -> Result<()> {
    every_page(View {
        width: 360,
        is_dark: true,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_on_a_light_desk() -> Result<()> {
    every_page(View {
        width: 1280,
        is_dark: false,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_on_a_dark_desk() -> Result<()> {
    every_page(View {
        width: 1280,
        is_dark: true,
    })
    .await
}
