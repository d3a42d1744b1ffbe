//! A thousand filters, against none.

use anyhow::Result;
use serde_json::json;
use xtask::figures::{Figure, Unit, combined};

use crate::loaded::{InTurn, WARM_UP, a_cpu_second, load, post, whole};
use crate::receiver::Receiver;
use crate::scenario::Setup;
use crate::system::System;

pub(crate) const ABOUT: (&str, &str) = (
    "A thousand filters",
    "Leads of 1,000 clients whose destination has a filter (a phone number, and `enterprise` in the message in whatever case), all of which \
     match, and of 1,000 clients whose destination has none, in turn, sixteen times each, each first as often. CPU time is the system's and \
     PostgreSQL's. *The first to the second* is the median of the turns' quotients: PostgreSQL works in the background at times, and that \
     falls on one of them.",
);

const CLIENTS: usize = 1_000;
const TURNS: u32 = 16;
/// Leads a CPU second, of those without.
const BAR: f64 = 0.95;

pub(crate) async fn measure(setup: &Setup<'_>) -> Result<Vec<Figure>> {
    let system = System::start(setup).await?;
    let receiver = Receiver::start().await?;
    let filter = json!({"all": [
        {"path": "data.phone", "exists": true},
        {"path": "data.message", "contains": "Enterprise", "ignoreCase": true},
    ]});
    let mut with = Vec::with_capacity(CLIENTS);
    for number in 0..CLIENTS {
        let client = system.client_without_webhook(&format!("with {number}")).await?;
        client
            .add_filtered_destination("CRM", &receiver.url(number), &filter)
            .await?;
        with.push(client);
    }
    let mut without = Vec::with_capacity(CLIENTS);
    for number in 0..CLIENTS {
        let client = system.client_without_webhook(&format!("without {number}")).await?;
        client
            .add_destination("CRM", &receiver.url(number), &json!({ "policy": "none" }))
            .await?;
        without.push(client);
    }
    // Twice as long as others: a twentieth is to be seen.
    let (time, in_flight) = (setup.arguments.time() / TURNS, setup.arguments.in_flight);
    for clients in [&with, &without] {
        post(clients, WARM_UP, in_flight).await?;
        system.nothing_pending().await?;
    }
    let loads = InTurn::load(
        TURNS,
        async || load(&system, &with, &receiver, time, in_flight).await,
        async || load(&system, &without, &receiver, time, in_flight).await,
    )
    .await?;
    let [of_filtered, of_plain] = [&loads.first, &loads.second].map(|turns| a_cpu_second(turns));
    let mut figures = vec![
        Figure::new("leads a CPU second, with filters", of_filtered, Unit::PerSecond),
        Figure::new("leads a CPU second, without", of_plain, Unit::PerSecond),
        Figure::new("the first to the second", loads.quotient(), Unit::Ratio).at_least(BAR),
    ];
    let mut wholes = Vec::new();
    for (clients, turns) in [(&with, &loads.first), (&without, &loads.second)] {
        let posted = turns.iter().map(|loaded| &loaded.posted).collect::<Vec<_>>();
        wholes.push(whole(clients, &receiver, &posted, 1).await?);
    }
    figures.extend(combined(wholes));
    Ok(figures)
}
