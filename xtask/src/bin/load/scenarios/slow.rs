//! Receivers as they are: some time away.

use std::time::Duration;

use anyhow::Result;
use xtask::figures::Figure;

use super::ratio::{Times, between_bare_limits};
use crate::loaded::whole;
use crate::receiver::{Manner, Receiver};
use crate::scenario::Setup;
use crate::system::System;

pub(crate) const ABOUT: (&str, &str) = (
    "Slow receivers",
    "The same load, in turn to 64 clients whose receiver takes 50 ms to answer. *Delivery* is to the arrival, not to the answer.",
);

/// At 16 attempts at once each, these could take five times what is sent to them.
const CLIENTS: usize = 64;
const ANSWER: Duration = Duration::from_millis(50);

pub(crate) async fn measure(setup: &Setup<'_>) -> Result<Vec<Figure>> {
    let system = System::start(setup).await?;
    let receiver = Receiver::answering(Manner::After(ANSWER)).await?;
    let clients = system.clients("slow", CLIENTS, |number| receiver.url(number)).await?;
    let measured = between_bare_limits(
        setup,
        &system,
        &clients,
        &receiver,
        Times::of(setup.arguments.time()),
        |loaded| loaded.rate,
    )
    .await?;
    let mut figures = measured.figures;
    figures.extend(whole(&clients, &receiver, &[&measured.loaded.posted], 1).await?);
    Ok(figures)
}
