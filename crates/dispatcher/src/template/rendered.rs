//! What the templates of a destination made of one event.

use std::collections::BTreeMap;

/// Texts by their slots. A template that made nothing visible is as one that isn't there.
#[derive(Debug, Default)]
pub(crate) struct Rendered {
    pub(super) texts: BTreeMap<&'static str, String>,
    pub(super) fields: Vec<(String, String)>,
}

impl Rendered {
    /// A slot's text, once.
    pub(crate) fn take(&mut self, slot: &str) -> Option<String> {
        self.texts.remove(slot)
    }

    /// All of it, each with its slot.
    pub(crate) fn into_parts(self) -> Vec<(String, String)> {
        let fields = self
            .fields
            .into_iter()
            .map(|(name, text)| (format!("fields/{name}"), text));
        let texts = self.texts.into_iter().map(|(slot, text)| (slot.to_owned(), text));
        texts.chain(fields).collect()
    }

    /// The kind's own fields, but for those that a template fills, and then these.
    pub(crate) fn over<'a>(
        &'a self,
        own: impl IntoIterator<Item = (&'a str, String)>,
    ) -> impl Iterator<Item = (&'a str, String)> {
        let own = own
            .into_iter()
            .filter(|(name, _)| !self.fields.iter().any(|(given, _)| given == name));
        let given = self.fields.iter().filter(|(_, text)| !text.is_empty());
        own.chain(given.map(|(name, text)| (name.as_str(), text.clone())))
    }
}
