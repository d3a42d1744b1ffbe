//! Leads to some clients in a closed loop, what the system did with them, and whether all of them arrived.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use xtask::figures::{Figure, Unit, median};

use crate::api::{Api, Logged};
use crate::client::{Posted, closed_loop};
use crate::measure::rate;
use crate::percentiles::{Percentiles, count, float};
use crate::receiver::Receiver;
use crate::system::{Cpu, System};

/// Enough that connections, caches and statements are there.
pub(crate) const WARM_UP: Duration = Duration::from_secs(1);

/// What a load has come to.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) posted: Posted,
    /// Distinct leads and destinations at the receiver.
    pub(crate) deliveries: usize,
    /// The same a second, from the first request to the last arrival.
    pub(crate) rate: f64,
    /// Those that came until the last acknowledgement, a second.
    pub(crate) rate_while_posted: f64,
    pub(crate) cpu: Cpu,
}

/// Posts leads to clients in turn, and waits until all are delivered and recorded.
pub(crate) async fn load(
    system: &System,
    clients: &[Api],
    receiver: &Receiver,
    time: Duration,
    in_flight: usize,
) -> Result<Loaded> {
    let (before, cpu, start) = (receiver.count(), system.cpu()?, Instant::now());
    let posted = post(clients, time, in_flight).await?;
    let posted_until = Instant::now();
    system.nothing_pending().await?;
    let cpu = system.cpu()?.since(cpu);
    let arrivals = receiver.arrivals().split_off(before);
    let last = arrivals.iter().map(|arrival| arrival.at).max();
    let distinct = |until: Instant| {
        let until = arrivals.iter().filter(|arrival| arrival.at <= until);
        let distinct: HashSet<_> = until.map(|arrival| (arrival.lead, arrival.destination)).collect();
        distinct.len()
    };
    let last = last.context("nothing has arrived")?;
    let deliveries = distinct(last);
    Ok(Loaded {
        deliveries,
        rate: rate(deliveries, last - start),
        rate_while_posted: rate(distinct(posted_until), posted_until - start),
        posted,
        cpu,
    })
}

/// Posts leads to clients in turn, in a closed loop.
pub(crate) async fn post(clients: &[Api], time: Duration, in_flight: usize) -> Result<Posted> {
    let clients: Arc<[Api]> = clients.into();
    let next = AtomicUsize::new(0);
    closed_loop(time, in_flight, move || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        (clients[number % clients.len()].lead(), None)
    })
    .await
}

impl Loaded {
    /// CPU time a lead, of the system and of `PostgreSQL`.
    pub(crate) fn cpu_figures(&self) -> Result<Vec<Figure>> {
        let figure = |name, time| anyhow::Ok(Figure::new(name, self.micros_a_lead(time)?, Unit::Microseconds));
        let mut figures = vec![figure("CPU a lead, the system's", self.cpu.server)?];
        if let Some(time) = self.cpu.database {
            figures.push(figure("CPU a lead, PostgreSQL's", time)?);
        }
        Ok(figures)
    }

    /// A time as microseconds of each lead.
    pub(crate) fn micros_a_lead(&self, time: Duration) -> Result<f64> {
        let leads = u32::try_from(self.posted.acknowledged.len()).context("a run has less than four billion leads")?;
        Ok(time.as_secs_f64() * 1_000_000.0 / f64::from(leads.max(1)))
    }
}

/// Two loads, in turn: what moves the machine's speed moves both.
pub(crate) struct InTurn {
    pub(crate) first: Vec<Loaded>,
    pub(crate) second: Vec<Loaded>,
}

impl InTurn {
    /// Each begins as often: what grows meanwhile falls on both.
    pub(crate) async fn load(
        turns: u32,
        first: impl AsyncFn() -> Result<Loaded>,
        second: impl AsyncFn() -> Result<Loaded>,
    ) -> Result<Self> {
        let mut loads = Self {
            first: Vec::new(),
            second: Vec::new(),
        };
        for turn in 0..turns {
            if turn % 2 == 0 {
                loads.first.push(first().await?);
                loads.second.push(second().await?);
            } else {
                loads.second.push(second().await?);
                loads.first.push(first().await?);
            }
        }
        Ok(loads)
    }

    /// How many deliveries the first has in a CPU second for each of the second: the median of the turns, since a database works in the
    /// background at times, and that falls on one of them.
    pub(crate) fn quotient(&self) -> f64 {
        let turns = self.first.chunks(1).zip(self.second.chunks(1));
        median(
            turns
                .map(|(first, second)| a_cpu_second(first) / a_cpu_second(second))
                .collect(),
        )
    }
}

/// All deliveries of some loads by all their CPU time.
pub(crate) fn a_cpu_second(loads: &[Loaded]) -> f64 {
    let deliveries = loads.iter().map(|loaded| loaded.deliveries).sum();
    let cpu = loads.iter().map(|loaded| loaded.cpu.all()).sum::<Duration>();
    float(deliveries) / cpu.as_secs_f64()
}

/// How long acknowledgements took.
pub(crate) fn acknowledgement(posted: &Posted) -> Percentiles {
    Percentiles::of(posted.acknowledged.iter().map(|lead| lead.took).collect())
}

/// From when a lead was sent, or should have been, to its first arrival.
pub(crate) fn delivery(posted: &Posted, receiver: &Receiver) -> Percentiles {
    let first: HashMap<u128, Instant> = receiver.first_arrivals();
    let took = posted
        .acknowledged
        .iter()
        .filter_map(|lead| Some(first.get(&lead.lead)?.duration_since(lead.sent)));
    Percentiles::of(took.collect())
}

/// Whether each acknowledged lead came to each of its client's destinations, came there once, and is in the log as
/// succeeded; and whether any was refused. All must be 0.
pub(crate) async fn whole(
    clients: &[Api],
    receiver: &Receiver,
    all_posted: &[&Posted],
    destinations: usize,
) -> Result<Vec<Figure>> {
    let logged = log_of(clients).await?;
    let arrivals = receiver.arrivals();
    let came: HashSet<_> = arrivals
        .iter()
        .map(|arrival| (arrival.lead, arrival.destination))
        .collect();
    let recorded: HashSet<_> = logged
        .iter()
        .map(|delivery| (delivery.lead, delivery.destination))
        .collect();
    let (came_to, recorded_of) = (of_each(&came), of_each(&recorded));
    let missing = |of_each: &HashMap<u128, usize>| {
        let leads = all_posted.iter().flat_map(|posted| &posted.acknowledged);
        let missing = leads.map(|lead| destinations.saturating_sub(of_each.get(&lead.lead).copied().unwrap_or(0)));
        missing.sum::<usize>()
    };
    let refused = all_posted.iter().map(|posted| posted.refused).sum();
    Ok(vec![
        count("leads refused", refused).at_most(0.0),
        count("delivered twice", arrivals.len() - came.len()).at_most(0.0),
        count("lost", missing(&came_to)).at_most(0.0),
        count("delivered, but not in the log", missing(&recorded_of)).at_most(0.0),
    ])
}

/// What the log has of all clients.
pub(crate) async fn log_of(clients: &[Api]) -> Result<Vec<Logged>> {
    let mut logged = Vec::new();
    for client in clients {
        logged.extend(client.succeeded().await?);
    }
    Ok(logged)
}

/// At how many places each lead is.
fn of_each<T>(pairs: &HashSet<(u128, T)>) -> HashMap<u128, usize> {
    let mut of_each = HashMap::new();
    for (lead, _) in pairs {
        *of_each.entry(*lead).or_default() += 1;
    }
    of_each
}
