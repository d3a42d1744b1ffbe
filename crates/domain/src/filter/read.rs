//! Reads a filter from JSON, and stops at its bounds.

use serde_json::{Number, Value};

use super::condition::{Comparison, Condition, Given, Test, Text};
use super::path::Path;
use super::pattern::Pattern;
use super::{Filter, Node};
use crate::faults::{Fault, Faults};
use crate::fields::{Fields, kind_of};
use crate::text::TextRule;

const TEXT: TextRule = TextRule::as_typed(Filter::LONGEST_TEXT);

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Reader {
    conditions: usize,
    patterns: usize,
}

impl Reader {
    /// Reads a group or a condition that stands at a pointer, so many levels deep.
    pub(super) fn node(&mut self, value: &Value, pointer: &str, level: usize) -> Result<Node, Faults> {
        if level > Filter::DEEPEST {
            let detail = format!("is nested too deeply: there may be {} levels", Filter::DEEPEST);
            return Err(Faults::one(pointer, detail));
        }
        self.conditions += 1;
        if self.conditions > Filter::MOST_CONDITIONS {
            let detail = format!(
                "is one too many: there may be {} conditions, groups included",
                Filter::MOST_CONDITIONS
            );
            return Err(Faults::one(pointer, detail));
        }
        let mut fields = Fields::at(value, pointer)?;
        let group = ["all", "any", "not"].map(|name| (name, fields.value(name)));
        let mut given = group.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let (group, another) = (given.next(), given.next().is_some());
        let Some((name, within)) = group else {
            return self.condition(fields).map(Node::Condition);
        };
        if another {
            fields.fault(name, "must stand alone");
        }
        let below = format!("{pointer}/{name}");
        let node = if name == "not" {
            let node = fields.nested(self.node(within, &below, level + 1));
            node.map(|node| Node::Not(Box::new(node)))
        } else {
            let nodes = fields.nested(self.nodes(within, &below, level + 1));
            nodes.map(|nodes| Node::Group(name == "all", nodes))
        };
        fields.finish()?;
        Ok(node.expect("what can't be read is a fault"))
    }

    fn nodes(&mut self, value: &Value, pointer: &str, level: usize) -> Result<Vec<Node>, Faults> {
        let values = list(value, pointer, Filter::MOST_CONDITIONS, "conditions")?;
        let (mut nodes, mut faults) = (Vec::with_capacity(values.len()), Vec::new());
        for (index, value) in values.iter().enumerate() {
            match self.node(value, &format!("{pointer}/{index}"), level) {
                Ok(node) => nodes.push(node),
                Err(wrong) => faults.extend(wrong.into_vec()),
            }
        }
        Faults::of(faults).map_or(Ok(nodes), Err)
    }

    fn condition(&mut self, mut fields: Fields<'_>) -> Result<Condition, Faults> {
        let path = fields.required_text("path", TEXT);
        let path = path.and_then(|path| fields.parse::<Path>("path", path));
        let ignores = fields.optional_bool("ignoreCase");
        let ignore_case = ignores == Some(true);
        let operators = Filter::OPERATORS.map(|name| (name, fields.value(name)));
        let mut given = operators.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let test = match (given.next(), given.next()) {
            (None, _) => {
                let names = Filter::OPERATORS.join(", ");
                // Without a path it isn't known what was meant.
                if path.is_some() {
                    fields.fault_of_all(format!("must have one of {names}"));
                } else {
                    fields.fault_of_all(format!("must have all, any or not, or a path and one of {names}"));
                }
                None
            }
            (Some((name, value)), None) => {
                let test = self.test(&mut fields, name, value, ignore_case);
                if ignores.is_some() && matches!(test, Some(Test::Exists(_) | Test::Compares(..))) {
                    fields.fault("ignoreCase", format!("is of no use beside {name}"));
                }
                test
            }
            (Some((one, _)), Some((another, _))) => {
                fields.fault(
                    another,
                    format!("must stand alone, without {one}: put one condition beside the other"),
                );
                None
            }
        };
        fields.finish()?;
        let (Some(path), Some(test)) = (path, test) else {
            unreachable!("what can't be read is a fault");
        };
        Ok(Condition {
            path,
            test,
            ignore_case,
        })
    }

