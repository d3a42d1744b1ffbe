//! A filter as rows of a form, and as JSON where rows can't show it.

use serde_json::{Value, json};

use crate::api::Refused;
use crate::form::Form;

/// Blank rows besides those that are filled.
const BLANK_ROWS: usize = 2;
/// Conditions of a filter at most, and a few that are refused with a reason.
const MOST_ROWS: usize = 30;
/// Operators that a row can have, and their words.
pub(crate) const OPERATORS: [(&str, &str); 11] = [
    ("exists", "is there (true or false)"),
    ("eq", "is"),
    ("in", "is one of (separated by commas)"),
    ("contains", "contains"),
    ("startsWith", "begins with"),
    ("endsWith", "ends with"),
    ("gt", "is more than"),
    ("gte", "is at least"),
    ("lt", "is less than"),
    ("lte", "is at most"),
    ("regex", "matches (regular expression)"),
];

/// A filter's fields.
pub(crate) struct FilterFields {
    /// Empty without a filter; `all`, `any`, or `json`.
    pub(crate) mode: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) json: String,
    pub(crate) wrong: Option<String>,
}

/// One condition.
#[derive(Clone, Default)]
pub(crate) struct Row {
    pub(crate) path: String,
    pub(crate) operator: String,
    pub(crate) value: String,
    pub(crate) ignore_case: bool,
    pub(crate) wrong: Option<String>,
}

impl FilterFields {
    /// As the API shows a filter; null is none.
    pub(crate) fn of(filter: &Value) -> Self {
        let (mode, rows) = match of_rows(filter) {
            Some((mode, rows)) => (mode, rows),
            None => ("json", Vec::new()),
        };
        Self {
            mode: mode.to_owned(),
            rows: with_blank(rows),
            json: match mode {
                "json" => serde_json::to_string_pretty(filter).unwrap_or_default(),
                _ => String::new(),
            },
            wrong: None,
        }
    }

    pub(crate) fn typed(form: &Form) -> Self {
        let rows = (0..MOST_ROWS).map(|row| {
            let text = |field: &str| form.text(&format!("filter.{field}.{row}")).to_owned();
            Row {
                path: text("path"),
                operator: text("operator"),
                value: text("value"),
                ignore_case: form.is_ticked(&format!("filter.ignoreCase.{row}")),
                wrong: None,
            }
        });
        Self {
            mode: form.text("filterMode").to_owned(),
            rows: with_blank(
                rows.filter(|row| !row.path.is_empty() || !row.value.is_empty())
                    .collect(),
            ),
            json: form.text("filterJson").to_owned(),
            wrong: None,
        }
    }

    /// Gives it so many rows, at least.
    pub(crate) fn grow(&mut self, wanted: usize) {
        if self.rows.len() < wanted.min(MOST_ROWS) {
            self.rows.resize(wanted.min(MOST_ROWS), Row::default());
        }
    }

    /// As the API takes it.
    pub(crate) fn to_json(&self) -> Value {
        let rows = self.rows.iter().filter(|row| !row.is_blank());
        let conditions = rows.map(Row::to_json).collect::<Vec<_>>();
        match self.mode.as_str() {
            "" => Value::Null,
            "json" if self.json.is_empty() => Value::Null,
            // What isn't JSON is a text, which the API refuses by saying what it must be.
            "json" => serde_json::from_str(&self.json).unwrap_or_else(|_| self.json.clone().into()),
            mode => json!({mode: conditions}),
        }
    }

    /// Says by each row what is wrong with it.
    #[must_use]
    pub(crate) fn refused(mut self, refused: Option<&Refused>) -> Self {
        let Some(refused) = refused else { return self };
        for (index, row) in self.rows.iter_mut().enumerate() {
            let pointer = format!("/filter/{}/{index}", self.mode);
            row.wrong = refused.at(&pointer).map(str::to_owned);
        }
        let is_told = self.rows.iter().any(|row| row.wrong.is_some());
        self.wrong = refused.at("/filter").filter(|_| !is_told).map(str::to_owned);
        self
    }
}

impl Row {
    fn is_blank(&self) -> bool {
        self.path.is_empty() && self.value.is_empty()
    }

    /// Whether it has this operator.
    pub(crate) fn asks(&self, operator: &str) -> bool {
        self.operator == operator
    }

