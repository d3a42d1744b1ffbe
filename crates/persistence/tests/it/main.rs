//! The store on both databases. Every claim is checked on SQLite and, where it is installed, on PostgreSQL.

mod capture;
mod claim;
mod clients;
mod deliveries;
mod fixtures;
mod idempotency;
mod keys;
mod lanes;
mod leads;
mod lifecycle;
mod opening;
mod outage;
mod record;
mod recoveries;
mod redeliver;
mod settings;
