//! The parts of SQLite's index of words are merged by the follower, a few pages at a time, and no longer within the commit that writes a part: that took
//! 20 to 80 ms now and then, while everybody who writes waited.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261127_000002_index_merges"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DatabaseBackend::Sqlite {
            for statement in SQLITE {
                manager.get_connection().execute_unprepared(statement).await?;
            }
        }
        Ok(())
    }
}

/// With so many parts of one size a commit merges them after all, and all at once: the index holds 2,000 at most.
const SQLITE: &[&str] = &[
    "INSERT INTO lead_words (lead_words, rank) VALUES ('automerge', 0)",
    "INSERT INTO lead_words (lead_words, rank) VALUES ('crisismerge', 400)",
];
