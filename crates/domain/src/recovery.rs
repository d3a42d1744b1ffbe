//! Recoveries: work on many deliveries at once that somebody asked for.

use crate::named::named;

/// What a recovery does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecoveryKind {
    /// Sends again what failed or succeeded.
    Redeliver,
    /// Sends a destination the leads that were captured before it existed.
    Replay,
    /// Cancels what is held for a destination.
    Discard,
}

named!(RecoveryKind { Redeliver = "redeliver", Replay = "replay", Discard = "discard" });

/// How far a recovery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecoveryState {
    /// It goes on by itself.
    Running,
    /// It has come to its end.
    Done,
    /// It was ended before that; what it had done by then stays done.
    Cancelled,
}

named!(RecoveryState { Running = "running", Done = "done", Cancelled = "cancelled" });
