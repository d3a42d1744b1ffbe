//! What the documentation says of a destination's filter. The domain reads it.

use sensei_domain::Filter;
use serde_json::Value;
use utoipa::ToSchema;

/// Conditions on the event: `all`, `any` or `not` of others, or one condition, which is a `path` and one operator.
///
/// At most 20 conditions, groups included, on 5 levels, 4 of them with `regex`.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Filter, example = json!({"all": [{"path": "data.phone", "exists": true},
    {"path": "data.message", "contains": "enterprise", "ignoreCase": true}]}))]
#[expect(dead_code, reason = "documents what the domain reads")]
pub(crate) struct FilterSchema {
    /// All of these hold.
    #[schema(no_recursion, nullable = false, min_items = 1, max_items = 20)]
    all: Option<Vec<FilterSchema>>,
    /// At least one of these holds.
    #[schema(no_recursion, nullable = false, min_items = 1, max_items = 20)]
    any: Option<Vec<FilterSchema>>,
    /// This doesn't hold.
    #[schema(no_recursion, nullable = false)]
    not: Option<Box<FilterSchema>>,
    /// A field of the event: `data.phone`, `data.custom.budget`. In a custom field's name `\.` is a dot.
    #[schema(nullable = false, min_length = 1, max_length = 200, example = "data.phone")]
    path: Option<String>,
    /// There is a value (`true`), or none: null is none.
    #[schema(nullable = false)]
    exists: Option<bool>,
    /// It is this string, number or boolean; a string that is a number counts as one.
    #[schema(value_type = Value, required = false)]
    eq: Value,
    /// It is one of these, as for `eq`.
    #[schema(nullable = false, min_items = 1, max_items = 100)]
    r#in: Option<Vec<Value>>,
    /// The string contains this one; the list has it as an item.
    #[schema(nullable = false, min_length = 1, max_length = 200)]
    contains: Option<String>,
    /// The string begins with this.
    #[schema(nullable = false, min_length = 1, max_length = 200)]
    starts_with: Option<String>,
    /// The string ends with this.
    #[schema(nullable = false, min_length = 1, max_length = 200)]
    ends_with: Option<String>,
    /// It is a number, or a string that is one, and more than this.
    #[schema(nullable = false)]
    gt: Option<f64>,
    /// At least this.
    #[schema(nullable = false)]
    gte: Option<f64>,
    /// Less than this.
    #[schema(nullable = false)]
    lt: Option<f64>,
    /// At most this.
    #[schema(nullable = false)]
    lte: Option<f64>,
    /// This regular expression is found in the string.
    #[schema(nullable = false, min_length = 1, max_length = 200)]
    regex: Option<String>,
    /// Whether letters of any case are the same; for `eq`, `in`, `contains`, `startsWith`, `endsWith` and `regex`.
    #[schema(nullable = false, default = false)]
    ignore_case: Option<bool>,
}

/// The documented bounds are the domain's.
const _: () = assert!(
    Filter::MOST_CONDITIONS == 20
        && Filter::DEEPEST == 5
        && Filter::MOST_PATTERNS == 4
        && Filter::MOST_VALUES == 100
        && Filter::LONGEST_TEXT == 200
);
