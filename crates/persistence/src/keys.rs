//! API keys: 256 random bits, of which only the hash is kept.
//!
//! A key that long can't be guessed, so a plain SHA-256 is enough, and looking the hash up leaks nothing
//! by its timing. Leaves to others: what a key of which kind and scope may do (`sensei-api`).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue, ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, Select,
};
use sensei_domain::{ClientId, KeyId, Timestamp};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::audit::{self, Actor};
use crate::clients;
use crate::entities::api_keys::{self, Column};
use crate::error::{ChangeError, StoreError};
use crate::idempotency::{self, Answer, KeyedRequest, Once};
use crate::key_cache::KeyHash;
use crate::records::{ApiKey, Page};
use crate::store::Store;

/// `sk_` or `pk_` and five characters: enough to recognise a key by, too little to use.
const PREFIX_CHARACTERS: usize = 8;
const MINUTE_MILLIS: i64 = 60_000;

/// What a key may be shown to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// For servers: everything in its scope.
    Secret,
    /// For browsers: capturing leads of its client, nothing else.
    Publishable,
}

impl KeyKind {
    /// `secret` or `publishable`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Publishable => "publishable",
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Secret => "sk_",
            Self::Publishable => "pk_",
        }
    }
}

impl FromStr for KeyKind {
    type Err = UnknownKeyKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "secret" => Ok(Self::Secret),
            "publishable" => Ok(Self::Publishable),
            _ => Err(UnknownKeyKind),
        }
    }
}

/// A text names no kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be secret or publishable")]
pub struct UnknownKeyKind;

/// What a key reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Admin,
    /// What belongs to one client.
    Client(ClientId),
}

/// What a key that was shown gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Which key it was.
    pub key_id: KeyId,
    /// Its kind.
    pub kind: KeyKind,
    /// What it reaches.
    pub scope: Scope,
}

/// A key to make.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Its kind.
    pub kind: KeyKind,
    /// What it shall reach.
    pub scope: Scope,
    /// What it is for.
    pub name: String,
}

/// A key just made. Its text is nowhere else.
#[derive(Clone)]
pub struct CreatedKey {
    /// What is kept of it.
    pub key: ApiKey,
    /// The key itself, to be shown once.
    pub text: String,
}

impl fmt::Debug for CreatedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedKey")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// The key with this hash, unless it was revoked.
pub(crate) fn by_hash(hash: &[u8]) -> Select<api_keys::Entity> {
    api_keys::Entity::find()
        .filter(Column::Hash.eq(hash.to_vec()))
        .filter(Column::RevokedAt.is_null())
}

/// What became of the wish to end a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// It has ended.
    Done,
    /// There is no such key in force.
    Unknown,
    /// The key that was to end it has ended itself.
    ByRevoked,
}

impl Store {
    /// What a key gives; `None` when there is no such key, or no longer.
    pub async fn authenticate(&self, key: &str) -> Result<Option<Access>, StoreError> {
        let hash = hash(key);
        let looked = match self.shared().keys.get(&hash) {
            Ok(access) => return Ok(Some(access)),
            Err(looked) => looked,
        };
        let found = by_hash(&hash).one(self.connections().prompt()).await?;
        let Some(found) = found else { return Ok(None) };
        self.note_use(&found);
        let key = api_key(found)?;
        let scope = key.client_id.map_or(Scope::Admin, Scope::Client);
        let access = Access {
            key_id: key.id,
            kind: key.kind,
            scope,
        };
        self.shared().keys.keep(hash, access, looked);
        Ok(Some(access))
    }

    /// Makes a key; `None` when there is no such client.
    pub async fn create_key(&self, new: NewKey, actor: &Actor) -> Result<Option<CreatedKey>, StoreError> {
        let transaction = self.connections().begin().await?;
        if let Scope::Client(client) = new.scope
            && clients::lock(&transaction, client).await?.is_none()
        {
            return Ok(None);
        }
        let created = create(&transaction, new, actor, self.now()).await?;
        transaction.commit().await?;
        Ok(Some(created))
    }

    /// As [`Store::create_key`], once for all requests with the same key. The answer holds a secret.
    pub async fn create_key_once(
        &self,
        new: NewKey,
        request: Option<&KeyedRequest>,
        answer: impl FnOnce(&CreatedKey) -> Answer,
        actor: &Actor,
    ) -> Result<Once<CreatedKey>, ChangeError> {
        let transaction = self.connections().begin().await?;
        let effect = Box::pin(async {
            if let Scope::Client(client) = new.scope {
                let locked = clients::lock(&transaction, client).await?;
                locked.ok_or(ChangeError::UnknownClient)?;
            }
            Ok::<_, ChangeError>(create(&transaction, new, actor, self.now()).await?)
        });
        let once = idempotency::once(&transaction, self.shared(), None, request, effect, answer).await?;
        transaction.commit().await?;
        Ok(once)
    }

    /// The keys that are in force.
    pub async fn keys(&self, client: Option<ClientId>, page: Page) -> Result<Vec<ApiKey>, StoreError> {
        let mut query = api_keys::Entity::find().filter(Column::RevokedAt.is_null());
        if let Some(client) = client {
            query = query.filter(Column::ClientId.eq(client.as_uuid()));
        }
        if let Some(before) = page.before {
            query = query.filter(Column::Id.lt(before));
        }
        let query = query.order_by_desc(Column::Id).limit(u64::from(page.limit));
        query
            .all(&self.connections().reader)
            .await?
            .into_iter()
            .map(api_key)
            .collect()
    }

