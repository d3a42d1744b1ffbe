//! What receivers that hang cost those that answer: the same leads to the healthy ones alone, beside the hanging ones,
//! and alone again.

use std::time::Duration;

use anyhow::Result;
use sensei_test_support::{Fault, FaultServer};
use xtask::figures::Figure;

use super::{limits, never_met};
use crate::api::Api;
use crate::client::{Posted, open_loop};
use crate::loaded::{delivery, whole};
use crate::percentiles::count;
use crate::receiver::Receiver;
use crate::scenario::Setup;
use crate::system::{PATIENCE, System};

pub(crate) const ABOUT: (&str, &str) = (
    "Isolation",
    "50 clients whose receiver answers at once get 100 leads a second: first alone, then for 45 s beside 50 clients whose \
     receiver never answers and who get as many, then alone again. The 99th percentile beside may be half as much again as the better one of the two alone, or \
     5 ms more. Then 80 receivers that take 2 s get 800 leads a second, which fills every limit: they count how many requests wait for \
     their answer at the same time. Then, on a new system, six clients with 50 destinations each, which hang, get eight leads each, and after them a \
     client gets its first eight, 20 a second: nothing is known of any of these receivers.",
);

/// Destinations of each side.
const DESTINATIONS: usize = 50;
/// Leads a second to each side.
const RATE: u32 = 100;
/// A share of the 99th percentile alone that may come on top, and what may in any case.
const MAY_GROW_BY: f64 = 0.5;
const MAY_GROW: Duration = Duration::from_millis(5);
/// Longer than the deadline of an attempt, twice: hanging ones are met in every state of their lanes.
const BESIDE: Duration = Duration::from_secs(45);

pub(crate) async fn measure(setup: &Setup<'_>) -> Result<Vec<Figure>> {
    let system = System::start_with(setup, &limits::settings()).await?;
    let mut figures = isolation(setup, &system).await?;
    figures.extend(limits::measure(&system).await?);
    drop(system);
    figures.extend(Box::pin(never_met::measure(setup)).await?);
    Ok(figures)
}

async fn isolation(setup: &Setup<'_>, system: &System) -> Result<Vec<Figure>> {
    let receiver = Receiver::start().await?;
    let hanging = FaultServer::start(Fault::BlackHole);
    let healthy = system
        .clients("healthy", DESTINATIONS, |number| receiver.url(number))
        .await?;
    let hung = system.clients("hanging", DESTINATIONS, |_| hanging.url()).await?;

    let alone_for = setup.arguments.time();
    let warm = post_to(&healthy, Duration::from_secs(2)).await?;
    let before = post_to(&healthy, alone_for).await?;
    let hanging_for = BESIDE + Duration::from_secs(1);
    let beside_hung = tokio::spawn(async move { post_to(&hung, hanging_for).await });
    let beside = post_to(&healthy, BESIDE).await?;
    let to_hung = beside_hung.await??;
    let after = post_to(&healthy, alone_for).await?;
    let all = [&warm, &before, &beside, &after];
    let count_of_all = all.iter().map(|posted| posted.acknowledged.len()).sum();
    receiver.wait_for(count_of_all, PATIENCE).await?;
    for client in &healthy {
        client.nothing_pending().await?;
    }
    let whole = whole(&healthy, &receiver, &all, 1).await?;

    let [before, beside, after] = [before, beside, after].map(|posted| delivery(&posted, &receiver));
    let alone = before.p99.min(after.p99);
    let may = alone + alone.mul_f64(MAY_GROW_BY).max(MAY_GROW);
    let mut figures = Vec::new();
    figures.extend(before.figures("alone"));
    let [p50, p99] = beside.figures("beside 50 that hang");
    figures.extend([p50, p99.at_most(may.as_secs_f64() * 1_000.0)]);
    figures.extend(after.figures("alone again"));
    figures.push(count("leads to those that hang", to_hung.acknowledged.len()));
    figures.push(count("connections to those that hang", hanging.connections()));
    figures.extend(whole);
    Ok(figures)
}

async fn post_to(clients: &[Api], time: Duration) -> Result<Posted> {
    let clients = clients.to_vec();
    let posted = open_loop(time, RATE, move |number| clients[number % clients.len()].lead()).await?;
    posted.all_acknowledged()?;
    Ok(posted)
}
