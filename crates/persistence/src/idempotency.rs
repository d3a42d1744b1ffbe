//! Idempotency keys: who repeats a request gets the answer of the first, and no second effect.
//!
//! A key is written in the transaction of its effect, so that both are there or neither. A parallel
//! equal request waits for that transaction (in the same batch here, on the key's row between processes).
//! Captures claim their keys a batch at a time ([`claim`]); every other request has a transaction of its own ([`once`]).

use std::collections::BTreeMap;

use bytes::Bytes;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, Select, Statement};
use sensei_domain::{ClientId, Timestamp};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::connection::in_time;
use crate::entities::idempotency_keys;
use crate::error::{ChangeError, StoreError, is_lock_timeout};
use crate::master_key::SealedPlace;
use crate::master_keys::MasterKeys;
use crate::store::{Shared, Store};

/// How long an answer is kept, in milliseconds: a day, as the API promises.
const KEPT_MILLIS: i64 = 24 * 60 * 60 * 1000;
/// How many old keys are removed at once.
const SWEPT_AT_ONCE: u32 = 1_000;

/// Removes up to `$2` keys that are older than `$1`.
pub(crate) const SWEEP: &str = "DELETE FROM idempotency_keys WHERE created_at < $1 AND (client_id, method, path, key) IN \
    (SELECT client_id, method, path, key FROM idempotency_keys WHERE created_at < $1 LIMIT $2)";

/// A request that may come again: its idempotency key, and what it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedRequest {
    /// The key, as the caller chose it.
    pub key: String,
    /// The request's method.
    pub method: &'static str,
    /// The request's path.
    pub path: String,
    /// SHA-256 of the request's body.
    pub fingerprint: [u8; 32],
}

/// A request that may come again, whose answer is known beforehand.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// The request.
    pub request: KeyedRequest,
    /// What it is answered, if it takes effect.
    pub answer: Answer,
}

/// An answer as it was, or will be, sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body.
    pub body: Bytes,
    /// Whether the body is for nobody else's eyes: then it is kept encrypted.
    pub holds_secret: bool,
}

/// What became of a request that takes effect once.
#[derive(Debug)]
pub struct Once<T> {
    /// What is answered: to the first request, and to every equal one.
    pub answer: Answer,
    /// The effect; `None` when an equal request had it before.
    pub done: Option<T>,
}

impl Answer {
    /// For who asks without a key, and isn't answered over HTTP.
    pub(crate) const NONE: Self = Self {
        status: 0,
        body: Bytes::new(),
        holds_secret: false,
    };
}

impl<T> Once<T> {
    /// The effect of a request without a key.
    pub(crate) fn unkeyed(self) -> T {
        self.done.expect("without a key it takes effect")
    }
}

/// The idempotency key came with another body before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the idempotency key was used with another body")]
pub struct KeyReused;

/// What a key turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// New: the request takes effect.
    Fresh,
    /// An equal request had this answer.
    Answered(Answer),
    /// Another body came with the same key.
    Reused,
}

/// Client, method, path, key. The client is nil where a request isn't within one.
pub(crate) type Scope<'a> = (Uuid, &'a str, &'a str, &'a str);

/// Lets a request with a key take effect once: the first runs `effect`, and its `answer` is kept for the others.
///
/// For a handler of any POST: begin a transaction, call this with the effect's statements, commit. What locks others out
/// (the client's row) belongs into the effect: so an equal request waits for that commit on the key's row, and if it waits
/// for too long, it is known for what. When `effect` fails, let the transaction go: neither the key nor anything else is kept, and the caller may correct
/// the request under the same key. Without a key (`request` is `None`) the effect just takes place. What must
/// follow the commit (telling the lanes) follows only if `done` is there. Box a large effect: each future around it
/// would hold it once more.
pub(crate) async fn once<T, E: From<DbErr> + From<StoreError> + From<KeyReused>>(
    transaction: &DatabaseTransaction,
    shared: &Shared,
    client: Option<ClientId>,
    request: Option<&KeyedRequest>,
    effect: impl Future<Output = Result<T, E>>,
    answer: impl FnOnce(&T) -> Answer,
) -> Result<Once<T>, E> {
    let master_keys = shared.directory.master_keys();
    let scope = request.map(|request| scope(client, request));
    if let Some((scope, request)) = scope.zip(request) {
        let kept = Kept::of(&Answer::NONE, master_keys, scope);
        let inserted = insert(transaction, scope, &request.fingerprint, kept, shared.clock.now()).await;
        let is_new = inserted.map_err(|error| match error {
            error if is_lock_timeout(&error) => E::from(StoreError::KeyUnderWay),
            error => error.into(),
        })?;
        if !is_new {
            let (fingerprint, answer) = stored(transaction, master_keys, scope).await?;
            return if fingerprint == request.fingerprint {
                Ok(Once { answer, done: None })
            } else {
                Err(KeyReused.into())
            };
        }
    }
    let done = effect.await?;
    let answer = answer(&done);
    if let Some(scope) = scope {
        complete(transaction, scope, Kept::of(&answer, master_keys, scope)).await?;
    }
    Ok(Once {
        answer,
        done: Some(done),
    })
}

