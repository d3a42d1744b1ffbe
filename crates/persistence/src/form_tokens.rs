//! Tokens of lead forms: what shows that a lead comes from a form of ours, and since when that form was open.
//!
//! A token is sealed under the master key and kept nowhere. It is bound to its client, and no two are equal.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sensei_domain::{ClientId, Timestamp};

use crate::master_key::SealedPlace;
use crate::store::Store;

fn place(client: ClientId) -> SealedPlace {
    SealedPlace {
        table: "clients",
        row: client.as_uuid(),
        column: "form token",
    }
}

impl Store {
    /// Makes a token for a form of this client that is opened now.
    pub fn form_token(&self, client: ClientId) -> String {
        let opened = self.now().as_millis().to_be_bytes();
        URL_SAFE_NO_PAD.encode(self.shared().directory.master_keys().seal(&place(client), &opened))
    }

    /// When the form was opened that a token was made for; `None` when it isn't ours, or another client's.
    pub fn form_opened_at(&self, client: ClientId, token: &str) -> Option<Timestamp> {
        let sealed = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let opened = self.shared().directory.master_keys().open(&place(client), &sealed)?;
        let millis = i64::from_be_bytes(opened.as_slice().try_into().ok()?);
        Some(Timestamp::from_millis(millis))
    }
}
