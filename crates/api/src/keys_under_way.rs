//! Idempotency keys whose requests are under way in this process: an equal one waits for its turn.
//!
//! For effects outside the database, which no transaction can hold back. Between processes the log's transaction decides
//! whose answer counts; the effect may then have happened in both.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sensei_domain::ClientId;
use tokio::sync::OwnedMutexGuard;

/// Client, path, key.
type Scope = (ClientId, String, String);
type Turns = Mutex<HashMap<Scope, Arc<tokio::sync::Mutex<()>>>>;

/// The keys. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeysUnderWay(Arc<Turns>);

/// A key that nobody else here has meanwhile. Given back when dropped.
#[derive(Debug)]
pub(crate) struct KeyTurn {
    turns: Arc<Turns>,
    scope: Scope,
    held: Option<OwnedMutexGuard<()>>,
}

impl KeysUnderWay {
    /// Waits until no other request has this key, so long at most; then `None`.
    pub(crate) async fn turn(&self, client: ClientId, path: &str, key: &str, patience: Duration) -> Option<KeyTurn> {
        let scope = (client, path.to_owned(), key.to_owned());
        let mutex = Arc::clone(lock(&self.0).entry(scope.clone()).or_default());
        // Made before the wait, so that who gives up waiting leaves nothing behind.
        let mut turn = KeyTurn {
            turns: Arc::clone(&self.0),
            scope,
            held: None,
        };
        turn.held = Some(tokio::time::timeout(patience, mutex.lock_owned()).await.ok()?);
        Some(turn)
    }
}

impl Drop for KeyTurn {
    fn drop(&mut self) {
        let mut turns = lock(&self.turns);
        drop(self.held.take());
        // Nobody else waits: all others hold a part of it too.
        if turns
            .get(&self.scope)
            .is_some_and(|mutex| Arc::strong_count(mutex) == 1)
        {
            turns.remove(&self.scope);
        }
    }
}

fn lock(turns: &Turns) -> MutexGuard<'_, HashMap<Scope, Arc<tokio::sync::Mutex<()>>>> {
    turns.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use sensei_domain::{Clock as _, SystemClock};

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_has_a_key_and_nothing_is_left_behind() {
        let keys = KeysUnderWay::default();
        let client = ClientId::new(SystemClock.now());
        let turn = |key: &'static str, millis| keys.turn(client, "/test", key, Duration::from_millis(millis));
        let first = turn("a", 0).await.expect("it is free");
        assert!(turn("a", 10).await.is_none(), "it is taken");
        assert!(turn("b", 0).await.is_some(), "another key is another's");
        let mut waiting = Box::pin(turn("a", 60_000));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(first);
        let second = waiting.await.expect("it came free");
        let mut gone = Box::pin(turn("a", 60_000));
        assert!(futures_util::poll!(&mut gone).is_pending());
        drop(second);
        drop(gone);
        assert!(lock(&keys.0).is_empty());
    }
}
