//! The lead form as visitors meet it: hosted, and in a page of another origin; with and without a network.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use sensei_test_support::{Browser, By, http_client};
use serde_json::json;

use crate::audit::axe;
use crate::world::{LIMIT, World, text};

/// How long a person takes to fill it in. What comes in two seconds is taken for a program's.
const FILLING: Duration = Duration::from_secs(3);
/// How soon what happens is to be seen. The bar is a second; a busy machine's browser needs some of its own to draw.
const SOON: Duration = Duration::from_secs(3);
/// How long the network is away.
const AWAY: Duration = Duration::from_secs(10);

/// Lets time in a page pass faster, once it is told to: nobody looks on for as long as a script tries again.
const HURRY: &str = "<script>{ const real = setTimeout; \
    window.setTimeout = (go, ms) => real(go, window.hurries ? ms / 50 : ms); }</script>";

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

/// With the script of this origin.
async fn site(world: &World, script: &str) -> Result<Site> {
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
        <link rel="icon" href="data:,">{HURRY}</head><body><main><h1>Acme</h1><div class="contact">
        <script src="{script}/embed.js" data-client="{client}" data-key="{key}" async></script></div></main></body></html>"#
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
    let site = site(&world, &world.origin).await?;
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
    let site = site(&world, &world.origin).await?;
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

#[tokio::test(flavor = "multi_thread")]
async fn embed_js_that_was_offline_for_half_a_day_sends_by_another_form() -> Result<()> {
    let Some(world) = World::start().await? else {
        return Ok(());
    };
    let site = site(&world, &world.origin).await?;
    let browser = &world.browser;
    browser.open(&site.origin).await?;
    browser.sees(By::Button("Send")).await?;
    fill(browser, "From a drawer").await?;
    browser.be_offline(true).await?;
    browser.click(By::Button("Send")).await?;
    let says = async {
        while !browser.text(By::Css("[part=status]")).await?.contains("offline") {}
        anyhow::Ok(())
    };
    tokio::time::timeout(LIMIT, says).await??;
    let later = "const now = Date.now; Date.now = () => now.call(Date) + 13 * 3600e3";
    browser.run(later, &json!([])).await?;
    browser.be_offline(false).await?;
    browser.sees(By::Css("[part=sent]")).await?;
    let forms =
        "return performance.getEntriesByType('resource').filter((one) => one.name.includes('/v1/forms/')).length";
    assert_eq!(browser.run(forms, &json!([])).await?, 2);
    let leads = world.read(&format!("/v1/clients/{}/leads", site.client)).await?;
    assert_eq!(leads["items"].as_array().map(Vec::len), Some(1), "{leads}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_filled_in_at_once_is_sent_when_a_person_could_have() -> Result<()> {
    let Some(world) = World::start().await? else {
        return Ok(());
    };
    let site = site(&world, &world.origin).await?;
    let browser = &world.browser;
    browser.open(&site.origin).await?;
    // As a browser does that knows the visitor: in the moment in which the form is there.
    let script = r##"return (async () => {
        const form = () => document.querySelector(".contact > div")?.shadowRoot?.querySelector("form");
        while (!form()) await new Promise(requestAnimationFrame);
        const own = form();
        for (const [id, text] of [["#f-name", "Jane Roe"], ["#f-email", "jane@example.com"]]) own.querySelector(id).value = text;
        own.querySelector("button").click();
        return own.querySelector("[part=status]").textContent;
    })()"##;
    assert_eq!(browser.run(script, &json!([])).await?, "Sending…");
    browser.sees(By::Css("[part=sent]")).await?;
    world.receiver.wait_for(1, LIMIT).await?;
    let leads = world.read(&format!("/v1/clients/{}/leads", site.client)).await?;
    assert_eq!(leads["items"].as_array().map(Vec::len), Some(1), "{leads}");
    assert!(leads["items"][0]["suspected"].is_null(), "{leads}");
    Ok(())
}

/// What stands between a page and the server, and answers in its place where it is told to.
#[derive(Debug, Clone)]
struct Between {
    server: String,
    seen: Arc<Mutex<Asked>>,
}

#[derive(Debug, Default)]
struct Asked {
    /// What is answered to who asks for a form, and to who sends a lead; else the server is asked.
    form_trouble: Option<StatusCode>,
    lead_trouble: Option<StatusCode>,
    /// How often a form was asked for.
    forms: usize,
    /// The idempotency keys of leads that were sent.
    keys: Vec<String>,
}

