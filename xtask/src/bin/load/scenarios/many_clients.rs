//! A hundred thousand clients: what they cost at a start, and in memory.

use std::time::Duration;

use anyhow::Result;
use xtask::figures::{Figure, Unit};

use crate::client::open_loop;
use crate::loaded::{delivery, whole};
use crate::percentiles::count;
use crate::receiver::Receiver;
use crate::scenario::Setup;
use crate::system::System;

pub(crate) const ABOUT: (&str, &str) = (
    "A hundred thousand clients",
    "100,000 clients (`--clients`) with a destination each, made through the API; then a start, and a lead to each of 1,000 of them, 200 a second.",
);

const TO: usize = 1_000;
const RATE: u32 = 200;
/// Seconds.
const START_BAR: f64 = 3.0;
/// MiB.
const MEMORY_BAR: f64 = 400.0;

pub(crate) async fn measure(setup: &Setup<'_>) -> Result<Vec<Figure>> {
    let mut system = System::start(setup).await?;
    let receiver = Receiver::start().await?;
    let clients = setup.arguments.clients;
    let made = system.clients("client", clients, |number| receiver.url(number)).await?;
    system.end().await?;
    let start = system.start_again().await?;
    let after_start = system.peak_memory()?;

    // Every so many: they lie all over the table.
    let to = TO.min(clients);
    let chosen: Vec<_> = made
        .iter()
        .step_by(clients / to)
        .take(to)
        .map(|client| client.at(&system.url()))
        .collect();
    let time = Duration::from_secs(1) * u32::try_from(to)? / RATE;
    let targets = chosen.clone();
    let posted = open_loop(time, RATE, move |number| targets[number % targets.len()].lead()).await?;
    system.nothing_pending().await?;
    let mut figures = vec![
        count("clients", made.len()),
        Figure::new("start to the first answer", start.as_secs_f64(), Unit::Seconds).at_most(START_BAR),
        Figure::new("memory after the start", after_start, Unit::Mebibytes),
        Figure::new("peak memory", system.peak_memory()?, Unit::Mebibytes).at_most(MEMORY_BAR),
    ];
    figures.extend(delivery(&posted, &receiver).figures("delivery"));
    figures.extend(whole(&chosen, &receiver, &[&posted], 1).await?);
    Ok(figures)
}
