//! `sensei serve`: the API on a socket, and the dispatcher, until SIGTERM or Ctrl-C.

use std::io::{self, Write};

use anyhow::{Context, Result};
use sensei::{Config, Sensei};
use tracing::{info, warn};

use crate::listening::{self, Signals};
use crate::logging;

/// Serves until the process is asked to end; then stops accepting, ends what is in flight and closes the database.
pub(crate) async fn run(config: Config) -> Result<()> {
    logging::start(&config)?;
    let address = config.listen;
    let listener = listening::bind(address)
        .await
        .context("the API can't be served (SENSEI_LISTEN or --listen chooses another address)")?;
    let address = listener.local_addr()?;
    let mut signals = Signals::listen()?;
    info!(database = %config.database, "starting");
    let sensei = Sensei::start(config).await?;
    // Nobody need read us: what can't be printed is no reason to stop.
    if let Some(key) = sensei.first_admin_key() {
        print_admin_key(key).ok();
    }
    writeln!(io::stdout(), "listening on http://{address}").ok();
    let served = listening::serve(listener, sensei.router(), signals.asked_to_end()).await;
    tokio::select! {
        () = sensei.shutdown() => info!("ended"),
        () = signals.asked_to_end() => warn!("ended at once: attempts in flight are made again at the next start"),
    }
    served
}

fn print_admin_key(key: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out)?;
    writeln!(
        out,
        "    This is the first start. The admin key, shown once and kept only as a hash:"
    )?;
    writeln!(out)?;
    writeln!(out, "        {key}")?;
    writeln!(out)?;
    writeln!(out, "    Send it as: Authorization: Bearer <key>")?;
    writeln!(out)
}