    /// Ends a key. One that was itself ended meanwhile ends none: two that end each other would leave nobody.
    pub async fn revoke_key(&self, key: KeyId, actor: &Actor) -> Result<Revocation, StoreError> {
        let now = self.now();
        let transaction = self.connections().begin().await?;
        let actors = match actor {
            Actor::Key(by) => Some(by.as_uuid()),
            Actor::System => None,
        };
        let in_force = api_keys::Entity::find()
            .filter(Column::Id.is_in([key.as_uuid()].into_iter().chain(actors)))
            .filter(Column::RevokedAt.is_null())
            .order_by_asc(Column::Id)
            .lock_exclusive()
            .all(&transaction)
            .await?;
        let of = |id: Uuid| in_force.iter().find(|row| row.id == id);
        if actors.is_some_and(|by| of(by).is_none()) {
            return Ok(Revocation::ByRevoked);
        }
        let Some(found) = of(key.as_uuid()) else {
            return Ok(Revocation::Unknown);
        };
        api_keys::Entity::update_many()
            .col_expr(Column::RevokedAt, Expr::value(now.as_millis()))
            .filter(Column::Id.eq(key.as_uuid()))
            .exec(&transaction)
            .await?;
        audit::log(
            &transaction,
            now,
            actor,
            "key.revoked",
            found.client_id.map(ClientId::from_uuid),
            key,
        )
        .await?;
        transaction.commit().await?;
        self.shared().keys.forget(key);
        Ok(Revocation::Done)
    }

    /// Sees to it that this text is an admin's key, unless it was revoked. Safe to repeat.
    pub async fn ensure_admin_key(&self, text: &str) -> Result<(), StoreError> {
        let now = self.now();
        let new = NewKey {
            kind: KeyKind::Secret,
            scope: Scope::Admin,
            name: "SENSEI_ADMIN_KEY".to_owned(),
        };
        let transaction = self.connections().begin().await?;
        if insert(&transaction, KeyId::new(now), &new, text, now).await? {
            audit::log(
                &transaction,
                now,
                &Actor::System,
                "key.created",
                None,
                "SENSEI_ADMIN_KEY",
            )
            .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Whether anybody could administer this: a secret admin key is in force.
    pub async fn has_admin_key(&self) -> Result<bool, StoreError> {
        let keys = api_keys::Entity::find()
            .filter(Column::Kind.eq(KeyKind::Secret.name()))
            .filter(Column::ClientId.is_null())
            .filter(Column::RevokedAt.is_null());
        Ok(keys.count(&self.connections().reader).await? > 0)
    }

    /// Notes that a key was used, to the minute, while nobody waits. A note that fails isn't missed.
    fn note_use(&self, key: &api_keys::Model) {
        let now = self.now().as_millis();
        let minute = now - now.rem_euclid(MINUTE_MILLIS);
        if key.last_used_at.is_some_and(|noted| noted >= minute) {
            return;
        }
        let (shared, id) = (std::sync::Arc::clone(self.shared()), key.id);
        self.shared().background.spawn(async move {
            let note = api_keys::Entity::update_many()
                .col_expr(Column::LastUsedAt, Expr::value(minute))
                .filter(Column::Id.eq(id));
            if let Err(error) = note.exec(&shared.connections.writer).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a key's last use could not be noted"
                );
            }
        });
    }
}

/// Draws a key and writes its hash.
pub(crate) async fn create(
    transaction: &DatabaseTransaction,
    new: NewKey,
    actor: &Actor,
    now: Timestamp,
) -> Result<CreatedKey, DbErr> {
    let text = format!(
        "{}{}",
        new.kind.prefix(),
        URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
    );
    let id = KeyId::new(now);
    insert(transaction, id, &new, &text, now).await?;
    let client_id = client_of(new.scope);
    audit::log(transaction, now, actor, "key.created", client_id, id).await?;
    let key = ApiKey {
        id,
        client_id,
        kind: new.kind,
        name: new.name,
        prefix: prefix(&text),
        created_at: now,
        last_used_at: None,
    };
    Ok(CreatedKey { key, text })
}

/// False when a key with this text is there already.
async fn insert(
    transaction: &DatabaseTransaction,
    id: KeyId,
    new: &NewKey,
    text: &str,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let row = api_keys::ActiveModel {
        id: ActiveValue::Set(id.as_uuid()),
        client_id: ActiveValue::Set(client_of(new.scope).map(ClientId::as_uuid)),
        kind: ActiveValue::Set(new.kind.name().to_owned()),
        name: ActiveValue::Set(new.name.clone()),
        prefix: ActiveValue::Set(prefix(text)),
        hash: ActiveValue::Set(hash(text).to_vec()),
        created_at: ActiveValue::Set(now.as_millis()),
        last_used_at: ActiveValue::Set(None),
        revoked_at: ActiveValue::Set(None),
    };
    let rows = api_keys::Entity::insert(row)
        .on_conflict(OnConflict::column(Column::Hash).do_nothing().to_owned())
        .exec_without_returning(transaction)
        .await?;
    Ok(rows == 1)
}

const fn client_of(scope: Scope) -> Option<ClientId> {
    match scope {
        Scope::Admin => None,
        Scope::Client(client) => Some(client),
    }
}

fn prefix(text: &str) -> String {
    text.chars().take(PREFIX_CHARACTERS).collect()
}

pub(crate) fn hash(text: &str) -> KeyHash {
    Sha256::digest(text.as_bytes()).into()
}

fn api_key(model: api_keys::Model) -> Result<ApiKey, StoreError> {
    Ok(ApiKey {
        id: KeyId::from_uuid(model.id),
        client_id: model.client_id.map(ClientId::from_uuid),
        kind: model
            .kind
            .parse()
            .map_err(|_| StoreError::Unreadable { what: "key kind" })?,
        name: model.name,
        prefix: model.prefix,
        created_at: Timestamp::from_millis(model.created_at),
        last_used_at: model.last_used_at.map(Timestamp::from_millis),
    })
}
