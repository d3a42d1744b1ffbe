//! Lists in pages: `?limit=`, `?cursor=`, and the answer with the cursor of the next one.
//!
//! A cursor is opaque to callers; it holds the last id of the page before.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sensei_persistence::Page;
use serde::Serialize;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use uuid::Uuid;

use crate::problem::Problem;
use crate::query::Parameters;

const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 200;
/// The first byte of a cursor, so that another kind can be told apart later.
const CURSOR_VERSION: u8 = 1;

/// Which page of a list is asked for.
#[derive(Debug, Clone, Copy, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// How many items at most.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: u32,
    /// Where to go on: the `nextCursor` of the page before.
    #[param(rename = "cursor", value_type = Option<String>)]
    before: Option<Uuid>,
}

/// A page of a list, newest first.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct List<T> {
    items: Vec<T>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

/// By hand, because the derived schema would repeat the item's instead of naming it.
impl<T: ToSchema> PartialSchema for List<T> {
    fn schema() -> RefOr<Schema> {
        let cursor = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .description(Some("Where the next page begins; null on the last one."));
        ObjectBuilder::new()
            .description(Some("A page of a list, newest first."))
            .property("items", ArrayBuilder::new().items(Ref::from_schema_name(T::name())))
            .property("nextCursor", cursor)
            .required("items")
            .required("nextCursor")
            .into()
    }
}

impl<T: ToSchema> ToSchema for List<T> {
    fn name() -> Cow<'static, str> {
        format!("{}List", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

impl<V> List<V> {
    pub(crate) fn items(&self) -> &[V] {
        &self.items
    }

    pub(crate) fn items_mut(&mut self) -> &mut [V] {
        &mut self.items
    }

    /// A page that the next one follows before this id.
    pub(crate) fn new<T>(found: Vec<T>, next: Option<Uuid>) -> Self
    where
        V: From<T>,
    {
        Self {
            items: found.into_iter().map(V::from).collect(),
            next_cursor: next.map(|next| Cursor(next).to_string()),
        }
    }
}

impl Paging {
    pub(crate) fn read(parameters: &mut Parameters) -> Self {
        let limit = parameters
            .parsed::<Limit>("limit")
            .map_or(LIMIT_DEFAULT, |Limit(limit)| limit);
        let before = parameters.parsed::<Cursor>("cursor").map(|Cursor(before)| before);
        Self { limit, before }
    }

    /// What is asked of the store: one more than is shown tells whether there is a next page.
    pub(crate) fn page(self) -> Page {
        Page {
            limit: self.limit + 1,
            before: self.before,
        }
    }

    /// What is asked of the store where it says itself whether there is a next page.
    pub(crate) fn shown(self) -> Page {
        Page {
            limit: self.limit,
            before: self.before,
        }
    }

    /// The page that is shown of what the store found.
    pub(crate) fn list<T, V: From<T>>(self, mut found: Vec<T>, id: impl Fn(&T) -> Uuid) -> List<V> {
        let shown = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let has_more = found.len() > shown;
        found.truncate(shown);
        let next_cursor = found
            .last()
            .filter(|_| has_more)
            .map(|last| Cursor(id(last)).to_string());
        List {
            items: found.into_iter().map(V::from).collect(),
            next_cursor,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Paging {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut parameters = Parameters::of(&parts.uri)?;
        let paging = Self::read(&mut parameters);
        parameters.finish()?;
        Ok(paging)
    }
}

struct Limit(u32);

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        limit
            .map(Self)
            .ok_or_else(|| format!("must be a number from 1 to {LIMIT_MAX}"))
    }
}

struct Cursor(Uuid);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [CURSOR_VERSION; 17];
        bytes[1..].copy_from_slice(self.0.as_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "must be the nextCursor of a page before";
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| WRONG)?;
        match bytes.split_first() {
            Some((&CURSOR_VERSION, id)) => Uuid::from_slice(id).map(Self).map_err(|_| WRONG),
            _ => Err(WRONG),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is_a_cursor() {
        let id = Uuid::from_u128(0x0193_a2b5_3c1f_7a2e_8f00_5d9c_1b2a_3e4f);
        let text = Cursor(id).to_string();
        assert_eq!(text.parse::<Cursor>().map(|cursor| cursor.0), Ok(id));
        for wrong in [
            "",
            "x",
            "%",
            &text[1..],
            &format!("{text}AA"),
            &id.to_string(),
            "AgGTorU8H3oujwBdnBsqPk8",
        ] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
    }
}
