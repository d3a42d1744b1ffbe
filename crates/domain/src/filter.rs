//! Which leads a destination gets: a tree of conditions on the event, read from JSON, judged and explained.
//!
//! Bounded by its making, so that judging is as well: so many conditions, so deep, texts so long, and patterns that are tables. A filter
//! never runs anything: each condition looks once at one value. The reason why an event doesn't match says what the
//! filter says and nothing of what a visitor typed: it goes to the log.

mod condition;
mod path;
mod pattern;
mod read;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use self::condition::{Condition, Fact, Lower};
use self::read::Reader;
use crate::faults::Faults;

/// A reason is cut off after about so many bytes.
const LONGEST_REASON: usize = 500;

/// A tree of conditions on an event. In JSON: `{"all":[…]}`, `{"any":[…]}`, `{"not":{…}}`, or a condition, which is a path, one
/// operator, and `ignoreCase` if wanted: `{"path":"data.message","contains":"enterprise","ignoreCase":true}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Value")]
pub struct Filter {
    root: Node,
    /// As it was given: it is shown and stored so.
    json: Value,
}

#[derive(Debug, Clone)]
enum Node {
    /// All of them (`true`), or any.
    Group(bool, Vec<Node>),
    Not(Box<Node>),
    Condition(Condition),
}

/// Why an event doesn't match a filter: "not matched: data.phone is missing". Holds nothing that a visitor typed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not matched: {0}")]
pub struct Mismatch(String);

impl Filter {
    /// Conditions of a filter, groups included.
    pub const MOST_CONDITIONS: usize = 20;
    /// Levels of a filter: a condition alone has one.
    pub const DEEPEST: usize = 5;
    /// Conditions with a pattern.
    pub const MOST_PATTERNS: usize = 4;
    /// Values of one `in`.
    pub const MOST_VALUES: usize = 100;
    /// Characters of a path, a text or a pattern.
    pub const LONGEST_TEXT: usize = 200;
    /// What a condition may ask.
    pub const OPERATORS: [&str; 11] = [
        "exists",
        "eq",
        "in",
        "contains",
        "startsWith",
        "endsWith",
        "gt",
        "gte",
        "lt",
        "lte",
        "regex",
    ];

    /// Reads a filter, and says what is wrong with it by the pointer of each field below `pointer`.
    pub fn from_json(value: &Value, pointer: &str) -> Result<Self, Faults> {
        let root = Reader::default().node(value, pointer, 1)?;
        Ok(Self {
            root,
            json: value.clone(),
        })
    }

    /// As it was given.
    pub const fn as_json(&self) -> &Value {
        &self.json
    }

    /// Whether an event matches, and if not, why.
    pub fn judge(&self, event: &Value) -> Result<(), Mismatch> {
        let mut facts = Vec::new();
        if self.root.holds(event, &mut Lower::default(), &mut facts) {
            return Ok(());
        }
        let mut reason = String::new();
        for fact in facts {
            let and = if reason.is_empty() { "" } else { " and " };
            write!(reason, "{and}{fact}").expect("writing to a String can't fail");
            if reason.len() > LONGEST_REASON {
                reason.truncate(reason.floor_char_boundary(LONGEST_REASON));
                reason.push('…');
                break;
            }
        }
        Err(Mismatch(reason))
    }
}

impl Node {
    /// Whether it holds; adds the facts by which it does or doesn't: they are so all together.
    fn holds<'a, 'e>(&'a self, event: &'e Value, lower: &mut Lower<'e>, facts: &mut Vec<Fact<'a>>) -> bool {
        match self {
            Self::Condition(condition) => {
                let fact = condition.on(event, lower);
                facts.push(fact);
                fact.holds
            }
            Self::Not(node) => !node.holds(event, lower, facts),
            Self::Group(all, nodes) => {
                let before = facts.len();
                for node in nodes {
                    let start = facts.len();
                    if node.holds(event, lower, facts) != *all {
                        // It decides alone.
                        facts.drain(before..start);
                        return !all;
                    }
                }
                *all
            }
        }
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

impl TryFrom<Value> for Filter {
    type Error = Faults;

    fn try_from(value: Value) -> Result<Self, Faults> {
        Self::from_json(&value, "")
    }
}
