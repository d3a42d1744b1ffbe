//! What the handlers work with.

use std::sync::Arc;

use sensei_dispatcher::Egress;
use sensei_domain::{ClientId, Clock, Fields, Timestamp, WebhookUrl};
use sensei_persistence::{Client, Store};

use crate::problem::Problem;

/// What the handlers work with. A cheap handle.
#[derive(Clone)]
pub struct ApiState {
    pub(crate) store: Store,
    egress: Egress,
    clock: Arc<dyn Clock>,
}

impl ApiState {
    /// Serves this store, and lets webhooks go where this egress guard lets them.
    pub fn new(store: Store, egress: Egress, clock: Arc<dyn Clock>) -> Self {
        Self { store, egress, clock }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The client, or the problem that there is none: a list of nothing would hide a mistyped id.
    pub(crate) async fn client(&self, id: ClientId) -> Result<Client, Problem> {
        self.store.client(id).await?.ok_or_else(Problem::unknown_client)
    }

    /// Reads a Lead Webhook URL: absent, null or empty is none; one that the egress guard would never let through is a fault.
    pub(crate) fn webhook_url(&self, fields: &mut Fields<'_>, name: &'static str) -> Option<WebhookUrl> {
        let url = fields.parsed::<WebhookUrl>(name)?;
        if let Err(refusal) = self.egress.check(&url) {
            fields.fault(name, refusal.to_string());
        }
        Some(url)
    }
}
