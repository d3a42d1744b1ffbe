//! The scenarios: their names, what each is about, and on which databases.

use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;
use xtask::figures::Figure;

use crate::scenarios::{
    backlog, console, failing, fan_out, filters, history, idle, isolation, lane_limits, latency, many_clients,
    one_client, slow, thousand_clients,
};
use crate::{Arguments, DatabaseKind};

/// What is measured. Their order is that of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Leads a second to one client, against the bare limit
    #[value(alias = "end-to-end")]
    OneClient,
    /// The same to 1,000 clients
    ThousandClients,
    /// One lead to ten destinations
    FanOut,
    /// A thousand destinations with a filter
    Filters,
    /// Receivers that take 50 ms
    Slow,
    /// One answer in ten is an error
    Failing,
    /// Limits of attempts at a time for a destination
    LaneLimits,
    /// One request in flight, and the first delivery of an idle system
    Idle,
    /// Latencies under a steady 1,000 leads/s, beside others' trouble
    Latency,
    /// Receivers that answer, beside some that hang
    Isolation,
    /// Beside a million pending deliveries
    Backlog,
    /// With ten million deliveries in the log
    History,
    /// The console's requests with ten million deliveries in the log, and 200 live streams
    Console,
    /// 100,000 clients
    ManyClients,
}

/// A build on a database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup<'a> {
    pub(crate) arguments: &'a Arguments,
    pub(crate) program: &'a Path,
    pub(crate) database: DatabaseKind,
}

impl Scenario {
    /// Those that run when none is named.
    pub(crate) const MAIN: &'static [Self] = &[
        Self::OneClient,
        Self::ThousandClients,
        Self::FanOut,
        Self::Filters,
        Self::Slow,
        Self::Failing,
        Self::Idle,
    ];

    /// As it is given on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    /// Its heading, and how it's measured.
    pub(crate) const fn about(self) -> (&'static str, &'static str) {
        match self {
            Self::OneClient => one_client::ABOUT,
            Self::ThousandClients => thousand_clients::ABOUT,
            Self::FanOut => fan_out::ABOUT,
            Self::Filters => filters::ABOUT,
            Self::Slow => slow::ABOUT,
            Self::Failing => failing::ABOUT,
            Self::LaneLimits => lane_limits::ABOUT,
            Self::Idle => idle::ABOUT,
            Self::Latency => latency::ABOUT,
            Self::Isolation => isolation::ABOUT,
            Self::Backlog => backlog::ABOUT,
            Self::History => history::ABOUT,
            Self::Console => console::ABOUT,
            Self::ManyClients => many_clients::ABOUT,
        }
    }

    /// Whether it is measured on this database: the rows of a backlog are written for SQLite alone, a lane doesn't know which it is, and the
    /// console's bar is for SQLite, where a page competes with the one writer.
    pub(crate) fn is_for(self, database: DatabaseKind) -> bool {
        database == DatabaseKind::Sqlite || !matches!(self, Self::Backlog | Self::LaneLimits | Self::Console)
    }

    /// Whether its preparation is too long to be repeated, or its own phases repeat it: one run says it.
    pub(crate) const fn runs_once(self) -> bool {
        matches!(
            self,
            Self::Isolation | Self::Backlog | Self::History | Self::Console | Self::ManyClients
        )
    }

    /// Measures once.
    pub(crate) async fn measure(self, setup: &Setup<'_>) -> Result<Vec<Figure>> {
        match self {
            Self::OneClient => Box::pin(one_client::measure(setup)).await,
            Self::ThousandClients => Box::pin(thousand_clients::measure(setup)).await,
            Self::FanOut => Box::pin(fan_out::measure(setup)).await,
            Self::Filters => Box::pin(filters::measure(setup)).await,
            Self::Slow => Box::pin(slow::measure(setup)).await,
            Self::Failing => Box::pin(failing::measure(setup)).await,
            Self::LaneLimits => Box::pin(lane_limits::measure(setup)).await,
            Self::Idle => Box::pin(idle::measure(setup)).await,
            Self::Latency => Box::pin(latency::measure(setup)).await,
            Self::Isolation => Box::pin(isolation::measure(setup)).await,
            Self::Backlog => Box::pin(backlog::measure(setup)).await,
            Self::History => Box::pin(history::measure(setup)).await,
            Self::Console => Box::pin(console::measure(setup)).await,
            Self::ManyClients => Box::pin(many_clients::measure(setup)).await,
        }
    }
}
