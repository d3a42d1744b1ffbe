//! What a destination is called, and whether events are sent to it.

use std::fmt;
use std::str::FromStr;

use crate::named::named;
use crate::text::TextRule;

const RULE: TextRule = TextRule::line(100);

/// How the names of hooks begin.
const HOOK: &str = "hook ";

/// A destination's name: 1 to 100 characters after trimming, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationName(String);

impl DestinationName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// That of a REST hook, with a number of its URL. A hook is found by it.
    pub fn of_hook(number: u64) -> Self {
        Self(format!("{HOOK}{number:016x}"))
    }

    /// Whether a text is the name of a hook.
    pub fn is_hooks(name: &str) -> bool {
        let digits = name.strip_prefix(HOOK);
        digits.is_some_and(|digits| digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
    }
}

impl FromStr for DestinationName {
    type Err = DestinationNameError;

    fn from_str(text: &str) -> Result<Self, DestinationNameError> {
        match RULE.apply(text) {
            Ok("") => Err(DestinationNameError("must not be empty".to_owned())),
            Ok(text) => Ok(Self(text.to_owned())),
            Err(detail) => Err(DestinationNameError(detail)),
        }
    }
}

impl fmt::Display for DestinationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no destination's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DestinationNameError(String);

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
