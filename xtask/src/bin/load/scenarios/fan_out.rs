//! One lead to many destinations, against as many leads to one of them each.

use anyhow::Result;
use serde_json::json;
use xtask::figures::{Figure, Unit, combined};

use crate::loaded::{InTurn, Loaded, WARM_UP, a_cpu_second, load, post, whole};
use crate::percentiles::float;
use crate::receiver::Receiver;
use crate::scenario::Setup;
use crate::system::System;

pub(crate) const ABOUT: (&str, &str) = (
    "One lead to ten destinations",
    "Leads of a client with ten destinations, and leads of ten clients with one each that goes to the same place; in turn, eight times each and \
     each first as often, so that what moves the machine's speed moves both; with a tenth of the requests in flight for the first, so that as many \
     deliveries are. A delivery of the first should cost less: its lead, event and request are shared by ten. CPU time is the system's and PostgreSQL's. \
     *The first to the second* is the median of the turns' quotients: PostgreSQL works in the background at times, and that falls on one of them.",
);

const DESTINATIONS: usize = 10;
const TURNS: u32 = 8;
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
    let mut ones = Vec::with_capacity(DESTINATIONS);
    for number in 0..DESTINATIONS {
        let name = format!("one destination {number}");
        ones.push(system.client(&name, &receiver.url(number)).await?);
    }
    // Twice as long as others: a twentieth is to be seen.
    let (time, in_flight) = (setup.arguments.time() / TURNS, setup.arguments.in_flight);
    let few = (in_flight / DESTINATIONS).max(1);

    post(&many, WARM_UP, few).await?;
    post(&ones, WARM_UP, in_flight).await?;
    system.nothing_pending().await?;
    let loads = InTurn::load(
        TURNS,
        async || load(&system, &many, &receiver, time, few).await,
        async || load(&system, &ones, &receiver, time, in_flight).await,
    )
    .await?;
    let (to_many, to_one) = (&loads.first, &loads.second);

    let [of_many, of_one] = [to_many, to_one].map(|turns| a_cpu_second(turns));
    let mut figures = vec![
        Figure::new("deliveries, ten destinations", a_second(to_many), Unit::PerSecond),
        Figure::new("deliveries, one destination", a_second(to_one), Unit::PerSecond),
        Figure::new("deliveries a CPU second, ten destinations", of_many, Unit::PerSecond),
        Figure::new("deliveries a CPU second, one destination", of_one, Unit::PerSecond),
        Figure::new("the first to the second", loads.quotient(), Unit::Ratio).at_least(BAR),
    ];
    let [posted_to_many, posted_to_one] =
        [to_many, to_one].map(|turns| turns.iter().map(|loaded| &loaded.posted).collect::<Vec<_>>());
    let wholes = vec![
        whole(&many, &receiver, &posted_to_many, DESTINATIONS).await?,
        whole(&ones, &receiver, &posted_to_one, 1).await?,
    ];
    figures.extend(combined(wholes));
    Ok(figures)
}

/// On the average of the turns, which take as long.
fn a_second(turns: &[Loaded]) -> f64 {
    turns.iter().map(|loaded| loaded.rate).sum::<f64>() / float(turns.len())
}
