//! Leads by their words.
//!
//! A follower puts the words of leads into an index some moments after their capture; leads that are newer are looked through themselves. Whoever
//! erases or forgets a lead removes its words in the same transaction. The follower looks which leads aren't erased within the transaction in which it
//! writes their words, alone, so that what is erased can't come back.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sea_orm::{ColumnTrait as _, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, QueryFilter, Statement, Value};
use sensei_domain::{ClientId, Timestamp};
use uuid::Uuid;

use crate::connection::in_time;
use crate::deliveries::{first_id, first_id_after, first_id_since};
use crate::entities::leads::{Column, Entity, Model};
use crate::error::StoreError;
use crate::follow::{CLOCK_TOLERANCE_MILLIS, LEAD_BEHIND, Position, millis_of};
use crate::lead_words::{self, client_word, words_of};
use crate::leads;
use crate::pace::Range;
use crate::records::{Lead, Page};
use crate::store::Store;
use crate::words::Wanted;

/// Until when the words of leads are in the index.
const INDEXED: Position = Position { name: "search.until" };
/// What is older than this is committed: it waits for its commit for some seconds, and that is given up after ten.
const SETTLED: Duration = Duration::from_secs(20);
/// Leads of a step: on PostgreSQL, and on SQLite.
pub(crate) const STEP: i64 = 100;
pub(crate) const SQLITE_STEP: Range = [5, 200];
/// How often is looked when there is nothing to do.
const EVERY: Duration = Duration::from_secs(5);
/// Leads that aren't in the index yet and are looked through: a minute's or so, unless very many come.
const TAIL: u64 = 3_000;
/// Leads that are read at once of those that the index finds.
const FOUND_AT_ONCE: usize = 500;
/// Letters of the beginnings that SQLite's index has: see the migration of its number nine.
const SHORT: usize = 3;
/// No further are read after this.
const LOOKED_FOR: Duration = Duration::from_millis(15);

/// Which leads of a client; what is `None` doesn't matter.
#[derive(Debug, Clone, Default)]
pub struct LeadFilter {
    /// With words that begin like each of these, in name, email, phone or message; an address is of the email alone.
    pub text: Option<String>,
    /// Captured then or later.
    pub since: Option<Timestamp>,
    /// Captured before then.
    pub until: Option<Timestamp>,
    /// Kept back as suspected, or not.
    pub suspected: Option<bool>,
}

/// A piece of a list of leads.
#[derive(Debug, Clone, PartialEq)]
pub struct LeadPage {
    /// Newest first. Fewer than were asked for don't mean that nothing follows.
    pub leads: Vec<Lead>,
    /// The id that the next page goes on behind; `None` on the last one.
    pub next: Option<Uuid>,
}

impl LeadFilter {
    fn is_of_suspicion_alone(&self) -> bool {
        self.text.is_none() && self.since.is_none() && self.until.is_none()
    }

    fn holds(&self, created_at: i64) -> bool {
        self.since.is_none_or(|since| created_at >= since.as_millis())
            && self.until.is_none_or(|until| created_at < until.as_millis())
    }
}

/// Leads that something was found in.
pub(crate) struct LeadsFound {
    pub(crate) rows: Vec<Model>,
    /// Where to go on; `None` when these are all.
    pub(crate) next: Option<Uuid>,
}

impl Store {
    /// A page of a client's leads, of at most `page.limit`.
    pub async fn find_leads(&self, client: ClientId, filter: &LeadFilter, page: Page) -> Result<LeadPage, StoreError> {
        if let (Some(is_suspected), true) = (filter.suspected, filter.is_of_suspicion_alone()) {
            let limit = page.limit + 1;
            let mut leads = self
                .leads_by_suspicion(client, is_suspected, Page { limit, ..page })
                .await?;
            let has_more = leads.len() > page.limit as usize;
            leads.truncate(page.limit as usize);
            let next = leads.last().filter(|_| has_more).map(|lead| lead.id.as_uuid());
            return Ok(LeadPage { leads, next });
        }
        let found = if let Some(text) = &filter.text {
            self.leads_with(client, text, filter, page.before, page.limit as usize)
                .await?
        } else {
            let limit = page.limit + 1;
            let mut query = leads::query(client, Page { limit, ..page });
            if let Some(since) = filter.since {
                query = query
                    .filter(Column::CreatedAt.gte(since.as_millis()))
                    .filter(Column::Id.gte(first_id_since(since)));
            }
            if let Some(until) = filter.until {
                query = query
                    .filter(Column::CreatedAt.lt(until.as_millis()))
                    .filter(Column::Id.lt(first_id_after(until)));
            }
            let mut rows = query.all(&self.connections().reader).await?;
            let has_more = rows.len() > page.limit as usize;
            rows.truncate(page.limit as usize);
            let next = rows.last().filter(|_| has_more).map(|row| row.id);
            LeadsFound { rows, next }
        };
        let leads = found.rows.into_iter().map(leads::lead);
        let mut leads = self.marked(leads.collect::<Result<_, _>>()?).await?;
        if let Some(is_suspected) = filter.suspected {
            leads.retain(|lead| lead.suspected.is_some() == is_suspected);
        }
        Ok(LeadPage {
            leads,
            next: found.next,
        })
    }

