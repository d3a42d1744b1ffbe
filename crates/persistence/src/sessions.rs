//! Sessions of people in the console, and the links that begin one.
//!
//! A session is begun with a key, reaches what the key reaches, and ends with it, or after [`SESSION`]. Its token is 256 random bits, of which
//! only the hash is kept, as with keys. A link is a token that is sealed and kept nowhere: it names the key that it was made with and what it
//! reaches, and opens for as long as it says.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, QueryFilter};
use sensei_domain::{ClientId, KeyId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::entities::sessions::{self, Column};
use crate::entities::{api_keys, clients};
use crate::error::{ChangeError, StoreError};
use crate::idempotency::{self, Answer, KeyedRequest, Once};
use crate::keys::{Access, KeyKind, Scope, hash};
use crate::master_key::SealedPlace;
use crate::store::Store;

/// How long a session lasts: a working day.
pub const SESSION: Duration = Duration::from_hours(12);
/// Links are sealed for no row.
const LINK: SealedPlace = SealedPlace {
    table: "sessions",
    row: Uuid::nil(),
    column: "link",
};

/// A session just begun. Its token is nowhere else.
#[derive(Clone)]
pub struct BegunSession {
    /// What the person's browser keeps.
    pub token: String,
    /// What the session reaches.
    pub access: Access,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

impl fmt::Debug for BegunSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BegunSession")
            .field("access", &self.access)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// What a link says.
#[derive(Serialize, Deserialize)]
struct Link {
    key: Uuid,
    client: Option<Uuid>,
    expires_at: i64,
}

impl Store {
    /// Signs somebody in who has shown a key.
    pub async fn begin_session(&self, access: Access) -> Result<BegunSession, StoreError> {
        let now = self.now();
        let expires_at = now.after(SESSION);
        let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let row = sessions::ActiveModel {
            hash: ActiveValue::Set(hash(&token).to_vec()),
            key_id: ActiveValue::Set(access.key_id.as_uuid()),
            client_id: ActiveValue::Set(client_of(access.scope)),
            created_at: ActiveValue::Set(now.as_millis()),
            expires_at: ActiveValue::Set(expires_at.as_millis()),
        };
        let transaction = self.connections().begin().await?;
        sessions::Entity::delete_many()
            .filter(Column::ExpiresAt.lte(now.as_millis()))
            .exec(&transaction)
            .await?;
        sessions::Entity::insert(row)
            .exec_without_returning(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(BegunSession {
            token,
            access,
            expires_at,
        })
    }

    /// What a session reaches; `None` when there is none, or its key was revoked, or its client deleted.
    pub async fn session(&self, token: &str) -> Result<Option<Access>, StoreError> {
        let query =
            sessions::Entity::find_by_id(hash(token).to_vec()).filter(Column::ExpiresAt.gt(self.now().as_millis()));
        let Some(found) = query.one(&self.connections().reader).await? else {
            return Ok(None);
        };
        self.reached(found.key_id, found.client_id).await
    }

    /// Signs somebody out.
    pub async fn end_session(&self, token: &str) -> Result<(), StoreError> {
        let session = sessions::Entity::delete_by_id(hash(token).to_vec());
        session.exec(&self.connections().writer).await?;
        Ok(())
    }

    /// Makes a link's token with a key, which must be in force, for the scope and no longer than so.
    pub fn sign_in_link(&self, key: KeyId, scope: Scope, valid_for: Duration) -> String {
        let link = Link {
            key: key.as_uuid(),
            client: client_of(scope),
            expires_at: self.now().after(valid_for).as_millis(),
        };
        let plain = serde_json::to_vec(&link).expect("ids and numbers become JSON");
        URL_SAFE_NO_PAD.encode(self.shared().directory.master_keys().seal(&LINK, &plain))
    }

    /// As [`Store::sign_in_link`], one link for all requests with the same key.
    pub async fn sign_in_link_once(
        &self,
        key: KeyId,
        scope: Scope,
        valid_for: Duration,
        request: Option<&KeyedRequest>,
        answer: impl FnOnce(&String) -> Answer,
    ) -> Result<Once<String>, ChangeError> {
        let client = match scope {
            Scope::Admin => None,
            Scope::Client(client) => Some(client),
        };
        let transaction = self.connections().begin().await?;
        let effect = Box::pin(async { Ok::<_, ChangeError>(self.sign_in_link(key, scope, valid_for)) });
        let once = idempotency::once(&transaction, self.shared(), client, request, effect, answer).await?;
        transaction.commit().await?;
        Ok(once)
    }

    /// What a link reaches; `None` when it isn't ours, has expired, or its key was revoked.
    pub async fn open_sign_in_link(&self, token: &str) -> Result<Option<Access>, StoreError> {
        let sealed = URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|sealed| String::from_utf8(sealed).ok());
        let plain = sealed.and_then(|sealed| self.shared().directory.master_keys().open(&LINK, &sealed));
        let Some(link) = plain.and_then(|plain| serde_json::from_slice::<Link>(&plain).ok()) else {
            return Ok(None);
        };
        if link.expires_at <= self.now().as_millis() {
            return Ok(None);
        }
        self.reached(link.key, link.client).await
    }

    /// What a key reaches for a client, or for all: nothing if it was revoked, or is of another client.
    async fn reached(&self, key: Uuid, client: Option<Uuid>) -> Result<Option<Access>, StoreError> {
        let reader = &self.connections().reader;
        let in_force = api_keys::Entity::find_by_id(key).filter(api_keys::Column::RevokedAt.is_null());
        let Some(found) = in_force.one(reader).await? else {
            return Ok(None);
        };
        let is_within = found.client_id.is_none() || found.client_id == client;
        if !is_within || found.kind != KeyKind::Secret.name() {
            return Ok(None);
        }
        if let Some(client) = client
            && clients::Entity::find_by_id(client).one(reader).await?.is_none()
        {
            return Ok(None);
        }
        Ok(Some(Access {
            key_id: KeyId::from_uuid(key),
            kind: KeyKind::Secret,
            scope: client.map_or(Scope::Admin, |client| Scope::Client(ClientId::from_uuid(client))),
        }))
    }
}

fn client_of(scope: Scope) -> Option<Uuid> {
    match scope {
        Scope::Admin => None,
        Scope::Client(client) => Some(client.as_uuid()),
    }
}
