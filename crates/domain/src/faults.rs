//! What is wrong with an input: all of it at once, each fault with the place it stands at.

use std::fmt;

use serde::Serialize;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Where: a JSON pointer (RFC 6901), e.g. `/custom/budget`; empty for the whole.
    pub pointer: String,
    /// What, in words that fit after the field's name: "must be …".
    pub detail: String,
}

/// Everything that is wrong with an input. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// A single fault.
    pub fn one(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self(vec![Fault {
            pointer: pointer.into(),
            detail: detail.into(),
        }])
    }

    /// Several faults; `None` if there is none.
    pub fn of(faults: Vec<Fault>) -> Option<Self> {
        if faults.is_empty() { None } else { Some(Self(faults)) }
    }

    /// The same faults, of a document that stands at a pointer of a larger one.
    #[must_use]
    pub fn below(mut self, pointer: &str) -> Self {
        for fault in &mut self.0 {
            fault.pointer.insert_str(0, pointer);
        }
        self
    }

    /// The faults, in the order they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }

    /// The faults themselves.
    pub fn into_vec(self) -> Vec<Fault> {
        self.0
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Fault { pointer, detail }) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            if pointer.is_empty() {
                write!(f, "{detail}")?;
            } else {
                write!(f, "{pointer} {detail}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Escapes a key for a JSON pointer (RFC 6901, section 3).
pub(crate) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