    /// The client's leads with these words in them: at most so many, behind `before`.
    pub(crate) async fn leads_with(
        &self,
        client: ClientId,
        text: &str,
        filter: &LeadFilter,
        before: Option<Uuid>,
        most: usize,
    ) -> Result<LeadsFound, StoreError> {
        let wanted = Wanted::of(text);
        let mut rows = Vec::new();
        if wanted.words.is_empty() {
            return Ok(LeadsFound { rows, next: None });
        }
        let begun = Instant::now();
        let indexed = first_id(INDEXED.read(&self.connections().reader).await?.unwrap_or(0));
        if before.is_none_or(|before| before >= indexed) {
            let tail = Page {
                limit: u32::try_from(TAIL).unwrap_or(u32::MAX),
                before,
            };
            let query = leads::query(client, tail).filter(Column::Id.gte(indexed));
            let tail = query.all(&self.connections().reader).await?;
            // Of very many, the others are looked through for the next page.
            let looked_at = tail.last().filter(|_| tail.len() as u64 == TAIL).map(|row| row.id);
            for row in tail {
                if is_wanted(&row, &wanted, filter) {
                    rows.push(row);
                }
                if rows.len() > most {
                    rows.truncate(most);
                    let next = rows.last().map(|row| row.id);
                    return Ok(LeadsFound { rows, next });
                }
            }
            if looked_at.is_some() {
                return Ok(LeadsFound { rows, next: looked_at });
            }
        }
        // Some that are newer may be in the index by now; they were looked through.
        let mut behind = before.map_or(indexed, |before| before.min(indexed));
        if let Some(until) = filter.until.map(first_id_after) {
            behind = behind.min(until);
        }
        let since = filter.since.map_or(Uuid::nil(), first_id_since);
        // On SQLite all leads that have such a word are gathered first, though it be most of them; but not by words as short as its index of
        // beginnings has them. So the first step is one by short words, and if few of what it finds is wanted, the whole words are rare.
        let mut short = wanted.shortened(SHORT).filter(|_| self.connections().is_sqlite());
        loop {
            let is_short = short.is_some();
            let at_once = if is_short {
                FOUND_AT_ONCE
            } else {
                FOUND_AT_ONCE.min(most + 1)
            };
            let words = short.take();
            let words = words.as_ref().unwrap_or(&wanted);
            let ids = self.indexed_with(client, words, behind, at_once).await?;
            let is_last = ids.len() < at_once || ids.last().is_some_and(|last| *last < since);
            behind = ids.last().copied().unwrap_or(behind);
            let query = Entity::find().filter(Column::Id.is_in(padded_in_order(&ids)));
            let read = query.all(&self.connections().reader).await?;
            let mut read = read.into_iter().map(|row| (row.id, row)).collect::<HashMap<_, _>>();
            for row in ids.iter().filter_map(|id| read.remove(id)) {
                // Words of all clients are together.
                if row.client_id == client.as_uuid() && is_wanted(&row, &wanted, filter) {
                    rows.push(row);
                }
                if rows.len() > most {
                    rows.truncate(most);
                    let next = rows.last().map(|row| row.id);
                    return Ok(LeadsFound { rows, next });
                }
            }
            if is_last || (!is_short && begun.elapsed() > LOOKED_FOR) {
                let next = (!is_last).then_some(behind);
                return Ok(LeadsFound { rows, next });
            }
        }
    }

