//! Whether what the console shows stays quick with a long history, and whether watching slows delivery.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::StreamExt as _;
use xtask::figures::{Figure, Unit};

use super::history_rows::{History, caught_up, fill, from_the_beginning};
use crate::api::Api;
use crate::client::open_loop;
use crate::loaded::{WARM_UP, post};
use crate::percentiles::{Percentiles, float, milliseconds};
use crate::receiver::Receiver;
use crate::scenario::Setup;
use crate::system::System;

pub(crate) const ABOUT: (&str, &str) = (
    "The console's pages, and live streams",
    "One client of ten of a system with 10,000,000 deliveries (`--history`) in its log, ten a lead. Each page of the console, signed in, 40 times \
     one after another, once numbers are added up and words are in their index. Then 500 leads a second, alone and with 200 open streams of \
     their client: the CPU time of a lead, and how long its delivery took.",
);

const CLIENTS: usize = 10;
const DELIVERIES_A_LEAD: u64 = 10;
const REPEATED: usize = 40;
/// Milliseconds.
const BAR: f64 = 50.0;
const STREAMS: usize = 200;
const RATE: u32 = 500;
const LOSS: f64 = 0.95;

/// What is looked at, by its path below `/admin`; `{client}`, `{lead}` and the others stand for one that there is.
const PAGES: [(&str, &str); 24] = [
    ("clients", "/clients"),
    ("clients by name", "/clients?q=client"),
    ("operator", "/operator"),
    ("audit log", "/operator/audit"),
    ("overview of a day", "/clients/{client}"),
    ("overview of a week", "/clients/{client}?window=7d"),
    ("overview of a month", "/clients/{client}?window=30d"),
    ("leads", "/clients/{client}/leads"),
    ("leads by a word that all have", "/clients/{client}/leads?q=john"),
    ("leads by a letter", "/clients/{client}/leads?q=j"),
    ("leads by a word that none has", "/clients/{client}/leads?q=nobody"),
    ("leads that are suspected", "/clients/{client}/leads?suspected=true"),
    ("a lead", "/clients/{client}/leads/{lead}"),
    ("deliveries", "/clients/{client}/deliveries"),
    ("deliveries that failed", "/clients/{client}/deliveries?state=failed"),
    (
        "deliveries that succeeded",
        "/clients/{client}/deliveries?state=succeeded",
    ),
    ("deliveries of a kind", "/clients/{client}/deliveries?kind=webhook"),
    (
        "deliveries by a status that none has",
        "/clients/{client}/deliveries?statusCode=5xx",
    ),
    (
        "deliveries by a word that all have",
        "/clients/{client}/deliveries?q=john",
    ),
    (
        "deliveries by a word that none has",
        "/clients/{client}/deliveries?q=nobody",
    ),
    ("a delivery", "/clients/{client}/deliveries/{delivery}"),
    ("destinations", "/clients/{client}/destinations"),
    ("a destination", "/clients/{client}/destinations/{destination}"),
    ("settings", "/clients/{client}/settings"),
];

pub(crate) async fn measure(setup: &Setup<'_>) -> Result<Vec<Figure>> {
    let mut system = System::start(setup).await?;
    let receiver = Receiver::start().await?;
    let clients = system.clients("client", CLIENTS, |number| receiver.url(number)).await?;
    system.end().await?;
    let history = History {
        deliveries: setup.arguments.history,
        deliveries_a_lead: DELIVERIES_A_LEAD,
        has_bodies: false,
    };
    fill(&system, history).await?;
    from_the_beginning(&system).await?;
    system.start_again().await?;
    let client = clients[0].at(&system.url());
    let begun = Instant::now();
    caught_up(&system).await?;
    let mut figures = vec![Figure::new(
        "until all is added up and indexed",
        begun.elapsed().as_secs_f64(),
        Unit::Seconds,
    )];
    let viewer = Viewer::sign_in(&client).await?;
    for (name, path) in PAGES {
        let mut took = Vec::with_capacity(REPEATED);
        for _ in 0..REPEATED {
            let begun = Instant::now();
            viewer.look(path).await?;
            took.push(begun.elapsed());
        }
        took.sort_unstable();
        let p95 = took[took.len() * 95 / 100];
        figures.push(milliseconds(format!("{name}, p95"), p95).at_most(BAR));
    }
    figures.extend(watched(setup, &system, &receiver, &client).await?);
    Ok(figures)
}

