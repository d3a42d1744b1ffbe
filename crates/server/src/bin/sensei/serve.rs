//! `sensei serve`: the API on a socket, and the dispatcher, until SIGTERM or Ctrl-C.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context, Result};
use sensei::config::AdminListen;
use sensei::{Config, Sensei};
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::listening::{self, Signals};
use crate::logging;

/// Long enough to look at what was started, short enough for a terminal's history.
const FIRST_LINK: Duration = Duration::from_hours(1);

/// Serves until the process is asked to end; then stops accepting, ends what is in flight and closes the database.
pub(crate) async fn run(config: Config) -> Result<()> {
    logging::start(&config)?;
    let address = config.listen;
    let listener = listening::bind(address)
        .await
        .context("the API can't be served (SENSEI_LISTEN or --listen chooses another address)")?;
    let address = listener.local_addr()?;
    let admin = bind_admin(config.admin_listen).await?;
    let mut signals = Signals::listen()?;
    info!(database = %config.database, "starting");
    let sensei = Sensei::start(config).await?;
    // Nobody need read us: what can't be printed is no reason to stop.
    if let Some(key) = sensei.first_admin_key() {
        let path = sensei.sign_in_path(key, FIRST_LINK).await.ok().flatten();
        let link = path.map(|path| format!("http://{address}{path}"));
        print_admin_key(key, link.as_deref()).ok();
    }
    if let Some(admin) = admin {
        info!("metrics on http://{}/metrics", admin.local_addr()?);
        let router = sensei.metrics_router();
        tokio::spawn(async move { axum::serve(admin, router).await });
    }
    writeln!(io::stdout(), "listening on http://{address}").ok();
    writeln!(
        io::stdout(),
        "the console is at http://{address}/admin (sign in with an admin key)"
    )
    .ok();
    let stop = async {
        signals.asked_to_end().await;
        sensei.end_streams();
    };
    let served = listening::serve(listener, sensei.router(), stop).await;
    tokio::select! {
        () = sensei.shutdown() => info!("ended"),
        () = signals.asked_to_end() => warn!("ended at once: attempts in flight are made again at the next start"),
    }
    served
}

/// Takes the address for metrics. Another program may have the default one: that is no reason not to serve.
async fn bind_admin(listen: Option<AdminListen>) -> Result<Option<TcpListener>> {
    let Some(AdminListen { address, is_chosen }) = listen else {
        return Ok(None);
    };
    match listening::bind(address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if is_chosen => Err(error.context(
            "metrics can't be served (SENSEI_ADMIN_LISTEN or --admin-listen chooses another address, or off)",
        )),
        Err(error) => {
            warn!("no metrics are served: {error:#} (SENSEI_ADMIN_LISTEN chooses another address, or off)");
            Ok(None)
        }
    }
}

fn print_admin_key(key: &str, link: Option<&str>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out)?;
    writeln!(
        out,
        "    This is the first start. The admin key, shown once and kept only as a hash:"
    )?;
    writeln!(out)?;
    writeln!(out, "        {key}")?;
    writeln!(out)?;
    writeln!(
        out,
        "    Sign in to the console with it, or send it as: Authorization: Bearer <key>"
    )?;
    if let Some(link) = link {
        writeln!(out)?;
        writeln!(
            out,
            "    Or open the console by this link, which signs in for one hour:"
        )?;
        writeln!(out)?;
        writeln!(out, "        {link}")?;
    }
    writeln!(out)
}
