//! Group commit: callers who write at the same time share one transaction, and so one sync.
//!
//! Whatever waits when the last transaction ended goes into the next one; a caller who is alone
//! isn't made to wait for company. A batch isn't a common fate: one that fails for any reason but the
//! database being out of reach is repeated item by item, so that a bad item fails alone.

use std::time::Duration;

use async_trait::async_trait;
use sea_orm::DbErr;
use tokio::sync::mpsc::Receiver;

use crate::error::{StoreError, is_conflict, is_unavailable};

/// How often a transaction that lost against another is begun again.
const CONFLICT_RETRIES: u32 = 5;

/// What is committed in groups.
#[async_trait]
pub(crate) trait Batched: Send + Sync + 'static {
    /// One caller's wish.
    type Item: Send + Sync;
    /// What a committed transaction leaves to do.
    type Done: Send;

    /// Writes all items in one transaction, and commits it. May be called again with the same items.
    async fn write(&self, items: &[Self::Item]) -> Result<Self::Done, DbErr>;

    /// Tells everybody that their items are on disk.
    fn committed(&self, items: Vec<Self::Item>, done: Self::Done);

    /// Deals with items that can't be written now. Those it gives back are tried again.
    async fn failed(&self, items: Vec<Self::Item>, error: StoreError) -> Vec<Self::Item>;

    /// How much of a batch's bound an item uses.
    fn weight(item: &Self::Item) -> usize;
}

/// Bounds of a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupLimits {
    /// No item joins a batch that weighs as much already.
    pub(crate) weight: usize,
    /// How long a batch waits for more. Zero where somebody waits for the answer.
    pub(crate) linger: Duration,
}

/// Commits what comes in, until the queue is closed and empty.
pub(crate) async fn run<B: Batched>(batched: B, mut queue: Receiver<B::Item>, limits: GroupLimits) {
    while let Some(first) = queue.recv().await {
        if !limits.linger.is_zero() && queue.len() < limits.weight && !queue.is_closed() {
            tokio::time::sleep(limits.linger).await;
        }
        let mut weight = B::weight(&first);
        let mut batch = vec![first];
        while weight < limits.weight
            && let Ok(item) = queue.try_recv()
        {
            weight += B::weight(&item);
            batch.push(item);
        }
        commit(&batched, batch).await;
    }
}

async fn commit<B: Batched>(batched: &B, mut batch: Vec<B::Item>) {
    while !batch.is_empty() {
        batch = match write(batched, &batch).await {
            Ok(done) => return batched.committed(batch, done),
            Err(error) if batch.len() == 1 || is_unavailable(&error) => batched.failed(batch, error.into()).await,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, items = batch.len(), "a group commit failed; repeating it item by item");
                commit_each(batched, batch).await
            }
        };
    }
}

async fn commit_each<B: Batched>(batched: &B, batch: Vec<B::Item>) -> Vec<B::Item> {
    let mut again = Vec::new();
    for item in batch {
        let item = vec![item];
        match write(batched, &item).await {
            Ok(done) => batched.committed(item, done),
            Err(error) => again.extend(batched.failed(item, error.into()).await),
        }
    }
    again
}

/// Writes, and begins again what lost against another transaction.
async fn write<B: Batched>(batched: &B, items: &[B::Item]) -> Result<B::Done, DbErr> {
    let mut conflicts = 0;
    loop {
        match batched.write(items).await {
            Err(error) if is_conflict(&error) && conflicts < CONFLICT_RETRIES => conflicts += 1,
            result => return result,
        }
    }
}
