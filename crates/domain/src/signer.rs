//! What a destination's webhooks are signed with, whichever way: a shared secret or a key pair.

use std::str::FromStr;

use zeroize::Zeroizing;

use crate::asymmetric::{SIGNING_PREFIX, SigningKey};
use crate::named::named;
use crate::signature::{KeyError, SigningSecret};

/// A way to sign (Standard Webhooks).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureVersion {
    /// HMAC-SHA256 with a secret that both sides know.
    V1,
    /// Ed25519: the receiver has the public key only.
    V1a,
}

named!(SignatureVersion { V1 = "v1", V1a = "v1a" });

/// What webhooks are signed with. Its text tells by the prefix which way it signs.
#[derive(Debug, Clone)]
pub enum Signer {
    /// `v1`, written as `whsec_…`.
    Symmetric(SigningSecret),
    /// `v1a`, written as `whsk_…`.
    KeyPair(SigningKey),
}

impl Signer {
    /// Draws a new one.
    pub fn generate(version: SignatureVersion) -> Self {
        match version {
            SignatureVersion::V1 => Self::Symmetric(SigningSecret::generate()),
            SignatureVersion::V1a => Self::KeyPair(SigningKey::generate()),
        }
    }

    /// Which way it signs.
    pub const fn version(&self) -> SignatureVersion {
        match self {
            Self::Symmetric(_) => SignatureVersion::V1,
            Self::KeyPair(_) => SignatureVersion::V1a,
        }
    }

    /// Signs a webhook: one signature of its header `webhook-signature`.
    pub fn sign(&self, id: &str, unix_seconds: i64, body: &[u8]) -> String {
        match self {
            Self::Symmetric(secret) => secret.sign(id, unix_seconds, body),
            Self::KeyPair(key) => key.sign(id, unix_seconds, body),
        }
    }

    /// Its text, the secret itself.
    pub fn expose(&self) -> Zeroizing<String> {
        match self {
            Self::Symmetric(secret) => secret.expose(),
            Self::KeyPair(key) => key.expose(),
        }
    }
}

impl FromStr for Signer {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.starts_with(SIGNING_PREFIX) {
            text.parse().map(Self::KeyPair)
        } else {
            text.parse().map(Self::Symmetric)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signer_is_read_back_as_it_was_written_and_keeps_its_secret() {
        for version in SignatureVersion::ALL {
            let signer = Signer::generate(*version);
            let text = signer.expose();
            let read = text.parse::<Signer>().expect("its own text");
            assert_eq!((read.version(), read.expose()), (*version, text.clone()));
            let signature = signer.sign("msg_1", 1_700_000_000, b"{}");
            assert_eq!(read.sign("msg_1", 1_700_000_000, b"{}"), signature);
            assert!(signature.starts_with(&format!("{},", version.name())));
            assert!(!format!("{signer:?}").contains(&text[6..]));
        }
        assert!(
            "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
                .parse::<Signer>()
                .is_err()
        );
    }
}