    /// Leads that the index finds, the newest first, behind this one.
    async fn indexed_with(
        &self,
        client: ClientId,
        wanted: &Wanted,
        behind: Uuid,
        most: usize,
    ) -> Result<Vec<Uuid>, DbErr> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let reader = &self.connections().reader;
        let backend = reader.get_database_backend();
        let statement = if backend == DatabaseBackend::Postgres {
            let values: [Value; 4] = [
                postgres_query(wanted).into(),
                client.as_uuid().into(),
                behind.into(),
                most.into(),
            ];
            Statement::from_sql_and_values(backend, POSTGRES, values)
        } else {
            let values: [Value; 3] = [sqlite_query(client, wanted).into(), behind.into(), most.into()];
            Statement::from_sql_and_values(backend, SQLITE, values)
        };
        let rows = reader.query_all_raw(statement).await?;
        rows.iter().map(|row| row.try_get_by_index(0)).collect()
    }

    /// Puts the words of leads into the index, from now until the store closes.
    pub fn index_in_background(&self) {
        self.follow("search", EVERY, |store| async move { store.index_or_merge().await });
    }

    /// Takes a step of each kind; none that adds a part while merging is behind. True when there may be more.
    pub async fn index_or_merge(&self) -> Result<bool, StoreError> {
        if self.merging().is_behind() && self.merge_index().await? {
            return Ok(true);
        }
        let has_more = self.index_leads().await?;
        Ok(self.merge_index().await? || has_more)
    }

    /// One step: puts the words of some leads into the index. True when there may be more.
    pub async fn index_leads(&self) -> Result<bool, StoreError> {
        let until = self.now().as_millis() - i64::try_from(SETTLED.as_millis()).unwrap_or(0);
        let Some(from) = INDEXED.read(&self.connections().reader).await? else {
            let first = self.made_behind(LEAD_BEHIND, 0, 0).await?;
            let begin = first.unwrap_or(until).min(until);
            INDEXED.begin(&self.connections().writer, begin).await?;
            return Ok(true);
        };
        if from > until + CLOCK_TOLERANCE_MILLIS {
            return self.index_less(from, until).await;
        }
        if from >= until {
            return Ok(false);
        }
        // All of one millisecond belong together.
        let rows = self.shared().indexing.rows();
        let end = self.made_behind(LEAD_BEHIND, from, rows).await?;
        let to = end.map_or(until, |end| end.clamp(from + 1, until));
        let ids = [first_id(from), first_id(to)];
        let words = lead_words::read(&self.connections().reader, ids).await?;
        let (_turn, transaction) = self.connections().begin_step().await?;
        let begun = Instant::now();
        // Whoever else is at work is soon done.
        if !lead_words::try_lock_alone(&transaction).await? || !INDEXED.go_on(&transaction, from, to).await? {
            transaction.rollback().await?;
            return Ok(true);
        }
        let are_added = in_time(lead_words::add(&transaction, ids, words)).await?;
        self.shared().indexing.took(begun.elapsed());
        in_time(transaction.commit()).await?;
        if are_added {
            self.merging().a_part_has_come();
        }
        Ok(to < until)
    }

    /// Goes back, since the clock was put back: leads with smaller ids than are in the index may come. True when it isn't far enough yet.
    async fn index_less(&self, from: i64, until: i64) -> Result<bool, StoreError> {
        let (_turn, transaction) = self.connections().begin_step().await?;
        let backend = transaction.get_database_backend();
        let mut to = until;
        if backend == DatabaseBackend::Sqlite {
            // Numbers are in the order of ids: before others come between them, the newest go.
            let values: [Value; 2] = [first_id(from).into(), self.shared().indexing.rows().into()];
            let newest = Statement::from_sql_and_values(backend, LEAD_BEFORE, values);
            if let Some(row) = transaction.query_one_raw(newest).await? {
                to = millis_of(row.try_get_by_index(0)?).clamp(until, from - 1);
            }
        }
        if !lead_words::try_lock_alone(&transaction).await? || !INDEXED.go_on(&transaction, from, to).await? {
            transaction.rollback().await?;
            return Ok(true);
        }
        if backend == DatabaseBackend::Sqlite {
            let query = Entity::find()
                .filter(Column::Id.gte(first_id(to)))
                .filter(Column::Id.lt(first_id(from)));
            let rows = in_time(query.all(&transaction)).await?;
            in_time(lead_words::remove(&transaction, &rows)).await?;
        }
        in_time(transaction.commit()).await?;
        Ok(to > until + CLOCK_TOLERANCE_MILLIS)
    }
}

/// The id of the lead `$2` before the last one before `$1`.
const LEAD_BEFORE: &str = "SELECT id FROM leads WHERE id < $1 ORDER BY id DESC LIMIT 1 OFFSET $2";
/// By words `$1`, of the client `$2`, behind `$3`.
pub(crate) const POSTGRES: &str = "SELECT lead_id FROM lead_words WHERE words @@ CAST(CAST($1 AS TEXT) AS tsquery) AND client_id = $2 \
    AND lead_id < $3 ORDER BY lead_id DESC LIMIT $4";
/// By words, the client among them, behind a lead: the numbers are in the order of ids. One that is gone meanwhile is taken for the one before.
pub(crate) const SQLITE: &str = "SELECT lead_id FROM lead_words CROSS JOIN searchable_leads ON number = lead_words.rowid \
    WHERE lead_words MATCH ? AND lead_words.rowid <= coalesce((SELECT number FROM searchable_leads WHERE lead_id < ? \
    ORDER BY lead_id DESC LIMIT 1), 0) ORDER BY lead_words.rowid DESC LIMIT ?";

/// Each word alone and quoted: nothing in it has a meaning of its own. Words have letters and digits only.
fn sqlite_query(client: ClientId, wanted: &Wanted) -> String {
    let words = wanted.words.iter().map(|word| format!(" AND \"{word}\"*"));
    format!("\"{}\"{}", client_word(client.as_uuid()), words.collect::<String>())
}

fn postgres_query(wanted: &Wanted) -> String {
    let words = wanted.words.iter().map(|word| format!("'{word}':*"));
    words.collect::<Vec<_>>().join(" & ")
}

fn is_wanted(row: &Model, wanted: &Wanted, filter: &LeadFilter) -> bool {
    row.erased_at.is_none() && filter.holds(row.created_at) && wanted.is_in(&row.email, &words_of(row))
}

/// Filled up to one of a few numbers.
fn padded_in_order(ids: &[Uuid]) -> Vec<Uuid> {
    crate::log_names::padded(ids.to_vec()).unwrap_or_default()
}
