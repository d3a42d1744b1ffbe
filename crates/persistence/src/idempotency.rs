//! Idempotency keys: who repeats a request gets the answer of the first, and no second effect.
//!
//! A key is written in the transaction of its effect, so that both are there or neither. A parallel
//! equal request waits for that transaction (in the same batch here, on the key's row between processes).

use std::collections::BTreeMap;

use bytes::Bytes;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, Statement};
use sensei_domain::{ClientId, Timestamp};
use uuid::Uuid;

use crate::entities::idempotency_keys;
use crate::error::StoreError;
use crate::store::Store;

/// How long an answer is kept, in milliseconds: a day, as the API promises.
const KEPT_MILLIS: i64 = 24 * 60 * 60 * 1000;
/// How many old keys are removed at once.
const SWEPT_AT_ONCE: u32 = 1_000;

/// A request's idempotency key and the answer it will get.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// The key, as the caller chose it.
    pub key: String,
    /// The request's method.
    pub method: &'static str,
    /// The request's path.
    pub path: String,
    /// SHA-256 of the request's body.
    pub fingerprint: [u8; 32],
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
}

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

/// Client, method, path, key.
type Scope<'a> = (Uuid, &'a str, &'a str, &'a str);

/// Claims the keys of a batch's requests: the first with a key takes effect, the others get its
/// answer, whether it is in this batch or from yesterday.
pub(crate) async fn claim(
    transaction: &DatabaseTransaction,
    requests: &[(ClientId, Option<&Idempotency>)],
    now: Timestamp,
) -> Result<Vec<Standing>, DbErr> {
    // Ordered, so that two processes with the same keys don't lock each other out.
    let mut by_scope = BTreeMap::<Scope, Vec<usize>>::new();
    for (index, (client, request)) in requests.iter().enumerate() {
        if let Some(request) = request {
            by_scope
                .entry((client.as_uuid(), request.method, &request.path, &request.key))
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
        let is_new = insert(transaction, scope, first, now).await?;
        let (fingerprint, answer) = if is_new {
            (first.fingerprint.to_vec(), first.answer.clone())
        } else {
            stored(transaction, scope).await?
        };
        for (index, request) in equals.into_iter().skip(usize::from(is_new)) {
            standings[index] = if request.fingerprint[..] == fingerprint {
                Standing::Answered(answer.clone())
            } else {
                Standing::Reused
            };
        }
    }
    Ok(standings)
}

/// Writes the key unless it is there; waits for a transaction of another process that is writing it.
async fn insert(
    transaction: &DatabaseTransaction,
    (client, method, path, key): Scope<'_>,
    request: &Idempotency,
    now: Timestamp,
) -> Result<bool, DbErr> {
    // An answer that has outlived its day counts no more, even before it is swept.
    let sql = "INSERT INTO idempotency_keys (client_id, method, path, key, fingerprint, status, answer, created_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
               ON CONFLICT (client_id, method, path, key) DO UPDATE SET fingerprint = excluded.fingerprint, \
               status = excluded.status, answer = excluded.answer, created_at = excluded.created_at \
               WHERE idempotency_keys.created_at < $9";
    let values = [
        client.into(),
        method.into(),
        path.into(),
        key.into(),
        request.fingerprint.to_vec().into(),
        i64::from(request.answer.status).into(),
        request.answer.body.to_vec().into(),
        now.as_millis().into(),
        (now.as_millis() - KEPT_MILLIS).into(),
    ];
    let statement = Statement::from_sql_and_values(transaction.get_database_backend(), sql, values);
    Ok(transaction.execute_raw(statement).await?.rows_affected() == 1)
}

/// The fingerprint and the answer under a key that is there.
async fn stored(
    transaction: &DatabaseTransaction,
    (client, method, path, key): Scope<'_>,
) -> Result<(Vec<u8>, Answer), DbErr> {
    let id = (client, method.to_owned(), path.to_owned(), key.to_owned());
    let stored = idempotency_keys::Entity::find_by_id(id).one(transaction).await?;
    let stored = stored.ok_or_else(|| DbErr::RecordNotFound("an idempotency key that was there".to_owned()))?;
    let status = u16::try_from(stored.status).map_err(|_| DbErr::Type("an answer's status".to_owned()))?;
    Ok((
        stored.fingerprint,
        Answer {
            status,
            body: stored.answer.into(),
        },
    ))
}

impl Store {
    /// Removes some answers that have outlived their day. True when there may be more.
    pub async fn sweep_idempotency_keys(&self) -> Result<bool, StoreError> {
        let sql = "DELETE FROM idempotency_keys WHERE (client_id, method, path, key) IN \
                   (SELECT client_id, method, path, key FROM idempotency_keys WHERE created_at < $1 LIMIT $2)";
        let values = [
            (self.now().as_millis() - KEPT_MILLIS).into(),
            i64::from(SWEPT_AT_ONCE).into(),
        ];
        let writer = &self.connections().writer;
        let statement = Statement::from_sql_and_values(writer.get_database_backend(), sql, values);
        Ok(writer.execute_raw(statement).await?.rows_affected() == u64::from(SWEPT_AT_ONCE))
    }
}
