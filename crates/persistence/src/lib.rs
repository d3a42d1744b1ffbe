//! Where leads are kept: the database of Sensei Webhooks, SQLite or PostgreSQL.
//!
//! Promises that what [`Store::capture`] acknowledged is on disk together with a delivery for each
//! of the client's destinations, and that a delivery moves on only by a guarded, counted update.
//! Concurrent callers share transactions (group commit), so that durability costs one sync for many.
//! Leaves to others: making attempts and judging them (`sensei-dispatcher`), and what a lead is
//! (`sensei-domain`).

mod audit;
mod capture;
mod claim;
mod clients;
mod connection;
mod deliveries;
mod destinations;
mod directory;
mod entities;
mod error;
mod group_commit;
mod head;
mod idempotency;
mod job;
mod key_cache;
mod keys;
mod leads;
mod lock;
mod master_key;
mod multi_row;
mod options;
mod orphans;
#[cfg(test)]
mod plans;
mod record;
mod records;
mod settings;
mod storable;
mod store;

pub use audit::Actor;
pub use capture::{CaptureError, CaptureLead, CaptureRequest, Captured};
pub use claim::{Claim, Claimed, Refreshed};
pub use clients::{CreatedClient, NewClient};
pub use deliveries::DeliveryFilter;
pub use destinations::LEAD_WEBHOOK;
pub use error::{OpenError, StoreError, Unready};
pub use idempotency::{Answer, Idempotency};
pub use job::{AttemptRecord, Handover, Job, Lease, Place, Recording};
pub use keys::{Access, CreatedKey, KeyKind, NewKey, Scope};
pub use master_key::{MasterKey, MasterKeyError};
pub use options::{DatabaseUrl, DatabaseUrlError, StoreOptions};
pub use records::{ApiKey, Attempt, Client, Delivery, Destination, Lead, Page};
pub use settings::{Settings, SettingsChange};
pub use store::Store;
