//! `sensei backup`: copies the SQLite database into a file, while a server uses it.

use std::io::{Write as _, stdout};

use anyhow::{Result, bail};

use crate::cli::BackupArguments;
use crate::listening::Signals;

/// Copies, and says where it is and what isn't in it.
pub(crate) async fn run(arguments: BackupArguments) -> Result<()> {
    let BackupArguments { file, settings } = arguments;
    let config = settings.load()?;
    let mut signals = Signals::listen()?;
    let bytes = tokio::select! {
        copied = sensei_persistence::back_up(&config.database, &file) => copied?,
        () = signals.asked_to_end() => bail!("asked to end before the copy was whole: there is none"),
    };
    let (database, file) = (&config.database, file.display());
    writeln!(
        stdout(),
        "{file} is a copy of {database}, {bytes} bytes. The master key isn't in it: keep it elsewhere"
    )?;
    Ok(())
}
