//! The measure of everything: one client, as many leads as go.

use std::time::Duration;

use anyhow::Result;
use xtask::figures::Figure;

pub(crate) use super::ratio::RATIO;
use super::ratio::{Times, UNTIL_ALL_WORKS, between_bare_limits};
use crate::loaded::whole;
use crate::receiver::Receiver;
use crate::scenario::Setup;
use crate::system::System;

pub(crate) const ABOUT: (&str, &str) = (
    "One client",
    "A closed loop of 64 requests in flight posts leads of one client, whose destination answers at once, for half a minute and then for as long as is measured: charts and words of \
     the first ones are worked on meanwhile. *End to end* counts distinct leads that \
     reached the receiver, from the first request to the last arrival. *Acknowledgement* is from the request sent to its 201, *delivery* from \
     the request sent to the webhook received. Peak memory is the most that the system has had resident (`VmHWM`).",
);

/// The least ratio, and the most that others may be.
const RATIO_BAR: f64 = 0.12;
const ACKNOWLEDGEMENT_P99_BAR: f64 = 25.0;
const MEMORY_BAR: f64 = 150.0;

pub(crate) async fn measure(setup: &Setup<'_>) -> Result<Vec<Figure>> {
    let times = Times {
        warm_up: UNTIL_ALL_WORKS,
        measured: setup.arguments.time(),
    };
    measure_for(setup, times).await
}

/// For a few seconds, from the start on.
pub(crate) async fn measure_shortly(setup: &Setup<'_>, time: Duration) -> Result<Vec<Figure>> {
    measure_for(setup, Times::of(time)).await
}

async fn measure_for(setup: &Setup<'_>, times: Times) -> Result<Vec<Figure>> {
    let system = System::start(setup).await?;
    let receiver = Receiver::start().await?;
    let clients = [system.client("Acme Corp", &receiver.url(0)).await?];
    let measured = between_bare_limits(setup, &system, &clients, &receiver, times, |loaded| loaded.rate).await?;
    let barred = |figure: Figure| match figure.name.as_str() {
        RATIO => figure.at_least(RATIO_BAR),
        "acknowledgement, p99" => figure.at_most(ACKNOWLEDGEMENT_P99_BAR),
        "peak memory" => figure.at_most(MEMORY_BAR),
        _ => figure,
    };
    let mut figures: Vec<_> = measured.figures.into_iter().map(barred).collect();
    figures.extend(whole(&clients, &receiver, &[&measured.loaded.posted], 1).await?);
    Ok(figures)
}
