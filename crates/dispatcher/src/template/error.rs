//! What is wrong with a template, in words for whoever wrote it.

use std::fmt;

use minijinja::{Error, ErrorKind};

use super::program::LONGEST_OUTPUT;
use crate::transports::text::cut;

/// Of the engine's own words, no more is repeated: they may hold what a visitor typed.
const DETAIL: usize = 200;

/// A template that can't be used, or not for this event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// Which: `text`, or `fields/company_size`.
    pub part: String,
    /// Where in it, if that is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub detail: String,
    /// Nothing is wrong with it: we had no time for it, or failed. Worth repeating.
    pub is_ours: bool,
}

impl TemplateError {
    pub(super) fn new(part: &str, line: Option<usize>, detail: impl Into<String>) -> Self {
        Self {
            part: part.to_owned(),
            line,
            detail: detail.into(),
            is_ours: false,
        }
    }

    /// It wasn't tried.
    pub(super) fn ours() -> Self {
        Self {
            is_ours: true,
            ..Self::new("", None, "there was no time for it: try again")
        }
    }

    pub(super) fn of(part: &str, error: &Error) -> Self {
        let detail = match error.kind() {
            ErrorKind::OutOfFuel => "it takes too many steps, or makes too much on the way".to_owned(),
            ErrorKind::WriteFailure => format!("it writes more than {LONGEST_OUTPUT} bytes"),
            kind => match error.detail() {
                Some(detail) => cut(&format!("{kind}: {detail}"), DETAIL),
                None => kind.to_string(),
            },
        };
        Self::new(part, error.line(), detail)
    }

    /// `line 3: unknown filter: …`.
    pub(super) fn words(&self) -> String {
        match self.line {
            Some(line) => format!("line {line}: {}", self.detail),
            None => self.detail.clone(),
        }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_ours {
            return f.write_str("there was no time for the templates");
        }
        write!(f, "the template `{}`", self.part)?;
        match self.line {
            Some(line) => write!(f, ", line {line}: {}", self.detail),
            None => write!(f, ": {}", self.detail),
        }
    }
}

impl std::error::Error for TemplateError {}
