//! Group commit: callers who write at the same time share one transaction, and so one sync.
//!
//! Whatever waits when the last transaction ended goes into the next one; a caller who is alone
//! isn't made to wait for company. A batch isn't a common fate: one that fails for any reason but the
//! database being out of reach is repeated item by item, so that a bad item fails alone. A bad item that
//! is to be tried again waits aside, while others go on.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use sea_orm::DbErr;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver};
use tokio_util::sync::CancellationToken;

use crate::connection::in_time;
use crate::error::{StoreError, is_conflict, is_unavailable};

/// How often a transaction that lost against another is begun again.
const CONFLICT_RETRIES: u32 = 5;
/// The waits before items are written again double from the first to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// The longest wait of an item that is put aside: what ails it isn't over in a moment.
const LONGEST_WAIT_ASIDE: Duration = Duration::from_mins(1);
/// How long a closing store goes on trying.
const CLOSING_PATIENCE: Duration = Duration::from_secs(5);

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

    /// A transaction has committed items that weigh this much, in this time.
    fn measured(&self, _weight: usize, _took: Duration) {}

    /// Deals with items that can't be written now. Those it gives back are tried again, after a wait.
    fn failed(&self, items: Vec<Self::Item>, error: &StoreError) -> Vec<Self::Item>;

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

/// Where items come from: bounded or not.
pub(crate) trait Queue<T>: Send {
    fn recv(&mut self) -> impl Future<Output = Option<T>> + Send;
    fn try_recv(&mut self) -> Option<T>;
    fn len(&self) -> usize;
    /// Refuses what comes from now on; what is in stays.
    fn close(&mut self);
}

/// Commits what comes in, until the store closes (or nobody is left to send) and the queue is empty.
pub(crate) async fn run<B: Batched>(
    batched: B,
    mut queue: impl Queue<B::Item>,
    limits: GroupLimits,
    closing: CancellationToken,
) {
    let mut committer = Committer {
        batched,
        closing,
        gives_up_at: None,
        aside: Vec::new(),
    };
    let mut closed = false;
    loop {
        let next_aside = committer.aside.iter().map(|aside| aside.at).min();
        let first = tokio::select! {
            biased;
            () = committer.closing.cancelled(), if !closed => {
                queue.close();
                closed = true;
                continue;
            }
            () = until(next_aside) => {
                committer.retry_aside().await;
                continue;
            }
            item = queue.recv() => match item {
                Some(item) => item,
                None => return committer.finish().await,
            },
        };
        if !limits.linger.is_zero() && queue.len() < limits.weight {
            tokio::select! {
                () = tokio::time::sleep(limits.linger) => {}
                () = committer.closing.cancelled() => {}
            }
        }
        let mut weight = B::weight(&first);
        let mut batch = vec![first];
        while weight < limits.weight
            && let Some(item) = queue.try_recv()
        {
            weight += B::weight(&item);
            batch.push(item);
        }
        committer.commit(batch).await;
    }
}

/// Never, when there is nothing to wait for.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// An item that can't be written though the database can.
struct Aside<T> {
    item: T,
    at: Instant,
    wait: Duration,
}

struct Committer<B: Batched> {
    batched: B,
    aside: Vec<Aside<B::Item>>,
    closing: CancellationToken,
    /// Set once the store closes and something still can't be written.
    gives_up_at: Option<Instant>,
}

impl<B: Batched> Committer<B> {
    /// Commits a batch, and what failed of it until that is committed too.
    async fn commit(&mut self, mut batch: Vec<B::Item>) {
        let mut wait = FIRST_WAIT;
        loop {
            batch = self.try_commit(batch).await;
            if batch.is_empty() {
                return;
            }
            if !self.closing.is_cancelled() {
                tokio::select! {
                    () = tokio::time::sleep(wait) => wait = LONGEST_WAIT.min(wait * 2),
                    () = self.closing.cancelled() => {}
                }
            } else if Instant::now()
                < *self
                    .gives_up_at
                    .get_or_insert_with(|| Instant::now() + CLOSING_PATIENCE)
            {
                tokio::time::sleep(FIRST_WAIT).await;
            } else {
                tracing::error!(
                    items = batch.len(),
                    "the database can't be written; closing without these items"
                );
                return;
            }
        }
    }

