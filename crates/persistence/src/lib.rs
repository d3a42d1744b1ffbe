//! Where leads are kept: the database of Sensei Webhooks, SQLite or PostgreSQL.
//!
//! Promises that what [`Store::capture`] acknowledged is on disk together with a delivery for each
//! of the client's destinations, and that a delivery moves on only by a guarded, counted update.
//! Concurrent callers share transactions (group commit), so that durability costs one sync for many.
//! Leaves to others: making attempts and judging them (`sensei-dispatcher`), and what a lead is
//! (`sensei-domain`).

mod advance;
mod attempt_row;
mod audit;
mod capture;
mod checkpoints;
mod claim;
mod clients;
mod connection;
mod dead_leases;
mod deliveries;
mod destination_changes;
mod destination_config;
mod destination_row;
mod destinations;
mod directory;
mod due;
mod entities;
mod error;
mod form_tokens;
mod group_commit;
mod head;
mod health;
mod health_keeper;
mod held;
mod idempotency;
mod job;
mod key_cache;
mod keys;
mod leads;
mod lock;
mod master_key;
mod master_key_marks;
mod master_keys;
mod meters;
mod multi_row;
mod operational;
mod options;
mod orphans;
#[cfg(test)]
mod plans;
mod record;
mod records;
mod recoveries;
mod recovery_rows;
mod redeliver;
mod resealing;
mod retention;
mod secrets;
mod sessions;
mod settings;
mod stats;
mod step;
mod storable;
mod store;
mod suspected;
mod tallies;
mod test_sends;
mod unmatched;

pub use audit::Actor;
pub use capture::{CaptureError, CaptureLead, CaptureRequest, Captured, ReleaseError};
pub use checkpoints::Checkpoints;
pub use claim::{Claim, Claimed, Refreshed};
pub use clients::{CreatedClient, NewClient};
pub use deliveries::DeliveryFilter;
pub use destination_changes::{DestinationChange, NewDestination};
pub use destination_config::DestinationConfig;
pub use destinations::LEAD_WEBHOOK;
pub use due::DueLook;
pub use error::{ChangeError, OpenError, StoreError, Unready};
pub use health::Health;
pub use idempotency::{Answer, Idempotency, KeyReused, KeyedRequest, Once};
pub use job::{AttemptRecord, Handover, Job, Lease, Place, Recording};
pub use keys::{Access, CreatedKey, KeyKind, NewKey, Scope};
pub use master_key::{MasterKey, MasterKeyError};
pub use meters::{BatchCounts, Distribution, Histogram, StoreCounts};
pub use options::{DatabaseUrl, DatabaseUrlError, StoreOptions};
pub use records::{ApiKey, Attempt, Client, Delivery, Destination, Lead, Page, Recovery, RecoveryCriteria};
pub use recoveries::{NewRecovery, RecoveryError};
pub use redeliver::{NotRedelivered, RedeliverError};
pub use resealing::Resealing;
pub use retention::Retention;
pub use secrets::Rotation;
pub use sessions::{BegunSession, SESSION};
pub use settings::{PublicForm, Settings, SettingsChange};
pub use stats::ClientStats;
pub use store::Store;
pub use suspected::Suspected;
pub use tallies::Tally;
pub use test_sends::TestSend;