    /// Reads an operator's value; `None` is a fault.
    fn test(&mut self, fields: &mut Fields<'_>, name: &'static str, value: &Value, ignore_case: bool) -> Option<Test> {
        let text = |value: &Value| text(value).map(|text| Text::new(text, ignore_case));
        let test = match name {
            "exists" => value
                .as_bool()
                .map(Test::Exists)
                .ok_or_else(|| format!("must be true or false, not {}", kind_of(value))),
            "eq" => given(value, ignore_case).map(|given| Test::Is(vec![given])),
            "in" => return values(fields, value, ignore_case),
            "contains" => text(value).map(Test::Contains),
            "startsWith" => text(value).map(Test::StartsWith),
            "endsWith" => text(value).map(Test::EndsWith),
            "gt" => number(value).map(|number| Test::Compares(Comparison::More, number)),
            "gte" => number(value).map(|number| Test::Compares(Comparison::AtLeast, number)),
            "lt" => number(value).map(|number| Test::Compares(Comparison::Less, number)),
            "lte" => number(value).map(|number| Test::Compares(Comparison::AtMost, number)),
            "regex" => text(value).and_then(|text| self.pattern(text, ignore_case)),
            other => unreachable!("{other} is no operator"),
        };
        test.map_err(|detail| fields.fault(name, detail)).ok()
    }

    fn pattern(&mut self, text: Text, ignore_case: bool) -> Result<Test, String> {
        self.patterns += 1;
        if self.patterns > Filter::MOST_PATTERNS {
            return Err(format!(
                "is one too many: there may be {} of them",
                Filter::MOST_PATTERNS
            ));
        }
        Pattern::new(text.given(), ignore_case).map(|pattern| Test::Matches(text, pattern))
    }
}

fn values(fields: &mut Fields<'_>, value: &Value, ignore_case: bool) -> Option<Test> {
    let pointer = fields.pointer_of("in");
    let read = list(value, &pointer, Filter::MOST_VALUES, "values").and_then(|values| {
        let (mut all, mut faults) = (Vec::with_capacity(values.len()), Vec::new());
        for (index, value) in values.iter().enumerate() {
            match given(value, ignore_case) {
                Ok(given) => all.push(given),
                Err(detail) => faults.push(Fault {
                    pointer: format!("{pointer}/{index}"),
                    detail,
                }),
            }
        }
        Faults::of(faults).map_or(Ok(Test::Is(all)), Err)
    });
    fields.nested(read)
}

/// The items of a list that has some, and not too many.
fn list<'a>(value: &'a Value, pointer: &str, most: usize, of: &str) -> Result<&'a [Value], Faults> {
    match value.as_array() {
        None => Err(Faults::one(
            pointer,
            format!("must be a list of {of}, not {}", kind_of(value)),
        )),
        Some(items) if items.is_empty() => Err(Faults::one(pointer, "must not be empty")),
        Some(items) if items.len() > most => Err(Faults::one(
            pointer,
            format!("must have at most {most} {of}, not {}", items.len()),
        )),
        Some(items) => Ok(items),
    }
}

fn text(value: &Value) -> Result<&str, String> {
    let text = value.as_str();
    let text = text.ok_or_else(|| format!("must be a string, not {}", kind_of(value)))?;
    match TEXT.apply(text)? {
        "" => Err("must not be empty".to_owned()),
        text => Ok(text),
    }
}

fn number(value: &Value) -> Result<Number, String> {
    let number = value.as_number().cloned();
    number.ok_or_else(|| format!("must be a number, not {}", kind_of(value)))
}

fn given(value: &Value, ignore_case: bool) -> Result<Given, String> {
    match value {
        Value::String(_) => text(value).map(|text| Given::Text(Text::new(text, ignore_case))),
        Value::Number(number) => Ok(Given::Number(number.clone())),
        Value::Bool(bool) => Ok(Given::Bool(*bool)),
        Value::Null => Err("must not be null: what is missing is found by exists".to_owned()),
        other => Err(format!(
            "must be a string, a number or a boolean, not {}",
            kind_of(other)
        )),
    }
}