    /// Gives back what is to be tried again before anything else.
    async fn try_commit(&mut self, batch: Vec<B::Item>) -> Vec<B::Item> {
        match self.write(&batch).await {
            Ok(done) => {
                self.batched.committed(batch, done);
                Vec::new()
            }
            Err(error) if is_unavailable(&error) => self.batched.failed(batch, &error.into()),
            Err(error) if batch.len() == 1 => {
                self.put_aside(batch, error, FIRST_WAIT);
                Vec::new()
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    items = batch.len(),
                    "a group commit failed; repeating it item by item"
                );
                self.try_each(batch).await
            }
        }
    }

    async fn try_each(&mut self, batch: Vec<B::Item>) -> Vec<B::Item> {
        let mut items = batch.into_iter();
        while let Some(item) = items.next() {
            let mut item = vec![item];
            match self.write(&item).await {
                Ok(done) => self.batched.committed(item, done),
                Err(error) if is_unavailable(&error) => {
                    // Each of the others would wait as long to learn the same.
                    item.extend(items.by_ref());
                    return self.batched.failed(item, &error.into());
                }
                Err(error) => self.put_aside(item, error, FIRST_WAIT),
            }
        }
        Vec::new()
    }

    /// Lets others go first, unless the item's failure is an answer to it.
    fn put_aside(&mut self, item: Vec<B::Item>, error: DbErr, wait: Duration) {
        let at = Instant::now() + wait;
        let again = self.batched.failed(item, &error.into());
        self.aside
            .extend(again.into_iter().map(|item| Aside { item, at, wait }));
    }

    /// Tries again those that were put aside and have waited long enough, each alone.
    async fn retry_aside(&mut self) {
        let now = Instant::now();
        for Aside { item, wait, .. } in self.aside.extract_if(.., |aside| aside.at <= now).collect::<Vec<_>>() {
            let item = vec![item];
            match self.write(&item).await {
                Ok(done) => self.batched.committed(item, done),
                Err(error) => self.put_aside(item, error, LONGEST_WAIT_ASIDE.min(wait * 2)),
            }
        }
    }

    /// Nothing comes any more: a last try for those that were put aside.
    async fn finish(&mut self) {
        for aside in std::mem::take(&mut self.aside) {
            let item = vec![aside.item];
            match self.write(&item).await {
                Ok(done) => self.batched.committed(item, done),
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "an item can't be written; closing without it"
                    );
                }
            }
        }
    }

    /// Writes, and begins again what lost against another transaction.
    async fn write(&self, items: &[B::Item]) -> Result<B::Done, DbErr> {
        let mut conflicts = 0;
        loop {
            let begun = Instant::now();
            match in_time(self.batched.write(items)).await {
                Err(error) if is_conflict(&error) && conflicts < CONFLICT_RETRIES => conflicts += 1,
                Err(error) => return Err(error),
                Ok(done) => {
                    self.batched
                        .measured(items.iter().map(B::weight).sum(), begun.elapsed());
                    return Ok(done);
                }
            }
        }
    }
}

impl<T: Send> Queue<T> for Receiver<T> {
    fn recv(&mut self) -> impl Future<Output = Option<T>> + Send {
        self.recv()
    }

    fn try_recv(&mut self) -> Option<T> {
        self.try_recv().ok()
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn close(&mut self) {
        self.close();
    }
}

impl<T: Send> Queue<T> for UnboundedReceiver<T> {
    fn recv(&mut self) -> impl Future<Output = Option<T>> + Send {
        self.recv()
    }

