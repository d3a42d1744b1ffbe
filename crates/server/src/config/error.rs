//! What is wrong with a configuration, in words for whoever wrote it.

use std::fmt;
use std::path::PathBuf;

/// Everything that is wrong with a configuration, at least one fault.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError(pub(crate) Vec<ConfigFault>);

impl ConfigError {
    /// The faults, in no particular order.
    pub fn faults(&self) -> &[ConfigFault] {
        &self.0
    }
}

/// One fault a line.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let line = if index == 0 { "" } else { "\n" };
            write!(f, "{line}{fault}")?;
        }
        Ok(())
    }
}

/// One thing that is wrong. Never shows a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFault {
    /// The file can't be read.
    #[error("{} can't be read: {reason}", file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The file isn't TOML.
    #[error("{} is not valid TOML: {reason}", file.display())]
    Syntax {
        /// Which file.
        file: PathBuf,
        /// What the parser says.
        reason: String,
    },
    /// No setting has this name.
    #[error("{name}, set by {origin}, is no setting: did you mean {nearest}?")]
    Unknown {
        /// The unknown name.
        name: String,
        /// Where it is.
        origin: String,
        /// The known name that is most like it.
        nearest: &'static str,
    },
    /// A setting's value can't be used.
    #[error("{name}, set by {origin}, {detail}")]
    Invalid {
        /// The setting.
        name: &'static str,
        /// Where it was set.
        origin: String,
        /// What is wrong, a continuation of the sentence.
        detail: String,
    },
}
