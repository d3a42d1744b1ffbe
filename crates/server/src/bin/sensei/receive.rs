//! `sensei receiver`: prints each request it gets and whether its signature is right.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::http::StatusCode;
use sensei::receiver::{ReceivedRequest, receiver_router};
use sensei_domain::SigningSecret;
use tokio::sync::mpsc;

use crate::cli::ReceiverArguments;
use crate::listening::{self, Signals};

/// Requests that wait to be printed; their senders wait too.
const WAITING: usize = 64;
/// For what is left to print at the end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Receives until the process is asked to end.
pub(crate) async fn run(arguments: ReceiverArguments) -> Result<()> {
    let status = StatusCode::from_u16(arguments.status).context("no status of HTTP")?;
    let listener = listening::bind(SocketAddr::new(arguments.listen, arguments.port)).await?;
    let address = listener.local_addr()?;
    let (sender, mut requests) = mpsc::channel(WAITING);
    writeln!(io::stdout(), "listening on http://{address}, answering {status}").ok();
    let secret = arguments.secret;
    let printing = tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            print(&request, secret.as_ref()).ok();
        }
    });
    let mut signals = Signals::listen()?;
    listening::serve(listener, receiver_router(status, sender), signals.asked_to_end()).await?;
    // The last ones; a connection that was cut may still keep the channel open.
    tokio::time::timeout(LAST_WORDS, printing).await.ok();
    Ok(())
}

fn print(request: &ReceivedRequest, secret: Option<&SigningSecret>) -> io::Result<()> {
    let verdict = secret.map_or_else(
        || "signature not verified: no --secret given".to_owned(),
        |secret| verdict(request, secret),
    );
    let text = format!("--- {}\n{request}{verdict}\n\n", request.at);
    io::stdout().lock().write_all(text.as_bytes())
}

/// What a signature is worth, in words.
pub(crate) fn verdict(request: &ReceivedRequest, secret: &SigningSecret) -> String {
    match request.verify(secret) {
        Ok(()) => "signature verified".to_owned(),
        Err(reason) => format!("signature NOT verified: {reason}"),
    }
}
