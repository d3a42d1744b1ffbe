//! What can go wrong in the store, in terms of what the caller can do.

use sea_orm::error::ConnAcquireErr;
use sea_orm::{DbErr, RuntimeErr, SqlErr, sqlx};

use crate::destination_changes::MOST_DESTINATIONS;
use crate::idempotency::KeyReused;

/// Why a request to the store failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database can't be reached or written now. Worth repeating; for a write it is unknown whether
    /// it took place.
    #[error("the database is unavailable")]
    Unavailable(#[source] DbErr),
    /// Our fault, or a row that can't be read.
    #[error("the database refused a statement")]
    Internal(#[source] DbErr),
    /// A stored value isn't what was stored: damaged, or sealed under another master key.
    #[error("a stored {what} can't be read")]
    Unreadable {
        /// Which value.
        what: &'static str,
    },
    /// An equal request with the same idempotency key is under way, and takes longer than it is waited for. Nothing
    /// was written.
    #[error("an equal request is still under way")]
    KeyUnderWay,
    /// Somebody else holds the delivery by now, or it is there no more. Nothing was written.
    #[error("the delivery is held by somebody else by now, or is there no more")]
    Superseded,
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether the same request may succeed later.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Closed)
    }
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        if is_closed(&error) {
            Self::Closed
        } else if is_unavailable(&error) || is_conflict(&error) {
            Self::Unavailable(error)
        } else {
            Self::Internal(error)
        }
    }
}

/// Why a change that was asked for wasn't made. Nothing was written, but for [`StoreError::Unavailable`], where it is
/// unknown.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such client.
    #[error("there is no such client")]
    UnknownClient,
    /// The client has no such destination.
    #[error("there is no such destination")]
    UnknownDestination,
    /// Another of the client's destinations has this name.
    #[error("another destination has this name")]
    NameTaken,
    /// Somebody has changed the destination since it was read, and secrets are to stay.
    #[error("the destination has been changed meanwhile")]
    ChangedMeanwhile,
    /// The client has as many destinations as it may.
    #[error("a client has {MOST_DESTINATIONS} destinations at most, beside its Lead Webhook URL")]
    TooManyDestinations,
    /// The name belongs to the Lead Webhook URL.
    #[error("the name is that of the Lead Webhook URL")]
    NameReserved,
    /// The name is a hook's: it stays, and nothing else gets it.
    #[error("the destination of a hook keeps its name, and no other gets it")]
    HooksName,
    /// The destination of the Lead Webhook URL keeps its name.
    #[error("the destination of the Lead Webhook URL keeps its name")]
    NameFixed,
    /// The idempotency key came with another body before.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for ChangeError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// Why the store can't be opened. The texts are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the SQLite file.
    #[error(
        "{path} is in use by another process (its lock file is held). SQLite serves one process: stop the \
         other one, or set DATABASE_URL to a PostgreSQL database, which several can share"
    )]
    InUse {
        /// The database file.
        path: String,
    },
    /// The database's folder or lock file can't be made.
    #[error("{path} can't be created or opened")]
    File {
        /// Which file.
        path: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The database can't be reached.
    #[error("the database can't be opened")]
    Connect(#[source] DbErr),
    /// The schema can't be brought up to date.
    #[error("the database's schema can't be migrated")]
    Migrate(#[source] DbErr),
    /// `synchronous_commit` is off.
    #[error(
        "PostgreSQL's synchronous_commit is off for this database or role: an acknowledged lead could be lost. Set it \
         to on"
    )]
    NotDurable,
    /// Secrets in the database were sealed under another key.
    #[error(
        "secrets in this database were sealed under master key {sealed}, but the key in use is {given}: set \
         SENSEI_MASTER_KEY (or restore the key file) to the former, or SENSEI_PREVIOUS_MASTER_KEY while another takes \
         its place"
    )]
    OtherMasterKey {
        /// The id of the key they were sealed under.
        sealed: String,
        /// The id of the given key, or those of both.
        given: String,
    },
    /// The previous master key is the one in use.
    #[error(
        "the previous master key is {id} as well, the one in use: SENSEI_PREVIOUS_MASTER_KEY (or the file \
         master.key.previous) is for the key whose place another takes"
    )]
    SameMasterKey {
        /// The id of both.
        id: String,
    },
    /// Something else failed while opening.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the store isn't ready to serve. Shown by `/readyz`.
#[derive(Debug, thiserror::Error)]
pub enum Unready {
    /// The database doesn't answer.
    #[error("the database doesn't answer")]
    Database(#[source] StoreError),
    /// The database's clock is far from ours, so leases would end too soon or too late.
    #[error("the database's clock is {seconds} s away from this machine's")]
    Clock {
        /// How far.
        seconds: u64,
    },
}

/// Whether the database itself is out of reach or out of order, rather than the statement wrong.
pub(crate) fn is_unavailable(error: &DbErr) -> bool {
    match sqlx_error(error) {
        Some(sqlx::Error::Database(database)) => match database.code() {
            Some(code) if database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() => {
                // Connection exceptions, out of resources, shut down or starting up; read-only, a lock that can't
                // be had, a statement that was cut off.
                ["08", "53", "57P", "58"].iter().any(|class| code.starts_with(class))
                    || matches!(&*code, "25006" | "55P03" | "57014")
            }
            // BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN: https://sqlite.org/rescode.html, primary codes.
            Some(code) => code
                .parse::<u32>()
                .is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14)),
            None => false,
        },
        Some(
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed,
        ) => true,
        Some(_) => false,
        None => matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(_)),
    }
}

/// Whether a statement waited too long for what another transaction holds (PostgreSQL; SQLite's writers wait elsewhere).
pub(crate) fn is_lock_timeout(error: &DbErr) -> bool {
    has_code(error, "55P03")
}

/// Whether the store itself has closed its connections.
fn is_closed(error: &DbErr) -> bool {
    matches!(error, DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))
        || matches!(sqlx_error(error), Some(sqlx::Error::PoolClosed))
}

/// Whether the same transaction, begun again at once, may well succeed: it lost against another one.
pub(crate) fn is_conflict(error: &DbErr) -> bool {
    match sqlx_error(error) {
        // Serialization failure and deadlock: PostgreSQL, appendix A. BUSY_SNAPSHOT: SQLite.
        Some(sqlx::Error::Database(database)) => database
            .code()
            .is_some_and(|code| matches!(&*code, "40001" | "40P01" | "517")),
        _ => false,
    }
}

/// Whether a row that was to be inserted is there already.
pub(crate) fn is_there_already(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

/// How a statement is made to undo itself on PostgreSQL.
pub(crate) fn is_division_by_zero(error: &DbErr) -> bool {
    // PostgreSQL, appendix A.
    has_code(error, "22012")
}

/// And on SQLite, by a trigger: those of the views `captures` and `usual_outcomes` alone do.
pub(crate) fn is_raised(error: &DbErr) -> bool {
    // CONSTRAINT_TRIGGER: https://sqlite.org/rescode.html.
    has_code(error, "1811")
}

fn has_code(error: &DbErr, wanted: &str) -> bool {
    let Some(sqlx::Error::Database(database)) = sqlx_error(error) else {
        return false;
    };
    database.code().is_some_and(|code| code == wanted)
}

fn sqlx_error(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(source))
        | DbErr::Exec(RuntimeErr::SqlxError(source))
        | DbErr::Query(RuntimeErr::SqlxError(source)) => Some(source),
        _ => None,
    }
}