/// Somebody who is signed in, and what there is to look at.
pub(super) struct Viewer<'a> {
    client: &'a Api,
    cookie: String,
    names: [(&'static str, String); 4],
}

impl<'a> Viewer<'a> {
    pub(super) async fn sign_in(client: &'a Api) -> Result<Self> {
        let newest = client.log("limit=1").await?;
        let newest = |field: &str| {
            let id = newest["items"][0][field].as_str();
            id.map(str::to_owned).context("there is a delivery")
        };
        let names = [
            ("{client}", client.id().to_owned()),
            ("{lead}", newest("leadId")?),
            ("{delivery}", newest("id")?),
            ("{destination}", newest("destinationId")?),
        ];
        let cookie = client.sign_in().await?;
        Ok(Self { client, cookie, names })
    }

    pub(super) async fn look(&self, path: &str) -> Result<()> {
        let mut path = format!("/admin{path}");
        for (name, id) in &self.names {
            path = path.replace(name, id);
        }
        self.client.page(&path, &self.cookie).await
    }
}

/// The same load without and with streams.
async fn watched(setup: &Setup<'_>, system: &System, receiver: &Receiver, client: &Api) -> Result<Vec<Figure>> {
    let time = setup.arguments.time();
    post(std::slice::from_ref(client), WARM_UP, 8).await?;
    let alone = steady(system, receiver, client, time).await?;
    let mut reading = tokio::task::JoinSet::new();
    for _ in 0..STREAMS {
        let answer = client.stream().await?;
        reading.spawn(async move {
            let mut body = answer.bytes_stream();
            let mut bytes = 0;
            while let Some(Ok(piece)) = body.next().await {
                bytes += piece.len();
            }
            bytes
        });
    }
    let beside = steady(system, receiver, client, time).await?;
    reading.shutdown().await;
    Ok(vec![
        Figure::new("delivered alone", alone.rate, Unit::PerSecond),
        Figure::new("delivered beside 200 streams", beside.rate, Unit::PerSecond),
        Figure::new("the second to the first", beside.rate / alone.rate, Unit::Ratio).at_least(LOSS),
        Figure::new("CPU a lead alone, the system's", alone.cpu, Unit::Microseconds),
        Figure::new(
            "CPU a lead beside 200 streams, the system's",
            beside.cpu,
            Unit::Microseconds,
        ),
        milliseconds("delivery alone, p99", alone.took.p99),
        milliseconds("delivery beside 200 streams, p99", beside.took.p99),
    ])
}

/// What a steady load came to.
struct Steady {
    /// Deliveries a second until the last has come.
    rate: f64,
    /// Microseconds of the system's a lead.
    cpu: f64,
    took: Percentiles,
}

async fn steady(system: &System, receiver: &Receiver, client: &Api, time: Duration) -> Result<Steady> {
    let (before, begun, cpu) = (receiver.count(), Instant::now(), system.cpu()?);
    let sender = client.clone();
    let posted = open_loop(time, RATE, move |_| sender.lead()).await?;
    posted.all_acknowledged()?;
    receiver
        .wait_for(before + posted.acknowledged.len(), crate::system::PATIENCE)
        .await?;
    let seconds = begun.elapsed().as_secs_f64();
    system.nothing_pending().await.context("after a steady load")?;
    let leads = float(posted.acknowledged.len());
    Ok(Steady {
        rate: leads / seconds,
        cpu: system.cpu()?.since(cpu).server.as_secs_f64() * 1_000_000.0 / leads,
        took: crate::loaded::delivery(&posted, receiver),
    })
}