impl Between {
    /// Its origin too.
    async fn start(world: &World) -> Result<(Self, String)> {
        let between = Self {
            server: world.origin.clone(),
            seen: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let app = Router::new().fallback(pass).with_state(between.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok((between, origin))
    }

    fn look<T>(&self, at: impl FnOnce(&mut Asked) -> T) -> T {
        at(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn trouble(&self, form: Option<StatusCode>, lead: Option<StatusCode>) {
        self.look(|asked| (asked.form_trouble, asked.lead_trouble) = (form, lead));
    }

    /// How often a form was asked for, and the keys of leads.
    fn asked(&self) -> (usize, Vec<String>) {
        self.look(|asked| (asked.forms, asked.keys.clone()))
    }
}

async fn pass(State(between): State<Between>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let (path, key) = (parts.uri.path(), parts.headers.get("idempotency-key"));
    let trouble = between.look(|asked| {
        if parts.method == Method::GET && path.starts_with("/v1/forms/") {
            asked.forms += 1;
            asked.form_trouble
        } else if parts.method == Method::POST {
            let key = key.and_then(|key| key.to_str().ok());
            asked.keys.extend(key.map(str::to_owned));
            asked.lead_trouble
        } else {
            None
        }
    });
    if let Some(status) = trouble {
        return (status, [(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")]).into_response();
    }
    let passed = async {
        let body = axum::body::to_bytes(body, 1 << 20).await?;
        parts.headers.remove(header::HOST);
        let request = http_client().request(parts.method, format!("{}{}", between.server, parts.uri));
        let answer = request.headers(parts.headers).body(body).send().await?;
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        headers.remove(header::TRANSFER_ENCODING);
        anyhow::Ok::<(StatusCode, _, Bytes)>((status, headers, answer.bytes().await?))
    };
    match passed.await {
        Ok(answer) => answer.into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

async fn hurry(browser: &Browser, is_hurrying: bool) -> Result<()> {
    let script = "window.hurries = arguments[0]";
    browser.run(script, &json!([is_hurrying])).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_trouble_is_asked_seven_times_and_then_again_by_the_visitor_with_the_same_key() -> Result<()> {
    let Some(world) = World::start().await? else {
        return Ok(());
    };
    let (between, origin) = Between::start(&world).await?;
    let site = site(&world, &origin).await?;
    let browser = &world.browser;
    browser.open(&site.origin).await?;
    browser.sees(By::Button("Send")).await?;
    fill(browser, "Patience").await?;
    between.trouble(None, Some(StatusCode::SERVICE_UNAVAILABLE));
    hurry(browser, true).await?;
    browser.click(By::Button("Send")).await?;
    browser.sees(By::Css("[part=status].w")).await?;
    let status = browser.text(By::Css("[part=status]")).await?;
    ensure!(status.contains("could not be sent"), "{status}");
    let (forms, mut keys) = between.asked();
    assert_eq!((forms, keys.len()), (1, 7), "{keys:?}");
    assert_eq!(browser.value(By::Field("Message")).await?, "Patience");
    hurry(browser, false).await?;
    between.trouble(None, None);
    browser.click(By::Button("Try again")).await?;
    browser.sees(By::Css("[part=sent]")).await?;
    let sent = between.asked();
    assert_eq!((sent.0, sent.1.len()), (1, 8));
    keys = sent.1;
    keys.dedup();
    assert_eq!(keys.len(), 1, "{keys:?}");
    world.receiver.wait_for(1, LIMIT).await?;
    let leads = world.read(&format!("/v1/clients/{}/leads", site.client)).await?;
    assert_eq!(leads["items"].as_array().map(Vec::len), Some(1), "{leads}");
    assert!(leads["items"][0]["suspected"].is_null(), "{leads}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_lead_is_sent_without_a_form_of_its_own() -> Result<()> {
    let Some(world) = World::start().await? else {
        return Ok(());
    };
    let (between, origin) = Between::start(&world).await?;
    let site = site(&world, &origin).await?;
    let browser = &world.browser;
    let failed = By::Css("[part=status].w");
    browser.open(&site.origin).await?;
    browser.sees(By::Button("Send")).await?;
    fill(browser, "First").await?;
    between.trouble(None, Some(StatusCode::FORBIDDEN));
    browser.click(By::Button("Send")).await?;
    browser.sees(failed).await?;
    // Another text is another lead, which takes another form.
    browser.fill(By::Field("Message"), "Second").await?;
    hurry(browser, true).await?;
    for (trouble, forms) in [(StatusCode::NOT_FOUND, 2), (StatusCode::BAD_GATEWAY, 9)] {
        between.trouble(Some(trouble), None);
        browser.click(By::Button("Try again")).await?;
        browser.sees(failed).await?;
        let asked = between.asked();
        assert_eq!((asked.0, asked.1.len()), (forms, 1), "{trouble}");
        assert_eq!(browser.value(By::Field("Message")).await?, "Second");
    }
    hurry(browser, false).await?;
    between.trouble(None, None);
    browser.click(By::Button("Try again")).await?;
    browser.sees(By::Css("[part=sent]")).await?;
    world.receiver.wait_for(1, LIMIT).await?;
    let leads = world.read(&format!("/v1/clients/{}/leads", site.client)).await?;
    assert_eq!(leads["items"].as_array().map(Vec::len), Some(1), "{leads}");
    assert_eq!(leads["items"][0]["message"], "Second");
    assert!(leads["items"][0]["suspected"].is_null(), "{leads}");
    Ok(())
}
