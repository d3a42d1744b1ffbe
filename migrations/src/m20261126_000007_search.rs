//! In which leads a word is: an index of words that a follower keeps, and the indexes by which an operator
//! finds disabled destinations and what was done to a client.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000007_search"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statements = match manager.get_database_backend() {
            DatabaseBackend::Postgres => POSTGRES,
            _ => SQLITE,
        };
        for statement in statements.iter().chain(INDEXES) {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

/// Without the text itself, which is in the lead. What is removed leaves nothing behind (`secure-delete`): an erased person's words must not stay.
/// The words come separated already, so the simplest tokenizer does.
const SQLITE: &[&str] = &[
    "CREATE TABLE searchable_leads (number INTEGER NOT NULL PRIMARY KEY, lead_id BLOB NOT NULL)",
    "CREATE UNIQUE INDEX searchable_leads_lead ON searchable_leads (lead_id)",
    "CREATE VIRTUAL TABLE lead_words USING fts5(words, content='', detail=none, columnsize=0, tokenize='ascii')",
    "INSERT INTO lead_words (lead_words, rank) VALUES ('secure-delete', 1)",
];

/// The words are in the order of their leads, newest last, and found by themselves.
const POSTGRES: &[&str] = &[
    "CREATE TABLE lead_words (lead_id uuid NOT NULL PRIMARY KEY, client_id uuid NOT NULL, words tsvector NOT NULL)",
    "CREATE INDEX lead_words_of_client ON lead_words (client_id, lead_id)",
    "CREATE INDEX lead_words_words ON lead_words USING gin (words)",
];

const INDEXES: &[&str] = &[
    "CREATE INDEX destinations_disabled ON destinations (status_since) WHERE status = 'disabled' AND deleted_at IS NULL",
    "CREATE INDEX audit_log_of_client ON audit_log (client_id, id)",
];