impl Store {
    /// Keeps the answer to a request that had nothing to write in the transaction in which its key was claimed; gives the first one's, if an
    /// equal request was answered meanwhile.
    pub async fn keep_answer(
        &self,
        client: ClientId,
        request: Option<&KeyedRequest>,
        answer: Answer,
    ) -> Result<Once<()>, ChangeError> {
        let transaction = self.connections().begin().await?;
        let nothing = async { Ok::<_, ChangeError>(()) };
        let once = once(&transaction, self.shared(), Some(client), request, nothing, |()| answer).await?;
        transaction.commit().await?;
        Ok(once)
    }
}

/// Claims the keys of a batch's requests: the first with a key takes effect, the others get its
/// answer, whether it is in this batch or from yesterday.
pub(crate) async fn claim(
    transaction: &DatabaseTransaction,
    master_keys: &MasterKeys,
    requests: &[(ClientId, Option<&Idempotency>)],
    now: Timestamp,
) -> Result<Vec<Standing>, DbErr> {
    // Ordered, so that two processes with the same keys don't lock each other out.
    let mut by_scope = BTreeMap::<Scope, Vec<usize>>::new();
    for (index, (client, idempotency)) in requests.iter().enumerate() {
        if let Some(idempotency) = idempotency {
            by_scope
                .entry(scope(Some(*client), &idempotency.request))
                .or_default()
                .push(index);
        }
    }
    let mut standings = vec![Standing::Fresh; requests.len()];
    for (scope, indexes) in by_scope {
        let equals = indexes
            .iter()
            .filter_map(|&index| Some((index, requests[index].1?)))
            .collect::<Vec<_>>();
        let Some(&(_, first)) = equals.first() else { continue };
        let fingerprint = &first.request.fingerprint;
        let kept = Kept::of(&first.answer, master_keys, scope);
        let is_new = insert(transaction, scope, fingerprint, kept, now).await?;
        let (fingerprint, answer) = if is_new {
            (fingerprint.to_vec(), first.answer.clone())
        } else {
            stored(transaction, master_keys, scope).await?
        };
        for (index, idempotency) in equals.into_iter().skip(usize::from(is_new)) {
            standings[index] = if idempotency.request.fingerprint[..] == fingerprint {
                Standing::Answered(answer.clone())
            } else {
                Standing::Reused
            };
        }
    }
    Ok(standings)
}

fn scope(client: Option<ClientId>, request: &KeyedRequest) -> Scope<'_> {
    let client = client.map_or(Uuid::nil(), ClientId::as_uuid);
    (client, request.method, &request.path, &request.key)
}

/// An answer as it stands in the table.
struct Kept {
    status: i64,
    body: Vec<u8>,
    is_sealed: bool,
}

impl Kept {
    fn of(answer: &Answer, master_keys: &MasterKeys, scope: Scope<'_>) -> Self {
        let body = if answer.holds_secret {
            master_keys.seal(&place(scope), &answer.body).into_bytes()
        } else {
            answer.body.to_vec()
        };
        Self {
            status: i64::from(answer.status),
            body,
            is_sealed: answer.holds_secret,
        }
    }

    /// `None` when it is damaged or was sealed elsewhere.
    fn open(self, master_keys: &MasterKeys, scope: Scope<'_>) -> Option<Answer> {
        let body = if self.is_sealed {
            let sealed = String::from_utf8(self.body).ok()?;
            master_keys.open(&place(scope), &sealed)?.to_vec()
        } else {
            self.body
        };
        Some(Answer {
            status: self.status.try_into().ok()?,
            body: body.into(),
            holds_secret: self.is_sealed,
        })
    }
}

