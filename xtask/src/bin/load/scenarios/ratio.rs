//! What several scenarios share: leads to some clients under load, between two measurements of the bare limit.

use std::time::Duration;

use anyhow::Result;
use xtask::figures::{Figure, Unit};

use crate::api::Api;
use crate::loaded::{Loaded, WARM_UP, acknowledgement, delivery, load, post};
use crate::measure::bare;
use crate::receiver::Receiver;
use crate::scenario::Setup;
use crate::system::System;

/// The name of the figure that builds are held to.
pub(crate) const RATIO: &str = "ratio to the bare limit";

/// Longer than charts and words are behind: what is captured meanwhile is added up and indexed under the load that is measured.
pub(super) const UNTIL_ALL_WORKS: Duration = Duration::from_secs(30);

/// How long the system is under load.
#[derive(Clone, Copy)]
pub(super) struct Times {
    /// Before anything is measured.
    pub(super) warm_up: Duration,
    pub(super) measured: Duration,
}

impl Times {
    /// After enough that connections, caches and statements are there.
    pub(super) const fn of(measured: Duration) -> Self {
        Self {
            warm_up: WARM_UP,
            measured,
        }
    }
}

/// What was measured.
pub(super) struct Measured {
    pub(super) loaded: Loaded,
    /// Rates, ratio, percentiles, CPU and memory. Bars are the scenario's to add.
    pub(super) figures: Vec<Figure>,
}

/// Measures the bare limit, the system under load, and the bare limit again. `counted` is the rate that the scenario is about.
pub(super) async fn between_bare_limits(
    setup: &Setup<'_>,
    system: &System,
    clients: &[Api],
    receiver: &Receiver,
    times: Times,
    counted: fn(&Loaded) -> f64,
) -> Result<Measured> {
    let in_flight = setup.arguments.in_flight;
    let bare_time = times.measured.min(setup.arguments.bare_time());
    let before = bare(bare_time, in_flight).await?;
    post(clients, times.warm_up, in_flight).await?.all_acknowledged()?;
    system.nothing_pending().await?;
    let loaded = load(system, clients, receiver, times.measured, in_flight).await?;
    let after = bare(bare_time, in_flight).await?;
    let (bare, rate) = (f64::midpoint(before, after), counted(&loaded));
    let mut figures = vec![
        Figure::new("bare limit", bare, Unit::PerSecond),
        Figure::new("end to end", rate, Unit::PerSecond),
        Figure::new(RATIO, rate / bare, Unit::Ratio),
    ];
    figures.extend(acknowledgement(&loaded.posted).figures("acknowledgement"));
    figures.extend(delivery(&loaded.posted, receiver).figures("delivery"));
    figures.extend(loaded.cpu_figures()?);
    figures.push(Figure::new("peak memory", system.peak_memory()?, Unit::Mebibytes));
    Ok(Measured { loaded, figures })
}
