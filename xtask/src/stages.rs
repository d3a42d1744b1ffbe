//! The stages of a lead's way, and which of them a sample of the system belongs to.
//!
//! The function that is nearest to the work decides, of those whose name tells a stage: an allocation in the signature is
//! `sign`, a system call of the client `send`. What serves several stages (an allocator, the runtime's sockets, the statements of
//! `multi_row`) tells none, and counts for who called it.

use crate::samples::Sample;

/// A part of what a lead costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The HTTP server and the handler.
    Receive,
    /// A body becomes a lead.
    Parse,
    /// Whose key it is.
    Auth,
    /// Leads become rows.
    Commit,
    /// Deliveries go to lanes and have their turn.
    HandOver,
    /// The header `webhook-signature`.
    Sign,
    /// The HTTP client.
    Send,
    /// Outcomes become rows.
    Record,
    /// What both have in common, where the stack doesn't show whom it was for.
    CommitOrRecord,
    /// `SQLite` executes statements, for commits and for records.
    SqliteStatements,
    /// `SQLite` ends transactions.
    SqliteLog,
    /// `SQLite`'s thread is given work and tells that it's done.
    SqliteWakeUps,
    /// The scheduler.
    Runtime,
    /// None of these.
    Others,
}

/// Names of functions by their beginning, each with the stage that it tells.
type Rules = &'static [(Stage, &'static [&'static str])];

/// What tells a stage however far within. Of a name the first that fits counts.
const TELLING: Rules = &[
    (Stage::Sign, &["sensei_domain::sign", "sensei_domain::asymmetric"]),
    (
        Stage::Parse,
        &[
            "sensei_domain::lead::NewLead",
            "sensei_domain::fields",
            "sensei_domain::faults",
            "sensei_domain::email",
            "sensei_domain::text",
            "sensei_api::body",
            "serde_json::de",
            "serde_json::read",
            "serde_json::value::de",
            "serde_json::value::Value",
        ],
    ),
    (
        Stage::Auth,
        &[
            "sensei_api::auth",
            "sensei_persistence::key_cache",
            "sensei_persistence::keys",
        ],
    ),
    (
        Stage::Send,
        &[
            "sensei_dispatcher::egress",
            "sensei_dispatcher::transports",
            "reqwest",
            "hyper::client",
            "hyper_util::client",
        ],
    ),
    (Stage::HandOver, &["sensei_dispatcher", "sensei_persistence::job::Job"]),
    (
        Stage::Record,
        &[
            "sensei_persistence::record",
            "sensei_persistence::attempt_row",
            "sensei_persistence::health",
            "sensei_persistence::job::Recording",
        ],
    ),
    (
        Stage::Commit,
        &[
            "sensei_persistence::capture",
            "sensei_persistence::directory",
            "sensei_persistence::idempotency",
        ],
    ),
    (
        Stage::Receive,
        &[
            "sensei_api",
            "sensei::listening",
            "axum",
            "hyper::server",
            "hyper_util::server",
        ],
    ),
];

/// What tells one where nothing above does.
const HINTING: Rules = &[
    (Stage::CommitOrRecord, &["sensei_persistence", "sea_orm", "sqlx"]),
    // Every task of the dispatcher is tracked: an attempt between its steps.
    (Stage::HandOver, &["tokio_util::task::task_tracker"]),
];

/// The runtime, and what any program is made of: a stack of nothing else is the runtime's own work.
const RUNTIME: &[&str] = &["tokio::", "mio::"];
const ANY: &[&str] = &["tokio::", "mio::", "std::", "core::", "alloc::"];

/// The threads of sqlx on which `SQLite` runs, one a connection.
const SQLITE_THREAD: &str = "sqlx-sqlite";

/// Where `SQLite` ends a transaction: pages go to the log, the log to the disk and from time to time into the file.
const SQLITE_LOG: &[&str] = &[
    "sqlite3BtreeCommit",
    "sqlite3PagerCommit",
    "sqlite3WalCheckpoint",
    "sqlite3_wal_checkpoint",
];

const SQLITE: &[&str] = &["sqlite3", "sqlx_sqlite"];

impl Stage {
    /// All, in the order of the way of a lead.
    pub const ALL: [Self; 14] = [
        Self::Receive,
        Self::Parse,
        Self::Auth,
        Self::Commit,
        Self::HandOver,
        Self::Sign,
        Self::Send,
        Self::Record,
        Self::CommitOrRecord,
        Self::SqliteStatements,
        Self::SqliteLog,
        Self::SqliteWakeUps,
        Self::Runtime,
        Self::Others,
    ];

    /// The stage that a sample belongs to.
    pub fn of(sample: &Sample) -> Self {
        let begins = |beginnings: &[&str]| sample.functions.iter().any(|function| is_one_of(function, beginnings));
        if sample.thread.starts_with(SQLITE_THREAD) {
            return match () {
                () if begins(SQLITE_LOG) => Self::SqliteLog,
                () if begins(SQLITE) => Self::SqliteStatements,
                () => Self::SqliteWakeUps,
            };
        }
        let told = |rules: Rules| sample.functions.iter().find_map(|function| told(function, rules));
        // The names of Rust have paths; others (libc's, the kernel's) are anybody's.
        let is_anybodys = |function: &&str| !function.contains("::") || is_one_of(function, ANY);
        let is_runtime = || begins(RUNTIME) && sample.functions.iter().all(is_anybodys);
        told(TELLING)
            .or_else(|| told(HINTING))
            .or_else(|| is_runtime().then_some(Self::Runtime))
            .unwrap_or(Self::Others)
    }

    /// Its name and what it is, for people.
    pub const fn about(self) -> (&'static str, &'static str) {
        match self {
            Self::Receive => ("receive", "the HTTP server, the handler, the answer"),
            Self::Parse => ("parse", "the body's JSON and the lead's fields"),
            Self::Auth => ("auth", "the key's hash and whose it is"),
            Self::Commit => ("commit", "event, rows and statements of leads, up to the database"),
            Self::HandOver => ("hand-over", "places, lanes, turns, what follows an attempt"),
            Self::Sign => ("sign", "the signature"),
            Self::Send => ("send", "the egress guard, the HTTP client, the receiver's answer"),
            Self::Record => ("record", "rows and statements of outcomes, up to the database"),
            Self::CommitOrRecord => ("commit or record", "group commit and connections, for either"),
            Self::SqliteStatements => (
                "SQLite, statements",
                "values bound, statements executed, for commit and record",
            ),
            Self::SqliteLog => (
                "SQLite, log",
                "the log written, synced and copied back, for commit and record",
            ),
            Self::SqliteWakeUps => ("SQLite, its thread", "given work, waking who waits for it"),
            Self::Runtime => ("runtime", "tokio's scheduler, timers and polling, in no stage above"),
            Self::Others => ("others", "no function on the stack tells"),
        }
    }

    /// Whether it is only there with `SQLite`.
    pub const fn is_of_sqlite(self) -> bool {
        matches!(self, Self::SqliteStatements | Self::SqliteLog | Self::SqliteWakeUps)
    }
}

fn told(function: &str, rules: Rules) -> Option<Stage> {
    rules
        .iter()
        .find_map(|(stage, beginnings)| is_one_of(function, beginnings).then_some(*stage))
}

/// Whether a function's name, or that of the type that it is of, begins so. Types in angle brackets behind are of who calls it, or of
/// whom it calls: they tell nothing.
fn is_one_of(function: &str, beginnings: &[&str]) -> bool {
    let path = path(function);
    beginnings.iter().any(|beginning| path.starts_with(beginning))
}

/// The path that a symbol begins with: `<&mut a::B as c::D>::e` is `a::B …`, and dropping an `a::B` is its own work.
fn path(function: &str) -> &str {
    const BEFORE: &[&str] = &["core::ptr::drop_in_place<", "<", "&", "mut ", "dyn "];
    let mut path = function;
    while let Some(rest) = BEFORE.iter().find_map(|before| path.strip_prefix(before)) {
        path = rest;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(thread: &str, functions: &[&str]) -> Stage {
        Stage::of(&Sample {
            thread,
            functions: functions.to_vec(),
            is_in_kernel: false,
        })
    }

    /// Real symbols that are on many stacks, by short names.
    const SYMBOLS: [(&str, &str); 8] = [
        (
            "SERVE",
            "<hyper_util::server::conn::auto::UpgradeableConnection<I,S,E> as core::future::future::Future>::poll",
        ),
        ("HANDLER", "<F as axum::handler::Handler<(M,T1),S>>::call::{{closure}}"),
        (
            "CAPTURES",
            "<sensei_persistence::capture::Captures as sensei_persistence::group_commit::Batched>::write::{{closure}}",
        ),
        (
            "RECORDINGS",
            "<sensei_persistence::record::Recordings as sensei_persistence::group_commit::Batched>::write::{{closure}}",
        ),
        ("GROUP_COMMIT", "sensei_persistence::group_commit::run::{{closure}}"),
        (
            "DELIVER",
            "<sensei_dispatcher::transports::webhook::WebhookTransport as sensei_dispatcher::transport::Transport>::deliver::{{closure}}",
        ),
        (
            "ATTEMPT",
            "<tokio_util::task::task_tracker::TrackedFuture<F> as core::future::future::Future>::poll",
        ),
        ("TASK", "tokio::runtime::task::core::Core<T,S>::poll"),
    ];

    #[test]
    fn the_innermost_function_that_tells_decides() {
        for (stack, expected) in [
            (
                "__GI___writev, hyper::proto::h1::io::Buffered<T>::poll_flush, SERVE, TASK",
                Stage::Receive,
            ),
            ("malloc, serde_json::de::from_slice, HANDLER, SERVE, TASK", Stage::Parse),
            (
                "core::ptr::drop_in_place<serde_json::value::Value>, HANDLER, SERVE, TASK",
                Stage::Parse,
            ),
            (
                "sha2::sha256::compress256, sensei_persistence::keys::hash, SERVE, TASK",
                Stage::Auth,
            ),
            (
                "sensei_api::auth::authenticate::{{closure}}, HANDLER, SERVE, TASK",
                Stage::Auth,
            ),
            ("sensei_api::request_id::RequestId::of, SERVE, TASK", Stage::Receive),
            (
                "sensei_persistence::multi_row::Sql::value, CAPTURES, GROUP_COMMIT, TASK",
                Stage::Commit,
            ),
            (
                "sensei_persistence::multi_row::Sql::value, RECORDINGS, GROUP_COMMIT, TASK",
                Stage::Record,
            ),
            (
                "core::ptr::drop_in_place<sensei_persistence::job::Recording>, TASK",
                Stage::Record,
            ),
            ("realloc, GROUP_COMMIT, TASK", Stage::CommitOrRecord),
            (
                "flume::Shared<T>::send, sqlx_core::pool::connection::PoolConnection<DB>::close, TASK",
                Stage::CommitOrRecord,
            ),
            (
                "sensei_dispatcher::lanes::Lanes<T>::take, CAPTURES, GROUP_COMMIT, TASK",
                Stage::HandOver,
            ),
            ("sensei_dispatcher::attempt::log, ATTEMPT, TASK", Stage::HandOver),
            (
                "<tokio::time::timeout::Timeout<T> as Future>::poll, ATTEMPT, TASK",
                Stage::HandOver,
            ),
            (
                "sha2::sha256::compress256, sensei_domain::signature::Secret::mac, DELIVER, ATTEMPT",
                Stage::Sign,
            ),
            (
                "malloc, reqwest::async_impl::client::Client::execute_request, DELIVER, ATTEMPT, TASK",
                Stage::Send,
            ),
            (
                "sensei_domain::time::Timestamp::unix, DELIVER, ATTEMPT, TASK",
                Stage::Send,
            ),
            (
                "epoll_wait, mio::poll::Poll::poll, tokio::runtime::io::driver::Driver::turn",
                Stage::Runtime,
            ),
            ("chrono::offset::utc::Utc::now, TASK", Stage::Others),
            ("clone3", Stage::Others),
            ("", Stage::Others),
        ] {
            let symbol = |name| {
                SYMBOLS
                    .iter()
                    .find_map(|(short, symbol)| (*short == name).then_some(*symbol))
            };
            let functions = stack.split(", ").map(|name| symbol(name).unwrap_or(name));
            assert_eq!(
                stage("tokio-rt-worker", &functions.collect::<Vec<_>>()),
                expected,
                "{stack}"
            );
        }
    }

    #[test]
    fn types_that_are_only_named_tell_nothing() {
        let functions = [
            "core::ptr::drop_in_place<tower::util::MapFuture<sensei_dispatcher::attempt::Attempt>>",
            "axum::routing::Route::call",
        ];
        assert_eq!(stage("tokio-rt-worker", &functions), Stage::Receive);
    }

    #[test]
    fn sqlites_thread_is_told_by_what_sqlite_does() {
        for (functions, expected) in [
            (&["sqlite3VdbeExec", "sqlite3_step"][..], Stage::SqliteStatements),
            (
                &["sqlx_sqlite::arguments::SqliteArguments::bind"],
                Stage::SqliteStatements,
            ),
            (
                &[
                    "sqlite3PcacheDirtyList",
                    "sqlite3PagerCommitPhaseOne.part.0",
                    "sqlite3VdbeHalt",
                    "sqlite3_step",
                ],
                Stage::SqliteLog,
            ),
            (
                &["fsync", "walCheckpoint", "sqlite3WalCheckpoint", "sqlite3_step"],
                Stage::SqliteLog,
            ),
            (&["syscall", "std::thread::functions::park"], Stage::SqliteWakeUps),
        ] {
            assert_eq!(stage("sqlx-sqlite-wor", functions), expected, "{functions:?}");
        }
    }

    #[test]
    fn every_stage_is_in_its_place() {
        assert!(Stage::ALL.is_sorted());
        assert_eq!(Stage::ALL.last(), Some(&Stage::Others));
    }
}