    fn try_recv(&mut self) -> Option<T> {
        self.try_recv().ok()
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn close(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::sync::{Notify, mpsc, oneshot};

    use super::*;

    /// Writes into a list of batches; fails as it is told.
    #[derive(Default)]
    struct Batches {
        /// Tried, with whether they were committed.
        tried: Mutex<Vec<(Vec<u32>, bool)>>,
        /// What a write of this batch comes to, the first ones first; then they succeed.
        failures: Mutex<Vec<DbErr>>,
        /// An item that no batch can hold.
        bad: Option<u32>,
        gate: Option<Notify>,
    }

    struct Item(u32, Option<oneshot::Sender<bool>>);

    #[async_trait]
    impl Batched for Arc<Batches> {
        type Item = Item;
        type Done = ();

        async fn write(&self, items: &[Item]) -> Result<(), DbErr> {
            if let Some(gate) = &self.gate {
                gate.notified().await;
            }
            let numbers = items.iter().map(|item| item.0).collect::<Vec<_>>();
            let failure = self.failures.lock().expect("no panic").pop();
            let bad = self
                .bad
                .is_some_and(|bad| numbers.contains(&bad))
                .then(|| DbErr::Custom("bad".to_owned()));
            let result = failure.or(bad).map_or(Ok(()), Err);
            self.tried.lock().expect("no panic").push((numbers, result.is_ok()));
            result
        }

        fn committed(&self, items: Vec<Item>, (): ()) {
            items
                .into_iter()
                .filter_map(|item| item.1)
                .for_each(|caller| caller.send(true).expect("the caller waits"));
        }

        /// Gives back what nobody waits for.
        fn failed(&self, items: Vec<Item>, _: &StoreError) -> Vec<Item> {
            let (answered, again) = items.into_iter().partition::<Vec<_>, _>(|item| item.1.is_some());
            answered
                .into_iter()
                .filter_map(|item| item.1)
                .for_each(|caller| caller.send(false).expect("the caller waits"));
            again
        }

        fn weight(_: &Item) -> usize {
            1
        }
    }

    const LIMITS: GroupLimits = GroupLimits {
        weight: 3,
        linger: Duration::ZERO,
    };

    fn gone() -> DbErr {
        DbErr::Conn(sea_orm::RuntimeErr::Internal("gone".to_owned()))
    }

    /// Sends so many items, all before the first is written, and says how each ended.
    async fn run_items(batches: &Arc<Batches>, items: u32) -> Vec<bool> {
        let (sender, queue) = mpsc::unbounded_channel();
        let mut answers = Vec::new();
        for number in 0..items {
            let (caller, answer) = oneshot::channel();
            assert!(sender.send(Item(number, Some(caller))).is_ok());
            answers.push(answer);
        }
        drop(sender);
        run(Arc::clone(batches), queue, LIMITS, CancellationToken::new()).await;
        let mut ended = Vec::new();
        for answer in answers {
            ended.push(answer.await.expect("everybody is answered"));
        }
        ended
    }

    fn tried(batches: &Batches) -> Vec<(Vec<u32>, bool)> {
        batches.tried.lock().expect("no panic").clone()
    }

    #[tokio::test]
    async fn those_who_wait_together_are_written_together_up_to_the_bound() {
        let batches = Arc::new(Batches::default());
        assert_eq!(run_items(&batches, 7).await, [true; 7]);
        assert_eq!(
            tried(&batches),
            [(vec![0, 1, 2], true), (vec![3, 4, 5], true), (vec![6], true)]
        );
    }

    #[tokio::test]
    async fn who_is_alone_waits_for_nobody_and_who_comes_meanwhile_goes_next() {
        let batches = Arc::new(Batches {
            gate: Some(Notify::new()),
            ..Batches::default()
        });
        let (sender, queue) = mpsc::channel(8);
        let closing = CancellationToken::new();
        let task = tokio::spawn(run(Arc::clone(&batches), queue, LIMITS, closing));
        let gate = batches.gate.as_ref().expect("it has one");
        sender.send(Item(0, None)).await.ok();
        while sender.capacity() < 8 {
            tokio::task::yield_now().await;
        }
        sender.send(Item(1, None)).await.ok();
        sender.send(Item(2, None)).await.ok();
        drop(sender);
        for _ in 0..2 {
            gate.notify_one();
            tokio::task::yield_now().await;
        }
        task.await.expect("it ends");
        assert_eq!(tried(&batches), [(vec![0], true), (vec![1, 2], true)]);
    }

    #[tokio::test]
    async fn bad_item_fails_alone() {
        let batches = Arc::new(Batches {
            bad: Some(1),
            ..Batches::default()
        });
        assert_eq!(run_items(&batches, 3).await, [true, false, true]);
        let expected = [
            (vec![0, 1, 2], false),
            (vec![0], true),
            (vec![1], false),
            (vec![2], true),
        ];
        assert_eq!(tried(&batches), expected);
    }

    #[tokio::test]
    async fn lost_connection_is_told_to_the_whole_batch_at_once() {
        let batches = Arc::new(Batches {
            failures: Mutex::new(vec![gone()]),
            ..Batches::default()
        });
        assert_eq!(run_items(&batches, 3).await, [false; 3]);
        assert_eq!(tried(&batches), [(vec![0, 1, 2], false)], "not tried one by one");
    }

    #[tokio::test]
    async fn connection_lost_between_single_items_ends_the_trying() {
        let failures = Mutex::new(vec![gone(), DbErr::Custom("bad".to_owned())]);
        let batches = Arc::new(Batches {
            failures,
            ..Batches::default()
        });
        assert_eq!(run_items(&batches, 3).await, [false; 3]);
        assert_eq!(tried(&batches), [(vec![0, 1, 2], false), (vec![0], false)]);
    }

    #[tokio::test]
    async fn what_is_given_back_is_tried_until_it_is_written() {
        let batches = Arc::new(Batches {
            failures: Mutex::new((0..3).map(|_| gone()).collect()),
            ..Batches::default()
        });
        let (sender, queue) = mpsc::unbounded_channel();
        for number in 0..2 {
            assert!(sender.send(Item(number, None)).is_ok());
        }
        drop(sender);
        run(Arc::clone(&batches), queue, LIMITS, CancellationToken::new()).await;
        assert_eq!(tried(&batches).len(), 4);
        assert_eq!(tried(&batches).pop(), Some((vec![0, 1], true)));
    }

    #[tokio::test]
    async fn bad_item_that_is_given_back_waits_aside() {
        let batches = Arc::new(Batches {
            bad: Some(0),
            ..Batches::default()
        });
        let (sender, queue) = mpsc::unbounded_channel();
        assert!(sender.send(Item(0, None)).is_ok());
        let task = tokio::spawn(run(Arc::clone(&batches), queue, LIMITS, CancellationToken::new()));
        while tried(&batches).len() < 2 {
            tokio::task::yield_now().await;
        }
        let (caller, answer) = oneshot::channel();
        assert!(sender.send(Item(1, Some(caller))).is_ok());
        assert!(answer.await.expect("others go on"));
        drop(sender);
        task.await.expect("it ends");
        assert_eq!(tried(&batches).pop(), Some((vec![0], false)), "tried a last time");
    }

    #[tokio::test]
    async fn closing_refuses_what_comes_and_writes_what_is_there() {
        let batches = Arc::new(Batches::default());
        let (sender, queue) = mpsc::unbounded_channel();
        assert!(sender.send(Item(0, None)).is_ok());
        let closing = CancellationToken::new();
        closing.cancel();
        run(Arc::clone(&batches), queue, LIMITS, closing).await;
        assert!(sender.send(Item(1, None)).is_err());
        assert_eq!(tried(&batches), [(vec![0], true)]);
    }
}
