//! What a client is called.

use std::fmt;
use std::str::FromStr;

use crate::text::TextRule;

const RULE: TextRule = TextRule::line(200);

/// A client's name: 1 to 200 characters after trimming, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientName(String);

impl ClientName {
    /// What a JSON field that holds one must obey.
    pub const RULE: TextRule = RULE;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClientName {
    type Err = ClientNameError;

    fn from_str(text: &str) -> Result<Self, ClientNameError> {
        match RULE.apply(text) {
            Ok("") => Err(ClientNameError("must not be empty".to_owned())),
            Ok(text) => Ok(Self(text.to_owned())),
            Err(detail) => Err(ClientNameError(detail)),
        }
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no client's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ClientNameError(String);
