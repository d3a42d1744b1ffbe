//! One condition on one value of the event, and the words for whether it holds.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use serde_json::{Number, Value};

use super::path::Path;
use super::pattern::Pattern;

/// A text that is longer is no number.
const LONGEST_NUMBER: usize = 64;
/// A text of so many bytes is worth keeping. There are few in an event.
const LONG: usize = 256;

/// What is asked of the value at a path.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) path: Path,
    pub(super) test: Test,
    /// Texts are compared in lower case; those of the test are in it already.
    pub(super) ignore_case: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Test {
    Exists(bool),
    /// One of them, of which there is one for `eq`.
    Is(Vec<Given>),
    Contains(Text),
    StartsWith(Text),
    EndsWith(Text),
    Compares(Comparison, Number),
    Matches(Text, Pattern),
}

/// A text that a filter looks for.
#[derive(Debug, Clone)]
pub(super) struct Text {
    /// As it was given.
    given: String,
    /// As it is looked for.
    wanted: String,
}

/// A value that a filter compares with.
#[derive(Debug, Clone)]
pub(super) enum Given {
    Text(Text),
    Number(Number),
    Bool(bool),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Comparison {
    More,
    AtLeast,
    Less,
    AtMost,
}

/// Long texts of an event in lower case, so that a message is made so once for all conditions.
#[derive(Debug, Default)]
pub(super) struct Lower<'e>(Vec<(&'e str, String)>);

/// Whether a condition holds, and of what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fact<'a> {
    condition: &'a Condition,
    pub(super) holds: bool,
    is_missing: bool,
}

impl<'e> Lower<'e> {
    fn of(&mut self, text: &'e str) -> Cow<'_, str> {
        if text.len() < LONG {
            return text.to_lowercase().into();
        }
        // By its place: to compare long texts would take as long again.
        let known = self.0.iter().position(|(known, _)| std::ptr::eq(*known, text));
        let index = known.unwrap_or_else(|| {
            self.0.push((text, text.to_lowercase()));
            self.0.len() - 1
        });
        self.0[index].1.as_str().into()
    }
}

impl Text {
    pub(super) fn new(given: &str, ignore_case: bool) -> Self {
        Self {
            given: given.to_owned(),
            wanted: if ignore_case {
                given.to_lowercase()
            } else {
                given.to_owned()
            },
        }
    }

    /// As it was given.
    pub(super) fn given(&self) -> &str {
        &self.given
    }
}

impl Condition {
    /// How an event stands to it.
    pub(super) fn on<'a, 'e>(&'a self, event: &'e Value, lower: &mut Lower<'e>) -> Fact<'a> {
        let value = self.path.find(event);
        let holds = match (&self.test, value) {
            (Test::Exists(wanted), value) => value.is_some() == *wanted,
            (_, Some(value)) => self.holds_of(value, lower),
            (_, None) => false,
        };
        Fact {
            condition: self,
            holds,
            is_missing: value.is_none(),
        }
    }

    fn holds_of<'e>(&self, value: &'e Value, lower: &mut Lower<'e>) -> bool {
        match &self.test {
            Test::Exists(wanted) => *wanted,
            Test::Is(given) => {
                let text = self.text(value, lower);
                given.iter().any(|given| is(value, text.as_deref(), given))
            }
            Test::Contains(text) => match value {
                // Of a list: one of its items.
                Value::Array(items) => items
                    .iter()
                    .any(|item| self.text(item, lower).is_some_and(|item| item == text.wanted.as_str())),
                value => self
                    .text(value, lower)
                    .is_some_and(|value| value.contains(&text.wanted)),
            },
            Test::StartsWith(text) => self
                .text(value, lower)
                .is_some_and(|value| value.starts_with(&text.wanted)),
            Test::EndsWith(text) => self
                .text(value, lower)
                .is_some_and(|value| value.ends_with(&text.wanted)),
            Test::Compares(comparison, number) => {
                let order = number_of(value).zip(number.as_f64());
                order.is_some_and(|(value, number)| comparison.allows(value.partial_cmp(&number)))
            }
            Test::Matches(_, pattern) => self.text(value, lower).is_some_and(|value| pattern.is_in(&value)),
        }
    }

    /// A text, as it is compared.
    fn text<'a, 'e>(&self, value: &'e Value, lower: &'a mut Lower<'e>) -> Option<Cow<'a, str>> {
        let text = value.as_str()?;
        Some(if self.ignore_case { lower.of(text) } else { text.into() })
    }
}

fn is(value: &Value, text: Option<&str>, given: &Given) -> bool {
    match given {
        Given::Text(given) => text == Some(&given.wanted),
        Given::Bool(given) => value.as_bool() == Some(*given),
        Given::Number(given) => {
            let order = number_of(value).zip(given.as_f64());
            order.is_some_and(|(value, given)| value.partial_cmp(&given) == Some(Ordering::Equal))
        }
    }
}

/// A number, or a text that is one: forms send both.
fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) if text.len() <= LONGEST_NUMBER => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|number: &f64| number.is_finite())
}

impl Comparison {
    fn allows(self, order: Option<Ordering>) -> bool {
        match self {
            Self::More => order == Some(Ordering::Greater),
            Self::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            Self::Less => order == Some(Ordering::Less),
            Self::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::More => "more than",
            Self::AtLeast => "at least",
            Self::Less => "less than",
            Self::AtMost => "at most",
        }
    }
}

/// The fact in words: "data.phone is missing".
impl fmt::Display for Fact<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Condition {
            path,
            test,
            ignore_case,
        } = self.condition;
        f.write_str(path.as_str())?;
        if self.is_missing {
            return f.write_str(" is missing");
        }
        let verb = |is: &'static str, isnt: &'static str| if self.holds { is } else { isnt };
        let is = verb("is", "isn't");
        match test {
            Test::Exists(_) => f.write_str(" is there"),
            Test::Is(given) => {
                write!(f, " {is}{}", if given.len() > 1 { " one of" } else { "" })?;
                for (index, given) in given.iter().enumerate() {
                    write!(f, "{} {given}", if index > 0 { "," } else { "" })?;
                }
                Ok(())
            }
            Test::Contains(text) => write!(f, " {} {text}", verb("contains", "doesn't contain")),
            Test::StartsWith(text) => write!(f, " {} {text}", verb("begins with", "doesn't begin with")),
            Test::EndsWith(text) => write!(f, " {} {text}", verb("ends with", "doesn't end with")),
            Test::Compares(comparison, number) => write!(f, " {is} {} {number}", comparison.words()),
            Test::Matches(text, _) => write!(f, " {} {text}", verb("matches", "doesn't match")),
        }?;
        f.write_str(if *ignore_case { " (in any case)" } else { "" })
    }
}

/// Quoted, so that its ends are seen.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.given)
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Bool(bool) => bool.fmt(f),
        }
    }
}
