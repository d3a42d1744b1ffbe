//! What the handlers work with.

use std::sync::Arc;

use sensei_dispatcher::{ConfigError, Descriptor, Egress, Kind, Refusal, Registry};
use sensei_domain::{ClientId, Clock, Faults, Fields, Timestamp, WebhookUrl};
use sensei_persistence::{Client, Store};
use serde_json::Value;

use crate::problem::Problem;

/// What the handlers work with. A cheap handle.
#[derive(Clone)]
pub struct ApiState {
    pub(crate) store: Store,
    egress: Egress,
    registry: Registry,
    clock: Arc<dyn Clock>,
}

impl ApiState {
    /// Serves this store, lets webhooks go where this egress guard lets them, and offers these kinds of destinations.
    pub fn new(store: Store, egress: Egress, registry: Registry, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            egress,
            registry,
            clock,
        }
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

    /// The kinds of destinations that there are.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &Descriptor> {
        self.registry.kinds().map(Kind::descriptor)
    }

    /// Checks a destination's config, which stands at `/config`: its kind must accept it, and the egress guard its URL.
    /// Answers with the config as it is kept, its URL normalised as it is in the settings.
    pub(crate) fn config(&self, kind: &str, config: &Value) -> Result<Value, Faults> {
        if let Err(error) = self.registry.bind(kind, config) {
            return Err(match error {
                ConfigError::UnknownKind { .. } => Faults::one("/kind", error.to_string()),
                ConfigError::Invalid { faults, .. } => faults.below("/config"),
            });
        }
        let mut kept = config.clone();
        let url = config.get("url").and_then(Value::as_str);
        if let Some(url) = url.and_then(|url| url.parse::<WebhookUrl>().ok()) {
            let refused = |refusal: Refusal| Faults::one("/config/url", refusal.to_string());
            self.egress.check(&url).map_err(refused)?;
            kept["url"] = Value::from(url.as_str());
        }
        Ok(kept)
    }
}
