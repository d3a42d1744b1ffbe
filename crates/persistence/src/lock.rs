//! The lock that makes one process the only one on a SQLite file.
//!
//! Held by the operating system for as long as the process lives, so a killed process leaves
//! nothing to clean up. That nobody else can be at work is what lets a start free every lease.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::OpenError;

/// Holds `<database>.lock` until dropped.
#[derive(Debug)]
pub(crate) struct DatabaseLock {
    _file: File,
}

impl DatabaseLock {
    /// Takes the lock, or says who can't have it; and says by which path the file is to be opened. A new file
    /// and its folder are for their owner alone: leads are personal data.
    pub(crate) fn take(database: &Path) -> Result<(Self, PathBuf), OpenError> {
        let failed = |path: &Path| {
            let path = path.display().to_string();
            move |source| OpenError::File { path, source }
        };
        if let Some(folder) = database.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let mut new = DirBuilder::new();
            new.recursive(true).mode(0o700).create(folder).map_err(failed(folder))?;
        }
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        options.open(database).map_err(failed(database))?;
        // One file, one lock, whichever of its names it is opened by.
        let database = database.canonicalize().map_err(failed(database))?;
        let mut path = database.clone().into_os_string();
        path.push(".lock");
        let path = PathBuf::from(path);
        let file = options.open(&path).map_err(failed(&path))?;
        match file.try_lock() {
            Ok(()) => Ok((Self { _file: file }, database)),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
                path: database.display().to_string(),
            }),
            Err(TryLockError::Error(source)) => Err(failed(&path)(source)),
        }
    }
}
