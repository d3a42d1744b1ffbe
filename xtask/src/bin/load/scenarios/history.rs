//! Whether a long log makes the system slower.

use std::time::Instant;

use anyhow::Result;
use xtask::figures::{Figure, Unit, combined, median};

use super::history_rows::{History, fill, tidy};
use crate::api::Api;
use crate::loaded::{WARM_UP, load, post, whole};
use crate::receiver::Receiver;
use crate::scenario::Setup;
use crate::system::System;

pub(crate) const ABOUT: (&str, &str) = (
    "Ten million deliveries in the log",
    "Two systems on their own databases, one with 10,000 deliveries in its log, one with 10,000,000 (`--history`), over 1,000 clients, each delivery with \
     its lead, event and attempt, written with SQL while the system is down (their words are in no index). Then leads of one more client, to the two in turn, each first as \
     often, as often as there are runs, the other one down meanwhile and PostgreSQL's tables vacuumed before: *the second to the first* is the median of the rates' quotients.",
);

const CLIENTS: usize = 1_000;
const FEW: u64 = 10_000;
const BAR: f64 = 0.8;

struct WithHistory {
    system: System,
    receiver: Receiver,
    client: Api,
    rates: Vec<f64>,
    /// The most that any of its processes has had.
    memory: f64,
    figures: Vec<Figure>,
    wholes: Vec<Vec<Figure>>,
}

pub(crate) async fn measure(setup: &Setup<'_>) -> Result<Vec<Figure>> {
    let (few, many) = (FEW, setup.arguments.history);
    let begun = Instant::now();
    let mut first = WithHistory::start(setup, few).await?;
    let mut second = WithHistory::start(setup, many).await?;
    eprintln!("  filled in {:.0} s", begun.elapsed().as_secs_f64());
    for run in 0..setup.arguments.runs {
        let both = if run % 2 == 0 {
            [&mut first, &mut second]
        } else {
            [&mut second, &mut first]
        };
        for one in both {
            one.run(setup).await?;
        }
    }
    let quotients = first.rates.iter().zip(&second.rates).map(|(few, many)| many / few);
    let quotient = median(quotients.collect());
    // Named without the number, so that runs of any size have the same rows.
    let mut figures = vec![
        Figure::new("end to end, 10,000 in the log", median(first.rates), Unit::PerSecond),
        Figure::new("end to end, all in the log", median(second.rates), Unit::PerSecond),
        Figure::new("the second to the first", quotient, Unit::Ratio).at_least(BAR),
    ];
    figures.extend(second.figures);
    figures.push(Figure::new("peak memory", second.memory, Unit::Mebibytes));
    // Of both and all runs: counts are the highest.
    let wholes = first.wholes.into_iter().chain(second.wholes);
    figures.extend(combined(wholes.collect()));
    Ok(figures)
}

impl WithHistory {
    async fn start(setup: &Setup<'_>, deliveries: u64) -> Result<Self> {
        let mut system = System::start(setup).await?;
        let receiver = Receiver::start().await?;
        system.clients("client", CLIENTS, |number| receiver.url(number)).await?;
        system.end().await?;
        let history = History {
            deliveries,
            deliveries_a_lead: 1,
            has_bodies: false,
        };
        fill(&system, history).await?;
        let size = system.database_size()?;
        let start = system.start_again().await?.as_secs_f64();
        let in_log = f64::from(u32::try_from(system.deliveries("succeeded").await?)?);
        let client = system.client("Acme Corp", &receiver.url(CLIENTS)).await?;
        system.end().await?;
        Ok(Self {
            client,
            memory: 0.0,
            figures: vec![
                Figure::new("deliveries in the log", in_log, Unit::Count),
                Figure::new("their database", size, Unit::Mebibytes),
                Figure::new("start to the first answer", start, Unit::Seconds),
            ],
            system,
            receiver,
            rates: Vec::new(),
            wholes: Vec::new(),
        })
    }

    async fn run(&mut self, setup: &Setup<'_>) -> Result<()> {
        // What vacuums by itself does so when a part of a table has changed: the shorter log's all the time, the longer one's never.
        tidy(&self.system).await?;
        self.system.start_again().await?;
        let (client, in_flight) = ([self.client.at(&self.system.url())], setup.arguments.in_flight);
        post(&client, WARM_UP, in_flight).await?;
        self.system.nothing_pending().await?;
        let loaded = load(&self.system, &client, &self.receiver, setup.arguments.time(), in_flight).await?;
        self.rates.push(loaded.rate);
        let whole = whole(&client, &self.receiver, &[&loaded.posted], 1).await?;
        self.wholes.push(whole);
        self.memory = self.memory.max(self.system.peak_memory()?);
        self.system.end().await
    }
}
