//! Whether events are sent to a destination.

use crate::named::named;

/// Whether events are sent to a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DestinationStatus {
    /// They are sent as they come.
    Active,
    /// The client holds them back for now.
    Paused,
    /// We stopped: the receiver is gone, or has failed for long.
    Disabled,
}

named!(DestinationStatus { Active = "active", Paused = "paused", Disabled = "disabled" });
