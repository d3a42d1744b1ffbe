//! Signing secrets, replaced without losing a webhook.
//!
//! For a while (the overlap) each webhook is signed with the new secret and the one before, so that its receiver may
//! change over at any moment. Of several rotations within an overlap, only the latest secret before counts on.

use std::time::Duration;

use sensei_domain::{ClientId, DestinationId, SignatureVersion, Signer};

use crate::audit::{self, Actor};
use crate::destination_changes::locked;
use crate::destinations;
use crate::directory::{previous_secret_place, secret_place, unsealed};
use crate::entities::destinations::Model;
use crate::error::ChangeError;
use crate::idempotency::{self, Answer, KeyedRequest, Once};
use crate::records::Destination;
use crate::store::Store;

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
        let row = locked(&transaction, client, id).await?;
        let effect = Box::pin(async {
            let master_key = directory.master_key();
            let (place, previous_place) = (secret_place(row.id), previous_secret_place(row.id));
            let overlaps = !rotation.overlap.is_zero();
            let previous = overlaps
                .then(|| unsealed(master_key, &place, &row.sealed_secret))
                .transpose()?;
            let secret = Signer::generate(rotation.version);
            let row = Model {
                sealed_secret: master_key.seal(&place, secret.expose().as_bytes()),
                previous_sealed_secret: previous
                    .map(|previous| master_key.seal(&previous_place, previous.expose().as_bytes())),
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
}
