//! A delivery's states, the only moves between them, and why attempts are made.

use crate::named::named;

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeliveryState {
    /// An attempt is due at some time, or under way.
    Pending,
    /// Its destination is paused or disabled: kept until that is active again.
    Held,
    /// The receiver has it.
    Succeeded,
    /// No attempt will follow by itself.
    Failed,
    /// Its destination was deleted or its lead erased, or the lead didn't match the destination's filter.
    Cancelled,
}

named!(DeliveryState {
    Pending = "pending",
    Held = "held",
    Succeeded = "succeeded",
    Failed = "failed",
    Cancelled = "cancelled",
});

impl DeliveryState {
    /// Whether a delivery may move from this state to that one.
    pub const fn may_become(self, to: Self) -> bool {
        match self {
            // Stays pending at a retry.
            Self::Pending => true,
            Self::Held => matches!(to, Self::Pending | Self::Cancelled),
            // A redelivery.
            Self::Succeeded | Self::Failed => matches!(to, Self::Pending),
            Self::Cancelled => false,
        }
    }
}

/// Why an attempt is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// The lead was captured.
    First,
    /// An earlier attempt failed, or was lost with its process.
    Retry,
    /// Somebody asked for a redelivery.
    Manual,
    /// Somebody tries his destination with a sample lead.
    Test,
    /// The lead was captured before the destination existed.
    Replay,
}

named!(Trigger { First = "first", Retry = "retry", Manual = "manual", Test = "test", Replay = "replay" });

#[cfg(test)]
mod tests {
    use super::DeliveryState::{self, *};

    #[test]
    fn only_these_moves_are_legal() {
        let legal = [
            (Pending, Pending),
            (Pending, Succeeded),
            (Pending, Failed),
            (Pending, Held),
            (Pending, Cancelled),
            (Held, Pending),
            (Held, Cancelled),
            (Failed, Pending),
            (Succeeded, Pending),
        ];
        for &from in DeliveryState::ALL {
            for &to in DeliveryState::ALL {
                assert_eq!(from.may_become(to), legal.contains(&(from, to)), "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn names_are_read_back() {
        for &state in DeliveryState::ALL {
            assert_eq!(state.name().parse::<DeliveryState>(), Ok(state));
        }
        let error = "done".parse::<DeliveryState>().expect_err("no state");
        assert_eq!(
            error.to_string(),
            "must be one of pending, held, succeeded, failed, cancelled"
        );
    }
}
