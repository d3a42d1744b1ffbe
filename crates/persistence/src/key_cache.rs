//! Keys that were looked up a moment ago, so that a request doesn't cost a read.
//!
//! Promises that a key revoked in this process is forgotten at once, and one revoked by another
//! process after [`KEPT_FOR`]. Unknown keys aren't kept: there is no end of them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sensei_domain::{ClientId, KeyId};

use crate::keys::{Access, Scope};

/// How long a key is believed without looking.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// Beyond this many, all are forgotten: a bound, not a tuning.
const KEPT: usize = 10_000;

/// SHA-256 of a key's text.
pub(crate) type KeyHash = [u8; 32];

#[derive(Debug, Default)]
pub(crate) struct KeyCache(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    keys: HashMap<KeyHash, (Access, Instant)>,
    /// Grows whenever something is forgotten: what was read before that is not to be kept.
    forgotten: u64,
}

/// The moment of a look-up, as the cache sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Looked(u64);

impl KeyCache {
    /// What is known of a key; else what to give to [`KeyCache::keep`] after reading it.
    pub(crate) fn get(&self, hash: &KeyHash) -> Result<Access, Looked> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.keys.get(hash) {
            Some((access, read_at)) if read_at.elapsed() < KEPT_FOR => Ok(*access),
            _ => Err(Looked(kept.forgotten)),
        }
    }

    pub(crate) fn keep(&self, hash: KeyHash, access: Access, Looked(before): Looked) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.forgotten == before {
            if kept.keys.len() >= KEPT {
                kept.keys.clear();
            }
            kept.keys.insert(hash, (access, Instant::now()));
        }
    }

    pub(crate) fn forget(&self, key: KeyId) {
        self.forget_where(|access| access.key_id == key);
    }

    pub(crate) fn forget_client(&self, client: ClientId) {
        self.forget_where(|access| access.scope == Scope::Client(client));
    }

    fn forget_where(&self, is_meant: impl Fn(&Access) -> bool) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.forgotten += 1;
        kept.keys.retain(|_, (access, _)| !is_meant(access));
    }
}
