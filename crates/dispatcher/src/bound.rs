//! Transports made of stored destinations, kept for as long as the destination has the same version.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sensei_domain::DestinationId;
use sensei_persistence::Destination;
use serde_json::Value;

use crate::transport::{ConfigError, Transport};
use crate::transports::Registry;

/// Beyond this many, all are forgotten and made again: a bound, not a tuning.
const KEPT: usize = 20_000;

/// A transport, and the version of the destination that it was made of.
type Bound = (i64, Arc<dyn Transport>);

/// The bound transports of a dispatcher.
#[derive(Debug)]
pub(crate) struct BoundTransports {
    registry: Registry,
    kept: Mutex<HashMap<DestinationId, Bound>>,
}

impl BoundTransports {
    pub(crate) fn new(registry: Registry) -> Self {
        Self {
            registry,
            kept: Mutex::default(),
        }
    }

    pub(crate) const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The transport of a destination as it is now: a changed URL works at the next attempt.
    pub(crate) fn of(&self, destination: &Destination) -> Result<Arc<dyn Transport>, ConfigError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((version, transport)) = kept.get(&destination.id)
            && *version == destination.version
        {
            return Ok(Arc::clone(transport));
        }
        let template = destination.template.as_ref().unwrap_or(&Value::Null);
        let transport = self
            .registry
            .bind_with(&destination.kind, destination.config.expose(), template)?;
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(destination.id, (destination.version, Arc::clone(&transport)));
        Ok(transport)
    }
}
