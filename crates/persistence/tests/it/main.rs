//! The store on both databases. Every claim is checked on SQLite and, where it is installed, on PostgreSQL.

mod capture;
mod claim;
mod clients;
mod deliveries;
mod destinations;
mod due;
mod filters;
mod fixtures;
mod health;
mod held;
mod idempotency;
mod keys;
mod lanes;
mod leads;
mod lifecycle;
mod opening;
mod ordered;
mod outage;
mod record;
mod recoveries;
mod redeliver;
mod retention;
mod secrets;
mod settings;
mod tallies;
mod test_sends;
