//! The load of one client, spread over a thousand.

use anyhow::Result;
use xtask::figures::Figure;

use super::ratio::{Times, UNTIL_ALL_WORKS, between_bare_limits};
use crate::loaded::whole;
use crate::receiver::Receiver;
use crate::scenario::Setup;
use crate::system::System;

pub(crate) const ABOUT: (&str, &str) = (
    "A thousand clients",
    "The same load, in turn to 1,000 clients with a destination each.",
);

const CLIENTS: usize = 1_000;

pub(crate) async fn measure(setup: &Setup<'_>) -> Result<Vec<Figure>> {
    let system = System::start(setup).await?;
    let receiver = Receiver::start().await?;
    let clients = system.clients("client", CLIENTS, |number| receiver.url(number)).await?;
    let times = Times {
        warm_up: UNTIL_ALL_WORKS,
        measured: setup.arguments.time(),
    };
    let measured = between_bare_limits(setup, &system, &clients, &receiver, times, |loaded| loaded.rate).await?;
    let mut figures = measured.figures;
    figures.extend(whole(&clients, &receiver, &[&measured.loaded.posted], 1).await?);
    Ok(figures)
}
