//! What the limit of attempts at a time for one destination changes.

use anyhow::Result;
use xtask::figures::{Figure, Unit, combined};

use super::ratio::{RATIO, Times, between_bare_limits};
use crate::loaded::whole;
use crate::receiver::Receiver;
use crate::scenario::Setup;
use crate::system::System;

pub(crate) const ABOUT: (&str, &str) = (
    "Attempts at a time",
    "The load of one client with other limits of attempts at a time for its destination (`SENSEI_LANE_CONCURRENCY`); 16 is the default. The receiver here \
     answers at once: a real one takes some 100 ms, so that the limit is the rate, and more than 16 at a time overruns many.",
);

const LIMITS: [u16; 3] = [8, 16, 64];

pub(crate) async fn measure(setup: &Setup<'_>) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut wholes = Vec::new();
    for limit in LIMITS {
        let settings = [("SENSEI_LANE_CONCURRENCY", limit.to_string())];
        let system = Box::pin(System::start_with(setup, &settings)).await?;
        let receiver = Receiver::start().await?;
        let clients = [system.client("Acme Corp", &receiver.url(0)).await?];
        let time = setup.arguments.time();
        let measured = between_bare_limits(setup, &system, &clients, &receiver, Times::of(time), |loaded| {
            loaded.rate
        })
        .await?;
        for figure in measured.figures {
            if figure.name == RATIO {
                figures.push(Figure::new(
                    format!("{RATIO}, {limit} at a time"),
                    figure.value,
                    Unit::Ratio,
                ));
            }
        }
        wholes.push(whole(&clients, &receiver, &[&measured.loaded.posted], 1).await?);
    }
    figures.extend(combined(wholes));
    Ok(figures)
}
