//! `sensei serve`: the API on a socket, and the dispatcher, until SIGTERM or Ctrl-C.

use std::io::{self, Write};

use anyhow::{Context, Result};
use sensei::{Config, Sensei};
use tracing::{error, info};

use crate::{listening, logging};

/// Serves until the process is asked to end; then stops accepting, ends what is in flight and closes the database.
pub(crate) async fn run(config: Config) -> Result<()> {
    logging::start(&config)?;
    let address = config.listen;
    let listener = listening::bind(address)
        .await
        .context("the API can't be served (SENSEI_LISTEN or --listen chooses another address)")?;
    let address = listener.local_addr()?;
    info!(database = %config.database, "starting");
    let sensei = Sensei::start(config).await?;
    let stop = async {
        if let Err(error) = listening::asked_to_end().await {
            error!("{error:#}");
        }
    };
    // Nobody need read us: what can't be printed is no reason to stop.
    if let Some(key) = sensei.first_admin_key() {
        print_admin_key(key).ok();
    }
    writeln!(io::stdout(), "listening on http://{address}").ok();
    let served = listening::serve(listener, sensei.router(), stop).await;
    sensei.shutdown().await;
    info!("ended");
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
