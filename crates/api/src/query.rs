//! Reads a query's parameters and gathers all that is wrong with them.
//!
//! A parameter that nobody asked for is an error: a misspelt `?stat=failed` must not list everything.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::Uri;
use axum::http::request::Parts;

use crate::problem::{Problem, ProblemError};

/// The parameters of a query, as they are read.
pub(crate) struct Parameters {
    pairs: Vec<(String, String)>,
    known: Vec<&'static str>,
    errors: Vec<ProblemError>,
}

impl Parameters {
    pub(crate) fn of(uri: &Uri) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| Problem::invalid_request(vec![ProblemError::of_parameter("", "the query can't be read")]))?;
        Ok(Self {
            pairs,
            known: Vec::new(),
            errors: Vec::new(),
        })
    }

    /// A parameter that may be absent, parsed; an error's words are what is wrong with it.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(&mut self, name: &'static str) -> Option<T> {
        self.known.push(name);
        let mut values = self
            .pairs
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.as_str());
        let parsed = values.next()?.parse::<T>();
        let is_repeated = values.next().is_some();
        if is_repeated {
            self.fault(name, "must be given once");
        }
        parsed.map_err(|error| self.fault(name, error.to_string())).ok()
    }

    /// Notes that a parameter is wrong.
    pub(crate) fn fault(&mut self, name: &str, detail: impl Into<String>) {
        self.errors.push(ProblemError::of_parameter(name, detail));
    }

    /// Ends the reading: a problem if anything was wrong, a parameter that wasn't asked for included.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        let known = match &*self.known {
            [] => "is not known: this takes no parameters".to_owned(),
            names => format!("is not known (known: {})", names.join(", ")),
        };
        for (key, _) in std::mem::take(&mut self.pairs) {
            if !self.known.contains(&key.as_str()) {
                // A caller's own text is repeated only as far as it identifies the parameter.
                self.fault(&key.chars().take(100).collect::<String>(), known.clone());
            }
        }
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(Problem::invalid_request(self.errors))
        }
    }
}

/// The promise that a request has no query.
pub(crate) struct NoQuery;

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Parameters::of(&parts.uri)?.finish()?;
        Ok(Self)
    }
}

/// What is searched for: not nothing, and not a book.
pub(crate) struct SearchText(pub(crate) String);

const SEARCHED_CHARACTERS: usize = 200;

impl FromStr for SearchText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > SEARCHED_CHARACTERS {
            return Err(format!("must have 1 to {SEARCHED_CHARACTERS} characters"));
        }
        // PostgreSQL takes no such text.
        if text.contains('\0') {
            return Err("must not hold a NUL character".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}
