//! The index of words on SQLite finds words by one, two or three letters as quickly as by more: without lists of its own for these it gathered
//! the leads of all words that begin so, first.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000009_short_words"
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

/// Such a table can't be altered. The follower begins anew and fills it, a little at a time; leads that aren't in it are looked through. No word
/// stays in what is free of the file then: who is erased later must not be found there.
const SQLITE: &[&str] = &[
    "PRAGMA secure_delete = ON",
    "DROP TABLE lead_words",
    "PRAGMA secure_delete = OFF",
    "DELETE FROM searchable_leads",
    "DELETE FROM store_facts WHERE name = 'search.until'",
    "CREATE VIRTUAL TABLE lead_words USING fts5(words, content='', detail=none, columnsize=0, tokenize='ascii', prefix='1 2 3')",
    "INSERT INTO lead_words (lead_words, rank) VALUES ('secure-delete', 1)",
];
