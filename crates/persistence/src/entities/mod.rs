//! The tables as sea-orm entities. The migrations are the truth; these follow.

pub(crate) mod api_keys;
pub(crate) mod attempts;
pub(crate) mod audit_log;
pub(crate) mod clients;
pub(crate) mod deliveries;
pub(crate) mod destinations;
pub(crate) mod events;
pub(crate) mod idempotency_keys;
pub(crate) mod leads;
