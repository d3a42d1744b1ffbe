//! A copy of a SQLite database, made while a server takes leads into it.
//!
//! Promises that what is at the wanted place is one moment of the database, whole and on the disk, or that nothing is
//! there: it is written beside it, under another name, and has its own once it is done.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{self, Path, PathBuf};

use sea_orm::{ConnectionTrait, Database, DbErr, Statement};

use crate::connection::sqlite_to_copy;
use crate::options::DatabaseUrl;

/// Leads are personal data.
const OWNER_ONLY: u32 = 0o600;

/// Why there is no backup. Nothing was written, or it was removed again.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It has better means of its own.
    #[error("PostgreSQL is backed up with its own programs, pg_dump or pg_basebackup")]
    Postgres,
    /// There is nothing to copy.
    #[error("{path} isn't there: is the database's URL right?")]
    NoDatabase {
        /// The database file.
        path: PathBuf,
    },
    /// Another backup might be lost.
    #[error("{path} is there already, and a backup overwrites nothing: give it another name")]
    Taken {
        /// Where it was to be.
        path: PathBuf,
    },
    /// One to the same place isn't done.
    #[error("{path} is being written by another backup")]
    UnderWay {
        /// The unfinished one.
        path: PathBuf,
    },
    /// SQLite takes names of files in UTF-8 only.
    #[error("the backup's path isn't UTF-8")]
    NotText,
    /// The file system refuses.
    #[error("{path} can't be written")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// SQLite can't read the database or write the copy.
    #[error("the database can't be copied")]
    Copy(#[source] DbErr),
}

/// Writes a copy of a SQLite database to a file that isn't there yet, for its owner alone, and says how many bytes it has. The server goes on
/// meanwhile; what it commits after the beginning isn't in it.
pub async fn back_up(database: &DatabaseUrl, to: &Path) -> Result<u64, BackupError> {
    let Some(database) = database.sqlite_path() else {
        return Err(BackupError::Postgres);
    };
    if !database.is_file() {
        let path = database.to_owned();
        return Err(BackupError::NoDatabase { path });
    }
    // Whole, since SQLite takes a name that begins with `file:` for a URI.
    let to = path::absolute(to).map_err(|source| BackupError::File {
        path: to.to_owned(),
        source,
    })?;
    let unfinished = Unfinished::begin(&to)?;
    // Nobody else comes to this place now.
    if fs::symlink_metadata(&to).is_ok() {
        return Err(BackupError::Taken { path: to });
    }
    copy(database, &unfinished.path).await?;
    unfinished.finish(&to)
}

async fn copy(database: &Path, to: &Path) -> Result<(), BackupError> {
    let to = to.to_str().ok_or(BackupError::NotText)?;
    let copied = async {
        let connection = Database::connect(sqlite_to_copy(database)).await?;
        let statement = Statement::from_sql_and_values(connection.get_database_backend(), "VACUUM INTO ?", [to.into()]);
        connection.execute_raw(statement).await?;
        connection.close().await
    };
    copied.await.map_err(BackupError::Copy)
}

/// A copy under its other name, removed unless it is finished. One that a process left behind that was killed is written over.
struct Unfinished {
    path: PathBuf,
    file: File,
}

impl Unfinished {
    fn begin(to: &Path) -> Result<Self, BackupError> {
        let mut path = to.as_os_str().to_owned();
        path.push(".unfinished");
        let path = PathBuf::from(path);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(OWNER_ONLY);
        let file = match options.open(&path) {
            Ok(file) => file,
            Err(source) => return Err(BackupError::File { path, source }),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BackupError::UnderWay { path }),
            Err(TryLockError::Error(source)) => return Err(BackupError::File { path, source }),
        }
        // Another may have finished it between the two, and it is no more to be written over.
        let is_there = fs::symlink_metadata(&path).ok().zip(file.metadata().ok());
        if is_there.is_none_or(|(named, open)| (named.dev(), named.ino()) != (open.dev(), open.ino())) {
            return Err(BackupError::UnderWay { path });
        }
        let unfinished = Self { path, file };
        // One that was there may be somebody else's, or open to all.
        let ours = unfinished.file.set_permissions(Permissions::from_mode(OWNER_ONLY));
        let emptied = ours.and_then(|()| unfinished.file.set_len(0));
        emptied.map_err(|source| unfinished.failed(source))?;
        Ok(unfinished)
    }

    /// Gives it its name once it is on the disk: SQLite doesn't promise that of a copy.
    fn finish(self, to: &Path) -> Result<u64, BackupError> {
        let synced = self.file.sync_all().and_then(|()| self.file.metadata());
        let length = synced.map_err(|source| self.failed(source))?.len();
        match fs::hard_link(&self.path, to) {
            Ok(()) => {}
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
                let path = to.to_owned();
                return Err(BackupError::Taken { path });
            }
            // There are file systems where a file has one name.
            Err(_) => fs::rename(&self.path, to).map_err(|source| self.failed(source))?,
        }
        if let Some(folder) = to.parent() {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(|source| BackupError::File {
                path: folder.to_owned(),
                source,
            })?;
        }
        Ok(length)
    }

    fn failed(&self, source: io::Error) -> BackupError {
        let path = self.path.clone();
        BackupError::File { path, source }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // If it is finished it has its own name by now.
        fs::remove_file(&self.path).ok();
    }
}
