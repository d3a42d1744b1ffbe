//! The schema of Sensei Webhooks and its history, for SQLite and PostgreSQL.
//!
//! Promises that a database made by any earlier version becomes the current one, forward only,
//! each step whole or not at all. When to migrate, and that only one process does at a time, is
//! for the caller (`sensei-persistence`) to see to.

mod m20261124_000001_first_tables;
mod m20261125_000001_tallies;
mod m20261125_000002_expiring_secrets;
mod m20261125_000003_destinations_version;
mod m20261126_000001_filters;
mod m20261126_000002_checkpoints;
mod m20261126_000003_templates;
mod m20261126_000004_sessions;
mod m20261126_000005_form_gate;
mod m20261126_000006_rollups;
mod m20261126_000007_search;
mod m20261126_000008_frame_ancestors;
mod m20261126_000009_short_words;
mod m20261127_000001_gone_version;
mod m20261127_000002_index_merges;
mod m20261127_000003_captures;
mod m20261127_000004_usual_outcomes;

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;

/// Every migration, oldest first.
#[derive(Debug)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261124_000001_first_tables::Migration),
            Box::new(m20261125_000001_tallies::Migration),
            Box::new(m20261125_000002_expiring_secrets::Migration),
            Box::new(m20261125_000003_destinations_version::Migration),
            Box::new(m20261126_000001_filters::Migration),
            Box::new(m20261126_000002_checkpoints::Migration),
            Box::new(m20261126_000003_templates::Migration),
            Box::new(m20261126_000004_sessions::Migration),
            Box::new(m20261126_000005_form_gate::Migration),
            Box::new(m20261126_000006_rollups::Migration),
            Box::new(m20261126_000008_frame_ancestors::Migration),
            Box::new(m20261126_000007_search::Migration),
            Box::new(m20261126_000009_short_words::Migration),
            Box::new(m20261127_000001_gone_version::Migration),
            Box::new(m20261127_000002_index_merges::Migration),
            Box::new(m20261127_000003_captures::Migration),
            Box::new(m20261127_000004_usual_outcomes::Migration),
        ]
    }
}