/// The key's row as a place of sealed values: it has no id, but its scope identifies it.
pub(crate) fn place((client, method, path, key): Scope<'_>) -> SealedPlace {
    let mut hash = Sha256::new();
    for part in [client.as_bytes(), method.as_bytes(), path.as_bytes(), key.as_bytes()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hash: [u8; 32] = hash.finalize().into();
    let (row, _) = hash.split_first_chunk().expect("a hash is longer than an id");
    SealedPlace {
        table: "idempotency_keys",
        row: Uuid::from_bytes(*row),
        column: "answer",
    }
}

/// Writes the key unless it is there; waits for a transaction of another process that is writing it.
async fn insert(
    transaction: &DatabaseTransaction,
    (client, method, path, key): Scope<'_>,
    fingerprint: &[u8; 32],
    kept: Kept,
    now: Timestamp,
) -> Result<bool, DbErr> {
    // An answer that has outlived its day counts no more, even before it is swept.
    let sql = "INSERT INTO idempotency_keys \
               (client_id, method, path, key, fingerprint, status, answer, is_sealed, created_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
               ON CONFLICT (client_id, method, path, key) DO UPDATE SET fingerprint = excluded.fingerprint, \
               status = excluded.status, answer = excluded.answer, is_sealed = excluded.is_sealed, \
               created_at = excluded.created_at WHERE idempotency_keys.created_at < $10";
    let values = [
        client.into(),
        method.into(),
        path.into(),
        key.into(),
        fingerprint.to_vec().into(),
        kept.status.into(),
        kept.body.into(),
        kept.is_sealed.into(),
        now.as_millis().into(),
        (now.as_millis() - KEPT_MILLIS).into(),
    ];
    let statement = Statement::from_sql_and_values(transaction.get_database_backend(), sql, values);
    Ok(transaction.execute_raw(statement).await?.rows_affected() == 1)
}

/// Puts the answer beside a key that this transaction has written.
async fn complete(
    transaction: &DatabaseTransaction,
    (client, method, path, key): Scope<'_>,
    kept: Kept,
) -> Result<(), DbErr> {
    let sql = "UPDATE idempotency_keys SET status = $1, answer = $2, is_sealed = $3 \
               WHERE client_id = $4 AND method = $5 AND path = $6 AND key = $7";
    let values = [
        kept.status.into(),
        kept.body.into(),
        kept.is_sealed.into(),
        client.into(),
        method.into(),
        path.into(),
        key.into(),
    ];
    let statement = Statement::from_sql_and_values(transaction.get_database_backend(), sql, values);
    transaction.execute_raw(statement).await.map(drop)
}

/// The fingerprint and the answer under a key that is there.
async fn stored(
    transaction: &DatabaseTransaction,
    master_keys: &MasterKeys,
    scope: Scope<'_>,
) -> Result<(Vec<u8>, Answer), DbErr> {
    let stored = row(transaction, scope).await?;
    let stored = stored.ok_or_else(|| DbErr::RecordNotFound("an idempotency key that was there".to_owned()))?;
    opened(stored, master_keys, scope)
}

async fn row(connection: &impl ConnectionTrait, scope: Scope<'_>) -> Result<Option<idempotency_keys::Model>, DbErr> {
    lookup(scope).one(connection).await
}

/// The row of a key.
pub(crate) fn lookup((client, method, path, key): Scope<'_>) -> Select<idempotency_keys::Entity> {
    idempotency_keys::Entity::find_by_id((client, method.to_owned(), path.to_owned(), key.to_owned()))
}

fn opened(
    stored: idempotency_keys::Model,
    master_keys: &MasterKeys,
    scope: Scope<'_>,
) -> Result<(Vec<u8>, Answer), DbErr> {
    let kept = Kept {
        status: stored.status,
        body: stored.answer,
        is_sealed: stored.is_sealed,
    };
    let answer = kept.open(master_keys, scope);
    let answer = answer.ok_or_else(|| DbErr::Type("a kept answer can't be read".to_owned()))?;
    Ok((stored.fingerprint, answer))
}

impl Store {
    /// What an equal request was answered before, if there was one. For effects that lie outside the database: who asks
    /// this must keep equal requests of this process from running meanwhile.
    pub async fn answered<E: From<StoreError> + From<KeyReused>>(
        &self,
        client: ClientId,
        request: &KeyedRequest,
    ) -> Result<Option<Answer>, E> {
        let scope = scope(Some(client), request);
        let found = in_time(row(self.connections().prompt(), scope)).await;
        let oldest = self.now().as_millis() - KEPT_MILLIS;
        let found = found.map_err(StoreError::from)?.filter(|row| row.created_at >= oldest);
        let Some(found) = found else { return Ok(None) };
        let master_keys = self.shared().directory.master_keys();
        let (fingerprint, answer) = opened(found, master_keys, scope).map_err(StoreError::from)?;
        if fingerprint == request.fingerprint {
            Ok(Some(answer))
        } else {
            Err(KeyReused.into())
        }
    }

    /// Removes some answers that have outlived their day. True when there may be more.
    pub async fn sweep_idempotency_keys(&self) -> Result<bool, StoreError> {
        let values = [
            (self.now().as_millis() - KEPT_MILLIS).into(),
            i64::from(SWEPT_AT_ONCE).into(),
        ];
        let writer = &self.connections().writer;
        let statement = Statement::from_sql_and_values(writer.get_database_backend(), SWEEP, values);
        let swept = in_time(writer.execute_raw(statement)).await?.rows_affected();
        Ok(swept == u64::from(SWEPT_AT_ONCE))
    }
}
