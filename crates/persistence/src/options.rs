//! What a store is opened with.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sensei_domain::Clock;

use crate::master_key::MasterKey;

/// What a store is opened with.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Which database.
    pub database: DatabaseUrl,
    /// What secrets are sealed with.
    pub master_key: MasterKey,
    /// What some may still be sealed with, while the master key takes its place.
    pub previous_master_key: Option<MasterKey>,
    /// For how long a process holds a delivery before another may take it.
    pub lease: Duration,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// A database that leads can be kept in.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file, for one process. Its folder is created.
    Sqlite(PathBuf),
    /// A server, for any number of processes. Holds its password.
    Postgres(String),
}

impl DatabaseUrl {
    /// The SQLite file, if it is one.
    pub fn sqlite_path(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }
}

/// Without credentials.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => {
                let rest = url.split_once("://").map_or("", |(_, rest)| rest);
                // Parameters may hold a user and a password as well.
                let (address, parameters) = rest.split_once('?').unwrap_or((rest, ""));
                let address = match address.rsplit_once('@') {
                    Some((_, address)) => address,
                    // A `?` in a password, perhaps.
                    None if parameters.contains('@') => "…",
                    None => address,
                };
                write!(f, "postgres://{address}")
            }
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once("://") {
            Some(("sqlite", path))
                if path.split('?').next().is_none_or(str::is_empty) || path.starts_with(":memory") =>
            {
                Err(DatabaseUrlError::NoFile)
            }
            Some(("sqlite", path)) if path.contains('?') => Err(DatabaseUrlError::SqliteParameters),
            Some(("sqlite", path)) => Ok(Self::Sqlite(PathBuf::from(path))),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(text.to_owned())),
            _ => Err(DatabaseUrlError::Scheme),
        }
    }
}

/// Why a text names no database. Never repeats the text: it may hold a password.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DatabaseUrlError {
    /// Neither of the two.
    #[error("must begin with sqlite:// or postgres://")]
    Scheme,
    /// A lead must survive the process.
    #[error("sqlite:// needs the path of a file, e.g. sqlite://data/sensei.db")]
    NoFile,
    /// How the file is opened isn't a choice: durability depends on it.
    #[error("sqlite:// takes no parameters")]
    SqliteParameters,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_url_is_a_file_or_a_server() {
        let cases = [
            ("sqlite://data/sensei.db", Ok("sqlite://data/sensei.db")),
            ("sqlite:///var/lib/sensei.db", Ok("sqlite:///var/lib/sensei.db")),
            (
                "postgres://sensei:secret@db.internal:5432/leads?sslmode=require",
                Ok("postgres://db.internal:5432/leads"),
            ),
            ("postgresql://localhost/leads", Ok("postgres://localhost/leads")),
            (
                "postgres://db.internal/leads?user=sensei@server&password=secret",
                Ok("postgres://…"),
            ),
            (
                "postgres://db.internal?user=a&password=secret",
                Ok("postgres://db.internal"),
            ),
            ("postgres://sensei:se?cr@et@db.internal/leads", Ok("postgres://…")),
            ("sqlite://", Err(DatabaseUrlError::NoFile)),
            ("sqlite://:memory:", Err(DatabaseUrlError::NoFile)),
            ("sqlite://a.db?mode=ro", Err(DatabaseUrlError::SqliteParameters)),
            ("mysql://localhost/leads", Err(DatabaseUrlError::Scheme)),
            ("data/sensei.db", Err(DatabaseUrlError::Scheme)),
        ];
        for (text, expected) in cases {
            let parsed = text.parse::<DatabaseUrl>().map(|url| url.to_string());
            assert_eq!(parsed, expected.map(str::to_owned), "{text}");
        }
    }
}
