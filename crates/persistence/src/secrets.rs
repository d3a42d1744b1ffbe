//! Signing secrets, replaced without losing a webhook.
//!
//! For a while (the overlap) each webhook is signed with the new secret and the one before, so that its receiver may
//! change over at any moment. Of several rotations within an overlap, only the latest secret before counts on.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, Statement, Value};
use sensei_domain::{ClientId, DestinationId, SignatureVersion, Signer};
use uuid::Uuid;

use crate::audit::{self, Actor};
use crate::connection::in_time;
use crate::destination_changes::locked;
use crate::destination_row::{previous_secret_place, secret_place, unsealed};
use crate::destinations;
use crate::entities::destinations::Model;
use crate::error::{ChangeError, StoreError};
use crate::idempotency::{self, Answer, KeyedRequest, Once};
use crate::multi_row::{Sql, chunks};
use crate::records::Destination;
use crate::store::Store;

/// Secrets that one step removes at most.
const FORGOTTEN_AT_ONCE: i64 = 128;
/// Destinations whose secret before counts no more at `$1`.
pub(crate) const EXPIRED: &str = "SELECT id FROM destinations WHERE previous_secret_until <= $1 LIMIT $2";

/// How a secret is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// For how long the one before still counts.
    pub overlap: Duration,
    /// What the new one signs with.
    pub version: SignatureVersion,
}

impl Store {
    /// Gives a destination a new signing secret, from its next attempt on. The answer holds a secret.
    pub async fn rotate_secret(
        &self,
        client: ClientId,
        id: DestinationId,
        rotation: Rotation,
        request: Option<&KeyedRequest>,
        answer: impl FnOnce(&Destination) -> Answer,
        actor: &Actor,
    ) -> Result<Once<Destination>, ChangeError> {
        let (now, directory) = (self.now(), &self.shared().directory);
        let transaction = self.connections().begin().await?;
        let effect = Box::pin(async {
            let row = locked(&transaction, client, id).await?;
            let master_keys = directory.master_keys();
            let (place, previous_place) = (secret_place(row.id), previous_secret_place(row.id));
            let overlaps = !rotation.overlap.is_zero();
            let previous = overlaps
                .then(|| unsealed(master_keys, &place, &row.sealed_secret))
                .transpose()?;
            let secret = Signer::generate(rotation.version);
            let row = Model {
                sealed_secret: master_keys.seal(&place, secret.expose().as_bytes()),
                previous_sealed_secret: previous
                    .map(|previous| master_keys.seal(&previous_place, previous.expose().as_bytes())),
                previous_secret_until: overlaps.then(|| now.after(rotation.overlap).as_millis()),
                ..row.clone()
            };
            let row = destinations::write(&transaction, row, now).await?;
            audit::log(&transaction, now, actor, "secret.rotated", Some(client), id).await?;
            Ok::<_, ChangeError>(directory.uncommitted(row)?)
        });
        let once = idempotency::once(&transaction, self.shared(), Some(client), request, effect, answer).await?;
        transaction.commit().await?;
        self.shared().changed(once.done.is_some().then_some(id));
        Ok(once)
    }

    /// Removes some secrets whose overlap has ended: they sign nothing any more. True when there may be more.
    pub async fn forget_expired_secrets(&self) -> Result<bool, StoreError> {
        in_time(self.forget_some_expired_secrets()).await
    }

    async fn forget_some_expired_secrets(&self) -> Result<bool, StoreError> {
        let now = self.now().as_millis();
        let reader = &self.connections().reader;
        let backend = reader.get_database_backend();
        let values: [Value; 2] = [now.into(), FORGOTTEN_AT_ONCE.into()];
        let look = Statement::from_sql_and_values(backend, EXPIRED, values);
        let expired = reader.query_all_raw(look).await?;
        let expired = expired.iter().map(|row| row.try_get_by_index::<Uuid>(0));
        let expired = expired.collect::<Result<Vec<_>, _>>()?;
        for part in chunks(backend, &expired) {
            // Another may have been rotated in meanwhile. The version stays: what it signs with is the same.
            let text = "UPDATE destinations SET previous_sealed_secret = NULL, previous_secret_until = NULL \
                        WHERE previous_secret_until <= ";
            let mut sql = Sql::new(backend, text);
            sql.value(now);
            sql.push(" AND id ");
            sql.among(part.iter().copied());
            self.connections().writer.execute_raw(sql.statement()).await?;
        }
        Ok(i64::try_from(expired.len()).is_ok_and(|found| found == FORGOTTEN_AT_ONCE))
    }
}
