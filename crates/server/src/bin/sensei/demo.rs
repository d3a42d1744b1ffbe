//! `sensei demo`: the whole journey of a lead, for real, on a throw-away database and free ports of loopback, and the console and the form to
//! go on with in a browser.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::http::StatusCode;
use sensei::receiver::{ReceivedRequest, receiver_router};
use sensei::{Config, Sensei};
use sensei_dispatcher::EgressOptions;
use sensei_domain::SigningSecret;
use sensei_persistence::DatabaseUrl;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::cli::DemoArguments;
use crate::client::ApiClient;
use crate::listening::{self, Signals};
use crate::logging;
use crate::receive::verdict;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Everything is on this machine: what takes longer won't come.
const PATIENCE: Duration = Duration::from_secs(10);
/// A day at a desk; it all ends with the program anyway.
const LINK: Duration = Duration::from_hours(12);
const POLL: Duration = Duration::from_millis(20);

/// Runs the demo; stays up until Ctrl-C unless `--once`.
pub(crate) async fn run(arguments: DemoArguments) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("sensei-demo-").tempdir()?;
    let config = Config {
        database: DatabaseUrl::Sqlite(folder.path().join("sensei.db")),
        egress: EgressOptions {
            allow: vec!["127.0.0.0/8".parse()?],
            ..EgressOptions::default()
        },
        log: "warn".to_owned(),
        ..Config::default()
    };
    logging::start(&config)?;
    let api = listening::bind(LOOPBACK).await?;
    let receiver = listening::bind(LOOPBACK).await?;
    let sensei = Sensei::start(config).await?;
    let (end, _) = watch::channel(());
    let (sender, requests) = mpsc::channel(64);
    let addresses = Addresses {
        api: api.local_addr()?,
        receiver: receiver.local_addr()?,
    };
    let serving = [
        serve(api, sensei.router(), end.subscribe()),
        serve(receiver, receiver_router(StatusCode::OK, sender), end.subscribe()),
    ];

    let shown = show(&sensei, &addresses, requests, arguments.once).await;

    // A browser that watches the log would be waited for.
    sensei.end_streams();
    drop(end);
    for task in serving {
        task.await??;
    }
    sensei.shutdown().await;
    shown
}

struct Addresses {
    api: SocketAddr,
    receiver: SocketAddr,
}

fn serve(
    listener: TcpListener,
    router: axum::Router,
    mut end: watch::Receiver<()>,
) -> tokio::task::JoinHandle<Result<()>> {
    tokio::spawn(listening::serve(listener, router, async move {
        // Ends with the sender.
        while end.changed().await.is_ok() {}
    }))
}

async fn show(
    sensei: &Sensei,
    addresses: &Addresses,
    mut requests: mpsc::Receiver<ReceivedRequest>,
    once: bool,
) -> Result<()> {
    let url = format!("http://{}", addresses.api);
    let key = sensei
        .first_admin_key()
        .context("a new database has no admin key yet, so one is made")?;
    let api = ApiClient::new(url.clone(), key.to_owned())?;
    say(&format!(
        "Sensei listens on {url} (a throw-away database), a receiver on http://{}.",
        addresses.receiver
    ))?;

    let hook = format!("http://{}/leads", addresses.receiver);
    let client = api
        .post("/v1/clients", &json!({ "name": "Acme Corp", "leadWebhookUrl": hook }))
        .await?;
    let id = text(&client, "id")?.to_owned();
    let client = format!("/v1/clients/{id}");
    let settings = api.get(&format!("{client}/settings")).await?;
    let destination = format!("{client}/destinations/{}", text(&settings, "destinationId")?);
    let secret = api.get(&format!("{destination}/secret")).await?;
    let secret: SigningSecret = text(&secret, "secret")?.parse()?;
    say(&format!("Client Acme Corp is created, its Lead Webhook URL is {hook}."))?;

    let lead = json!({
        "name": "John Doe",
        "email": "john@example.com",
        "phone": "+1234567890",
        "message": "I need a quote for enterprise plan",
        "sessionId": "session-uuid-here",
    });
    let captured = api.post(&format!("{client}/leads"), &lead).await?;
    say(&format!(
        "A visitor leaves a lead. It is on disk as {}. The receiver gets:",
        text(&captured, "id")?
    ))?;

    let request = tokio::time::timeout(PATIENCE, requests.recv()).await;
    let request = request
        .context("the webhook hasn't come")?
        .context("the receiver has ended")?;
    say(&format!("{request}{}", verdict(&request, &secret)))?;

    let delivery = completed_delivery(&api, &client).await?;
    say(&format!("The delivery log has:\n\n{}", log_line(&delivery)))?;
    if once {
        return Ok(());
    }
    let signs_in = sensei.sign_in_path(key, LINK).await?;
    let signs_in = signs_in.context("the key was made for this demo, so it is in force")?;
    say(&format!(
        "Now in a browser. The delivery log, live (the link signs in for 12 hours):\n\n{url}{signs_in}?next=/admin/clients/{id}/deliveries\n\n\
         And the form, as a visitor sees it:\n\n{url}/forms/{id}\n\n\
         Submit it, and watch the lead arrive: there, and here as the receiver gets it. Without a browser:\n\n\
         curl {url}{client}/leads -H 'Authorization: Bearer {key}' \\\n  -H 'Content-Type: application/json' -d '{{\"name\": \"Jane\", \"email\": \"jane@example.com\"}}'\n\n\
         Ctrl-C ends."
    ))?;
    let mut signals = Signals::listen()?;
    let printing = async {
        while let Some(request) = requests.recv().await {
            say(&format!("{request}{}", verdict(&request, &secret)))?;
        }
        Ok(())
    };
    tokio::select! {
        printed = printing => printed,
        () = signals.asked_to_end() => Ok(()),
    }
}

/// The only delivery there is, with its attempts, once its state is final: the outcome is stored just after the answer.
async fn completed_delivery(api: &ApiClient, client: &str) -> Result<Value> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let list = api.get(&format!("{client}/deliveries")).await?;
        let delivery = &list["items"][0];
        if !delivery["completedAt"].is_null() {
            return api.get(&format!("{client}/deliveries/{}", text(delivery, "id")?)).await;
        }
        if tokio::time::Instant::now() > deadline {
            bail!("the delivery isn't completed after {PATIENCE:?}: {list}");
        }
        tokio::time::sleep(POLL).await;
    }
}

fn log_line(delivery: &Value) -> String {
    let mut line = format!("delivery {} {}", shown(&delivery["id"]), shown(&delivery["state"]));
    for attempt in delivery["attempts"].as_array().into_iter().flatten() {
        let [number, started, took, outcome, status] =
            ["number", "startedAt", "durationMs", "outcome", "statusCode"].map(|name| shown(&attempt[name]));
        write!(
            line,
            "\n  attempt {number} at {started}: {outcome}, answered {status} in {took} ms"
        )
        .expect("writing to a text can't fail");
    }
    line
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str> {
    value[name]
        .as_str()
        .with_context(|| format!("{name} is missing in {value}"))
}

fn say(text: &str) -> Result<()> {
    writeln!(io::stdout(), "{text}\n")?;
    Ok(())
}