    fn to_json(&self) -> Value {
        let value = match self.operator.as_str() {
            // What is neither goes on as it is: the API says what it must be.
            "exists" => match self.value.trim().to_ascii_lowercase().as_str() {
                "" | "true" => true.into(),
                "false" => false.into(),
                _ => self.value.clone().into(),
            },
            "in" => self.value.split(',').map(|value| scalar(value.trim())).collect(),
            "eq" | "gt" | "gte" | "lt" | "lte" => scalar(&self.value),
            _ => self.value.clone().into(),
        };
        let mut condition = json!({"path": self.path, self.operator.as_str(): value});
        if self.ignore_case {
            condition["ignoreCase"] = true.into();
        }
        condition
    }

    /// A condition that can be shown as a row and read back as it was.
    fn of(condition: &Value) -> Option<Self> {
        let fields = condition.as_object()?;
        let (operator, _) = OPERATORS.iter().find(|(name, _)| fields.contains_key(*name))?;
        let value = match &condition[*operator] {
            Value::Array(values) => {
                let values = values.iter().map(|value| match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                });
                values.collect::<Vec<_>>().join(", ")
            }
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let row = Self {
            path: condition["path"].as_str()?.to_owned(),
            operator: (*operator).to_owned(),
            value,
            ignore_case: condition["ignoreCase"] == true,
            wrong: None,
        };
        let mut same = condition.clone();
        if same["ignoreCase"] == false {
            same.as_object_mut()?.remove("ignoreCase");
        }
        let is_typable = row.value.trim() == row.value && row.path.trim() == row.path && !row.value.contains('\n');
        (is_typable && row.to_json() == same).then_some(row)
    }
}

fn of_rows(filter: &Value) -> Option<(&'static str, Vec<Row>)> {
    if filter.is_null() {
        return Some(("", Vec::new()));
    }
    let fields = filter.as_object()?;
    for mode in ["all", "any"] {
        if let (1, Some(conditions)) = (fields.len(), filter[mode].as_array()) {
            let rows = conditions.iter().map(Row::of).collect::<Option<Vec<_>>>()?;
            return Some((mode, rows));
        }
    }
    None
}

fn with_blank(mut rows: Vec<Row>) -> Vec<Row> {
    rows.resize(rows.len() + BLANK_ROWS, Row::default());
    rows
}

/// A number or a boolean if it reads as one, else the text.
fn scalar(text: &str) -> Value {
    match serde_json::from_str::<Value>(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rows_can_show_they_give_back() {
        for filter in [
            json!(null),
            json!({"all": [{"path": "data.phone", "exists": true}]}),
            json!({"any": [{"path": "data.custom.budget", "gte": 500}, {"path": "data.name", "eq": "true love"},
                {"path": "data.message", "contains": "a, b", "ignoreCase": true}, {"path": "data.x", "in": ["a", 2, true]}]}),
        ] {
            let fields = FilterFields::of(&filter);
            assert_ne!(fields.mode, "json", "{filter}");
            assert_eq!(fields.to_json(), filter);
        }
    }

    #[test]
    fn whether_something_is_there_is_true_or_false_however_it_is_typed() {
        for (typed, value) in [
            ("", json!(true)),
            ("True", json!(true)),
            ("FALSE ", json!(false)),
            ("no", json!("no")),
        ] {
            let row = Row {
                path: "data.phone".to_owned(),
                operator: "exists".to_owned(),
                value: typed.to_owned(),
                ..Row::default()
            };
            assert_eq!(row.to_json()["exists"], value, "{typed}");
        }
    }

    #[test]
    fn what_rows_can_not_show_is_json() {
        for filter in [
            json!({"not": {"path": "data.phone", "exists": true}}),
            json!({"all": [{"any": [{"path": "data.phone", "exists": true}]}]}),
            json!({"path": "data.phone", "exists": true}),
            // A text that rows would read as a number, or as two.
            json!({"all": [{"path": "data.x", "eq": "5"}]}),
            json!({"all": [{"path": "data.x", "in": ["a, b"]}]}),
            json!({"all": [{"path": "data.x", "contains": " a"}]}),
            json!({"all": [{"path": "data.x", "eq": "a", "gt": 1}]}),
        ] {
            let fields = FilterFields::of(&filter);
            assert_eq!(fields.mode, "json", "{filter}");
            assert_eq!(fields.to_json(), filter);
        }
    }
}
