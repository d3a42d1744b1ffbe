//! The destinations of a client, for their names.

use sensei_domain::ClientId;
use serde_json::Value;

use crate::api::{Api, Refused};
use crate::page::{items, text};

/// The name of the destination behind the Lead Webhook URL.
pub(crate) const LEAD_WEBHOOK: &str = "lead-webhook";

/// The destinations that a client has now.
#[derive(Debug, Clone)]
pub(crate) struct Destinations {
    client: ClientId,
    items: Vec<Value>,
}

/// A destination as a delivery names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DestinationRef {
    pub(crate) name: String,
    pub(crate) kind: String,
    /// Where its page is; a deleted one has none.
    pub(crate) path: Option<String>,
}

impl Destinations {
    /// All of them: a client may have no more than a page holds.
    pub(crate) async fn of(api: &Api, client: ClientId) -> Result<Self, Refused> {
        let list = api.get(&format!("/v1/clients/{client}/destinations?limit=200")).await?;
        Ok(Self {
            client,
            items: items(&list).to_vec(),
        })
    }

    pub(crate) fn items(&self) -> &[Value] {
        &self.items
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<&Value> {
        self.items.iter().find(|destination| text(destination, "id") == id)
    }

    /// The id and the name of each, for a choice.
    pub(crate) fn choices(&self) -> Vec<(String, String)> {
        let choices = self.items.iter().map(|destination| {
            let name = shown_name(text(destination, "name"));
            (text(destination, "id").to_owned(), name.to_owned())
        });
        choices.collect()
    }

    /// The kinds that there are among them.
    pub(crate) fn kinds(&self) -> Vec<String> {
        let mut kinds = self
            .items
            .iter()
            .map(|destination| text(destination, "kind").to_owned())
            .collect::<Vec<_>>();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// The destination of a delivery, which tells its name even when it is deleted.
    pub(crate) fn of_delivery(&self, delivery: &Value) -> DestinationRef {
        let id = text(delivery, "destinationId");
        let found = self.by_id(id);
        let either = |of_delivery: &str, of_destination: &str| {
            let own = text(delivery, of_delivery);
            match found {
                Some(destination) if own.is_empty() => text(destination, of_destination).to_owned(),
                _ => own.to_owned(),
            }
        };
        let name = either("destinationName", "name");
        DestinationRef {
            name: if name.is_empty() {
                "A deleted destination".to_owned()
            } else {
                shown_name(&name).to_owned()
            },
            kind: either("destinationKind", "kind"),
            path: found.map(|_| format!("/admin/clients/{}/destinations/{id}", self.client)),
        }
    }
}

/// What people call a destination of this name.
pub(crate) fn shown_name(name: &str) -> &str {
    if name == LEAD_WEBHOOK { "Lead Webhook URL" } else { name }
}
