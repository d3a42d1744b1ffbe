//! The kinds of destinations, and the explicit list of them.

mod asana;
mod clickup;
mod config;
mod discord;
mod email;
mod hook;
mod hubspot;
mod jira;
mod kit;
mod linear;
mod mailchimp;
mod make;
mod oauth;
mod pipedrive;
mod salesforce;
mod scripted;
mod slack;
mod task;
pub(crate) mod text;
mod told;
mod trello;
mod vendor;
mod webhook;
mod zapier;

use std::sync::Arc;

use sensei_domain::Faults;
use serde_json::Value;

use crate::template::{Slot, Templates};
use crate::transport::{ConfigError, Kind, Transport};

pub use scripted::{Scripted, ScriptedAttempt, Step};
pub use webhook::Webhook;

/// The kinds that there are. Cheap to clone.
#[derive(Clone)]
pub struct Registry(Arc<[Arc<dyn Kind>]>);

impl Registry {
    /// Every kind of the product.
    pub fn standard() -> Self {
        Self::with(vec![
            Arc::new(Webhook::new()),
            zapier::kind(),
            make::kind(),
            slack::kind(),
            discord::kind(),
            hubspot::kind(),
            salesforce::kind(),
            pipedrive::kind(),
            mailchimp::kind(),
            kit::kind(),
            asana::kind(),
            trello::kind(),
            linear::kind(),
            clickup::kind(),
            jira::kind(),
            email::kind(),
        ])
    }

    /// Exactly these kinds, for tests and for programs that embed us.
    pub fn with(kinds: Vec<Arc<dyn Kind>>) -> Self {
        Self(kinds.into())
    }

    /// The kinds, in their order.
    pub fn kinds(&self) -> impl Iterator<Item = &dyn Kind> {
        self.0.iter().map(|kind| &**kind)
    }

    /// The kind of this name.
    pub fn kind(&self, name: &str) -> Option<&Arc<dyn Kind>> {
        self.0.iter().find(|known| known.descriptor().kind == name)
    }

    /// A transport of this kind for this config.
    pub fn bind(&self, kind: &str, config: &Value) -> Result<Arc<dyn Transport>, ConfigError> {
        self.bind_with(kind, config, &Value::Null)
    }

    /// As [`Registry::bind`], with a destination's field `template`.
    pub fn bind_with(&self, kind: &str, config: &Value, template: &Value) -> Result<Arc<dyn Transport>, ConfigError> {
        let found = self.kind(kind);
        let found = found.ok_or_else(|| ConfigError::UnknownKind { kind: kind.to_owned() })?;
        let kind = found.descriptor().kind;
        let templates = self.templates(kind, template);
        let templates = templates.map_err(|faults| ConfigError::Invalid { kind, faults })?;
        Ok(found.bind_with(config, templates)?.into())
    }

    /// The templates of a destination's field `template`, which aren't compiled yet.
    pub fn templates(&self, kind: &str, template: &Value) -> Result<Templates, Faults> {
        Templates::read(self.slots(kind), template)
    }

    /// What of a kind's requests templates may fill.
    pub fn slots(&self, kind: &str) -> &[Slot] {
        self.kind(kind).map_or(&[], |kind| kind.slots())
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.kinds().map(|kind| kind.descriptor().kind))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kinds_are_found_by_their_names() {
        let registry = Registry::standard();
        let config = json!({"url": "https://example.com/leads"});
        assert!(registry.bind("webhook", &config).is_ok());
        let error = registry.bind("fax", &config).expect_err("no such kind");
        assert_eq!(error.to_string(), "there is no kind \"fax\"");
        assert_eq!(
            format!("{registry:?}"),
            "[\"webhook\", \"zapier\", \"make\", \"slack\", \"discord\", \"hubspot\", \"salesforce\", \"pipedrive\", \"mailchimp\", \"kit\", \"asana\", \"trello\", \
             \"linear\", \"clickup\", \"jira\", \"email\"]"
        );
    }
}
