//! One lead to many destinations, against as many leads to one.

use anyhow::Result;
use serde_json::json;
use xtask::figures::{Figure, Unit, combined};

use crate::loaded::{Loaded, WARM_UP, a_cpu_second, load, post, whole};
use crate::percentiles::float;
use crate::receiver::Receiver;
use crate::scenario::Setup;
use crate::system::System;

pub(crate) const ABOUT: (&str, &str) = (
    "One lead to ten destinations",
    "Leads of a client with ten destinations and leads of a client with one, in turn, four times each, so that what moves the \
     machine's speed moves both; with a tenth of the requests in flight for the first, so that as many deliveries are. A delivery of the first should cost less: its lead, event and request are shared by ten. CPU time is the \
     system's and PostgreSQL's.",
);

const DESTINATIONS: usize = 10;
const TURNS: u32 = 4;
/// How many times the deliveries a CPU second of ten leads with a destination each.
const BAR: f64 = 1.5;

pub(crate) async fn measure(setup: &Setup<'_>) -> Result<Vec<Figure>> {
    let system = System::start(setup).await?;
    let receiver = Receiver::start().await?;
    let many = system.client_without_webhook("ten destinations").await?;
    for number in 0..DESTINATIONS {
        let name = format!("destination {number}");
        many.add_destination(&name, &receiver.url(number), &json!({ "policy": "none" }))
            .await?;
    }
    let many = [many];
    let one = [system.client("one destination", &receiver.url(0)).await?];
    let (time, in_flight) = (setup.arguments.time() / (2 * TURNS), setup.arguments.in_flight);
    let few = (in_flight / DESTINATIONS).max(1);

    post(&many, WARM_UP, few).await?;
    post(&one, WARM_UP, in_flight).await?;
    system.nothing_pending().await?;
    let (mut to_many, mut to_one) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        to_many.push(load(&system, &many, &receiver, time, few).await?);
        to_one.push(load(&system, &one, &receiver, time, in_flight).await?);
    }

    let [of_many, of_one] = [&to_many, &to_one].map(|turns| a_cpu_second(turns));
    let mut figures = vec![
        Figure::new("deliveries, ten destinations", a_second(&to_many), Unit::PerSecond),
        Figure::new("deliveries, one destination", a_second(&to_one), Unit::PerSecond),
        Figure::new("deliveries a CPU second, ten destinations", of_many, Unit::PerSecond),
        Figure::new("deliveries a CPU second, one destination", of_one, Unit::PerSecond),
        Figure::new("the first to the second", of_many / of_one, Unit::Ratio).at_least(BAR),
    ];
    let [posted_to_many, posted_to_one] =
        [&to_many, &to_one].map(|turns| turns.iter().map(|loaded| &loaded.posted).collect::<Vec<_>>());
    let wholes = vec![
        whole(&many, &receiver, &posted_to_many, DESTINATIONS).await?,
        whole(&one, &receiver, &posted_to_one, 1).await?,
    ];
    figures.extend(combined(wholes));
    Ok(figures)
}

/// On the average of the turns, which take as long.
fn a_second(turns: &[Loaded]) -> f64 {
    turns.iter().map(|loaded| loaded.rate).sum::<f64>() / float(turns.len())
}
