//! How receivers behave.

use std::time::Duration;

use sensei_test_support::{Fault as Answer, FaultServer, Receiver};

use crate::world::Server;

/// How a tenant's receiver behaves until it is mended at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Steady,
    Slow,
    Flapping,
    Failing,
    Gone,
    Hanging,
    Resetting,
    Lying,
    CutShort,
}

impl Manner {
    pub(crate) const ALL: [Self; 9] = [
        Self::Steady,
        Self::Slow,
        Self::Flapping,
        Self::Failing,
        Self::Gone,
        Self::Hanging,
        Self::Resetting,
        Self::Lying,
        Self::CutShort,
    ];

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Steady => "answers 200",
            Self::Slow => "answers 200 after 300 ms",
            Self::Flapping => "answers 200 in one life, 503 in the next",
            Self::Failing => "answers 500",
            Self::Gone => "answers 410",
            Self::Hanging => "never answers",
            Self::Resetting => "resets the connection",
            Self::Lying => "answers what isn't HTTP",
            Self::CutShort => "answers 200 and cuts the body short",
        }
    }

    /// Whether every lead must reach it: its destination retries until it does.
    pub(crate) const fn must_receive(self) -> bool {
        matches!(self, Self::Steady | Self::Slow | Self::Flapping)
    }

    pub(crate) fn start(self) -> Server {
        let fault = match self {
            Self::Hanging => Some(Answer::BlackHole),
            Self::Resetting => Some(Answer::Reset),
            Self::Lying => Some(Answer::Garbage),
            Self::CutShort => Some(Answer::ShortBody),
            _ => None,
        };
        if let Some(fault) = fault {
            return Server::Faulty(FaultServer::start(fault));
        }
        let receiver = Receiver::start();
        match self {
            Self::Slow => receiver.set_delay(Duration::from_millis(300)),
            Self::Failing => receiver.set_status(500),
            Self::Gone => receiver.set_status(410),
            _ => {}
        }
        Server::Recording(receiver)
    }
}
