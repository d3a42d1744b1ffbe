//! `sensei secrets rotate`: encrypts with the master key in use what the previous one still encrypts.

use std::io::{Write as _, stdout};

use anyhow::{Context as _, Error, Result, ensure};
use sensei::{Config, RotateError, StartError};
use sensei_persistence::OpenError;

use crate::logging;

/// Fails as long as the previous key is needed.
pub(crate) async fn run(config: Config) -> Result<()> {
    logging::start(&config)?;
    let done = match sensei::rotate_secrets(&config).await {
        Err(error @ RotateError::Start(StartError::Open(OpenError::InUse { .. }))) => {
            let error: Result<()> = Err(Error::from(error));
            return error.context(
                "the server that has the database does this by itself when it is started with both keys, and says in its \
                 log when it is done",
            );
        }
        done => done?,
    };
    writeln!(stdout(), "{} encrypted anew", secrets(done.resealed))?;
    if done.unreadable > 0 {
        let unreadable = secrets(done.unreadable);
        writeln!(
            stdout(),
            "{unreadable} can be opened with neither key and stay as they are"
        )?;
    }
    ensure!(
        done.is_complete,
        "another process still encrypts with the previous master key: start all with the new one and run this again"
    );
    writeln!(
        stdout(),
        "nothing is left: the previous master key isn't needed any more"
    )?;
    Ok(())
}

fn secrets(count: u64) -> String {
    match count {
        1 => "1 secret".to_owned(),
        _ => format!("{count} secrets"),
    }
}
