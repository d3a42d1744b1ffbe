//! `sensei backup`: copies the SQLite database into a file, while a server uses it.

use std::io::{Write as _, stdout};

use anyhow::Result;

use crate::cli::BackupArguments;

/// Copies, and says where it is and what isn't in it.
pub(crate) async fn run(arguments: BackupArguments) -> Result<()> {
    let BackupArguments { file, settings } = arguments;
    let config = settings.load()?;
    let bytes = sensei_persistence::back_up(&config.database, &file).await?;
    let (database, file) = (&config.database, file.display());
    writeln!(
        stdout(),
        "{file} is a copy of {database}, {bytes} bytes. The master key isn't in it: keep it elsewhere"
    )?;
    Ok(())
}
