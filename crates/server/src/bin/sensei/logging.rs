//! Log lines on standard error, as the configuration wants them.

use std::io::{self, IsTerminal};

use anyhow::{Result, anyhow};
use sensei::{Config, LogFormat};
use tracing_subscriber::EnvFilter;

/// Starts logging for the whole process. Once.
pub(crate) fn start(config: &Config) -> Result<()> {
    let filter = EnvFilter::try_new(&config.log)?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    let started = match config.log_format {
        LogFormat::Text => subscriber.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow!("logging can't be started: {error}"))
}
